"""The cross-encoder that scores texts against a query on this machine: `open_reranker` and `Reranker`.

A pair goes through the network as one input, so that a score costs as much as a vector and cannot be computed ahead.
The network, its streams and its queue are those of embedding models; only the head is another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gemvec.embedding.embed import Float32Array, Priority
from gemvec.embedding.models import ScoringModel
from gemvec.errors import EmptyText, InputTooLong, InvalidRequest, UnsupportedModel
from gemvec.figures import Figure
from gemvec.models.engines import engine_of, warm_up
from gemvec.models.modules import read_document
from gemvec.models.pinned_vectors import PINNED_TEXTS
from gemvec.models.progress import Progress
from gemvec.models.scheduler import Scheduler
from gemvec.models.score_head import ScoreHead
from gemvec.models.tokenizer import load_tokenizer
from gemvec.models.weights import LoadedModel, load_model
from gemvec.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """A query with texts, ready to be scored.

    Attributes:
        inputs: the ids of each pair, as the network takes them.
        truncated: the indexes of the texts whose pair was cut at the window, each with its tokens before the cut, as
            far as they were counted.
    """

    inputs: list[list[int]]
    truncated: dict[int, int]

    @property
    def token_count(self) -> int:
        """Tokens of all pairs, special ones included."""
        return sum(map(len, self.inputs))


def open_reranker(settings: Settings, *, progress: Progress | None = None) -> Reranker:
    """Load the cross-encoder that `settings.rerank_model` names, fetching what is missing.

    Args:
        settings: `rerank_model`, `precision`, `streams`, `token_budget`, `max_waiting_tokens` and `cache_dir`.
        progress: told how far a fetch has come.

    Raises:
        ModelNotFound: the name is no catalogue id, hub id or folder.
        ModelUnavailable: the model's files cannot be fetched, are not whole, or are no cross-encoder that can be run.
    """
    return Reranker(load_model(settings.rerank_model, settings.cache_dir, task="rerank", progress=progress), settings)


class Reranker:
    """One loaded cross-encoder.

    Attributes:
        model: what callers are told of it.
    """

    def __init__(self, loaded: LoadedModel, settings: Settings) -> None:
        """Load the network and start its streams.

        Raises:
            UnsupportedModel: the model's files cannot be run.
        """
        record, folder = loaded.record, loaded.folder
        self._tokenizer = load_tokenizer(record, folder)
        self._template = self._tokenizer.pair_template()
        self._window_tokens = record.window_tokens
        if self._window_tokens - self._template.tokens < _MIN_TOKENS:
            raise UnsupportedModel(f"The window of {folder}, {record.window_tokens} tokens, fits no pair of texts.")
        config = read_document(folder / record.network_path, "config.json") or {}
        self._head = ScoreHead.load(config, loaded.weights_file)
        engine = engine_of(record)
        self._encoder = engine.open(record, folder, settings)
        try:
            first = self._prepare(PINNED_TEXTS[0], PINNED_TEXTS[1:], truncates=True, max_text_tokens=None)
            warm_up(self._encoder, record, folder, first.inputs)
        except BaseException:
            self._encoder.close()
            raise
        self._scheduler = Scheduler(
            self._encoder,
            streams=engine.count_streams(settings),
            token_budget=engine.token_budget(settings, self._encoder),
            max_waiting_tokens=settings.max_waiting_tokens,
        )
        self.model = ScoringModel(
            name=record.id,
            aliases=record.aliases,
            revision=loaded.revision,
            input_token_limit=record.window_tokens,
            languages=record.languages,
        )

    async def prepare(
        self, query: str, texts: Sequence[str], *, truncates: bool = True, max_text_tokens: int | None = None
    ) -> Pairs:
        """Make the network's inputs.

        Args:
            query: what is looked for.
            texts: what may answer it.
            truncates: cut a pair that is longer than the window (True) or refuse it (False).
            max_text_tokens: tokens of a text that count; None for as many as fit.

        Raises:
            EmptyText: the query (`field` is `query`) or a text (`index` says which) is empty.
            InputTooLong: a pair must not be cut and does not fit; `index` says which.
            InvalidRequest: the network has no vector for a token of the query or of a text.
        """
        _require_text(query, "query", None)
        for index, text in enumerate(texts):
            _require_text(text, "texts", index)
        return await asyncio.to_thread(self._prepare, query, texts, truncates, max_text_tokens)

    async def score(self, pairs: Pairs, *, priority: Priority = Priority.INTERACTIVE) -> Float32Array:
        """Return the score of each pair, float32[texts], in the order of the texts: a logit, higher is better.

        Raises:
            Overloaded: too much work waits; try again later.
        """
        return self._head.score(await self._scheduler.encode(pairs.inputs, priority))

    def figures(self) -> Iterable[Figure]:
        """Return what there is to do and has been done."""
        return self._scheduler.load.figures(model=self.model.name)

    async def close(self) -> None:
        """Finish what was accepted and free the weights."""
        await self._scheduler.close()
        self._encoder.close()

    def _prepare(self, query: str, texts: Sequence[str], truncates: bool, max_text_tokens: int | None) -> Pairs:
        query_ids, *text_ids = self._tokenizer.encode([query, *texts], self._window_tokens)
        text_ids = [ids[:max_text_tokens] for ids in text_ids]
        if self._tokenizer.without_vector:
            self._refuse_without_vector(query_ids, text_ids)
        room = self._window_tokens - self._template.tokens
        counts = [len(query_ids) + len(ids) for ids in text_ids]
        truncated = {index: count for index, count in enumerate(counts) if count > room}
        if truncated and not truncates:
            index, count = next(iter(truncated.items()))
            raise InputTooLong(
                f"{{field}} and the query have {count} tokens or more together; {self.model.name} takes up to {room}.",
                field="texts",
                index=index,
            )
        inputs = [self._template.fill(query_ids, ids, self._window_tokens) for ids in text_ids]
        return Pairs(inputs=inputs, truncated=truncated)

    def _refuse_without_vector(self, query_ids: Sequence[int], text_ids: Sequence[Sequence[int]]) -> None:
        for index, ids in ((None, query_ids), *enumerate(text_ids)):
            if (token := self._tokenizer.find_without_vector(ids)) is not None:
                raise InvalidRequest(
                    f"{{field}} has the token {token!r}, for which {self.model.name} has no vector.",
                    field="query" if index is None else "texts",
                    index=index,
                )


# Room for a token of the query and one of the text.
_MIN_TOKENS = 2


def _require_text(text: str, field: str, index: int | None) -> None:
    if not text:
        raise EmptyText("{field} is empty.", field=field, index=index)
