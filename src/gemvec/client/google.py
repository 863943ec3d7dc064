"""What Google's own server needs to be different from other servers with the same API."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import structs

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.models.prompts import EMBEDDINGGEMMA, apply_prompt


def is_google(base_url: str) -> bool:
    """Whether the server at an address is Google's."""
    return (urlsplit(base_url).hostname or "").endswith(".googleapis.com")


def fit_to_google(model: str, request: EmbedRequest) -> EmbedRequest:
    """Return the request as Google wants it: newer models ignore task type and title, which go into the text instead.

    Args:
        model: the name without `models/`.
        request: what to embed, and how.
    """
    names_a_task = request.task_type != TaskType.TASK_TYPE_UNSPECIFIED
    if not model.startswith("gemini-embedding-2") or not names_a_task:
        return request
    text = apply_prompt(EMBEDDINGGEMMA, request.text, request.task_type, request.title)
    return structs.replace(request, text=text, task_type=TaskType.TASK_TYPE_UNSPECIFIED, title=None)
