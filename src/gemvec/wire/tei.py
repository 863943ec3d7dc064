"""The messages of text-embeddings-inference's routes, as Milvus' `tei` provider and TEI's own clients send them.

Unknown fields are ignored, as by TEI. Contract: text-embeddings-inference, router/src/http/types.rs and, for `GET
info`, `struct Info` in router/src/lib.rs.
"""

from __future__ import annotations

from typing import Annotated, Any

from gemvec.wire.inputs import INPUTS, MISSING_INPUT, Input, TaskNames
from gemvec.wire.kinds import BOOL, NULL, STRUCT, TEXT, VALUES, Kind, Refused, Schema
from gemvec.wire.message import Field, JsonMessage, to_wire


def _read_normalize(value: Any) -> bool:
    if BOOL.read(value):
        return True
    raise Refused("`{path}`: only normalised vectors are served")


def _read_direction(value: Any) -> str:
    if TEXT.read(value).lower() not in {"", "right"}:
        raise Refused("`{path}`: {value} is not served, only Right", value)
    return "Right"


class TEIEmbedRequest(TaskNames, frozen=True, kw_only=True):
    """Texts to embed with the default model.

    Options that would change the vectors but are not supported are refused: raw vectors, a cut from the left, an
    unknown prompt.
    """

    inputs: Annotated[
        list[Input],
        Field(
            "A text, texts, the token ids of one text, or of several; ids are those of the served model.",
            kind=INPUTS,
            missing=MISSING_INPUT,
            is_indexed=True,
        ),
    ]
    truncate: Annotated[bool, Field("Cut a text that is too long (true) or refuse it (false).", default=False)] = False
    dimensions: Annotated[int | None, Field("Number of values in each vector; by default the model's.")] = None
    normalize: Annotated[
        bool | None,
        Field(
            "Only true is served.",
            kind=Kind(_read_normalize, None, {"type": "boolean", "enum": [True]}),
            default=True,
        ),
    ] = None
    truncation_direction: Annotated[
        str | None,
        Field(
            "Only Right is served.",
            kind=Kind(_read_direction, None, {"type": "string", "enum": ["Right"]}),
            default="Right",
        ),
    ] = None


# Only the vectors, not inside an object.
EMBED_RESPONSE: Schema = {
    "type": "array",
    "items": VALUES.schema,
    "description": "The vectors, in the order of the inputs.",
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
    max_batch_tokens: Annotated[int, Field("Tokens computed at once, padding included.")]
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
