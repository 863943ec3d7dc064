"""`gemvec reembed`: move a collection to another model while it is being searched."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gemvec.cli.completion import complete_model
from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, open_embedder
from gemvec.cli.options import AsJsonOutcome, or_none, with_settings
from gemvec.cli.progress import show_rows
from gemvec.cli.ray import RAY_SETTINGS, RayAddress
from gemvec.cli.server import ServerOptions, with_server
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.milvus import ReembedReport


@with_settings("uri", "collection", "token", *EMBEDDER_SETTINGS, *RAY_SETTINGS)
@with_server
def reembed(
    settings: Settings,
    server: ServerOptions,
    *,
    model: Annotated[
        str,
        typer.Option(
            help="Model to move to: a catalogue id, hub id, folder, or a name that a server serves.",
            autocompletion=complete_model,
        ),
    ],
    dimensionality: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of values in a vector. [default: the model's own]")
    ] = None,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Delete the vectors of other models at the end.")
    ] = False,
    ray: RayAddress = None,
    as_json: AsJsonOutcome = False,
) -> None:
    """Move a collection to another model while it can be searched.

    Builds the new vectors beside the old ones and switches at the end, for all readers at once. After an interruption,
    run it again to continue. The old vectors are kept, so that going back costs nothing, unless --drop-old is given.

    Examples:
        gemvec reembed --model intfloat/e5-small-v2
        gemvec reembed --model intfloat/e5-small-v2 --drop-old
        gemvec reembed --model gemini-embedding-001 --google --collection docs
        gemvec reembed --model intfloat/e5-small-v2 --ray 10.0.0.5:6379
    """
    console = Console(stderr=True)
    choice = EmbedderChoice(server=server, model=model, ray=or_none("--ray", ray))
    choice.check(settings)
    try:
        report = asyncio.run(_reembed(settings, choice, dimensionality, drop_old, console))
    except KeyboardInterrupt:
        console.print("Everything done so far is kept; run the same command again to continue.")
        raise
    if as_json:
        typer.echo(json.dumps(asdict(report)))
    else:
        show(report, settings.collection, Console())


async def _reembed(
    settings: Settings, choice: EmbedderChoice, dimensionality: int | None, drop_old: bool, console: Console
) -> ReembedReport:
    from gemvec.milvus import open_collection
    from gemvec.milvus import reembed as reembed_collection
    from gemvec.milvus.embed import TEXTS_IN_FLIGHT

    with open_collection(settings.uri, settings.collection, token=settings.token, must_exist=True) as collection:
        collection.resolve()  # before a model is fetched for nothing
        async with open_embedder(settings, choice) as opened:
            fingerprint = await asyncio.to_thread(opened.get_fingerprint, dimensionality)
            with show_rows("Embedding", console) as on_progress:
                return await reembed_collection(
                    collection,
                    opened.embedder,
                    fingerprint,
                    drop_old=drop_old,
                    on_progress=on_progress,
                    texts_in_flight=opened.on_cluster.texts_in_flight if opened.on_cluster else TEXTS_IN_FLIGHT,
                )


def show(report: ReembedReport, collection: str, console: Console) -> None:
    """Print the outcome."""
    if report.old == report.new:
        console.print(f"{escape(collection)} already has vectors of {escape(str(report.new))}", highlight=False)
    else:
        console.print(
            f"[green]Moved:[/] {report.rows:,} passages from {escape(str(report.old))}\n"
            f"       to {escape(str(report.new))}; {report.embedded:,} embedded, {report.seconds:.1f} s",
            highlight=False,
            soft_wrap=True,
        )
    for name in report.kept:
        console.print(f"[dim]kept: {escape(name)} (--drop-old deletes it)[/]", highlight=False)
