"""The messages of text-embeddings-inference's routes, as Milvus' `tei` provider and TEI's own clients speak them.

Fields that are not known are ignored, as TEI does. Contract: text-embeddings-inference,
router/src/http/types.rs and, for `GET info`, `struct Info` in router/src/lib.rs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemvec.embedding.task_type import TaskType
from gemvec.errors import InvalidRequest
from gemvec.wire.message import Message, shown
from gemvec.wire.openai import Input, parse_inputs

# TEI names a prompt of the model's sentence-transformers configuration; these are the usual names.
_TASK_TYPES = {
    "query": TaskType.RETRIEVAL_QUERY,
    "search_query": TaskType.RETRIEVAL_QUERY,
    "document": TaskType.RETRIEVAL_DOCUMENT,
    "passage": TaskType.RETRIEVAL_DOCUMENT,
    "search_document": TaskType.RETRIEVAL_DOCUMENT,
    "classification": TaskType.CLASSIFICATION,
    "clustering": TaskType.CLUSTERING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """A request to embed some texts.

    Attributes:
        inputs: texts or token ids; at least one, none empty.
        truncate: cut an input that is too long (True) or refuse it (False).
        task_type: what the named prompt is for, None without one.
        dimensions: values wanted in each vector, None for the model's default.
    """

    inputs: list[Input]
    truncate: bool
    task_type: TaskType | None
    dimensions: int | None


def parse_embed_request(message: Message) -> EmbedRequest:
    """Read the body of `POST embed`.

    Raises:
        InvalidRequest: a field is wrong, `inputs` is missing, or something is asked that would give other vectors
            than are served: raw ones (`normalize: false`), a cut from the left, a prompt that is not known.
    """
    if message.take_bool("normalize") is False:
        raise InvalidRequest("`normalize`: only normalised vectors are served", field="normalize")
    direction = message.take_text("truncation_direction") or "Right"
    if direction.lower() != "right":
        raise InvalidRequest(
            f"`truncation_direction`: {shown(direction)} is not served, only Right", field="truncation_direction"
        )
    return EmbedRequest(
        inputs=parse_inputs(message.take("inputs"), field="inputs"),
        truncate=message.take_bool("truncate") or False,
        task_type=_take_prompt(message),
        dimensions=message.take_int32("dimensions"),
    )


def _take_prompt(message: Message) -> TaskType | None:
    name = message.take_text("prompt_name")
    if name is None:
        return None
    if name.lower() not in _TASK_TYPES:
        known = ", ".join(_TASK_TYPES)
        raise InvalidRequest(f"`prompt_name`: {shown(name)} is not one of {known}", field="prompt_name")
    return _TASK_TYPES[name.lower()]


def embed_response_to_wire(vectors: Sequence[Any]) -> list[Any]:
    """Return the answer of `POST embed`: the vectors, nothing around them."""
    return list(vectors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a server says of itself.

    Attributes:
        model_id: catalogue id of the default model.
        served_model_name: the default model's served name.
        revision: first eight characters of the SHA-256 of its weights.
        pooling: how token vectors become one, None where that is not known.
        token_limit: longer texts are cut or refused.
        token_budget: padded tokens in one micro-batch.
        most_waiting: how many requests may wait at once.
        texts_per_call: inputs that one call should have at most.
        cores: processors that tokenize.
        version: gemvec's version.
        models: served names that the caller may use.
        limits: what the caller may have, by name; None for any number.
    """

    model_id: str
    served_model_name: str
    revision: str
    pooling: str | None
    token_limit: int
    token_budget: int
    most_waiting: int
    texts_per_call: int
    cores: int
    version: str
    models: Sequence[str]
    limits: Mapping[str, int | None]


def info_to_wire(info: Info) -> dict[str, Any]:
    """Return the answer of `GET info`: TEI's fields, all of them, then ours, which its clients pass over."""
    return {
        "model_id": info.model_id,
        "model_sha": info.revision,
        "model_dtype": "float32",  # of the vectors
        "served_model_name": info.served_model_name,
        "model_type": {"embedding": {"pooling": info.pooling} if info.pooling else {}},
        "max_concurrent_requests": info.most_waiting,
        "max_input_length": info.token_limit,
        "max_batch_tokens": info.token_budget,
        "max_batch_requests": None,
        "max_client_batch_size": info.texts_per_call,
        "auto_truncate": False,
        "tokenization_workers": info.cores,
        "version": info.version,
        "sha": None,
        "docker_label": None,
        "models": list(info.models),
        "limits": dict(info.limits),
    }


def error_to_wire(message: str, kind: str) -> dict[str, Any]:
    """Return the body of an error; `kind` is one of TEI's: Validation, Overloaded, Backend, Unhealthy."""
    return {"error": message, "error_type": kind}
