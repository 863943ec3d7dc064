"""The limits of one API key on the command line: their flags, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Annotated, Any

import typer

from gemvec.cli.options import add_options
from gemvec.settings import flag_name, format_bytes, parse_bytes

_DEFAULT = "default"
_BYTES, _PRIORITY, _WEIGHT = "max_stored_bytes", "max_priority", "weight"
_HELP = {
    "requests_per_minute": "Most texts per minute that may be embedded with it.",
    "tokens_per_minute": "Most tokens per minute that may be embedded with it.",
    "requests_per_day": "Most texts per day that may be embedded with it.",
    "tokens_per_day": "Most tokens per day that may be embedded with it.",
    "max_open_uploads": "Uploads that it may have begun and not finished.",
    "max_open_batches": "Batches that it may have that have not ended.",
    _BYTES: "Size of all that it may keep: files, and the inputs and results of batches.",
    _PRIORITY: "The highest priority that it may give its batches.",
    _WEIGHT: "Chunks of its batches in each of its turns among the keys, up to 100; 1 by default.",
}
# How the list shows them: the words after the number.
_UNITS = {
    "requests_per_minute": "texts/min",
    "tokens_per_minute": "tokens/min",
    "requests_per_day": "texts/day",
    "tokens_per_day": "tokens/day",
    "max_open_uploads": "open uploads",
    "max_open_batches": "open batches",
    _BYTES: "stored",
    _PRIORITY: "priority at most",
    _WEIGHT: "chunks a turn",
}


def with_limits(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option per limit, and those that were given as argument `limits`.

    In `limits`, None stands for the server's own limit, which is asked for with the word `default`.
    """

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        asked = {name: given.pop(name) for name in _HELP}
        limits = {name: None if value == _DEFAULT else value for name, value in asked.items() if value is not None}
        return {**given, "limits": limits}

    options = {name: (_annotation(name), None) for name in _HELP}
    return add_options(command, options, collect=collect, replaces="limits")


def limits_to_json(limits: Mapping[str, int | None]) -> dict[str, int | None]:
    """Return limits by their names in JSON; None for the server's own."""
    return {_camel(name): limits[name] for name in _HELP}


def describe_limits(limits: Mapping[str, int | None]) -> Iterable[tuple[str, str]]:
    """Yield the flag of each limit and its value in words."""
    for name in _HELP:
        value = limits[name]
        default = "1" if name == _WEIGHT else "the server's"
        yield flag_name(name), default if value is None else _value_text(name, value)


def summarise_limits(limits: Mapping[str, int | None]) -> str:
    """Return the limits that are a key's own, one a line."""
    own = [f"{_value_text(name, value)} {_UNITS[name]}" for name in _HELP if (value := limits[name]) is not None]
    return "\n".join(own) or "the server's"


def _annotation(name: str) -> Any:
    option = typer.Option(
        flag_name(name),
        parser=partial(_parse, name),
        metavar="BYTES" if name == _BYTES else "N",
        help=_HELP[name],
        rich_help_panel="Limits; the word default stands for the server's own",
        show_default=False,
    )
    return Annotated[Any, option]


def _parse(name: str, text: str) -> int | str:
    """Return a limit, or `default`.

    Raises:
        typer.BadParameter: it cannot be one.
    """
    from gemvec.server.key_limits import bounds_of

    if text == _DEFAULT:
        return _DEFAULT
    lowest, highest = bounds_of(name)
    try:
        number = parse_bytes(text) if name == _BYTES else int(text)
    except (ValueError, OverflowError):
        number = None
    if number is None or not lowest <= number <= highest:
        expected = "a size such as 20GiB" if name == _BYTES else "a whole number"
        bounds = _bounds_text(name, highest, is_too_large=number is not None and number > highest)
        raise typer.BadParameter(f"{text!r} is not {expected}{bounds}, nor the word {_DEFAULT}.")
    return number


def _bounds_text(name: str, highest: int, *, is_too_large: bool) -> str:
    """Return what a refusal says about the range; the end of a database's integers only if it was passed."""
    if name == _WEIGHT:
        return f" from 1 to {highest}"
    if is_too_large:
        return f" of at most {highest}"
    return "" if name == _PRIORITY else " of at least 1"


def _value_text(name: str, value: int) -> str:
    return format_bytes(value) if name == _BYTES else str(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
