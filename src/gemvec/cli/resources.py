"""What `gemvec batch` and `gemvec files` have in common: list, describe and delete what a server keeps."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
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
_UNBOUNDED = 1_000_000  # columns; to find out how wide a table would like to be


def page_size(limit: int | None) -> int:
    """Return the page size for a list of at most `limit`."""
    return _PAGE_SIZE if limit is None else min(limit + 1, _PAGE_SIZE)  # one more shows whether there are more


def show_list(
    found: Iterable[T],
    *,
    limit: int | None,
    to_wire: Callable[[T], Mapping[str, Any]],
    columns: Mapping[str, Callable[[T], str]],
    nothing: str,
    as_json: bool,
) -> None:
    """Print what a server lists: JSON, or a table whose first column names each.

    A table that is wider than the terminal becomes a paragraph for each row.

    Args:
        found: what the server lists; read up to one more than `limit`.
        limit: most to show; None for all. If there are more, standard error says so.
        to_wire: converts one to the API's JSON.
        columns: heading -> its cells; a heading that starts with `>` is aligned to the right.
        nothing: what to say if there are none.
        as_json: print JSON.
    """
    rest = iter(found)
    first = list(islice(rest, limit))
    if limit is not None and next(rest, None) is not None:
        announce("There are more; show them with --limit.")
    if as_json:
        typer.echo(json.dumps([to_wire(each) for each in first]))
        return
    if not first:
        typer.echo(nothing)
        return
    _print_rows(list(columns), [[cell(each) for cell in columns.values()] for each in first])


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


def _print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    console = Console()
    table = Table(*map(_column, headings), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    unbounded = console.options.update(width=_UNBOUNDED)
    if console.measure(table, options=unbounded).maximum <= console.width:
        console.print(table)
        return
    for name, *others in rows:
        console.print(name, markup=False, highlight=False, soft_wrap=True)
        facts = [f"{heading.lstrip('>')}: {cell}" for heading, cell in zip(headings[1:], others, strict=True) if cell]
        indent = "  "
        for line in textwrap.wrap("; ".join(facts), console.width, initial_indent=indent, subsequent_indent=indent):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _column(heading: str) -> Column:
    if heading.startswith(">"):
        return Column(heading[1:], justify="right", no_wrap=True)
    return Column(heading, no_wrap=True)
