"""What `gemvec batch` and `gemvec files` have in common: list, describe and delete what a server keeps."""

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

Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="Most to list.")]

STANDARD_OUTPUT = "-"
_PAGE_SIZE = 100


def page_size(limit: int | None) -> int:
    """Return the page size for a list of at most `limit`."""
    return _PAGE_SIZE if limit is None else min(limit + 1, _PAGE_SIZE)  # one more shows whether there are more


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
        found: what the server lists; read up to one more than `limit`.
        limit: most to show; None for all. If there are more, standard error says so.
        to_wire: converts one to the API's JSON.
        columns: heading -> its cells; a heading that starts with `>` is aligned to the right.
        as_json: print JSON.
    """
    rest = iter(found)
    first = list(islice(rest, limit))
    if limit is not None and next(rest, None) is not None:
        announce(f"There are more than these {limit:,}; show more with --limit.")
    if as_json:
        typer.echo(json.dumps([to_wire(each) for each in first]))
        return
    table = Table(*(_column(each, is_name=not place) for place, each in enumerate(columns)), box=None, pad_edge=False)
    for each in first:
        table.add_row(*(escape(cell(each)) for cell in columns.values()))
    Console().print(table)


def show_fields(wire: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one of them: as JSON, or one field per line."""
    if as_json:
        typer.echo(json.dumps(wire))
        return
    table = Table(Column(no_wrap=True), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for field, value in wire.items():
        table.add_row(field, escape(value if isinstance(value, str) else json.dumps(value)))
    Console().print(table)


def delete_each(names: list[str], delete: Callable[[str], None], *, as_json: bool) -> None:
    """Delete one after the other, and report each."""
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
