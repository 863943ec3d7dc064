"""The cases that `engine.py` runs, each in a fresh process: what computes the same texts, and what to measure of it.

    python engine_cases.py CASE FOLDER MODEL CORES

FOLDER holds texts.json and gets CASE.npy; MODEL is the folder of the weights. The last line printed is the figures as
JSON. The sentence-transformers cases run under another Python, so gemvec is imported only where it is measured.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Texts computed before measuring, so that kernels are compiled and buffers have their size.
WARM_UP_TEXTS = 400
QUERY = "what is the meaning of life"
QUERY_INTERVAL_SECONDS = 0.05

Figures = dict[str, float]
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Run:
    """What a case is given: its name, the texts, where to leave vectors, the weights' folder, cores to use."""

    case: str
    texts: list[str]
    folder: Path
    model: Path
    cores: int

    def bulk(self, embed: Embed) -> Figures:
        """Compute all texts once and return how fast that was; leave the vectors in the folder."""
        embed(self.texts[: min(WARM_UP_TEXTS, len(self.texts) // 2)])
        cpu, wall = time.process_time(), time.perf_counter()
        vectors = embed(self.texts)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        np.save(self.folder / f"{self.case}.npy", np.asarray(vectors, np.float32))
        count = len(self.texts)
        return {"texts_per_second": count / wall, "texts_per_cpu_second": count / cpu}


def sentence_transformers(run: Run, batch_size: int, dtype: str) -> Figures:
    """The library as its documentation uses it, as many threads as cores."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(run.cores)
    started = time.perf_counter()
    network = SentenceTransformer(str(run.model), device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})
    load_seconds = time.perf_counter() - started
    figures = run.bulk(lambda some: network.encode(list(some), batch_size=batch_size))
    return figures | {"load_seconds": load_seconds}


def open_local(run: Run, precision: str) -> tuple[object, float]:
    """Return an embedder and the seconds from the import of gemvec to the first vector."""
    started = time.perf_counter()
    from gemvec.embedding.embed import EmbedRequest
    from gemvec.models.local import open_embedder
    from gemvec.settings import Settings

    embedder = open_embedder(Settings(model=(str(run.model),), precision=precision, streams=run.cores))
    asyncio.run(embedder.embed(embedder.list_models()[0], [EmbedRequest(text=QUERY)]))
    return embedder, time.perf_counter() - started


def gemvec(run: Run, precision: str) -> Figures:
    """The whole pipeline in one call: `LocalEmbedder.embed`."""
    embedder, load_seconds = open_local(run, precision)
    from gemvec.embedding.embed import EmbedRequest, Priority
    from gemvec.embedding.task_type import TaskType

    name = embedder.list_models()[0].name

    def embed(some: Sequence[str]) -> np.ndarray:
        # A task for which these models have no prompt, because sentence-transformers adds none here.
        requests = [EmbedRequest(text=text, task_type=TaskType.CLASSIFICATION) for text in some]
        answers = asyncio.run(embedder.embed(embedder.get_model(name), requests, priority=Priority.BATCH))
        return np.array([answer.vector for answer in answers])

    figures = run.bulk(embed)
    counts = {each.name: each.value for each in embedder.figures()}
    padding = counts["padded_tokens"] / counts["computed_tokens"]
    return figures | {"load_seconds": load_seconds, "padding": padding}


def encoder(run: Run, precision: str) -> Figures:
    """The network alone: texts tokenized and sorted into micro-batches beforehand, a thread a stream."""
    from gemvec.models.engines import engine_of, warm_up
    from gemvec.models.tokenizer import load_tokenizer
    from gemvec.models.weights import load_model
    from gemvec.settings import Settings

    texts = run.texts
    loaded = load_model(str(run.model), run.folder)
    settings = Settings(precision=precision, streams=run.cores)
    network = engine_of(loaded.record).open(loaded.record, loaded.folder, settings)
    tokenizer = load_tokenizer(loaded.record, loaded.folder)
    ids = {
        text: [*tokenizer.prefix_ids, *each, *tokenizer.suffix_ids]
        for text, each in zip(texts, tokenizer.encode(texts), strict=True)
    }
    micro_batches = sort_into_micro_batches([ids[text] for text in texts], 512)
    some_micro_batches = micro_batches[:: max(1, len(texts) // WARM_UP_TEXTS)]
    warm_up(network, loaded.record, loaded.folder, [ids[texts[row]] for row in some_micro_batches[0]])
    vectors = np.zeros((len(texts), network.native_dim), np.float32)

    def compute(some: Sequence[Sequence[int]]) -> np.ndarray:
        waiting = iter(some)
        lock = threading.Lock()

        def work(stream: int) -> None:
            while True:
                with lock:
                    rows = next(waiting, None)
                if rows is None:
                    return
                vectors[rows] = network.encode([ids[texts[row]] for row in rows], stream)

        threads = [threading.Thread(target=work, args=(stream,)) for stream in range(run.cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    return run.bulk(lambda some: compute(micro_batches if some is texts else some_micro_batches))


def sort_into_micro_batches(token_ids: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
    """Return rows, longest text first, in groups of up to `budget` padded tokens."""
    groups: list[list[int]] = [[]]
    for row in sorted(range(len(token_ids)), key=lambda row: -len(token_ids[row])):
        group = groups[-1]
        if group and len(token_ids[group[0]]) * (len(group) + 1) > budget:
            groups.append(group := [])
        group.append(row)
    return groups


def latency(run: Run, precision: str) -> Figures:
    """A short query alone, and behind a bulk job; the latter from the moment it was due, every 50 ms."""
    embedder, _ = open_local(run, precision)
    from gemvec.embedding.embed import EmbedRequest, Priority

    name = embedder.list_models()[0].name
    query = [EmbedRequest(text=QUERY)]

    async def ask(due: float) -> float:
        await embedder.embed(embedder.get_model(name), query)
        return (time.perf_counter() - due) * 1e3

    async def measure() -> Figures:
        idle = [await ask(time.perf_counter()) for _ in range(300)][100:]
        requests = [EmbedRequest(text=text) for text in run.texts]
        job = asyncio.ensure_future(embedder.embed(embedder.get_model(name), requests, priority=Priority.BATCH))
        await asyncio.sleep(0.5)
        asked, due = [], time.perf_counter()
        while not job.done():
            asked.append(asyncio.ensure_future(ask(due)))
            due += QUERY_INTERVAL_SECONDS * random.Random(len(asked)).uniform(0.5, 1.5)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        busy = await asyncio.gather(*asked)
        return {
            "idle_p50_ms": float(np.percentile(idle, 50)),
            "idle_p99_ms": float(np.percentile(idle, 99)),
            "behind_bulk_p50_ms": float(np.percentile(busy, 50)),
            "behind_bulk_p99_ms": float(np.percentile(busy, 99)),
        }

    return asyncio.run(measure())


# Name -> what to run and its own arguments.
CASES: dict[str, tuple[Callable[..., Figures], tuple[object, ...]]] = {
    "gemvec fast": (gemvec, ("fast",)),
    "sentence-transformers fp32, batch 32": (sentence_transformers, (32, "float32")),
    "gemvec exact": (gemvec, ("exact",)),
    "sentence-transformers fp32, batch 8": (sentence_transformers, (8, "float32")),
    "encoder alone, fast": (encoder, ("fast",)),
    "sentence-transformers bf16, batch 32": (sentence_transformers, (32, "bfloat16")),
    "sentence-transformers bf16, batch 8": (sentence_transformers, (8, "bfloat16")),
    "encoder alone, exact": (encoder, ("exact",)),
    "latency fast": (latency, ("fast",)),
}


def sgemm_gflops() -> float:
    """Return the speed of a matrix product in fp32 now: a figure for how busy the machine is."""
    left = np.ones((1024, 1024), np.float32)
    started = time.perf_counter()
    for _ in range(10):
        left @ left
    return 10 * 2 * 1024**3 / (time.perf_counter() - started) / 1e9


def main() -> None:
    """Run one case and print its figures."""
    case, folder, model, cores = sys.argv[1:]
    texts = json.loads(Path(folder, "texts.json").read_text(encoding="utf-8"))
    measure, arguments = CASES[case]
    before = sgemm_gflops()
    figures = measure(Run(case, texts, Path(folder), Path(model), int(cores)), *arguments)
    figures["sgemm_gflops"] = (before + sgemm_gflops()) / 2
    figures["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
