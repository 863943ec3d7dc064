"""`ChunkActor`: what runs on a node. Ray sends this class whole, so nothing of gemvec is imported before `open`.

So a node without gemvec, or with another version of it, answers with a sentence instead of a traceback.
"""

from __future__ import annotations

import asyncio
import importlib
import pickle
from typing import Any


class ChunkActor:
    """Holds the model on a node; an asyncio actor of Ray."""

    def __init__(self) -> None:
        """Load nothing: what is raised here would be seen as a traceback."""
        self._engine: Any = None

    async def locate(self) -> str:
        """Return the id of the node."""
        return importlib.import_module("ray").get_runtime_context().get_node_id()

    async def open(self, identity: str, opening: bytes) -> str:
        """Load the model.

        Args:
            identity: which gemvec must run here.
            opening: a call that returns what computes, and why it cannot be used; pickled.

        Returns:
            Why this node cannot be used; "" if it can.
        """
        return await asyncio.to_thread(self._open, identity, opening)

    def _open(self, identity: str, opening: bytes) -> str:
        try:
            found = importlib.import_module("gemvec.ray.node").identity()
        except ImportError as error:
            return f"gemvec's computing on Ray cannot be imported there ({error}); here runs {identity}"
        if found != identity:
            return f"there runs {found}, here {identity}"
        # Only what the driver of the same gemvec has pickled.
        self._engine, refusal = pickle.loads(opening)()  # noqa: S301
        return refusal

    async def compute(self, piece: Any) -> Any:
        """Return the answers to a `Piece`: `Computed`, or `Failed`."""
        return await self._engine.compute(piece)
