"""Checks what may be asked of a served name, in every embedder: `check_request`."""

from __future__ import annotations

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadDimensionality, EmptyText, TitleNotAllowed, UnsupportedTaskType

# The longest vector of Google's models; nobody may ask for a longer one, unless the network's own is longer.
_MAX_DIMENSIONALITY = 3072


def check_request(request: EmbedRequest, served: ServedModel, index: int) -> None:
    """Refuse a request that cannot be embedded as asked.

    Args:
        request: what to embed, and how.
        served: the name it was sent to.
        index: its place in the call, for the error.

    Raises:
        EmptyText: there is no text.
        TitleNotAllowed: it has a title, and another task type than RETRIEVAL_DOCUMENT or a served name that takes none.
        UnsupportedTaskType: it has a task type, and the served name takes none.
        BadDimensionality: the served name has no vectors of this length.
    """
    if not request.text:
        raise EmptyText("{field} is empty.", field="content", index=index)
    if request.title and not served.takes_options:
        raise TitleNotAllowed(f"{served.name} does not take {{field}}.", field="title", index=index)
    if request.title and request.task_type != TaskType.RETRIEVAL_DOCUMENT:
        raise TitleNotAllowed("{field} requires the task type RETRIEVAL_DOCUMENT.", field="title", index=index)
    if request.task_type != TaskType.TASK_TYPE_UNSPECIFIED and not served.takes_options:
        raise UnsupportedTaskType(f"{served.name} does not take {{field}}.", field="task_type", index=index)
    wanted = request.output_dimensionality
    if wanted is None:
        return
    if not served.takes_options:
        raise BadDimensionality(
            f"{{field}} is {wanted}: {served.name} only has vectors of {served.default_dimensionality} values.",
            field="output_dimensionality",
            index=index,
        )
    longest = max(_MAX_DIMENSIONALITY, served.native_dim)
    if not 1 <= wanted <= longest:
        raise BadDimensionality(
            f"{{field}} is {wanted}, expected 1 to {longest}.", field="output_dimensionality", index=index
        )
