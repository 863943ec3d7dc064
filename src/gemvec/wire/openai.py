"""The messages of OpenAI's embeddings and models routes, as openai-python and Milvus send them.

Unknown fields are ignored, as by every compatible server, because clients send their own extensions. Contract: OpenAI's
API reference for embeddings, and openai-python 3.52.0 for its defaults.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from gemvec.wire.inputs import INPUTS, MISSING_INPUT, Input, TaskNames
from gemvec.wire.kinds import IGNORED, TEXT, VALUES, Kind, choice, nullable
from gemvec.wire.message import Field, JsonMessage, to_wire

_ENCODING_FORMAT = choice(("float", "base64"), "Invalid value for '{path}': {value} is not one of 'float', 'base64'.")
_VALUES_OR_BASE64 = Kind(lambda value: value, None, {"anyOf": [VALUES.schema, {"type": "string"}]})


class OpenAIEmbeddingsRequest(TaskNames, frozen=True, kw_only=True):
    """Texts to embed."""

    inputs: Annotated[
        list[Input],
        Field(
            "A text, texts, the token ids of one text, or of several.",
            name="input",
            kind=INPUTS,
            missing=MISSING_INPUT,
            is_indexed=True,
        ),
    ]
    model: Annotated[str | None, Field("A served name; by default the default model.")] = None
    dimensions: Annotated[int | None, Field("Number of values in each vector; by default the model's.")] = None
    encoding_format: Annotated[
        str, Field("base64 is little-endian float32.", kind=_ENCODING_FORMAT, default="float")
    ] = "float"
    user: Annotated[Any, Field("Ignored.", kind=IGNORED)] = None


class OpenAIEmbedding(JsonMessage, frozen=True, kw_only=True):
    """A vector."""

    object: Annotated[str, Field("embedding")] = "embedding"
    index: Annotated[int, Field("Its place among the inputs.")]
    embedding: Annotated[Any, Field("Values, or base64.", kind=_VALUES_OR_BASE64)]


class OpenAIUsage(JsonMessage, frozen=True, kw_only=True):
    """What was embedded."""

    prompt_tokens: Annotated[int, Field("Tokens.")]
    total_tokens: Annotated[int, Field("The same.")]


class OpenAIEmbeddingsResponse(JsonMessage, frozen=True, kw_only=True):
    """The vectors."""

    object: Annotated[str, Field("list")] = "list"
    data: Annotated[list[OpenAIEmbedding], Field("In the order of the inputs.")]
    model: Annotated[str, Field("The served name.")]
    usage: Annotated[OpenAIUsage, Field("What was embedded.")]

    @classmethod
    def of(cls, values: Sequence[Any], *, model: str, token_count: int) -> OpenAIEmbeddingsResponse:
        """Return the answer with these vectors: lists, finished JSON or base64, in order."""
        return cls(
            data=[OpenAIEmbedding(index=index, embedding=each) for index, each in enumerate(values)],
            model=model,
            usage=OpenAIUsage(prompt_tokens=token_count, total_tokens=token_count),
        )


class OpenAIModel(JsonMessage, frozen=True, kw_only=True):
    """A served model."""

    id: Annotated[str, Field("The name.")]
    object: Annotated[str, Field("model")] = "model"
    created: Annotated[int, Field("Always 0: OpenAI requires this field, but it has no meaning here.")] = 0
    owned_by: Annotated[str, Field("gemvec")] = "gemvec"


class OpenAIModels(JsonMessage, frozen=True, kw_only=True):
    """All served models; OpenAI's list has no pages."""

    object: Annotated[str, Field("list")] = "list"
    data: Annotated[list[OpenAIModel], Field("Each name.")]


class OpenAIErrorDetail(JsonMessage, frozen=True, kw_only=True):
    """OpenAI's error."""

    message: Annotated[str, Field("For people.")]
    type: Annotated[str, Field("Its kind.")]
    param: Annotated[str | None, Field("The field at fault.", kind=nullable(TEXT))] = None
    code: Annotated[str | None, Field("Its name.", kind=nullable(TEXT))] = None


class OpenAIError(JsonMessage, frozen=True, kw_only=True):
    """What went wrong."""

    error: Annotated[OpenAIErrorDetail, Field("The error.")]


def vector_to_base64(vector: npt.NDArray[np.float32]) -> str:
    """Return a float32[dim] array in OpenAI's base64 encoding: its bytes, little-endian."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def error_to_wire(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error: `{"error": {message, type, param, code}}`."""
    return to_wire(OpenAIError(error=OpenAIErrorDetail(message=message, type=kind, param=param, code=code)))
