"""The messages of `POST /collections/{collection}:search`: a text in, passages out."""

from __future__ import annotations

from typing import Annotated, Any

from gemvec.embedding.task_type import TaskType
from gemvec.wire.kinds import NUMBER, STRUCT, TEXT
from gemvec.wire.message import Field, ProtoMessage


class SearchRequest(ProtoMessage, frozen=True, kw_only=True):
    """What to look for in a collection."""

    query: Annotated[str, Field("The text to look for.")]
    limit: Annotated[int, Field("Most passages, 1 to 1,000.", default=5)] = 5
    hybrid: Annotated[bool, Field("Also match words (BM25), not only meaning.", default=False)] = False
    where: Annotated[
        str, Field('Only passages that match this Milvus filter, such as `metadata["lang"] == "en"`.', kind=TEXT)
    ] = ""
    by_document: Annotated[bool, Field("Only the best passage of each document.", default=False)] = False
    context: Annotated[int, Field("Passages before and after each one to join to its text.", default=0)] = 0
    task_type: Annotated[
        TaskType | None, Field("What the query is: RETRIEVAL_QUERY, or CODE_RETRIEVAL_QUERY to look for source code.")
    ] = None


class Passage(ProtoMessage, frozen=True, kw_only=True):
    """One passage found."""

    document_id: Annotated[str, Field("The id of its document.")]
    score: Annotated[
        float, Field("Cosine similarity, or from 0 to 1 if the search is hybrid; higher is better.", kind=NUMBER)
    ]
    text: Annotated[str, Field("The passage.")]
    title: Annotated[str, Field("The title of its document.")]
    heading: Annotated[str, Field("The headings above it.")]
    source: Annotated[str, Field("The file that it comes from.")]
    position: Annotated[str, Field("Where it starts in the source, such as `line 12`.")]
    chunk: Annotated[int, Field("Its number in the document, from 0.")]
    metadata: Annotated[dict[str, Any], Field("Metadata of its document.", kind=STRUCT)]


class SearchResponse(ProtoMessage, frozen=True, kw_only=True):
    """What was found."""

    passages: Annotated[list[Passage], Field("Best first.")]
    ordered_by_words: Annotated[
        bool,
        Field("Whether the search was hybrid, and went by words because the model does not know the query's script."),
    ] = False
