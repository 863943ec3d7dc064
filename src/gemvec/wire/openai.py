"""The messages of OpenAI's embeddings and models routes, as openai-python and Milvus speak them.

Fields that are not known are ignored, as every compatible server does: clients send extensions of their own.
Contract: OpenAI's API reference for embeddings; openai-python 3.52.0 for what is sent when the user says nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire.message import Message, shown

EncodingFormat = Literal["float", "base64"]

# A text, or the ids of its tokens.
Input = str | list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsRequest:
    """A request to embed some texts.

    Attributes:
        inputs: texts or token ids; at least one, none empty.
        model: the model's name, None for the server's default.
        dimensions: values wanted in each vector, None for the model's default.
        encoding_format: `base64` is little-endian float32.
    """

    inputs: list[Input]
    model: str | None
    dimensions: int | None
    encoding_format: EncodingFormat


def parse_embeddings_request(message: Message) -> EmbeddingsRequest:
    """Read the body of `POST embeddings`.

    Raises:
        InvalidRequest: a field is wrong or `input` is missing.
    """
    encoding_format = message.take_text("encoding_format") or "float"
    if encoding_format not in {"float", "base64"}:
        raise InvalidRequest(
            f"Invalid value for 'encoding_format': {shown(encoding_format)} is not one of 'float', 'base64'.",
            field="encoding_format",
        )
    return EmbeddingsRequest(
        inputs=parse_inputs(message.take("input"), field="input"),
        model=message.take_text("model") or None,
        dimensions=message.take_int32("dimensions"),
        encoding_format=cast("EncodingFormat", encoding_format),
    )


def parse_inputs(value: Any, *, field: str) -> list[Input]:
    """Return the inputs that `value` holds: a text, texts, the token ids of one text, or of several.

    Raises:
        InvalidRequest: it is something else or nothing; `index` says which input.
        EmptyText: an input is empty.
    """
    if value is None:
        raise InvalidRequest(f"'{field}' is missing: a text, texts, or token ids.", field=field)
    if isinstance(value, list) and _is_token_ids(cast("list[Any]", value)):
        return [cast("list[int]", value)]
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    for index, each in enumerate(items):
        if each in ("", []):
            raise EmptyText(f"Invalid '{field}': an input must not be empty.", field=field, index=index)
        if not isinstance(each, str) and not (isinstance(each, list) and _is_token_ids(cast("list[Any]", each))):
            raise InvalidRequest(
                f"Invalid type for '{field}': expected a string, strings, token ids or lists of token ids, "
                f"but got {shown(each)}.",
                field=field,
                index=index,
            )
    if not items:
        raise InvalidRequest(f"Invalid '{field}': expected at least one input.", field=field)
    return cast("list[Input]", items)


def _is_token_ids(value: list[Any]) -> bool:
    return bool(value) and all(type(each) is int and each >= 0 for each in value)


def vector_to_base64(vector: npt.NDArray[np.float32]) -> str:
    """Return a float32[dim] array as OpenAI sends it to who asks for base64: its bytes, little-endian."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def embeddings_response_to_wire(values: Sequence[Any], *, model: str, token_count: int) -> dict[str, Any]:
    """Return the answer of `POST embeddings`; `values` are lists or base64, in order."""
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(values)],
        "model": model,
        "usage": {"prompt_tokens": token_count, "total_tokens": token_count},
    }


def model_to_wire(model: str) -> dict[str, Any]:
    """Return a model object. `created` is a required field of OpenAI's that means nothing here."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "gemvec"}


def models_to_wire(models: Sequence[str]) -> dict[str, Any]:
    """Return the answer of `GET models`: all of them, OpenAI's list has no pages."""
    return {"object": "list", "data": [model_to_wire(each) for each in models]}


def error_to_wire(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error: `{"error": {message, type, param, code}}`."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
