"""Measures embeddings on given data: model x dimensionality x dense or hybrid search, and what an index loses.

Sentence pairs give Spearman's correlation, translations the part of the sentences whose translation is the nearest.
Retrieval sets give nDCG, recall and MRR, of Milvus' answers and of exact search side by side. A text is embedded once;
lower dimensionalities are cut from its vector, as the model does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from msgspec import structs

from gemvec.embedding.embed import EmbedRequest, Float32Array, Priority
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.in_order import run_in_order
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import CorpusDocument, Dataset, RetrievalSet, SentencePairs, Translations
from gemvec.evaluation.exact import search_exactly
from gemvec.evaluation.metrics import Judgments, ndcg, overlap, rank_documents, recall, reciprocal_rank, spearman
from gemvec.evaluation.trials import PrecomputedEmbedder, Scores, Trial, fill_trial, open_trials
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.fusion import count_candidates, fuse
from gemvec.milvus.search import MAX_RESULTS
from gemvec.models.vectors import truncate_dimensions

SearchKind = Literal["cosine", "exact", "dense", "hybrid"]

_TEXTS_AT_ONCE, _CALLS_AT_ONCE = 512, 2
_TOP = 10

OnProgress = Callable[[str, int, int], None]  # what is being done, how much of it is done, of how much


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What to measure.

    Attributes:
        dimensions: dimensionalities; those above the model's own are left out. Empty: the model's own.
        searches: for retrieval sets: `dense` and `hybrid` search in Milvus, each beside exact search, or `exact` search
            alone, which needs no Milvus.
        recall_at: number of results that count for recall.
        uri: the Milvus to measure; empty for a temporary Milvus Lite file.
        token: for a Milvus server.
    """

    dimensions: tuple[int, ...] = ()
    searches: tuple[Literal["exact", "dense", "hybrid"], ...] = ("dense",)
    recall_at: tuple[int, ...] = (10, 100)
    uri: str = ""
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, values, most in (
            ("dimensions", self.dimensions, 2**16),
            ("recall_at", self.recall_at, MAX_RESULTS - 1),
        ):
            for value in values:
                if not 1 <= value <= most:
                    raise InvalidRequest(f"{name} has value {value}; it must be 1 to {most}.", field=name)

    @property
    def depth(self) -> int:
        """Number of documents to ask for: one more, because a query that is itself a document is left out."""
        return max(_TOP, *self.recall_at) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The quality of one way to embed and search, on one set of data.

    Attributes:
        dataset: its name.
        model: the name that was asked.
        weights: what answered, such as `all-minilm-l6-v2@53aa5117`.
        precision: `fast` or `exact`; empty where a server decides.
        dimensionality: values in a vector.
        search: `cosine` of sentence pairs and translations; `exact`, `dense` or `hybrid` search.
        scores: by metric (`spearman`; `accuracy`, from the first language to the second, and `reverse_accuracy`;
            `ndcg@10`, `mrr@10`, `recall@k`), 0 to 1 (Spearman from -1), for `dense` and `hybrid` as Milvus answered.
        exact: the same with exact search of the vectors; empty where Milvus was not asked.
        index_recall: part of the exact first ten that Milvus found; None where it was not asked.
    """

    dataset: str
    model: str
    weights: str
    precision: str
    dimensionality: int
    search: SearchKind
    scores: dict[str, float]
    exact: dict[str, float] = field(default_factory=dict[str, float])
    index_recall: float | None = None


def _ignore(what: str, done: int, total: int) -> None:
    """Show no progress."""


async def evaluate(
    embedder: Embedder,
    datasets: Sequence[Dataset],
    *,
    model: str = "",
    options: EvaluationOptions | None = None,
    precision: str = "",
    on_progress: OnProgress = _ignore,
) -> list[Measurement]:
    """Measure one model.

    Args:
        embedder: computes the vectors; with a cache around it, repeating costs little.
        datasets: from `load_datasets`.
        model: a name that `embedder` serves; its first one when empty.
        options: what to measure.
        precision: what the embedder computes with, for the record.
        on_progress: called as texts are embedded and queries answered.

    Returns:
        One measurement per set of data, dimensionality and kind of search, in this order.

    Raises:
        GemvecError: the embedder or Milvus failed.
    """
    served = embedder.get_model(model) if model else embedder.list_models()[0]
    run = _Run(embedder, served, options or EvaluationOptions(), precision, on_progress)
    found: list[Measurement] = []
    for data in datasets:
        found += await run.measure(data)
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    embedder: Embedder
    served: ServedModel
    options: EvaluationOptions
    precision: str
    on_progress: OnProgress

    async def measure(self, data: Dataset) -> list[Measurement]:
        if isinstance(data, RetrievalSet):
            return await self._measure_retrieval(data)
        rows = {text: row for row, text in enumerate(dict.fromkeys(data.first + data.second))}
        requests = [self._request(text, TaskType.SEMANTIC_SIMILARITY) for text in rows]
        vectors = await self._embed(f"{data.name}: embedding", requests)
        first, second = [rows[text] for text in data.first], [rows[text] for text in data.second]
        found: list[Measurement] = []
        for dimensionality in self._dimensions(vectors):
            cut = truncate_dimensions(vectors, dimensionality)
            scores = _compare_sentences(data, cut[first], cut[second])
            found.append(self._measurement(data.name, dimensionality, "cosine", scores))
        return found

    async def _measure_retrieval(self, data: RetrievalSet) -> list[Measurement]:
        corpus = {key: each for key, each in data.corpus.items() if each.text or each.title}
        requests = [self._document_request(each) for each in corpus.values()]
        documents = await self._embed(f"{data.name}: embedding documents", requests)
        requests = [self._request(text, TaskType.RETRIEVAL_QUERY) for text in data.queries.values()]
        queries = await self._embed(f"{data.name}: embedding queries", requests)
        found = self._measure_exact(data, list(corpus), documents, queries) if "exact" in self.options.searches else []
        kinds: list[Literal["dense", "hybrid"]] = [kind for kind in self.options.searches if kind != "exact"]
        return found + await self._measure_milvus(data, corpus, documents, queries, kinds) if kinds else found

    def _measure_exact(
        self, data: RetrievalSet, document_ids: list[str], documents: Float32Array, queries: Float32Array
    ) -> list[Measurement]:
        """Measure exact search alone."""
        found: list[Measurement] = []
        for dimensionality in self._dimensions(documents):
            cut, cut_queries = (truncate_dimensions(each, dimensionality) for each in (documents, queries))
            rankings = _rank(data, search_exactly(cut_queries, cut, document_ids, self.options.depth))
            found.append(self._measurement(data.name, dimensionality, "exact", self._judge(data, rankings)))
        return found

    async def _measure_milvus(
        self,
        data: RetrievalSet,
        corpus: dict[str, CorpusDocument],
        documents: Float32Array,
        queries: Float32Array,
        kinds: Sequence[Literal["dense", "hybrid"]],
    ) -> list[Measurement]:
        """Measure Milvus' answers beside exact search."""
        known = PrecomputedEmbedder(self.served, dict(zip(data.queries.values(), queries, strict=True)))
        found: list[Measurement] = []
        sparse: list[list[tuple[str, float]]] | None = None  # the same for every dimensionality
        with open_trials(self.options.uri, self.options.token) as collection:
            for dimensionality in self._dimensions(documents):
                fingerprint = Fingerprint.of(self.served, dimensionality)
                cut = truncate_dimensions(documents, dimensionality)
                trial = await asyncio.to_thread(fill_trial, collection, fingerprint, corpus, cut, known)
                try:
                    if sparse is None and "hybrid" in kinds:
                        sparse = await self._search_sparse(trial, data)
                    exact = _Exact(truncate_dimensions(queries, dimensionality), cut, list(corpus), sparse)
                    found += [await self._compare(trial, exact, data, kind) for kind in kinds]
                finally:
                    await asyncio.to_thread(trial.drop)
        return found

    async def _search_sparse(self, trial: Trial, data: RetrievalSet) -> list[list[tuple[str, float]]]:
        queries, limit = list(data.queries.values()), count_candidates(self.options.depth)
        on_answer = self._counter(f"{data.name}: word search", len(queries))
        return await trial.answer_sparse(queries, limit, on_answer=on_answer)

    async def _compare(
        self, trial: Trial, exact: _Exact, data: RetrievalSet, kind: Literal["dense", "hybrid"]
    ) -> Measurement:
        """Measure Milvus' answers of one kind beside the exact ones."""
        dimensionality = trial.version.fingerprint.dimensionality
        queries, depth, hybrid = list(data.queries.values()), self.options.depth, kind == "hybrid"
        on_answer = self._counter(f"{data.name}: {kind} search, {dimensionality} dimensions", len(queries))
        answers = await trial.answer(queries, depth, hybrid=hybrid, on_answer=on_answer)
        rankings = _rank(data, answers)
        exact_rankings = _rank(data, exact.answer(depth, hybrid=hybrid))
        found = [overlap(rankings[query], exact_rankings[query], _TOP) for query in rankings]
        return replace(
            self._measurement(data.name, dimensionality, kind, self._judge(data, rankings)),
            exact=self._judge(data, exact_rankings),
            index_recall=float(np.mean(found)),
        )

    def _counter(self, what: str, total: int) -> Callable[[int], None]:
        return lambda done: self.on_progress(what, done, total)

    def _judge(self, data: RetrievalSet, rankings: Mapping[str, list[str]]) -> dict[str, float]:
        """Return the mean of each metric over the queries."""

        def mean(metric: Callable[[list[str], Judgments, int], float], k: int) -> float:
            return float(np.mean([metric(rankings[query], judged, k) for query, judged in data.judgments.items()]))

        recalls = {f"recall@{k}": mean(recall, k) for k in self.options.recall_at}
        return {f"ndcg@{_TOP}": mean(ndcg, _TOP), f"mrr@{_TOP}": mean(reciprocal_rank, _TOP), **recalls}

    async def _embed(self, what: str, requests: Sequence[EmbedRequest]) -> Float32Array:
        """Return float32[requests, default_dimensionality]."""
        done = 0

        async def embed_run(positions: range) -> list[Float32Array]:
            nonlocal done
            some = requests[positions.start : positions.stop]
            embeddings = await self.embedder.embed(self.served, some, priority=Priority.BATCH)
            done += len(some)
            self.on_progress(what, done, len(requests))
            return [each.vector for each in embeddings]

        self.on_progress(what, 0, len(requests))
        starts = range(0, len(requests), _TEXTS_AT_ONCE)
        runs = [range(start, min(start + _TEXTS_AT_ONCE, len(requests))) for start in starts]
        return np.stack(await run_in_order(runs, embed_run, max_concurrency=_CALLS_AT_ONCE))

    def _dimensions(self, vectors: Float32Array) -> list[int]:
        native = vectors.shape[1]
        wanted = dict.fromkeys(each for each in self.options.dimensions if each <= native)
        return list(wanted) if wanted and self.served.takes_options else [native]

    def _request(self, text: str, task_type: TaskType) -> EmbedRequest:
        return EmbedRequest(text=text, task_type=task_type) if self.served.takes_options else EmbedRequest(text=text)

    def _document_request(self, passage: CorpusDocument) -> EmbedRequest:
        request = self._request(passage.text or passage.title, TaskType.RETRIEVAL_DOCUMENT)
        has_title = self.served.takes_options and passage.title and passage.text
        return structs.replace(request, title=passage.title) if has_title else request

    def _measurement(
        self, dataset: str, dimensionality: int, search: SearchKind, scores: dict[str, float]
    ) -> Measurement:
        return Measurement(
            dataset=dataset,
            model=self.served.name,
            weights=self.served.weights,
            precision=self.precision,
            dimensionality=dimensionality,
            search=search,
            scores=scores,
        )


