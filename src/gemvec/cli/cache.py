"""`gemvec cache`: show what the cache of embeddings contains, and clear it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Column, Table

from gemvec.cli.options import AsJson, with_settings
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.cache import CacheStats

app = typer.Typer(help="Show and clear the cache, which saves embedding a text twice.", no_args_is_help=True)


@app.command("stats")
@with_settings("cache_dir", "embedding_cache_bytes")
def stats(settings: Settings, *, as_json: AsJson = False) -> None:
    """Show how much is in the cache and what it has saved.

    Examples:
        gemvec cache stats
        gemvec cache stats --json
    """
    from gemvec.cache import open_cache

    cache = open_cache(settings)
    found = cache.stats()
    cache.close()
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        Console().print(_table(found))


@app.command("clear")
@with_settings("cache_dir", "embedding_cache_bytes")
def clear(settings: Settings, *, as_json: AsJson = False) -> None:
    """Delete every cached embedding.

    Safe while other programs use the cache.

    Examples:
        gemvec cache clear
    """
    from gemvec.cache import open_cache

    cache = open_cache(settings)
    dropped = cache.clear()
    cache.close()
    typer.echo(json.dumps({"dropped": dropped}) if as_json else f"{dropped:,} embeddings deleted.")


def _table(found: CacheStats) -> Table:
    asked = found.hits + found.misses
    table = Table(Column(no_wrap=True), Column(overflow="fold"), show_header=False, box=None)
    table.add_row("file", found.path)
    table.add_row("embeddings", f"{found.entries:,}")
    table.add_row("size", f"{found.used_bytes / 2**20:,.1f} of at most {found.max_bytes / 2**20:,.0f} MiB")
    table.add_row("texts found", f"{found.hits:,} of {asked:,}" + (f" ({found.hits / asked:.0%})" if asked else ""))
    table.add_row("tokens saved", f"{found.tokens_saved:,}")
    return table
