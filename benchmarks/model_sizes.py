"""What models of true size take, with random weights: EmbeddingGemma's 308 million parameters, and a 12-layer XLM-R.

    python benchmarks/model_sizes.py [--peers PYTHON] [--rounds 3] [--output benchmarks/results/model_sizes.json]

No weights are fetched. Each case runs in a fresh process, all cases in turns: seconds to the first vector, resident
memory, and texts per CPU second at 32 and 256 tokens. With `--peers`, the Python of an environment that has
sentence-transformers, the same texts are computed there in fp32, with as many threads as cores and with one: threads of
torch that wait for each other take processor time, on a busy machine several times that of the work. There it is also
measured how fast one core multiplies matrices in fp32 and bf16, which bounds what can be gained, and which share of
that each case reaches. The lowest cosine to sentence-transformers' vectors shows that the texts are the same.

A busy machine blurs CPU seconds a little, and seconds to the first vector a lot: those have their CPU seconds beside.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TOKENS = (32, 256)
TEXTS = {32: 48, 256: 12}
CORES = 2
WORD = "the"
GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "models" / "golden"
PEER = "sentence-transformers fp32"
PEER_ON_ONE_THREAD = f"{PEER}, 1 thread"
PEAK_SIZE = 2048
Shapes = dict[str, tuple[int, ...]]
Embed = Callable[[list[str]], Any]


def gemma_shapes() -> Shapes:
    """Return the tensors of EmbeddingGemma's network."""
    size, inner, heads, shared, head = 768, 1152, 3, 1, 256
    layer: Shapes = {
        "input_layernorm": (size,), "post_attention_layernorm": (size,), "pre_feedforward_layernorm": (size,),
        "post_feedforward_layernorm": (size,), "self_attn.q_proj": (heads * head, size),
        "self_attn.k_proj": (shared * head, size), "self_attn.v_proj": (shared * head, size),
        "self_attn.o_proj": (size, heads * head), "self_attn.q_norm": (head,), "self_attn.k_norm": (head,),
        "mlp.gate_proj": (inner, size), "mlp.up_proj": (inner, size), "mlp.down_proj": (size, inner),
    }  # fmt: skip
    layers = {f"layers.{number}.{name}.weight": shape for number in range(24) for name, shape in layer.items()}
    return {"embed_tokens.weight": (262_144, size), "norm.weight": (size,)} | layers


