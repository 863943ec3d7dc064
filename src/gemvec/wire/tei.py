"""The messages of text-embeddings-inference's routes, as Milvus' `tei` provider and TEI's own clients send them.

Unknown fields are ignored, as by TEI. Contract: text-embeddings-inference, router/src/http/types.rs and, for `GET
info`, `struct Info` in router/src/lib.rs.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from gemvec.embedding.embed import TextToken
from gemvec.errors import EmptyText
from gemvec.wire.inputs import INPUTS, MISSING_INPUT, NORMALIZED, TEXTS, TOKEN_IDS, Input, TaskNames
from gemvec.wire.kinds import (
    BOOL,
    INT32,
    NULL,
    NUMBER,
    STRUCT,
    TEXT,
    VALUES,
    Kind,
    Refused,
    Schema,
    nullable,
    only,
    refused,
)
from gemvec.wire.message import Field, JsonMessage, to_wire
from gemvec.wire.rerank import QUERY


def _read_direction(value: Any) -> str:
    if TEXT.read(value).lower() not in {"", "right"}:
        raise Refused("`{path}`: {value} is not served, only Right", value)
    return "Right"


_Truncate = Annotated[bool, Field("Cut a text that is too long (true) or refuse it (false).", default=False)]
_Direction = Annotated[
    str | None,
    Field(
        "Only Right is served.",
        kind=Kind(_read_direction, None, {"type": "string", "enum": ["Right"]}),
        default="Right",
    ),
]
_Inputs = Annotated[
    list[Input],
    Field(
        "A text, texts, the token ids of one text, or of several; ids are those of the served model.",
        kind=INPUTS,
        missing=MISSING_INPUT,
        is_indexed=True,
    ),
]
_INDEX = nullable(INT32)


class TEIEmbedRequest(TaskNames, frozen=True, kw_only=True):
    """Texts to embed with the default model.

    Options that would change the vectors but are not supported are refused: raw vectors, a cut from the left, an
    unknown prompt.
    """

    inputs: _Inputs
    truncate: _Truncate = False
    dimensions: Annotated[int | None, Field("Number of values in each vector; by default the model's.")] = None
    normalize: Annotated[
        bool | None,
        Field("Only true is served.", kind=NORMALIZED, default=True),
    ] = None
    truncation_direction: _Direction = None


# Only the vectors, not inside an object.
EMBED_RESPONSE: Schema = {
    "type": "array",
    "items": VALUES.schema,
    "description": "The vectors, in the order of the inputs.",
}


class TEIEmbedAllRequest(TaskNames, frozen=True, kw_only=True):
    """Texts whose tokens are embedded one by one with the default model.

    Options of `TEIEmbedRequest` that mean nothing here are refused: a length of vectors, normalisation.
    """

    inputs: _Inputs
    truncate: Annotated[
        bool,
        Field("Cut a text that is longer than the model's window (true) or refuse it (false).", default=False),
    ] = False
    truncation_direction: _Direction = None
    dimensions: Annotated[
        Any, Field("Refused: vectors of tokens have one length.", kind=refused("vectors of tokens have one length"))
    ] = None
    normalize: Annotated[
        bool | None,
        Field(
            "Only false is served.",
            kind=only(BOOL, False, "vectors of tokens are not normalised"),
            default=False,
        ),
    ] = None


EMBED_ALL_RESPONSE: Schema = {
    "type": "array",
    "items": {"type": "array", "items": VALUES.schema},
    "description": "For each text, in the order of the inputs, the vectors of its tokens: the output of the network's "
    "last layer, special tokens included, not normalised.",
}


class TEISentences(JsonMessage, frozen=True, kw_only=True):
    """A sentence, and others to compare with it."""

    source_sentence: Annotated[str, Field("The sentence.", missing=MISSING_INPUT)]
    sentences: Annotated[
        list[str], Field("The others, at least one.", kind=TEXTS, missing=MISSING_INPUT, is_indexed=True, minItems=1)
    ]

    def check(self) -> None:
        """Refuse a call without others."""
        if not self.sentences:
            raise Refused("`{path}`: expected at least one sentence", at=("sentences",))


class TEISimilarityParameters(TaskNames, frozen=True, kw_only=True):
    """How to embed the sentences."""

    truncate: _Truncate = False
    truncation_direction: _Direction = None


class TEISimilarityRequest(JsonMessage, frozen=True, kw_only=True):
    """Sentences to compare by the default model."""

    inputs: Annotated[TEISentences, Field("The sentences.", missing=MISSING_INPUT)]
    parameters: Annotated[TEISimilarityParameters | None, Field("How to embed them.")] = None


SIMILARITY_RESPONSE: Schema = {
    "type": "array",
    "items": {"type": "number", "format": "float"},
    "description": "The cosine of each sentence to the source sentence, in their order.",
}


class TEITokenizeRequest(JsonMessage, frozen=True, kw_only=True):
    """Texts to cut into the tokens of the default model."""

    inputs: Annotated[
        list[str], Field("A text, or texts.", kind=TEXTS, missing=MISSING_INPUT, is_indexed=True, minItems=1)
    ]
    add_special_tokens: Annotated[bool, Field("With the tokens that the model wants around a text.", default=True)] = (
        True
    )
    prompt_name: Annotated[
        Any, Field("Refused: put the prompt before the text.", kind=refused("put the prompt before the text"))
    ] = None

    def check(self) -> None:
        """Refuse a call without texts."""
        if not self.inputs:
            raise Refused("`{path}`: expected at least one text", at=("inputs",))


class TEIToken(JsonMessage, frozen=True, kw_only=True):
    """One token."""

    id: Annotated[int, Field("Its id in the model's vocabulary.")]
    text: Annotated[str, Field("The characters it stands for; the name of a special token.")]
    special: Annotated[bool, Field("Whether the model wants it around every text.")]
    start: Annotated[int | None, Field("Index of its first character; null of a special token.", kind=_INDEX)] = None
    stop: Annotated[int | None, Field("Index after its last character; null of a special token.", kind=_INDEX)] = None

    @classmethod
    def of(cls, token: TextToken) -> TEIToken:
        """Return the message for a token."""
        return cls(id=token.token_id, text=token.text, special=token.is_special, start=token.start, stop=token.end)


TOKENIZE_RESPONSE: Schema = {
    "type": "array",
    "items": {"type": "array", "items": {"$ref": "#/components/schemas/TEIToken"}},
    "description": "The tokens of each text.",
}


class TEIDecodeRequest(JsonMessage, frozen=True, kw_only=True):
    """Token ids of the default model to put back into texts."""

    ids: Annotated[
        list[list[int]],
        Field("The ids of one text, or of several.", kind=TOKEN_IDS, missing=MISSING_INPUT, is_indexed=True),
    ]
    skip_special_tokens: Annotated[
        bool | None,
        Field(
            "Only true is served.",
            kind=only(BOOL, True, "only texts without special tokens are served"),
            default=True,
        ),
    ] = None


DECODE_RESPONSE: Schema = {"type": "array", "items": {"type": "string"}, "description": "The texts."}


def _read_texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise Refused("`{path}` is {value}, expected a list with at least one text", value)
    for index, each in enumerate(cast("list[Any]", value)):
        if not isinstance(each, str):
            raise Refused("`{path}` is {value}, expected a text", each, at=(index,))
        if not each:
            raise Refused("`{path}` is empty", at=(index,), error=EmptyText)
    return cast("list[str]", value)


_TEXTS = Kind(_read_texts, None, {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}})


class TEIRerankRequest(JsonMessage, frozen=True, kw_only=True):
    """Texts to score against a query with the server's cross-encoder."""

    query: Annotated[str, Field("What is looked for.", kind=QUERY, missing="`{path}` is missing")]
    texts: Annotated[
        list[str], Field("What may answer it.", kind=_TEXTS, missing="`{path}` is missing", is_indexed=True)
    ]
    raw_scores: Annotated[
        bool, Field("The network's own scores (true) or numbers from 0 to 1 (false).", default=False)
    ] = False
    return_text: Annotated[bool, Field("Put each text into its result.", default=False)] = False
    truncate: Annotated[
        bool, Field("Cut a query and a text that are too long together (true) or refuse them (false).", default=False)
    ] = False
    truncation_direction: _Direction = None


