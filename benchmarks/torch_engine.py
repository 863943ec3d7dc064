"""How fast `--engine torch` is: beside sentence-transformers alone, and beside gemvec's own engine, on the same texts.

    python benchmarks/torch_engine.py [--model MODEL] [--device cuda] [--rounds 3] [--texts 2000] [--output FILE.json]

Needs the extra `torch`; made for a machine with a GPU, and works on a processor. The texts are those of `engine.py`.
Every case runs in a fresh process, in turns. Printed are texts a second and a CPU second, the share of the device's
peak (how fast it multiplies two large matrices in the same number format, measured in the same process), ratios, and
cosines to sentence-transformers in fp32. The operations of a text are counted as two for each weight of a matrix and
token, and four for each pair of tokens, value and layer; padding counts as nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine import choose_texts
from machine import describe_run
from sentence_transformers import SentenceTransformer

from gemvec.embedding.embed import EmbedRequest, Priority
from gemvec.models.engine_choice import EngineChoice
from gemvec.models.local import open_embedder
from gemvec.models.torch_device import choose_device, computes_in_bf16
from gemvec.models.weights import LoadedModel, load_model
from gemvec.settings import Settings, cache_home, process_environ

WARM_UP_TEXTS = 400
BATCH_SIZES = {"cpu": (8, 32), "cuda": (32, 256), "mps": (32, 128)}
PACKAGES = ("gemvec", "openvino", "torch", "sentence-transformers", "transformers")
PEAK_SIZE = {"cpu": 2048, "cuda": 8192, "mps": 4096}

Figures = dict[str, float]
Embed = Callable[[Sequence[str]], np.ndarray]


def kind_of(device: str) -> str:
    """Return a device without its number."""
    return device.partition(":")[0]


def wait_for(device: str) -> None:
    """Wait until a device has done its work."""
    if kind_of(device) == "cuda":
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def measure_peak(device: str, dtype: torch.dtype) -> float:
    """Return how many operations a second a device does when it multiplies two large matrices."""
    size = PEAK_SIZE[kind_of(device)]
    left = torch.randn(size, size, device=device).to(dtype)
    times: list[float] = []
    for _ in range(12):
        wait_for(device)
        started = time.perf_counter()
        left @ left
        wait_for(device)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def count_operations(network: SentenceTransformer, texts: Sequence[str]) -> float:
    """Return the operations that a network needs for texts without padding."""
    matrices = sum(each.weight.numel() for each in network.modules() if isinstance(each, torch.nn.Linear))
    config = next(network.children()).auto_model.config
    lengths = np.array([len(each) for each in network.tokenizer(list(texts), truncation=True)["input_ids"]], float)
    pairs = 4 * config.hidden_size * config.num_hidden_layers
    return float((2 * matrices * lengths + pairs * lengths**2).sum())


def measure(embed: Embed, texts: Sequence[str], vectors_file: Path) -> Figures:
    """Compute all texts and return how fast that was; keep the vectors."""
    embed(texts[:WARM_UP_TEXTS])
    cpu, wall = time.process_time(), time.perf_counter()
    vectors = embed(texts)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    np.save(vectors_file, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return {"texts_per_second": len(texts) / wall, "texts_per_cpu_second": len(texts) / cpu}


def run_gemvec(model: LoadedModel, texts: Sequence[str], vectors_file: Path, **options: Any) -> Figures:
    """Measure the whole pipeline in one call."""
    embedder = open_embedder(Settings(model=(str(model.folder),), **options))
    served = embedder.list_models()[0]

    def embed(some: Sequence[str]) -> np.ndarray:
        requests = [EmbedRequest(text=text) for text in some]
        answers = asyncio.run(embedder.embed(served, requests, priority=Priority.BATCH))
        return np.array([each.vector for each in answers])

    return measure(embed, texts, vectors_file)


def run_peer(
    network: SentenceTransformer, device: str, batch_size: int, texts: Sequence[str], vectors_file: Path
) -> Figures:
    """Measure sentence-transformers as its documentation uses it."""

    def embed(some: Sequence[str]) -> np.ndarray:
        vectors = network.encode(list(some), batch_size=batch_size, convert_to_numpy=True)
        wait_for(device)
        return np.asarray(vectors, np.float32)

    return measure(embed, texts, vectors_file)


def run_case(case: str, name: str, device: str, folder: Path) -> Figures:
    """Measure one case in this process."""
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    who, precision, *batch = case.split(", ")
    model = load_model(name, cache_home(), choice=EngineChoice(prefers_torch=who != "own engine"))
    file = folder / f"{case}.npy"
    if who == "own engine":
        return run_gemvec(model, texts, file, precision=precision)
    is_half = computes_in_bf16(device, "fast") and precision in {"fast", "bf16"}
    network = SentenceTransformer(str(model.folder), device=device, local_files_only=True).float()
    operations = count_operations(network, texts) / len(texts)
    if who == "--engine torch":
        del network
        found = run_gemvec(model, texts, file, engine="torch", device=device, precision=precision)
    else:
        network = network.bfloat16() if is_half else network
        found = run_peer(network, device, int(batch[0].removeprefix("batch ")), texts, file)
    peak = measure_peak(device, torch.bfloat16 if is_half else torch.float32)
    return found | {"share_of_peak": found["texts_per_second"] * operations / peak, "peak_teraflops": peak / 1e12}


def list_cases(device: str, *, has_own: bool) -> list[str]:
    """Return the cases that make sense on a device."""
    formats = ["fp32"] + ["bf16"] * computes_in_bf16(device, "fast")
    peers = [
        f"sentence-transformers, {each}, batch {size}" for each in formats for size in BATCH_SIZES[kind_of(device)]
    ]
    own = ["own engine, fast", "own engine, exact"] if has_own else []
    return ["--engine torch, fast", "--engine torch, exact", *peers, *own]


def run_rounds(cases: Sequence[str], rounds: int, name: str, device: str, folder: Path) -> dict[str, list[Figures]]:
    """Return each case's figures, one set a round."""
    figures: dict[str, list[Figures]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in cases:
            command = [
                sys.executable,
                __file__,
                "--case",
                case,
                "--folder",
                folder,
                "--model",
                name,
                "--device",
                device,
            ]
            environ = process_environ() | {"HF_HUB_OFFLINE": "1"}
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environ)
            figures[case].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {number + 1}  {case:40} {shown(figures[case][-1])}", flush=True)
    return figures


