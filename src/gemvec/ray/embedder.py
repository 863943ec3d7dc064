"""`RayEmbedder`: texts of a corpus are embedded on a Ray cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.embedder import Embedder, OnDone, WrapperEmbedder
from gemvec.embedding.models import ServedModel
from gemvec.embedding.positions import at_positions
from gemvec.errors import ClusterUnavailable, InvalidRequest, TextNotComputed
from gemvec.ray.cluster import Cluster
from gemvec.ray.messages import Embedded, Failed, Texts

# Texts given to an actor at a time: enough that Ray costs little, few enough that a lost actor costs little.
TEXTS_PER_PIECE = 128
# After so many texts that could not be embedded, and none that could, it is not the texts.
_HOPELESS = 5


class RayEmbedder(WrapperEmbedder):
    """An embedder whose vectors are computed by the actors of a cluster; everything else is done by the one it wraps.

    Args:
        embedder: has the same models in this process; closed with this one.
        cluster: computes; closed with this one.
        pieces_in_flight: how many pieces keep all actors busy.

    Attributes:
        cluster: what computes.
        pieces_in_flight: see above.
        texts_in_flight: how many texts do.
    """

    def __init__(self, embedder: Embedder, cluster: Cluster, *, pieces_in_flight: int) -> None:
        super().__init__(embedder)
        self.cluster = cluster
        self.pieces_in_flight = pieces_in_flight
        self.texts_in_flight = self.pieces_in_flight * TEXTS_PER_PIECE
        self._given_up = 0

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,  # noqa: ARG002 - the actors have no other callers
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """See `Embedder.embed`.

        Raises:
            TextNotComputed: actors died of a text, or it failed on every node; `index` says which.
            ClusterUnavailable: the cluster cannot compute.
        """
        pieces = [
            range(start, min(start + TEXTS_PER_PIECE, len(requests)))
            for start in range(0, len(requests), TEXTS_PER_PIECE)
        ]
        calls = [asyncio.ensure_future(self._embed(model, requests, piece, on_done)) for piece in pieces]
        try:
            return [embedding for some in await asyncio.gather(*calls) for embedding in some]
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _embed(
        self, model: ServedModel, requests: Sequence[EmbedRequest], piece: range, on_done: OnDone | None
    ) -> list[Embedding]:
        some = list(requests[piece.start : piece.stop])
        try:
            answer = await self.cluster.run_again(Texts(model=model.name, weights=model.weights, requests=some))
        except TextNotComputed as error:
            # The texts before it in its piece could be embedded.
            self._given_up = 1 if error.index else self._given_up + 1
            if self._given_up >= _HOPELESS:
                raise ClusterUnavailable(f"Texts cannot be embedded on the Ray cluster: {error.reason}.") from error
            raise at_positions(error, piece) from error
        except InvalidRequest as error:
            raise at_positions(error, piece) from error
        if isinstance(answer, Failed):
            raise ClusterUnavailable(f"Texts cannot be embedded on the Ray cluster: {answer.reason}.")
        assert isinstance(answer, Embedded)
        self._given_up = 0
        if on_done is not None:
            on_done(answer.embeddings)
        return answer.embeddings

    async def close(self) -> None:
        """Leave the cluster, and close the wrapped embedder."""
        try:
            await self.cluster.close()
        finally:
            await super().close()