def _compare_sentences(
    data: SentencePairs | Translations, first: Float32Array, second: Float32Array
) -> dict[str, float]:
    """Return the scores of sentences whose vectors are float32[sentences, dimensionality]."""
    if isinstance(data, Translations):
        return {
            "accuracy": _part_found(first, second, data.second),
            "reverse_accuracy": _part_found(second, first, data.first),
        }
    similarity = np.einsum("ij,ij->i", first, second)
    # If all similarities are equal, the correlation is undefined and counts as 0.
    return {"spearman": float(np.nan_to_num(spearman(data.gold, similarity)))}


def _part_found(sentences: Float32Array, translations: Float32Array, texts: Sequence[str]) -> float:
    """Return the part of the sentences to which their own translation, one of `texts`, is the nearest."""
    nearest = search_exactly(sentences, translations, texts, 1)
    return float(np.mean([text in found for text, found in zip(texts, nearest, strict=True)]))


@dataclass(frozen=True, slots=True)
class _Exact:
    """The results of exact search."""

    queries: Float32Array
    documents: Float32Array
    document_ids: Sequence[str]
    sparse: Sequence[list[tuple[str, float]]] | None

    def answer(self, limit: int, *, hybrid: bool) -> list[Scores]:
        """Return the answers to all queries; for a hybrid search joined with those of BM25."""
        wanted = count_candidates(limit) if hybrid else limit
        dense = search_exactly(self.queries, self.documents, self.document_ids, wanted)
        if not hybrid:
            return dense
        return [
            dict(fuse([(each, scores[each]) for each in rank_documents(scores)], sparse)[:limit])
            for scores, sparse in zip(dense, self.sparse or (), strict=True)
        ]


def _rank(data: RetrievalSet, answers: Sequence[Scores]) -> dict[str, list[str]]:
    """Return each query's documents, best first; a document with the query's own id is left out."""
    return {
        query: [document for document in rank_documents(scores) if document != query]
        for query, scores in zip(data.queries, answers, strict=True)
    }