def shown(figures: Figures) -> str:
    """Return figures on one line."""
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def compare(cases: Sequence[str], folder: Path) -> dict[str, float]:
    """Return the lowest cosine of each case's vectors to those of sentence-transformers in fp32."""
    expected = np.load(folder / f"{next(each for each in cases if 'fp32' in each)}.npy")
    return {case: float((np.load(folder / f"{case}.npy") * expected).sum(1).min()) for case in cases}


def ratios(figures: dict[str, list[Figures]]) -> dict[str, dict[str, float]]:
    """Return the speed of `--engine torch` as a multiple of the others', the median over rounds."""
    pairs = [(ours, other) for ours in figures if ours.startswith("--engine") for other in figures if other != ours]
    return {
        f"{ours} / {other}": {
            name: statistics.median(a[name] / b[name] for a, b in zip(figures[ours], figures[other], strict=True))
            for name in ("texts_per_second", "texts_per_cpu_second")
        }
        for ours, other in pairs
    }


def describe_device(device: str) -> str:
    """Return the name of a GPU, or the device's own."""
    return torch.cuda.get_device_name(device) if kind_of(device) == "cuda" else device


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-minilm-l6-v2")
    parser.add_argument("--device", default="", help="cpu, mps, cuda, cuda:1; empty: a GPU if there is one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = choose_device(options.device)
    if options.case:
        print(json.dumps(run_case(options.case, options.model, device, options.folder)))
        return
    model = load_model(options.model, cache_home())
    texts, mean_tokens = choose_texts(model, options.texts)
    cases = list_cases(device, has_own=model.record.engine != "torch")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        figures = run_rounds(cases, options.rounds, options.model, device, folder)
        cosines = compare(cases, folder)
    result = {
        **describe_run(PACKAGES),
        "model": options.model,
        "device": describe_device(device),
        "texts": len(texts),
        "mean_tokens": mean_tokens,
        "lowest_cosine_to_fp32": cosines,
        "ratios": ratios(figures),
        "figures": figures,
    }
    print(f"\n{len(texts)} texts of {mean_tokens:.1f} tokens on {result['device']}, the middle of all rounds\n")
    for case, found in figures.items():
        print(f"{case:40} {shown({name: statistics.median(each[name] for each in found) for name in found[0]})}")
    for case, ratio in ratios(figures).items():
        print(f"{case:70} {shown(ratio)}")
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
