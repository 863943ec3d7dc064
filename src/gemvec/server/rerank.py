"""Texts scored against a query by the server's cross-encoder, as text-embeddings-inference, Jina and Cohere have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from gemvec.embedding.embed import Float32Array
from gemvec.embedding.models import relevance_of
from gemvec.errors import FailedPrecondition, InvalidRequest, NotFound
from gemvec.server.bodies import answer, read_body, while_caller_waits
from gemvec.server.context import services_of
from gemvec.server.limits import limiter_of
from gemvec.server.metrics import metrics_of
from gemvec.server.usage import usage_of
from gemvec.spans import timed
from gemvec.wire.message import to_wire
from gemvec.wire.rerank import (
    CohereRerankMeta,
    CohereRerankRequest,
    CohereRerankResponse,
    JinaRerankRequest,
    JinaRerankResponse,
    JinaUsage,
    RerankedDocument,
    RerankRequest,
    RerankResult,
)
from gemvec.wire.tei import TEIRank, TEIRerankRequest
from gemvec.wire.truncation import format_truncated

if TYPE_CHECKING:
    from gemvec.models.reranker import Reranker


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """The result of one call.

    Attributes:
        logits: float32[texts], in the order of the texts.
        order: the texts' places, the most relevant first; equally relevant ones keep their order.
        token_count: tokens of all pairs.
    """

    logits: Float32Array
    order: list[int]
    token_count: int

    @property
    def relevance(self) -> list[float]:
        """The scores as numbers from 0 to 1, in the order of the texts."""
        return [float(each) for each in relevance_of(self.logits)]


async def rank_texts(request: Request) -> Response:
    """Score texts as text-embeddings-inference does."""
    asked = await read_body(request, TEIRerankRequest)
    scored = await _score(request, asked.query, asked.texts, field="texts", truncates=asked.truncate)
    scores = [float(each) for each in scored.logits] if asked.raw_scores else scored.relevance
    ranks = [
        TEIRank(index=place, score=scores[place], text=asked.texts[place] if asked.return_text else None)
        for place in scored.order
    ]
    return answer(request, [to_wire(each) for each in ranks])


async def rerank_for_jina(request: Request) -> Response:
    """Score documents as Jina does."""
    asked = await read_body(request, JinaRerankRequest)
    scored = await _score_documents(request, asked)
    usage = JinaUsage(total_tokens=scored.token_count, prompt_tokens=scored.token_count)
    results = _results(asked, scored, return_documents=asked.return_documents)
    name = request.state.model.name
    return answer(request, to_wire(JinaRerankResponse(model=name, usage=usage, results=results)))


async def rerank_for_cohere(request: Request) -> Response:
    """Score documents as Cohere does."""
    asked = await read_body(request, CohereRerankRequest)
    scored = await _score_documents(request, asked, max_text_tokens=asked.max_tokens_per_doc)
    results = _results(asked, scored, return_documents=False)
    meta = CohereRerankMeta.of(len(asked.documents))
    return answer(request, to_wire(CohereRerankResponse(id=request.state.request_id, results=results, meta=meta)))


async def _score_documents(request: Request, asked: RerankRequest, *, max_text_tokens: int | None = None) -> _Scored:
    return await _score(
        request,
        asked.query,
        asked.documents,
        field="documents",
        truncates=True,
        model=asked.model,
        max_text_tokens=max_text_tokens,
    )


def _results(asked: RerankRequest, scored: _Scored, *, return_documents: bool) -> list[RerankResult]:
    relevance = scored.relevance
    return [
        RerankResult(
            index=place,
            relevance_score=relevance[place],
            document=RerankedDocument(text=asked.documents[place]) if return_documents else None,
        )
        for place in scored.order[: asked.top_n]
    ]


async def _score(
    request: Request,
    query: str,
    texts: Sequence[str],
    *,
    field: str,
    truncates: bool,
    model: str | None = None,
    max_text_tokens: int | None = None,
) -> _Scored:
    """Score texts while the caller waits.

    Args:
        request: the HTTP request, which tells when the caller hangs up.
        query: what is looked for.
        texts: what may answer it.
        field: what the caller calls the texts.
        truncates: cut a pair that is too long (True) or refuse it (False).
        model: the cross-encoder's name, as the caller gave it.
        max_text_tokens: tokens of a text that count; None for as many as fit.

    Raises:
        FailedPrecondition: this server has no cross-encoder.
        NotFound: it has another one.
        InvalidRequest: a text cannot be scored; `field` is its place in the body.
        RateLimited: the caller has used up its limit for now.
    """
    reranker = _use_reranker(request, model)
    limiter, caller, name = limiter_of(request), request.state.caller, reranker.model.name
    limiter.check_pairs(caller, name, len(texts), field=field)
    with timed() as seconds:
        try:
            pairs = await reranker.prepare(query, texts, truncates=truncates, max_text_tokens=max_text_tokens)
        except InvalidRequest as error:
            if error.index is not None:
                error.field = f"{field}[{error.index}]"
            raise
        await limiter.spend_pairs(caller, name, len(texts), pairs.token_count)
        logits = await while_caller_waits(request, reranker.score(pairs))
    for step in ("waiting", "computing"):
        setattr(request.state, f"{step}_ms", round(1000 * seconds.get(step, 0.0), 1))
    request.state.texts, request.state.tokens = len(texts), pairs.token_count
    usage_of(request).note(request.state.owner, texts=len(texts), tokens=pairs.token_count)
    request.state.truncated = format_truncated(pairs.truncated)
    metrics_of(request).note_texts(name, len(texts), pairs.token_count, truncated=len(pairs.truncated))
    order = [int(each) for each in np.argsort(-logits, kind="stable")]
    return _Scored(logits=logits, order=order, token_count=pairs.token_count)


def _use_reranker(request: Request, name: str | None) -> Reranker:
    """Return the server's cross-encoder, and remember it for the answer's header and the access log."""
    reranker = services_of(request).reranker
    if reranker is None:
        raise FailedPrecondition("This server scores no texts. gemvec serve --rerank-model names a model that does.")
    model = reranker.model
    if name is not None and name.removeprefix("models/") not in {model.name, *model.aliases}:
        raise NotFound(f"The model {name!r} scores no texts here; {model.name} does.")
    limiter_of(request).check_name(request.state.caller, model.name)
    request.state.model = model
    return reranker
