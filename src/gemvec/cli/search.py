"""`gemvec search`: search a collection."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, ModelName, open_embedder, refuse_other_model
from gemvec.cli.options import with_settings
from gemvec.cli.server import ServerOptions, with_server
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.milvus import Hit

_PASSAGE_CHARACTERS = 600


@with_settings("uri", "collection", "token", *EMBEDDER_SETTINGS)
@with_server
def search(
    settings: Settings,
    server: ServerOptions,
    *,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="Most passages to show.")] = 5,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Also match words (BM25), not only meaning.")] = False,
    where: Annotated[
        str, typer.Option(help='Only passages that match this Milvus filter, such as \'metadata["lang"] == "en"\'.')
    ] = "",
    model: ModelName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the passages as JSON.")] = False,
) -> None:
    """Search a collection for the passages nearest to a query.

    Shows each passage with its score, its source and its position there. The query must be embedded by the model that
    filled the collection; another one is refused.

    Examples:
        gemvec search "how do I cancel a batch?"
        gemvec search "error 429" --hybrid -n 10 --uri ./my.db
        gemvec search "refunds" --where 'metadata["lang"] == "en"' --json
    """
    choice = EmbedderChoice(server=server, model=model)
    hits = asyncio.run(_search(settings, choice, query, limit=limit, hybrid=hybrid, where=where))
    if as_json:
        typer.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False))
    else:
        show(hits, Console())


async def _search(
    settings: Settings, choice: EmbedderChoice, query: str, *, limit: int, hybrid: bool, where: str
) -> list[Hit]:
    from gemvec.milvus import open_collection
    from gemvec.milvus import search as search_collection

    with open_collection(
        settings.uri, settings.collection, token=settings.token, must_exist=True, is_only_client=True
    ) as collection:
        stored = collection.resolve().fingerprint
        resolved = choice.or_model(stored.model).resolve(settings)
        refuse_other_model(settings, resolved, stored, collection=collection.name)
        async with open_embedder(settings, resolved) as opened:
            if choice.model is not None:
                wanted = await asyncio.to_thread(opened.get_fingerprint, stored.dimensionality)
                stored.check(wanted, collection=collection.name)
            return await search_collection(collection, opened.embedder, query, limit=limit, hybrid=hybrid, where=where)


def show(hits: list[Hit], console: Console) -> None:
    """Print the passages."""
    if not hits:
        console.print("Nothing found.")
    for number, hit in enumerate(hits, start=1):
        where = ", ".join(part for part in (hit.source or hit.document_id, hit.position) if part)
        heading = f"  {hit.heading or hit.title}"
        console.print(
            f"[bold]{number}.[/] [cyan]{escape(where)}[/] [dim]{hit.score:.3f}{escape(heading)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        passage = hit.text if len(hit.text) <= _PASSAGE_CHARACTERS else hit.text[:_PASSAGE_CHARACTERS] + " ..."
        # In a pipe, passages keep their lines.
        console.print(escape(passage), style="default", highlight=False, soft_wrap=not console.is_terminal)
        console.print()
