"""How fast texts become vectors in one process: gemvec's engine beside sentence-transformers, on the same texts.

    python benchmarks/engine.py [--rounds 5] [--texts 2000] [--output benchmarks/results/engine.json]
    python benchmarks/engine.py --model xlm-roberta-base --rounds 3 --texts 200 [--output ...]

The texts are real: docstrings of the standard library of 13 to 256 tokens, about 57 on average, in an order that is
always the same. Every case runs in a fresh process; cases take turns for `--rounds` rounds, so that ratios hold on a
machine that others use too. sentence-transformers runs in a separate environment, made on the first run; without it
give `--only gemvec`. A sum at the end says how many times each speed of sentence-transformers gemvec reaches, round by
round and by CPU second, which a busy machine blurs less. Like is compared with like: `fast` computes in bf16 where the
processor has it, `exact` in fp32.

With `--model`, a network of that model's true size with random weights is measured instead of the default model, with
a small tokenizer, so the same texts have other lengths. Its figures are written under `models` of the output, beside
those that are there already.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from engine_cases import CASES
from machine import describe_run
from model_sizes import MODELS, write_model

from gemvec.models.cores import count_cores
from gemvec.models.tokenizer import load_tokenizer
from gemvec.models.weights import LoadedModel, load_model
from gemvec.settings import cache_home, process_environ

MODEL = "all-minilm-l6-v2"
# What of a model with random weights is measured: whole calls, not the parts of one.
WHOLE_CASES = ("gemvec fast", "gemvec exact", *(case for case in CASES if case.startswith("sentence-transformers")))
SHORTEST_TOKENS, LONGEST_TOKENS = 13, 256
# torch first and by itself: its own index has builds for graphics cards, gigabytes that a processor does not need.
PEER_PACKAGES = ("torch==2.13.0", "sentence-transformers")
PACKAGES = ("gemvec", "openvino", "tokenizers", "numpy")

Rounds = dict[str, list[dict[str, float]]]


def find_docstrings() -> Iterator[str]:
    """Yield every docstring of the standard library's modules, white space made single."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, documented) and (text := ast.get_docstring(node)):
                yield " ".join(text.split())


def choose_texts(model: LoadedModel, wanted: int) -> tuple[list[str], float]:
    """Return the texts and how many tokens they have on average, special tokens included."""
    tokenizer = load_tokenizer(model.record, model.folder)
    texts = list(dict.fromkeys(find_docstrings()))
    special = len(tokenizer.prefix_ids) + len(tokenizer.suffix_ids)
    lengths = [count + special for count in tokenizer.count_tokens(texts)]
    chosen = [
        (text, length)
        for text, length in zip(texts, lengths, strict=True)
        if SHORTEST_TOKENS <= length <= LONGEST_TOKENS
    ]
    random.Random(0).shuffle(chosen)
    chosen = chosen[:wanted]
    return [text for text, _ in chosen], sum(length for _, length in chosen) / len(chosen)


def peer_python(folder: Path) -> Path:
    """Return the Python that has sentence-transformers, made in `folder` if it is not there yet."""
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        print(f"installing {' and '.join(PEER_PACKAGES)} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        for package in PEER_PACKAGES:
            subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
        (folder / "complete").touch()
    return python


@dataclass(frozen=True)
class Setup:
    """What all cases share: the peers' Python, where texts and vectors lie, the weights' folder, cores to use."""

    peer_python: Path
    folder: Path
    model: Path
    cores: int

    def run(self, case: str) -> dict[str, float]:
        """Return the figures of one case, measured in a separate process."""
        python = self.peer_python if case.startswith("sentence-transformers") else sys.executable
        command = [python, Path(__file__).with_name("engine_cases.py"), case, self.folder, self.model, str(self.cores)]
        environ = process_environ() | {"HF_HUB_OFFLINE": "1"}
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environ, text=True).stdout
        return json.loads(output.splitlines()[-1])


