"""How to embed, as callers write it: `EmbedConfig`, a dict in either spelling, or google-genai's EmbedContentConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadDimensionality, InvalidRequest, TitleNotAllowed, UnsupportedTaskType
from gemvec.wire.proto_json import snake_case

if TYPE_CHECKING:
    from google.genai import types

# Options of EmbedContentConfig that only Vertex AI takes.
_VERTEX_ONLY = ("mime_type", "document_ocr", "audio_track_extraction")
# Arguments of genai.Client for Vertex AI, and for recording and replaying.
_VERTEX_ARGUMENTS = ("vertexai", "enterprise", "credentials", "project", "location", "debug_config")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedConfig:
    """How to embed; None leaves a choice to the method or to the server.

    Attributes:
        task_type: what the vectors are for: a `TaskType`, its name in any case, or its number. If it is one of queries,
            documents get RETRIEVAL_DOCUMENT; None means RETRIEVAL_QUERY for queries.
        title: title of the documents, which are embedded with task type RETRIEVAL_DOCUMENT.
        output_dimensionality: number of values in each vector.
        auto_truncate: False refuses a text beyond the model's limit; otherwise it is cut.
    """

    task_type: TaskType | str | int | None = None
    title: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool | None = None


if TYPE_CHECKING:
    # The three kinds of config; google-genai is not imported for the third.
    ConfigLike: TypeAlias = EmbedConfig | Mapping[str, Any] | types.EmbedContentConfig | None

# Used for queries and documents alike; with any other task type, documents get RETRIEVAL_DOCUMENT.
_SYMMETRIC_TYPES = {TaskType.SEMANTIC_SIMILARITY, TaskType.CLASSIFICATION, TaskType.CLUSTERING}

_OPTIONS = tuple(each.name for each in fields(EmbedConfig))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """An `EmbedConfig` whose values have been checked.

    Attributes:
        task_type: None if the caller does not choose one.
        title: None if there is no title.
        output_dimensionality: None for the model's default.
        auto_truncate: cut a text that is too long (True) or refuse it (False).
        takes_task_type: whether the model has task types at all.
        http_options: connection options in a config of google-genai; None if there are none.
    """

    task_type: TaskType | None = None
    title: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool = True
    takes_task_type: bool = True
    http_options: Any = None


def read_config(config: ConfigLike) -> EmbedOptions:
    """Check a config of any kind.

    Raises:
        InvalidRequest: an option is unknown, belongs to Vertex AI, or has a wrong value; `field` says which.
    """
    values = {name: value for name, value in _items(config).items() if value is not None}
    for name in values.keys() & set(_VERTEX_ONLY):
        raise InvalidRequest(f"config.{name} is an option of Vertex AI and is not supported here.", field=name)
    task_type = parse_task_type(values.get("task_type"))
    title = values.get("title")
    if title is not None and not isinstance(title, str):
        raise InvalidRequest(f"config.title has value {title!r}: expected a string.", field="title")
    if title and task_type is not None and task_type in _SYMMETRIC_TYPES:
        raise TitleNotAllowed(
            f"config.title requires task type RETRIEVAL_DOCUMENT, not {task_type.name}.", field="title"
        )
    return EmbedOptions(
        task_type=task_type,
        title=str(title) if title else None,  # numpy's strings have another class
        output_dimensionality=_dimensionality(values.get("output_dimensionality")),
        auto_truncate=_is_cut(values.get("auto_truncate", True)),
        http_options=values.get("http_options"),
    )


def refuse_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse unknown arguments, and those arguments of `genai.Client` that ask for Vertex AI.

    Raises:
        InvalidRequest: an argument for Vertex AI is neither None nor False.
        TypeError: there is no such argument.
    """
    for name, value in arguments.items():
        if name not in _VERTEX_ARGUMENTS:
            raise TypeError(f"GeminiEmbeddingFunction() got an unexpected keyword argument {name!r}")
        if value:
            raise InvalidRequest(
                f"{name} is for Vertex AI, which gemvec does not support: give api_key or base_url.", field=name
            )


def parse_task_type(value: TaskType | str | int | None) -> TaskType | None:
    """Return the task type for a name in any case or a number; None if it is unspecified.

    Raises:
        UnsupportedTaskType: there is no such task type.
    """
    if value is None:
        return None
    try:
        task_type = TaskType[str(value).upper()] if isinstance(value, str) else TaskType(value)
    except (KeyError, ValueError):
        names = ", ".join(TaskType.__members__)
        raise UnsupportedTaskType(f"There is no task type {value!r}; expected {names}.", field="task_type") from None
    return task_type or None


def _items(config: object) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, Mapping):
        given = cast("Mapping[Any, Any]", config)
        known = {*_OPTIONS, *_VERTEX_ONLY, "http_options"}
        for name in given:
            if snake_case(str(name)) not in known:
                raise InvalidRequest(f"config has no option {name!r}; it has {', '.join(_OPTIONS)}.", field=str(name))
        return {snake_case(str(name)): value for name, value in given.items()}
    if not hasattr(config, "output_dimensionality"):
        raise InvalidRequest(
            f"config is a {type(config).__name__}: expected an EmbedConfig, a dict or a types.EmbedContentConfig.",
            field="config",
        )
    return {name: getattr(config, name, None) for name in (*_OPTIONS, *_VERTEX_ONLY, "http_options")}


def _dimensionality(value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = 0 if isinstance(value, bool) else index(value)  # numpy's integers are accepted
    except TypeError:
        number = 0
    if number < 1:
        raise BadDimensionality(
            f"config.output_dimensionality has value {value!r}: expected a positive integer.",
            field="output_dimensionality",
        )
    return number


def _is_cut(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(
            f"config.auto_truncate has value {value!r}: expected True or False.", field="auto_truncate"
        )
    return value
