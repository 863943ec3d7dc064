"""What an actor does once it is clear that its node runs the same gemvec: `open_engine` and `NodeEngine`."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from gemvec.batches.chunk import embed_each, embed_with_retries
from gemvec.batches.chunk_lines import ChunkLines, Failure
from gemvec.batches.chunk_process import reason_of, spare_collector
from gemvec.embedding.embed import Embedding
from gemvec.embedding.embedder import Embedder
from gemvec.errors import GemvecError, InvalidRequest, MissingDependency
from gemvec.models.naming import split_name
from gemvec.ray.messages import Answer, Call, Computed, Embedded, Failed, Lines, Piece, Returned, Texts
from gemvec.settings import Settings, cache_home

# The rooms on which the bytes of a part file and the vectors of a corpus depend.
_ROOMS = ("batches", "embedding", "models", "ray", "wire")


@cache
def identity() -> str:
    """Return which gemvec this is: its version, and a digest of the source of what computes."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (root / room).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    try:
        installed = version("gemvec")
    except PackageNotFoundError:  # source that was not installed
        installed = ""
    return " ".join(["gemvec", *([installed] if installed else []), f"({digest.hexdigest()[:8]})"])


def portable(settings: Settings, cpus: float) -> Settings:
    """Return the settings that an actor needs: those of models, without keys, and streams for its cores.

    The user's own cache folder is another one on each machine, so it is left to the node.
    """
    kept = Settings()
    return replace(
        kept,
        model=tuple(map(_absolute, settings.model)),
        alias=settings.alias,
        engine=settings.engine,
        device=settings.device,
        trust_remote_code=settings.trust_remote_code,
        precision=settings.precision,
        long_text=settings.long_text,
        streams=settings.streams or max(1, int(cpus)),
        token_budget=settings.token_budget,
        model_memory=settings.model_memory,
        max_waiting_tokens=settings.max_waiting_tokens,
        cache_dir=Path() if settings.cache_dir == cache_home() else settings.cache_dir,
    )


def _absolute(model: str) -> str:
    """Return a model's name; that of a folder from the root, because an actor runs in another folder."""
    name, rest = split_name(model)
    folder = Path(rest).expanduser()
    return f"{name}{'=' if name else ''}{folder.resolve()}" if folder.is_dir() else model


def open_models(settings: Settings) -> Embedder:
    """Open on a node what `portable` settings name."""
    from gemvec.models.served import open_served_models

    own = settings if settings.cache_dir != Path() else replace(settings, cache_dir=cache_home())
    return open_served_models(own)


def open_engine(open_embedder: Callable[[], Embedder], weights: Mapping[str, str]) -> tuple[NodeEngine | None, str]:
    """Load the model on this node.

    Args:
        open_embedder: opens what the server has open.
        weights: the weights that must answer to each served name.

    Returns:
        What computes, and why it cannot be used; "" if it can.
    """
    try:
        embedder = open_embedder()
    except MissingDependency as error:
        return None, error.message
    except Exception as error:  # noqa: BLE001 - said, and no chunk is given to this actor
        return None, error.message if isinstance(error, GemvecError) else reason_of(error)
    found = {model.name: model.weights for model in embedder.list_models()}
    for name, wanted in weights.items():
        if found.get(name) != wanted:
            return None, f"other weights answer to {name} there: {found.get(name, 'none')} instead of {wanted}"
    spare_collector()
    return NodeEngine(embedder), ""


class NodeEngine:
    """Computes pieces on a node."""

    def __init__(self, embedder: Embedder) -> None:
        """Compute with `embedder`."""
        self._embedder = embedder

    async def compute(self, piece: Piece) -> Answer | Failed:
        """Return the answer to a piece, or why there is none; nothing is raised, because Ray would log it."""
        try:
            if isinstance(piece, Call):
                return await asyncio.to_thread(_call, piece)
            if self._embedder.get_model(piece.model).weights != piece.weights:
                return Failed(f"{piece.weights} is not what answers to {piece.model} there", may_pass=True)
            return await (self._answer(piece) if isinstance(piece, Lines) else self._embed(piece))
        except Exception as error:  # noqa: BLE001 - told to the driver
            may_pass = isinstance(error, (GemvecError, OSError, MemoryError))
            return Failed(reason_of(error), may_pass, error if isinstance(error, InvalidRequest) else None)

    async def _answer(self, lines: Lines) -> Computed:
        chunk = ChunkLines(lines.model)
        asked = await asyncio.to_thread(lambda: [chunk.parse(*each) for each in enumerate(lines.lines)])
        named = {"batch": lines.batch_id, "chunk": lines.chunk_index}
        answers = await embed_each(self._embedder, lines.model, asked, named)
        return await asyncio.to_thread(_format, chunk, answers)

    async def _embed(self, texts: Texts) -> Embedded:
        model = self._embedder.get_model(texts.model)
        return Embedded(await embed_with_retries(self._embedder, model, texts.requests))


def _call(call: Call) -> Returned:
    # Only what the driver of the same gemvec passes on.
    return Returned(pickle.dumps(pickle.loads(call.function)()))  # noqa: S301


def _format(lines: ChunkLines, answers: list[Embedding | Failure]) -> Computed:
    token_counts = [each.token_count for each in answers if isinstance(each, Embedding)]
    return Computed(
        part=np.frombuffer(b"".join(lines.format(answers)), np.uint8),
        successful_count=len(token_counts),
        failed_count=len(answers) - len(token_counts),
        token_count=sum(token_counts),
    )