def xlm_roberta_shapes() -> Shapes:
    """Return the tensors of XLM-R base."""
    size, inner = 768, 3072
    linear = {"attention.self.query": (size, size), "attention.self.key": (size, size),
              "attention.self.value": (size, size), "attention.output.dense": (size, size),
              "intermediate.dense": (inner, size), "output.dense": (size, inner)}  # fmt: skip
    shapes: Shapes = {"embeddings.word_embeddings.weight": (250_002, size)}
    shapes |= {
        "embeddings.position_embeddings.weight": (514, size),
        "embeddings.token_type_embeddings.weight": (1, size),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(12):
        here = f"encoder.layer.{number}."
        norms += [f"{here}attention.output.LayerNorm", f"{here}output.LayerNorm"]
        for name, shape in linear.items():
            shapes |= {f"{here}{name}.weight": shape, f"{here}{name}.bias": shape[:1]}
    return shapes | {f"{name}.{part}": (size,) for name in norms for part in ("weight", "bias")}


GEMMA = {
    "hidden_size": 768, "intermediate_size": 1152, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 256,
    "num_hidden_layers": 24, "query_pre_attn_scalar": 256, "sliding_window": 512, "vocab_size": 262_144,
    "max_position_embeddings": 2048, "use_bidirectional_attention": True, "dtype": "bfloat16",
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 4,
}  # fmt: skip
XLM_ROBERTA = {
    "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
    "vocab_size": 250_002, "max_position_embeddings": 514, "dtype": "float32",
}  # fmt: skip
# The golden folder that a model is made from, its sizes, its tensors, whether its weights are bf16, its dense layers.
MODELS: dict[str, tuple[str, dict[str, Any], Shapes, bool, tuple[tuple[int, int], ...]]] = {
    "embeddinggemma-300m": ("gemma3_text", GEMMA, gemma_shapes(), True, ((768, 3072), (3072, 768))),
    "xlm-roberta-base": ("xlm-roberta", XLM_ROBERTA, xlm_roberta_shapes(), False, ()),
}


def write_weights(path: Path, shapes: Shapes, *, half: bool) -> None:
    """Write random weights as safetensors, in bf16 or fp32."""
    chance, header, offset = np.random.default_rng(3), {}, 0
    width, dtype = (2, "BF16") if half else (4, "F32")
    for name, shape in shapes.items():
        end = offset + int(np.prod(shape)) * width
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    document = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    document += b" " * (-len(document) % 8)  # as safetensors pads it, so that numbers lie where processors want them
    with path.open("wb") as file:
        file.write(len(document).to_bytes(8, "little") + document)
        for shape in shapes.values():
            scale = np.float32(0.05 if len(shape) == 1 else shape[-1] ** -0.5)
            values = chance.standard_normal(shape, np.float32) * scale
            file.write((values.view(np.uint32) >> np.uint32(16)).astype(np.uint16) if half else values)


def write_model(name: str, folder: Path) -> None:
    """Write a model's folder: a golden one with other sizes and weights."""
    golden, sizes, shapes, half, dense = MODELS[name]
    shutil.copytree(GOLDEN / golden, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | sizes))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 512}))
    write_weights(folder / "model.safetensors", shapes, half=half)
    for place, (taken, given) in enumerate(dense, start=2):
        path = folder / f"{place}_Dense"
        layer = {"in_features": taken, "out_features": given, "bias": False}
        layer |= {"activation_function": "torch.nn.modules.linear.Identity"}
        (path / "config.json").write_text(json.dumps(layer))
        write_weights(path / "model.safetensors", {"linear.weight": (given, taken)}, half=False)


def texts_of(tokens: int) -> list[str]:
    """Return texts with this many tokens, the two special ones included."""
    return [" ".join([WORD] * (tokens - 2))] * TEXTS[tokens]


def resident_mib() -> float:
    """Return the resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure_gemvec(folder: Path, precision: str) -> Iterator[tuple[str, Any]]:
    """Yield the figures of gemvec."""
    from gemvec.embedding.embed import EmbedRequest
    from gemvec.embedding.task_type import TaskType
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings

    embedder = open_embedder(Settings.load({}, model=(str(folder),), precision=precision, streams=CORES))
    served = embedder.list_models()[0]

    def embed(texts: list[str]) -> list[list[float]]:
        # A task for which these models have no prompt, because sentence-transformers adds none here.
        requests = [EmbedRequest(text=text, task_type=TaskType.CLASSIFICATION) for text in texts]
        return [each.vector.tolist() for each in asyncio.run(embedder.embed(served, requests))]

    yield from measure(embed)


def measure_peer(folder: Path, threads: int) -> Iterator[tuple[str, Any]]:
    """Yield the figures of sentence-transformers in fp32, and of matrices multiplied on one core."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    yield from measure(lambda texts: model.encode(texts, batch_size=32).tolist())
    if threads == 1:
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            matrix = torch.randn(PEAK_SIZE, PEAK_SIZE).to(dtype)
            yield f"gigaflops_{name}", 2 * PEAK_SIZE**3 / best_cpu_seconds(lambda of=matrix: of @ of) / 1e9


