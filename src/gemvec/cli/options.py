"""Command-line options made from `Settings`, the one source of flag, variable, default, unit and help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import typer

from gemvec.cli.completion import TASK_TYPES, complete_task_type, completion_of
from gemvec.errors import BadSetting
from gemvec.settings import Settings, field_types, flag_name, format_bytes, variable_name

TaskTypeName = Annotated[
    str | None,
    typer.Option(
        "--task-type",
        metavar="TYPE",
        help=f"What the vectors are for: {', '.join(TASK_TYPES)}.",
        autocompletion=complete_task_type,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsJsonOutcome = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option per named field of `Settings`, and the loaded `Settings` as argument `settings`.

    The decorated function declares `settings: Settings` and, after it, its own typer parameters.
    """
    assert len(set(names)) == len(names), "a setting is named twice"

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        flags = {name: _given(name, given.pop(name)) for name in names}
        return {"settings": Settings.load(**flags), **given}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        options = {name: (_annotation(name), None) for name in names}
        return add_options(command, options, collect=collect, replaces="settings")

    return decorate


def or_none(flag: str, value: Any) -> Any:
    """Return the value of a flag; None for an empty text, which is said on standard error.

    Where a program writes `--upstream "$ADDRESS"` and the variable is missing, nothing was meant.
    """
    if value != "":
        return value
    typer.echo(f"{flag} is empty and is ignored.", err=True)
    return None


def add_options(
    command: Callable[..., Any],
    options: Mapping[str, tuple[Any, Any]],
    *,
    collect: Callable[[dict[str, Any]], dict[str, Any]],
    replaces: str,
) -> Callable[..., Any]:
    """Return a command with more options after its own.

    Args:
        command: the function to call.
        options: annotation for typer and default, by name.
        collect: turns all values from the command line into the arguments of `command`.
        replaces: the argument of `command` that `collect` makes from the new options.
    """

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        return command(**collect(given))

    own = [each for each in inspect.signature(command, eval_str=True).parameters.values() if each.name != replaces]
    new = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *new]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # typer reads it to make options
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _given(name: str, value: Any) -> Any:
    """Return the value of a setting's flag; None if it was not given."""
    if _is_many(name):
        return value or None
    return or_none(flag_name(name), value) if field_types()[name] in {str, Path} else value


def _field(name: str) -> Field[Any]:
    return next(each for each in fields(Settings) if each.name == name)


def _is_many(name: str) -> bool:
    return get_origin(field_types()[name]) is tuple


def _annotation(name: str) -> Any:
    each = _field(name)
    is_bool = field_types()[name] is bool
    kind: Any = list[str] | None if _is_many(name) else bool | None if is_bool else str | None
    option = typer.Option(
        flag_name(name) + ("/--no-" + flag_name(name)[2:] if is_bool else ""),
        help=_help(each),
        show_default=False,
        metavar=None if is_bool else _metavar(each),
        rich_help_panel=each.metadata["topic"],
        autocompletion=completion_of(name),
    )
    return Annotated[kind, option]


def _metavar(each: Field[Any]) -> str:
    kind = field_types()[each.name]
    if each.metadata["metavar"]:
        return each.metadata["metavar"]
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if kind is int and not each.metadata["unit"] and each.name != "port":
        return "N"
    return (each.metadata["unit"] or each.name.rsplit("_", 1)[-1]).upper()


def _help(each: Field[Any]) -> str:
    return f"{each.metadata['help']} [{variable_name(each.name)}; default: {default_text(each)}]"


def default_text(each: Field[Any]) -> str:
    """Return a field's default as the help and the reference page show it."""
    if each.default is MISSING:
        return {"cache_dir": "~/.cache/gemvec", "data_dir": "~/.local/share/gemvec"}.get(each.name, "computed")
    if isinstance(each.default, tuple):
        return ", ".join(str(item) for item in cast("tuple[str, ...]", each.default)) or "none"
    if each.metadata["unit"] == "bytes":
        return format_bytes(each.default)
    if isinstance(each.default, bool):
        return str(each.default).lower()
    if each.default == each.metadata["maximum"]:
        return "no limit"
    return f"{each.default:.15g}" if isinstance(each.default, float) else str(each.default) or "none"


def check_can_be_written(path: Path | None, flag: str) -> None:
    """Refuse an output file that cannot be written, before the work starts.

    Raises:
        BadSetting: it is a folder, or its folder does not exist.
    """
    if path is None:
        return
    reason = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
    if path.is_dir() or not path.parent.is_dir():
        raise BadSetting(f"{flag} names {path}, which cannot be written: {reason}.")
