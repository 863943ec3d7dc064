"""What the routes of other services have in common: inputs (texts or token ids) and names of tasks."""

from __future__ import annotations

from typing import Annotated, Any, cast

from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, InvalidRequest
from gemvec.wire.kinds import BOOL, TEXT, Kind, Refused, only
from gemvec.wire.message import Field, JsonMessage

# A text, or the ids of its tokens.
Input = str | list[int]

MISSING_INPUT = "'{path}' is missing: a text, texts, or token ids."
_EMPTY = "Invalid '{path}': an input must not be empty."
_NO_INPUT = "Invalid '{path}': expected at least one input."
_BAD_TEXT = "Invalid type for '{path}': expected a string or strings, but got {value}."
_BAD_IDS = "Invalid type for '{path}': expected token ids or lists of token ids, but got {value}."
_BAD_INPUT = "Invalid type for '{path}': expected a string, strings, token ids or lists of token ids, but got {value}."
# Images and other media are objects in the APIs that take them.
_NO_TEXT = "Invalid type for '{path}': the models here read text only, so it must be a string, but got an object."

_TOKEN_IDS: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}


def _read_inputs(value: Any) -> list[Input]:
    """Return the inputs in `value`: a text, texts, the token ids of one text, or of several."""
    if not isinstance(value, list):
        return [_read_input(value)]
    items = cast("list[Any]", value)
    if _is_token_ids(items):
        return [items]
    if not items:
        raise Refused(_NO_INPUT)
    for index, each in enumerate(items):
        try:
            _read_input(each)
        except Refused as refused:
            refused.path.append(index)
            raise
    return items


def _read_input(value: Any) -> Input:
    if value in ("", []):
        raise Refused(_EMPTY, error=EmptyText)
    if isinstance(value, str) or (isinstance(value, list) and _is_token_ids(cast("list[Any]", value))):
        return cast("Input", value)
    raise Refused(_NO_TEXT if isinstance(value, dict) else _BAD_INPUT, value)


def _is_token_ids(value: list[Any]) -> bool:
    return bool(value) and all(type(each) is int and each >= 0 for each in value)


INPUTS = Kind(
    _read_inputs,
    None,
    {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _TOKEN_IDS]}}, _TOKEN_IDS]},
)


def _read_texts(value: Any) -> list[str]:
    """Return the texts that `value` holds: a text, or texts."""
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    for index, each in enumerate(items):
        if type(each) is not str or not each:
            at = (index,) if isinstance(value, list) else ()
            raise Refused(_BAD_TEXT, each, at=at) if each != "" else Refused(_EMPTY, at=at, error=EmptyText)
    return items


TEXTS = Kind(_read_texts, None, {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]})


def _read_truncate(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("NONE", "END"):  # no set: the value may be a list
        return value == "END"
    raise Refused("`{path}`: {value} is not served, only END and NONE", value)


# Whether a text that is too long is cut, as Cohere and NVIDIA name it; they also have START.
TRUNCATE = Kind(
    _read_truncate,
    lambda is_cut: "END" if is_cut else "NONE",
    {"type": "string", "enum": ["NONE", "END"], "default": "END"},
)


# Whether vectors have length 1, as all of them do.
NORMALIZED = only(BOOL, True, "only normalised vectors are served")


def _read_token_ids(value: Any) -> list[list[int]]:
    """Return the lists of token ids that `value` holds: one, or several."""
    if not isinstance(value, list):
        raise Refused(_BAD_IDS, value)
    items = cast("list[Any]", value)
    if _is_token_ids(items):
        return [items]
    for index, each in enumerate(items):
        if not (isinstance(each, list) and _is_token_ids(cast("list[Any]", each))):
            raise Refused(_BAD_IDS, each, at=(index,))
    if not items:
        raise Refused(_NO_INPUT)
    return items


TOKEN_IDS = Kind(_read_token_ids, None, {"anyOf": [_TOKEN_IDS, {"type": "array", "minItems": 1, "items": _TOKEN_IDS}]})

# Jina's names.
_TASKS = {
    "retrieval.query": TaskType.RETRIEVAL_QUERY,
    "retrieval.passage": TaskType.RETRIEVAL_DOCUMENT,
    "text-matching": TaskType.SEMANTIC_SIMILARITY,
    "classification": TaskType.CLASSIFICATION,
    "clustering": TaskType.CLUSTERING,
    "separation": TaskType.CLUSTERING,
    "code.query": TaskType.CODE_RETRIEVAL_QUERY,
    "code.passage": TaskType.RETRIEVAL_DOCUMENT,
}

# Cohere's, Voyage's and NVIDIA's names.
_INPUT_TYPES = {
    "query": TaskType.RETRIEVAL_QUERY,
    "search_query": TaskType.RETRIEVAL_QUERY,
    "document": TaskType.RETRIEVAL_DOCUMENT,
    "passage": TaskType.RETRIEVAL_DOCUMENT,
    "search_document": TaskType.RETRIEVAL_DOCUMENT,
    "classification": TaskType.CLASSIFICATION,
    "clustering": TaskType.CLUSTERING,
}

# Usual names of prompts in sentence-transformers configurations, which text-embeddings-inference takes.
_PROMPT_NAMES = _INPUT_TYPES | {
    "retrieval-query": TaskType.RETRIEVAL_QUERY,
    "retrieval-document": TaskType.RETRIEVAL_DOCUMENT,
    "sts": TaskType.SEMANTIC_SIMILARITY,
}


def task_names(names: dict[str, TaskType]) -> Kind:
    """Return the kind of a text that is one of the task `names`, in any case."""
    spelled = {task: name for name, task in reversed(names.items())}
    words = f"`{{path}}`: {{value}} is not one of {', '.join(names)}"

    def read(value: Any) -> TaskType:
        found = names.get(TEXT.read(value).lower())
        if found is None:
            raise Refused(words, value)
        return found

    return Kind(read, spelled.__getitem__, {"type": "string", "enum": list(names)})


class TaskNames(JsonMessage, frozen=True, kw_only=True):
    """What the vectors are for, by the names of several services; selects the model's prompt."""

    task_type: Annotated[TaskType | None, Field("What the vectors are for: Google's names.")] = None
    task: Annotated[TaskType | None, Field("The same: Jina's names.", kind=task_names(_TASKS))] = None
    input_type: Annotated[
        TaskType | None, Field("The same: the names of Cohere, Voyage and NVIDIA.", kind=task_names(_INPUT_TYPES))
    ] = None
    prompt_name: Annotated[
        TaskType | None,
        Field("The same: text-embeddings-inference's names.", kind=task_names(_PROMPT_NAMES)),
    ] = None

    def named_task(self) -> TaskType:
        """Return the named task, or TASK_TYPE_UNSPECIFIED.

        Raises:
            InvalidRequest: two fields name different tasks.
        """
        names = ("task_type", "task", "input_type", "prompt_name")
        named = {name: task for name in names if (task := cast("TaskType | None", getattr(self, name))) is not None}
        if len(set(named.values())) > 1:
            *_, last = named
            raise InvalidRequest(f"`{'` and `'.join(named)}` name different tasks: give one of them.", field=last)
        return next(iter(named.values()), TaskType.TASK_TYPE_UNSPECIFIED)
