"""The model in this process, for base_url="local": no server, no HTTP."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence

from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.gemini_names import find_gemini_name
from gemvec.embedding.in_order import run_in_order
from gemvec.embedding.positions import at_positions
from gemvec.errors import InvalidRequest, MissingDependency
from gemvec.models.progress import Progress
from gemvec.settings import Settings

# Texts given to the model at a time: it sorts waiting texts by length, and refuses calls when too many wait.
_TEXTS, _CONCURRENCY = 256, 4


@functools.cache
def require_packages() -> None:
    """Check that the packages for an in-process model are installed, without loading them.

    Raises:
        MissingDependency: one is missing.
    """
    for name in ("openvino", "safetensors", "tokenizers"):
        if importlib.util.find_spec(name) is None:
            raise MissingDependency(f"The model in this process (base URL `local`) needs {name}.", extra="server")


def open_in_process(model: str, *, progress: Progress | None = None) -> Embedder:
    """Load the model that `model` names, or the default model for Google's names.

    Args:
        model: one of Google's names, a catalogue id, a hub id or a folder.
        progress: called with the progress of fetching its weights.
    """
    from gemvec.models.local import open_embedder

    name = model.removeprefix("models/")
    settings = Settings.load() if find_gemini_name(name) else Settings.load(model=(name,))
    return open_embedder(settings, progress=progress)


async def embed_in_process(
    embedder: Embedder,
    model: str,
    requests: Sequence[EmbedRequest],
    *,
    on_done: Callable[[Sequence[Embedding]], None],
) -> list[Embedding]:
    """Embed any number of texts with an embedder that `open_in_process` opened for `model`.

    Raises:
        InvalidRequest: a text cannot be embedded as asked; `index` says which.
    """
    name = model.removeprefix("models/")
    # A model that was loaded by folder or hub id has its own id.
    served = embedder.get_model(name) if find_gemini_name(name) else embedder.list_models()[0]

    async def embed_run(positions: range) -> list[Embedding]:
        try:
            embeddings = await embedder.embed(served, requests[positions.start : positions.stop])
        except InvalidRequest as error:
            raise at_positions(error, positions) from error
        on_done(embeddings)
        return embeddings

    runs = [range(start, min(start + _TEXTS, len(requests))) for start in range(0, len(requests), _TEXTS)]
    return await run_in_order(runs, embed_run, max_concurrency=_CONCURRENCY)