class TEIRank(JsonMessage, frozen=True, kw_only=True):
    """How relevant a text is."""

    index: Annotated[int, Field("Its place among the texts.")]
    score: Annotated[float, Field("Higher is better.", kind=NUMBER)]
    text: Annotated[str | None, Field("The text, where it was asked for.")] = None


RERANK_RESPONSE: Schema = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/TEIRank"},
    "description": "The texts by relevance, the most relevant first.",
}


class TEIPooling(JsonMessage, frozen=True, kw_only=True):
    """How token vectors become one."""

    pooling: Annotated[str | None, Field("mean or cls, if known.")] = None


class TEIModelType(JsonMessage, frozen=True, kw_only=True):
    """Kind of model."""

    embedding: Annotated[TEIPooling, Field("An embedding model.")]


_LIMITS = Kind(STRUCT.read, None, {"type": "object", "additionalProperties": {"type": ["integer", "null"]}})


class TEIInfo(JsonMessage, frozen=True, kw_only=True):
    """Description of the server: text-embeddings-inference's fields, then `models` and `limits`."""

    model_id: Annotated[str, Field("The default model's id.")]
    model_sha: Annotated[str, Field("First eight characters of the SHA-256 of its weights.")]
    model_dtype: Annotated[str, Field("float32: the type of the vectors.")] = "float32"
    served_model_name: Annotated[str, Field("The default model's served name.")]
    model_type: Annotated[TEIModelType, Field("An embedding model.")]
    max_concurrent_requests: Annotated[int, Field("Requests that may wait, if each had one token.")]
    max_input_length: Annotated[int, Field("Longer texts are cut or refused, in tokens.")]
    max_batch_tokens: Annotated[
        int, Field("Tokens computed at once, padding included; those that may wait if another server computes.")
    ]
    max_batch_requests: Annotated[None, Field("Always null: only tokens are limited.", kind=NULL)] = None
    max_client_batch_size: Annotated[
        int, Field("Recommended inputs in one call; more are accepted unless `limits` says otherwise.")
    ]
    auto_truncate: Annotated[
        bool, Field("Always false: a text that is too long is refused unless `truncate` is true.")
    ] = False
    tokenization_workers: Annotated[int, Field("Processor cores for tokenizing.")]
    version: Annotated[str, Field("gemvec's version.")]
    sha: Annotated[None, Field("Always null.", kind=NULL)] = None
    docker_label: Annotated[None, Field("Always null.", kind=NULL)] = None
    models: Annotated[list[str], Field("The names that the caller may use.")]
    limits: Annotated[
        dict[str, int | None],
        Field("The caller's limits: texts_per_call, body_bytes, requests_per_minute and so on.", kind=_LIMITS),
    ]


class TEIError(JsonMessage, frozen=True, kw_only=True):
    """What went wrong."""

    error: Annotated[str, Field("For people.")]
    error_type: Annotated[str, Field("Validation, Overloaded, Backend or Unhealthy.")]


def error_to_wire(message: str, kind: str) -> dict[str, Any]:
    """Return the body of an error; `kind` is one of TEI's: Validation, Overloaded, Backend, Unhealthy."""
    return to_wire(TEIError(error=message, error_type=kind))
