"""`gemvec collections`: list, show, count and drop collections, and delete documents by source."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Column, Table

from gemvec.cli.completion import complete_collection
from gemvec.cli.options import AsJson, AsJsonOutcome, with_settings
from gemvec.errors import InvalidRequest
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.milvus import Collection, CollectionVersion
    from gemvec.milvus.overview import CollectionOverview

app = typer.Typer(help="List, show and drop collections, and delete documents from them.", no_args_is_help=True)

_Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="Which collection. [default: that of --collection]",
        autocompletion=complete_collection,
    ),
]


@app.command("list")
@with_settings("uri", "token")
def list_(settings: Settings, *, as_json: AsJson = False) -> None:
    """List the collections that gemvec made.

    Examples:
        gemvec collections list
        gemvec collections list --uri http://localhost:19530 --json
    """
    from gemvec.milvus.connection import close_client, is_lite, open_client
    from gemvec.milvus.overview import list_collections

    found: list[CollectionOverview] = []
    if not is_lite(settings.uri) or Path(settings.uri).exists():
        client = open_client(settings.uri, settings.token)
        try:
            found = list_collections(client, settings.uri)
        finally:
            close_client(client, settings.uri)
    if as_json:
        typer.echo(json.dumps([_to_json(each) for each in found], ensure_ascii=False))
        return
    if not found:
        typer.echo("There are no collections.")
        return
    table = Table(
        Column("name", overflow="fold"), Column("passages", justify="right"), Column("model", overflow="fold"), box=None
    )
    for each in found:
        model = f"{each.current.fingerprint.model}, {each.current.fingerprint.dimensionality}" if each.current else "-"
        table.add_row(each.name, f"{each.passages:,}", model)
    Console().print(table)


@app.command("show")
@with_settings("uri", "collection", "token")
def show(settings: Settings, *, name: _Name = None, as_json: AsJson = False) -> None:
    """Show a collection's model and how its documents are named.

    Other versions are vectors of another model that are still there, such as those of an interrupted gemvec reembed.

    Examples:
        gemvec collections show
        gemvec collections show docs --uri ./my.db --json
    """
    from gemvec.milvus.overview import CollectionOverview

    with _opened(settings, name) as collection:
        current = collection.resolve()
        others = tuple(collection.list_others())
        facts = _to_json(
            CollectionOverview(name=collection.name, current=current, others=others, passages=current.count())
        )
    _print_facts(facts, as_json=as_json)


@app.command("stats")
@with_settings("uri", "collection", "token")
def stats(settings: Settings, *, name: _Name = None, as_json: AsJson = False) -> None:
    """Count the documents and passages of a collection.

    Incomplete documents have passages that are missing, because a run was interrupted; the next one completes them.

    Examples:
        gemvec collections stats
        gemvec collections stats docs --json
    """
    from gemvec.milvus.overview import count_documents

    with _opened(settings, name) as collection:
        found = count_documents(collection.resolve())
    facts = asdict(found) | {"documents_by_suffix": dict(found.documents_by_suffix.most_common())}
    _print_facts(facts, as_json=as_json)


@app.command("delete")
@with_settings("uri", "collection", "token")
def delete(
    settings: Settings,
    *,
    name: _Name = None,
    sources: Annotated[
        list[str],
        typer.Option("--source", metavar="SOURCE", help="File, folder, glob in quotes, address or document id."),
    ],
    as_json: AsJsonOutcome = False,
) -> None:
    """Delete the documents of some sources from a collection.

    The sources are named as for gemvec index, and need not exist any more. Their files are left alone: as long as they
    are there, the next gemvec index of them brings the documents back.

    Examples:
        gemvec collections delete --source docs/old.md
        gemvec collections delete docs --source 'drafts/*.md' --source notes/
    """
    from gemvec.milvus.overview import delete_sources

    with _opened(settings, name) as collection:
        deleted = delete_sources(collection.resolve(), sources)
    if as_json:
        typer.echo(json.dumps({"deleted": deleted}, ensure_ascii=False))
        return
    for source, count in deleted.items():
        typer.echo(f"{source}: {count:,} document{'' if count == 1 else 's'} deleted")


@app.command("drop")
@with_settings("uri", "token")
def drop(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which collection.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    as_json: AsJsonOutcome = False,
) -> None:
    """Delete a collection for good, with all of its passages.

    Asks for confirmation, unless --yes is given.

    Examples:
        gemvec collections drop old
        gemvec collections drop old --uri ./my.db --yes
    """
    from gemvec.milvus.overview import drop_collection

    with _opened(settings, name) as collection:
        passages = collection.resolve().count()
        if not yes and not typer.confirm(f"Delete collection {name} with {passages:,} passages?", err=True):
            raise InvalidRequest("Nothing was deleted.")
        drop_collection(collection)
    if as_json:
        typer.echo(json.dumps({"name": name, "passages": passages}))
    else:
        typer.echo(f"{name}: deleted, {passages:,} passages")


@contextmanager
def _opened(settings: Settings, name: str | None) -> Generator[Collection]:
    from gemvec.milvus import open_collection

    name = settings.collection if name is None else name  # an empty one is refused, as of a variable without a value
    with open_collection(settings.uri, name, token=settings.token, must_exist=True) as found:
        yield found


def _to_json(each: CollectionOverview) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": each.name, "passages": each.passages}
    if each.current:
        facts |= _describe(each.current) | {"indexing": asdict(each.current.indexing)}
    return facts | {"others": [_describe(other) for other in each.others]}


def _describe(version: CollectionVersion) -> dict[str, Any]:
    return {"version": version.name, "fingerprint": asdict(version.fingerprint)}


def _print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' ')}: {_as_text(value)}")


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        rows = cast("dict[str, Any]", value).items()
        return "".join(f"\n  {name.replace('_', ' ')}: {_as_text(each)}" for name, each in rows) or "-"
    if isinstance(value, list):
        return ", ".join(str(each["version"]) for each in cast("list[dict[str, Any]]", value)) or "-"
    if value is None or value == "":
        return "-"
    return f"{value:,}" if type(value) is int else str(value)
