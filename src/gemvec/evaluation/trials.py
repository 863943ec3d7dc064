"""A retrieval set in Milvus for one measurement: indexed as `ingest` does, searched as `search` does."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from gemvec.embedding.embed import Embedding, EmbedRequest, Float32Array, Priority
from gemvec.embedding.embedder import OnDone
from gemvec.embedding.models import ServedModel
from gemvec.embedding.without_tokens import WithoutTokens
from gemvec.evaluation.datasets import CorpusDocument
from gemvec.figures import Figure
from gemvec.milvus.collection import Collection, open_collection
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.schema import MAX_TEXT_BYTES, Row, cut_text
from gemvec.milvus.search import search, search_sparse
from gemvec.milvus.version import CollectionVersion
from gemvec.milvus.words import index_words
from gemvec.models.vectors import truncate_dimensions

_ROWS_PER_WRITE = 1_000

Scores = dict[str, float]  # document id -> score, for one query


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A filled collection, and the queries to ask it.

    Attributes:
        collection: holds one row for each document; the row's `document_id` is the document's.
        version: the same.
        embedder: knows the queries' vectors.
    """

    collection: Collection
    version: CollectionVersion
    embedder: PrecomputedEmbedder

    async def answer(
        self, queries: Sequence[str], limit: int, *, hybrid: bool, on_answer: Callable[[int], None]
    ) -> list[Scores]:
        """Return what `gemvec search` finds for each query; `on_answer` is called with the number of answers."""
        found: list[Scores] = []
        for query in queries:
            hits = await search(self.collection, self.embedder, query, limit=limit, hybrid=hybrid)
            found.append({hit.document_id: hit.score for hit in hits})
            on_answer(len(found))
        return found

    async def answer_sparse(
        self, queries: Sequence[str], limit: int, *, on_answer: Callable[[int], None]
    ) -> list[list[tuple[str, float]]]:
        """Return ids and scores of what BM25 alone finds for each query, best first."""
        found: list[list[tuple[str, float]]] = []
        for query in queries:
            hits = await asyncio.to_thread(search_sparse, self.version, query, limit, "")
            found.append([(hit.document_id, hit.score) for hit in hits])
            on_answer(len(found))
        return found

    def drop(self) -> None:
        """Delete the collection."""
        call_milvus(self.collection.client.drop_alias, alias=self.collection.name)
        self.collection.drop(self.version)


class PrecomputedEmbedder(WithoutTokens):
    """An embedder of queries whose vectors are known.

    Args:
        served: the model that made them.
        vectors: float32[native_dim] by query; cut to the dimensionality asked for.
    """

    why_without_tokens = "Nothing is computed."

    def __init__(self, served: ServedModel, vectors: Mapping[str, Float32Array]) -> None:
        self._served = served
        self._vectors = vectors

    def list_models(self) -> Sequence[ServedModel]:
        """Return the one model."""
        return [self._served]

    def get_model(self, name: str) -> ServedModel:  # noqa: ARG002 # there is one
        """Return the one model."""
        return self._served

    async def embed(
        self,
        model: ServedModel,  # noqa: ARG002 # there is one
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,  # noqa: ARG002 # nothing is computed
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """Return the vectors of known queries."""
        embeddings = [Embedding(self._vector(each), 0) for each in requests]
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def tokenize(
        self,
        model: ServedModel,  # noqa: ARG002 # there is one
        requests: Sequence[EmbedRequest],
    ) -> list[EmbedRequest]:
        """Return the requests as they are: nothing is computed."""
        return list(requests)

    def figures(self) -> Iterable[Figure]:
        """Return nothing."""
        return ()

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:  # noqa: ARG002 # nothing is computed
        """Return zeros."""
        return [0] * len(texts)

    async def close(self) -> None:
        """Do nothing."""

    def _vector(self, request: EmbedRequest) -> Float32Array:
        vector = self._vectors[request.text]
        return truncate_dimensions(vector[None], request.output_dimensionality or vector.size)[0]


@contextlib.contextmanager
def open_trials(uri: str, token: str = "") -> Generator[Collection]:
    """Open a collection with an unused name, in Milvus at `uri`, or in a temporary Lite file when `uri` is empty."""
    name = f"gemvec_eval_{uuid.uuid4().hex[:12]}"
    with (
        tempfile.TemporaryDirectory(prefix="gemvec-eval-") as folder,
        open_collection(uri or str(Path(folder) / "eval.db"), name, token=token) as collection,
    ):
        yield collection


def fill_trial(
    collection: Collection,
    fingerprint: Fingerprint,
    corpus: Mapping[str, CorpusDocument],
    documents: Float32Array,
    embedder: PrecomputedEmbedder,
) -> Trial:
    """Index a corpus; `drop` the trial before the next one.

    Args:
        collection: from `open_trials`.
        fingerprint: of the vectors.
        corpus: the documents.
        documents: float32[documents, fingerprint.dimensionality], in the corpus' order.
        embedder: for the queries.
    """
    trial = Trial(collection=collection, version=collection.create(fingerprint), embedder=embedder)
    items = list(corpus.items())
    try:
        for start in range(0, len(items), _ROWS_PER_WRITE):
            group = slice(start, start + _ROWS_PER_WRITE)
            rows = [_make_row(*item, vector) for item, vector in zip(items[group], documents[group], strict=True)]
            trial.version.upsert(rows)
        trial.version.finish()
    except BaseException:
        trial.drop()
        raise
    return trial


def _make_row(document_id: str, passage: CorpusDocument, vector: Float32Array) -> Row:
    return Row(
        key=blake2b(document_id.encode(), digest_size=16).hexdigest(),
        text=cut_text(passage.text or passage.title, MAX_TEXT_BYTES),
        words=index_words(passage.title, passage.text),
        vector=vector,
        document_id=document_id,
        document_hash="",
        chunk=0,
        chunks=1,
        title=passage.title,
        heading="",
        source="",
        position="",
        metadata={},
    )
