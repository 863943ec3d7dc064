"""The messages of text-embeddings-inference's routes, as Milvus' `tei` provider and TEI's own clients speak them.

Fields that are not known are ignored, as TEI does. Contract: text-embeddings-inference, router/src/http/types.rs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemvec.errors import InvalidRequest
from gemvec.wire.message import Message, shown
from gemvec.wire.openai import Input, parse_inputs
from gemvec.wire.task_type import TaskType

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


def info_to_wire(
    *,
    model_id: str,
    revision: str,
    token_limit: int,
    max_waiting_tokens: int,
    version: str,
    models: Sequence[str],
    limits: Mapping[str, int | None],
) -> Any:
    """Return the answer of `GET info`; `models` and `limits` are ours, TEI's clients pass over them."""
    return {
        "model_id": model_id,
        "model_sha": revision,
        "model_type": {"embedding": {}},
        "max_input_length": token_limit,
        "max_batch_tokens": max_waiting_tokens,
        "auto_truncate": False,
        "version": version,
        "models": list(models),
        "limits": dict(limits),
    }


def error_to_wire(message: str, kind: str) -> dict[str, Any]:
    """Return the body of an error; `kind` is one of TEI's: Validation, Overloaded, Backend, Unhealthy."""
    return {"error": message, "error_type": kind}
