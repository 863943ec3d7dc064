"""`gemvec export` and `gemvec import`: a collection as a Parquet file, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gemvec.cli.options import AsJsonOutcome, check_can_be_written, with_settings
from gemvec.cli.progress import show_rows
from gemvec.settings import Settings


@with_settings("uri", "collection", "token")
def export(
    settings: Settings,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet file to write; replaced when it exists.")],
    as_json: AsJsonOutcome = False,
) -> None:
    """Write a collection to a Parquet file.

    The file contains vectors, texts, metadata and the fingerprint of the model. `gemvec import` and Milvus' own bulk
    import can read it.

    Examples:
        gemvec export docs.parquet
        gemvec export docs.parquet --uri ./my.db --collection docs
    """
    from gemvec.milvus import open_collection
    from gemvec.milvus.exchange import export_collection

    console = Console(stderr=True)
    with (
        open_collection(settings.uri, settings.collection, token=settings.token, must_exist=True) as collection,
        show_rows("Exporting", console) as on_progress,
    ):
        collection.resolve()  # first say if there is nothing to export
        check_can_be_written(file, "FILE")
        report = export_collection(collection, file, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    Console().print(
        f"[green]Exported:[/] {report.rows:,} passages of {escape(str(report.fingerprint))}\n"
        f"to {escape(report.path)}, {report.file_bytes / 2**20:,.1f} MiB",
        highlight=False,
        soft_wrap=True,
    )


@with_settings("uri", "collection", "token")
def import_(
    settings: Settings,
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Parquet files written by `gemvec export`.")],
    as_json: AsJsonOutcome = False,
) -> None:
    """Write exported files into a new or an existing collection.

    The collection may be on Milvus Lite, a server or Zilliz Cloud. Rows that are already there are not written again,
    so after an interruption run the same command again. Vectors of another model than the collection's are refused.

    Examples:
        gemvec import docs.parquet --uri http://localhost:19530
        gemvec import docs.parquet --uri "$ZILLIZ_URI" --token "$ZILLIZ_TOKEN"
    """
    from gemvec.milvus import open_collection
    from gemvec.milvus.exchange import import_collection
    from gemvec.milvus.parquet import open_file

    console = Console(stderr=True)
    for file in files:
        open_file(file)  # before a database is made for nothing
    with open_collection(settings.uri, settings.collection, token=settings.token) as collection:
        try:
            with show_rows("Importing", console) as on_progress:
                report = import_collection(collection, files, on_progress=on_progress)
        except KeyboardInterrupt:
            console.print("Everything done so far is kept; run the same command again to continue.")
            raise
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    same = report.rows - report.written
    Console().print(
        f"[green]Imported:[/] {report.rows:,} passages of {escape(str(report.fingerprint))}\n"
        f"into {escape(settings.collection)}: {report.written:,} written, {same:,} were there already",
        highlight=False,
        soft_wrap=True,
    )