def run_rounds(cases: list[str], rounds: int, setup: Setup) -> Rounds:
    """Return each case's figures, one set a round."""
    figures: Rounds = {case: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            found = setup.run(case)
            figures[case].append(found)
            print(f"round {number + 1}  {case:37} {shown(found)}", flush=True)
    return figures


def shown(figures: dict[str, float]) -> str:
    """Return figures on one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def compare(cases: list[str], folder: Path) -> dict[str, dict[str, float]]:
    """Return the mean and lowest cosine of each case's vectors to those of exact."""
    found = {case: np.load(folder / f"{case}.npy") for case in cases if (folder / f"{case}.npy").is_file()}
    exact = found.get("gemvec exact", next(iter(found.values())))
    cosines = {
        case: (vectors * exact).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(exact, axis=1)
        for case, vectors in found.items()
    }
    return {case: {"mean": float(each.mean()), "min": float(each.min())} for case, each in cosines.items()}


def ratios(figures: Rounds) -> dict[str, dict[str, float]]:
    """Return gemvec's speed as a multiple of others', the median over rounds, by wall clock and by CPU second."""
    pairs = {
        f"gemvec {precision} / {other}": (f"gemvec {precision}", other)
        for precision in ("fast", "exact")
        for other in (*[case for case in figures if case.startswith("sentence")], f"encoder alone, {precision}")
    }
    return {
        name: {
            figure: statistics.median(a[figure] / b[figure] for a, b in zip(figures[one], figures[other], strict=True))
            for figure in ("texts_per_second", "texts_per_cpu_second")
        }
        for name, (one, other) in pairs.items()
        if one in figures and other in figures
    }


def report(result: dict[str, object], figures: Rounds) -> None:
    """Print the medians, the cosines and the ratios."""
    print(f"\n{result['texts']} texts of {result['mean_tokens']:.1f} tokens, {result['cores']} cores\n")
    for case, found in figures.items():
        middle = {name: statistics.median(each[name] for each in found) for name in found[0]}
        print(f"{case:37} {shown(middle)}")
    print()
    for case, cosine in result["cosine_to_exact"].items():
        print(f"{case:37} cosine to exact: mean {cosine['mean']:.6f}, min {cosine['min']:.6f}")
    print()
    for name, ratio in result["ratios"].items():
        print(f"{name:60} {ratio['texts_per_second']:5.2f} by wall, {ratio['texts_per_cpu_second']:5.2f} by CPU second")


def peer_versions(python: Path) -> dict[str, str]:
    """Return the versions in the peers' environment."""
    code = "from importlib.metadata import version; print(*map(version, ('torch', 'sentence-transformers')))"
    return dict(zip(("torch", "sentence-transformers"), run_for_output(python, "-c", code).split(), strict=True))


def run_for_output(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def open_model(name: str, folder: Path) -> LoadedModel:
    """Return the default model, or one with random weights that is written into `folder`."""
    if name == MODEL:
        return load_model(MODEL, cache_home())
    write_model(name, folder / name)
    return load_model(str(folder / name), cache_home())


def write(output: Path, model: str, result: dict[str, object]) -> None:
    """Write the figures of a model; those of others that the file has stay in it."""
    kept: dict[str, Any] = json.loads(output.read_bytes()) if output.is_file() else {}
    models = kept.pop("models", {})
    if model == MODEL:
        kept = result
    else:
        models |= {model: result}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(kept | ({"models": models} if models else {}), indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--model", default=MODEL, choices=[MODEL, *MODELS])
    parser.add_argument("--only", default="", help="run only the cases whose name contains this")
    parser.add_argument("--peers", type=Path, default=cache_home() / "benchmarks" / "sentence-transformers")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    cases = [case for case in (CASES if options.model == MODEL else WHOLE_CASES) if options.only in case]
    python = peer_python(options.peers) if any(case.startswith("sentence") for case in cases) else Path(sys.executable)
    cores = count_cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = open_model(options.model, folder)
        texts, mean_tokens = choose_texts(model, options.texts)
        result: dict[str, object] = {
            **describe_run(PACKAGES),
            "cores": cores,
            "texts": len(texts),
            "texts_sha256": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
            "mean_tokens": mean_tokens,
        }
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        figures = run_rounds(cases, options.rounds, Setup(python, folder, model.folder, cores))
        result |= {"cosine_to_exact": compare(cases, folder), "ratios": ratios(figures)}
    if python != Path(sys.executable):
        result["versions"] |= peer_versions(python)
    report(result, figures)
    if options.output:
        write(options.output, options.model, result | {"figures": figures})


if __name__ == "__main__":
    main()
