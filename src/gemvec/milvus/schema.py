"""The rows of a collection and the schema that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from gemvec.documents.document import MAX_ID_BYTES
from gemvec.embedding.embed import Float32Array
from gemvec.errors import StorageFailure
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.field import Field
from gemvec.milvus.fingerprint import PROPERTY, Fingerprint
from gemvec.milvus.indexing import PROPERTY as INDEXING_PROPERTY
from gemvec.milvus.indexing import Indexing
from gemvec.milvus.lite import LiteClient

# Average bytes of a row besides its text and vector: keys, title, source, metadata, and protobuf's overhead.
_ROW_OVERHEAD_BYTES = 512
MAX_TEXT_BYTES = 65_535  # most that Milvus takes in a field
_CUT_BYTES = {"title": 1024, "heading": 1024, "source": 2048, "words": MAX_TEXT_BYTES}
# English words that BM25 ignores because every question has them. In other languages BM25 itself gives them low weight.
STOP_WORDS = """
a about after again all also am an and any are as at be because been before being below between both but by
can could did do does doing down during each few for from further get had has have having he her here hers him
his how i if in into is it its itself just me more most must my no nor not now of off on once only or other
our out over own same she should so some such than that the their them then there these they this those
through to too under until up us very was we were what when where which while who whom why will with would you
your
""".split()  # noqa: SIM905 # shorter to read


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One passage as it is stored.

    Attributes:
        key: primary key, see `Passage.key`.
        words: the text for BM25, see `words.py`.
        vector: float32[dimensionality], normalised.
        document_hash: the same in all rows of a document that is completely indexed.
        chunk: number of the passage in its document, from 0.
        chunks: how many passages the document has.
        Others: see `Document` and `Passage`.
    """

    key: str
    text: str
    words: str
    vector: Float32Array
    document_id: str
    document_hash: str
    chunk: int
    chunks: int
    title: str
    heading: str
    source: str
    position: str
    metadata: Mapping[str, Any]

    @property
    def size_bytes(self) -> int:
        """Estimated bytes of the row on the wire."""
        return len(self.text.encode()) + len(self.words.encode()) + self.vector.nbytes + _ROW_OVERHEAD_BYTES

    def to_entity(self) -> dict[str, Any]:
        """Return the row as pymilvus takes it; a title or source beyond its field's length is cut."""
        entity = {name: getattr(self, name) for name in ROW_FIELDS}
        for name, limit in _CUT_BYTES.items():
            entity[name] = cut_text(entity[name], limit)
        return entity


# Names of the fields of `Row`, in order.
ROW_FIELDS = tuple(each.name for each in fields(Row))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowState:
    """What is needed of a stored row to tell whether its document is up to date."""

    key: str
    document_id: str
    document_hash: str
    chunks: int


def create_collection(client: Any, name: str, fingerprint: Fingerprint, how: Indexing) -> Indexing:
    """Make collection `name`, without indexes; without words where Milvus has no BM25.

    What a Milvus can do is learned from its answers: an older server refuses the fields for words, or takes them and
    forgets what they are for.

    Returns:
        `how`, and whether the collection has words.
    """
    full, dense = replace(how, has_words=True), replace(how, has_words=False)
    try:
        _create(client, name, fingerprint, full)
    except StorageFailure as error:
        refusal = error
    else:
        if isinstance(client, LiteClient) or call_milvus(client.describe_collection, name).get("functions"):
            return full
        call_milvus(client.drop_collection, name)
        refusal = None
    try:
        _create(client, name, fingerprint, dense)
    except StorageFailure as error:
        raise refusal or error from error
    return dense


def _create(client: Any, name: str, fingerprint: Fingerprint, how: Indexing) -> None:
    fields = _list_fields(fingerprint, how)
    properties = {PROPERTY: fingerprint.format(), INDEXING_PROPERTY: how.format()}
    if isinstance(client, LiteClient):
        client.make_collection(name, fields, properties)
        return
    from pymilvus import DataType, Function, FunctionType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    for field in fields:
        schema.add_field(field.name, DataType[field.kind], **field.options)
        if field.words_of:
            schema.add_function(
                Function(
                    name="bm25",
                    function_type=FunctionType.BM25,
                    input_field_names=[field.words_of],
                    output_field_names=[field.name],
                )
            )
    call_milvus(
        client.create_collection,
        name,
        schema=schema,
        consistency_level="Strong",  # ingest reads what it has just written
        properties=properties,
    )


def _list_fields(fingerprint: Fingerprint, how: Indexing) -> list[Field]:
    return [
        Field("key", "VARCHAR", {"is_primary": True, "max_length": 32}),
        Field("text", "VARCHAR", {"max_length": MAX_TEXT_BYTES}),
        Field("vector", "FLOAT_VECTOR", {"dim": fingerprint.dimensionality}),
        *(_list_word_fields() if how.has_words else ()),
        Field("document_id", "VARCHAR", {"max_length": MAX_ID_BYTES}),
        Field("document_hash", "VARCHAR", {"max_length": 32}),
        Field("chunk", "INT64"),
        Field("chunks", "INT64"),
        Field("title", "VARCHAR", {"max_length": _CUT_BYTES["title"]}),
        Field("heading", "VARCHAR", {"max_length": _CUT_BYTES["heading"]}),
        Field("source", "VARCHAR", {"max_length": _CUT_BYTES["source"]}),
        Field("position", "VARCHAR", {"max_length": 256}),
        Field("metadata", "JSON"),
    ]


def _list_word_fields() -> list[Field]:
    """Return the words of a passage, and the vector for BM25 that Milvus makes of them."""
    analyzer = {"tokenizer": "standard", "filter": ["lowercase", {"type": "stop", "stop_words": STOP_WORDS}]}
    options = {"max_length": _CUT_BYTES["words"], "enable_analyzer": True, "analyzer_params": analyzer}
    return [Field("words", "VARCHAR", options), Field("sparse", "SPARSE_FLOAT_VECTOR", words_of="words")]


def create_indexes(client: Any, name: str, *, has_words: bool) -> None:
    """Make those indexes that collection `name` does not have yet: HNSW over vectors, BM25 over texts, document ids."""
    existing = call_milvus(client.list_indexes, name)
    if "vector" not in existing:
        # More candidates when the graph is built make its building slower; more of them in a search (`search.py`) find
        # as much and cost less (`benchmarks/graph.py`).
        params = {"M": 16, "efConstruction": 128}
        _create_index(client, name, "vector", index_type="HNSW", metric_type="COSINE", params=params)
    if has_words and "sparse" not in existing:
        _create_index(client, name, "sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    if "document_id" not in existing:
        with suppress(StorageFailure):  # an older server has no such index, and looks through all rows
            _create_index(client, name, "document_id", index_type="INVERTED")


def _create_index(client: Any, name: str, field: str, **options: Any) -> None:
    if isinstance(client, LiteClient):
        client.make_index(name, field, options)
        return
    indexes = client.prepare_index_params()
    indexes.add_index(field, index_name=field, **options)
    # Waiting here would be half a second an index; `CollectionVersion.finish` waits when there are rows.
    call_milvus(client.create_index, name, indexes, sync=False)


def cut_text(text: str, limit_bytes: int) -> str:
    """Return the beginning of a text, at most this many bytes in UTF-8, cut between characters."""
    data = text.encode()
    return text if len(data) <= limit_bytes else data[:limit_bytes].decode(errors="ignore")