def best_cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the least CPU seconds of several tries."""
    seconds: list[float] = []
    for _ in range(8):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def measure(embed: Embed) -> Iterator[tuple[str, Any]]:
    """Yield seconds since the start of the process, memory, texts per CPU second of each length, and two vectors."""
    vectors = embed([WORD])
    yield "seconds_to_first_vector", seconds_since_start()
    yield "cpu_seconds_to_first_vector", time.process_time()
    yield "resident_mib_after_first_vector", resident_mib()
    for tokens in TOKENS:
        texts = texts_of(tokens)
        vectors += embed(texts)[:1]  # a first time, to compile kernels for these shapes
        started = time.process_time()
        embed(texts)
        yield f"texts_per_cpu_second_{tokens}", len(texts) / (time.process_time() - started)
    yield "resident_mib_at_the_end", resident_mib()
    yield "vectors", vectors


def seconds_since_start() -> float:
    """Return how long ago this process was started."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def count_gigaflops(name: str, tokens: int) -> float:
    """Return the operations of a text: two for each weight of a layer and token, four for each pair of tokens."""
    _, sizes, shapes, _, dense = MODELS[name]
    weights = sum(int(np.prod(shape)) for key, shape in shapes.items() if "layer" in key and len(shape) == 2)
    heads, layers = sizes["num_attention_heads"], sizes["num_hidden_layers"]
    width = heads * sizes.get("head_dim", sizes["hidden_size"] // heads)
    after = 2 * sum(taken * given for taken, given in dense)
    return (2 * weights * tokens + 4 * layers * width * tokens**2 + after) / 1e9


def run_case(python: str, case: str, folder: Path) -> dict[str, Any]:
    """Return the figures of a case from a process of its own."""
    from gemvec.settings import process_environ

    command = [python, __file__, "--case", case, "--folder", str(folder)]
    environ = process_environ() | {"HF_HUB_OFFLINE": "1"}
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environ).stdout
    return json.loads(output.splitlines()[-1])


def summarise(name: str, rounds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return each case's median figures, its lowest cosine, and its speed as shares of others'."""
    vectors = {case: np.array(figures.pop("vectors")) for each in rounds for case, figures in each.items()}
    found: dict[str, dict[str, Any]] = {
        case: {figure: statistics.median(each[case][figure] for each in rounds) for figure in rounds[0][case]}
        for case in rounds[0]
    }
    if PEER not in found:
        return found
    peak = {each: found[PEER_ON_ONE_THREAD].pop(f"gigaflops_{each}") for each in ("fp32", "bf16")}
    expected = vectors[PEER] / np.linalg.norm(vectors[PEER], axis=1, keepdims=True)
    for case, figures in found.items():
        figures["lowest_cosine"] = float((vectors[case] * expected).sum(1).min())
        for tokens in TOKENS:
            speed = figures[f"texts_per_cpu_second_{tokens}"]
            limit = peak["bf16" if case.endswith("fast") else "fp32"] / count_gigaflops(name, tokens)
            figures[f"share_of_peak_{tokens}"] = speed / limit
            for peer in (PEER, PEER_ON_ONE_THREAD):
                figures[f"times_{peer}_{tokens}"] = statistics.median(
                    each[case][f"texts_per_cpu_second_{tokens}"] / each[peer][f"texts_per_cpu_second_{tokens}"]
                    for each in rounds
                )
    return found | {"gigaflops_of_one_core": peak}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="a Python with torch and sentence-transformers")
    parser.add_argument("--only", default="", help="only models whose name contains this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        threads = 1 if options.case == PEER_ON_ONE_THREAD else CORES
        is_peer = options.case.startswith(PEER)
        folder, precision = options.folder, options.case.split()[-1]
        print(json.dumps(dict(measure_peer(folder, threads) if is_peer else measure_gemvec(folder, precision))))
        return
    from machine import describe_run

    result: dict[str, Any] = describe_run(("gemvec", "openvino", "tokenizers", "numpy"))
    result |= {"cores": CORES, "rounds": options.rounds, "models": {}}
    cases = {"gemvec fast": sys.executable, "gemvec exact": sys.executable}
    cases |= dict.fromkeys((PEER, PEER_ON_ONE_THREAD), options.peers) if options.peers else {}
    for name in (each for each in MODELS if options.only in each):
        with tempfile.TemporaryDirectory(prefix="gemvec-sizes-") as scratch:
            folder = Path(scratch) / name
            write_model(name, folder)
            rounds = [
                {case: run_case(python, case, folder) for case, python in cases.items()} for _ in range(options.rounds)
            ]
        result["models"][name] = summarise(name, rounds)
        print(json.dumps({name: result["models"][name]}, indent=1), flush=True)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
