"""Texts to embeddings through a batch: `encode_batch`. Google bills batches at half the price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gemvec.client.batches import BatchClient, OnProgress
from gemvec.client.embed import normalised
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.errors import ApiError, BadAnswer
from gemvec.wire.batches import BatchState
from gemvec.wire.jsonl import ResponseLine
from gemvec.wire.status import RPC_CODES

_STATUSES = {code: status for status, code in RPC_CODES.items()}
_HTTP_CODES = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499}
_SERVER_ERROR = 500


def encode_batch(
    client: BatchClient,
    model: str,
    requests: Sequence[EmbedRequest],
    *,
    display_name: str = "",
    on_progress: OnProgress | None = None,
) -> list[Embedding]:
    """Embed texts through a batch, wait for it, and delete it and its upload once the results are here.

    Args:
        client: where to create the batch.
        model: the name to embed with.
        requests: what to embed.
        display_name: a human-readable name.
        on_progress: called with the batch each time its state was fetched.

    Returns:
        One embedding per request, in the same order, normalised; a token count is 0 if the server gives none.

    Raises:
        ApiError: the server refused, the batch failed, or a request failed (`index` says which). The batch is then
            kept.
        TransportFailure: the server cannot be reached. A batch that was created goes on.
    """
    if not requests:
        return []
    batch = client.create(model, requests, display_name=display_name)
    name = f"batches/{batch.batch_id}"
    ended = client.wait(name, on_progress=on_progress)
    if ended.state is not BatchState.SUCCEEDED:
        raise _error_of(ended.error_code, f"{name} is {ended.state.lower()}: {ended.error_message}")
    embeddings = [_embedding_of(result, index, name) for index, result in enumerate(client.results(name))]
    if len(embeddings) != len(requests):
        raise BadAnswer(f"{name} has the wrong number of embeddings: expected {len(requests)}, got {len(embeddings)}.")
    client.delete(name)
    return embeddings


def _embedding_of(result: ResponseLine, index: int, name: str) -> Embedding:
    if result.key != str(index):
        raise BadAnswer(f"Result {index} of {name} belongs to request {result.key}.")
    if result.values is None:
        raise _error_of(result.error_code, f"{name}: {result.error_message.strip()}", index)
    vector = normalised(np.array(result.values, dtype=np.float32))
    return Embedding(vector, result.token_count or 0, result.truncated_from)


def _error_of(rpc_code: int, message: str, index: int | None = None) -> ApiError:
    status = _STATUSES.get(rpc_code, "UNKNOWN")
    return ApiError(_HTTP_CODES.get(status, _SERVER_ERROR), status, message, index=index)
