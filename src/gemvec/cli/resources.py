"""What `gemvec batch` and `gemvec files` do alike with what a server keeps: list it, describe it, delete it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gemvec.cli.server import announce

T = TypeVar("T")

Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="Most that are listed.")]

STANDARD_OUTPUT = "-"
_PAGE_SIZE = 100


def page_size(limit: int | None) -> int:
    """Return how many a server is asked for at a time where at most `limit` are wanted."""
    return _PAGE_SIZE if limit is None else min(limit + 1, _PAGE_SIZE)  # one more tells whether there are more


def show_list(
    found: Iterable[T],
    *,
    limit: int | None,
    to_wire: Callable[[T], Mapping[str, Any]],
    columns: Mapping[str, Callable[[T], str]],
    as_json: bool,
) -> None:
    """Print what a server lists: JSON, or a table whose first column names each.

    Args:
        found: read to one more than `limit`.
        limit: most that are shown; None for all. That there are more is said on standard error.
        to_wire: one as the API writes it.
        columns: what stands under each heading; a heading that starts with `>` is set to the right.
        as_json: whether scripts read it.
    """
    rest = iter(found)
    first = list(islice(rest, limit))
    if limit is not None and next(rest, None) is not None:
        announce(f"There are more than these {limit:,}; --limit shows more.")
    if as_json:
        typer.echo(json.dumps([to_wire(each) for each in first]))
        return
    table = Table(*(_column(each, is_name=not place) for place, each in enumerate(columns)), box=None, pad_edge=False)
    for each in first:
        table.add_row(*(escape(cell(each)) for cell in columns.values()))
    Console().print(table)


def show_fields(wire: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: JSON, or a field a line."""
    if as_json:
        typer.echo(json.dumps(wire))
        return
    table = Table(Column(no_wrap=True), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for field, value in wire.items():
        table.add_row(field, escape(value if isinstance(value, str) else json.dumps(value)))
    Console().print(table)


def delete_each(names: list[str], delete: Callable[[str], None], *, as_json: bool) -> None:
    """Delete one after the other, and say so of each as it is done."""
    for name in names:
        delete(name)
        if not as_json:
            typer.echo(f"{name} is deleted.")
    if as_json:
        typer.echo(json.dumps({"deleted": names}))


def _column(heading: str, *, is_name: bool) -> Column:
    if heading.startswith(">"):
        return Column(heading[1:], justify="right", no_wrap=True)
    return Column(heading, no_wrap=is_name, overflow="fold")
