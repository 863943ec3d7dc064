"""`gemvec batch`: many texts embedded in the background, by a gemvec server or by Google."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gemvec.cli.completion import complete_model
from gemvec.cli.options import AsJson, TaskTypeName
from gemvec.cli.resources import STANDARD_OUTPUT, Limit, delete_each, page_size, show_fields, show_list
from gemvec.cli.server import ServerOptions, with_server
from gemvec.errors import GemvecError

if TYPE_CHECKING:
    from gemvec.client.batches import BatchClient, OnProgress
    from gemvec.wire.batches import EmbedContentBatch

app = typer.Typer(help="Create batches at a server, follow them and fetch their results.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="`batches/{id}`, or only the id.")]


@app.command("create")
@with_server
def create(
    server: ServerOptions,
    *,
    source: Annotated[
        str,
        typer.Argument(
            help="Requests in a .jsonl file, rows of a .csv or .parquet, lines of a .txt, or an uploaded `files/{id}`."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Model to embed with.", autocompletion=complete_model)
    ] = "gemini-embedding-001",
    display_name: Annotated[str | None, typer.Option(help="A human-readable name. [default: the file's name]")] = None,
    priority: Annotated[int, typer.Option(metavar="N", help="Higher ones go first; may be negative.")] = 0,
    task_type: TaskTypeName = None,
    dimensionality: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of values in each vector.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    key_column: Annotated[
        str | None, typer.Option(help="Column of the keys. [default: `key` or `id` if there is one, else row numbers]")
    ] = None,
    title_column: Annotated[
        str | None,
        typer.Option(help="Column of the titles, for RETRIEVAL_DOCUMENT. [default: `title` if there is one]"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a batch and print its name.

    Examples:
        gemvec batch create requests.jsonl --base-url http://localhost:8000
        gemvec batch create articles.parquet --text-column body --wait
        gemvec batch create lines.txt --google --dimensionality 768 --json
    """
    from gemvec.cli.batch_input import BatchInput, Columns

    columns = Columns(text=text_column, key=key_column, title=title_column)
    batch_input = BatchInput(
        model=model,
        display_name=display_name,
        priority=priority,
        columns=columns,
        task_type=task_type,
        dimensionality=dimensionality,
    )
    with _open(server) as client:
        batch = batch_input.create(client, source)
        if wait:
            batch = _follow(client, batch.batch_id)
    typer.echo(json.dumps(_to_json(batch)) if as_json else f"batches/{batch.batch_id}")
    _end(batch if wait else None)


@app.command("list")
@with_server
def list_batches(
    server: ServerOptions,
    *,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List your batches, the newest first.

    Examples:
        gemvec batch list --base-url http://localhost:8000
        gemvec batch list --google --json
    """
    with _open(server) as client:
        found = client.list(page_size=page_size(limit))
        show_list(
            found, limit=limit, to_wire=_to_json, columns=_COLUMNS, nothing="There are no batches.", as_json=as_json
        )


@app.command("get")
@with_server
def get(server: ServerOptions, *, name: Name, as_json: AsJson = False) -> None:
    """Describe a batch.

    Examples:
        gemvec batch get batches/abc123 --base-url http://localhost:8000
    """
    with _open(server) as client:
        show_fields(_to_json(client.get(name)), as_json=as_json)


@app.command("wait")
@with_server
def wait(server: ServerOptions, *, name: Name, as_json: AsJson = False) -> None:
    """Wait until a batch has ended.

    The exit status is 1 if it did not succeed, or if every request failed.

    Examples:
        gemvec batch wait batches/abc123 --base-url http://localhost:8000
    """
    with _open(server) as client:
        batch = _follow(client, name)
    if as_json:
        typer.echo(json.dumps(_to_json(batch)))
    else:
        counts = f"{_done(batch):,} done, {batch.stats.failed_request_count:,} of them failed"
        typer.echo(f"batches/{batch.batch_id} {batch.state.lower()}: {counts}")
    _end(batch)


@app.command("cancel")
@with_server
def cancel(server: ServerOptions, *, name: Name, as_json: AsJson = False) -> None:
    """Cancel a batch; finished results are kept.

    Examples:
        gemvec batch cancel batches/abc123 --base-url http://localhost:8000
    """
    with _open(server) as client:
        client.cancel(name)
        batch = client.get(name)
    typer.echo(json.dumps(_to_json(batch)) if as_json else f"batches/{batch.batch_id} {batch.state.lower()}")


@app.command("delete")
@with_server
def delete(
    server: ServerOptions,
    *,
    names: Annotated[list[str], typer.Argument(help="`batches/{id}`, or only the ids.")],
    as_json: AsJson = False,
) -> None:
    """Delete batches with their results.

    Running ones are cancelled first.

    Examples:
        gemvec batch delete batches/abc123 batches/abc124 --google
    """
    with _open(server) as client:
        delete_each(names, client.delete, as_json=as_json)


@app.command("results")
@with_server
def results(
    server: ServerOptions,
    *,
    name: Name,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="A .jsonl, .parquet or .npy file, or - for JSON lines on standard output."),
    ] = STANDARD_OUTPUT,
    as_json: AsJson = False,
) -> None:
    """Write a batch's results in the order of its requests.

    JSON lines and Parquet contain the error of each failed request. An array cannot, and is refused if a request
    failed.

    Examples:
        gemvec batch results batches/abc123 -o vectors.npy
        gemvec batch results batches/abc123 --google | head -1
    """
    from gemvec.cli.batch_output import write_lines, write_results

    with _open(server) as client:
        batch = client.get(name)
        if not batch.state.is_ended:
            raise GemvecError(f"batches/{batch.batch_id} has not ended; wait for it with gemvec batch wait.")
        if output == STANDARD_OUTPUT:
            write_lines(client, name, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        count = write_results(client, name, Path(output))
    typer.echo(json.dumps({"path": output, "results": count}) if as_json else f"{count:,} results in {output}")


@contextmanager
def _open(server: ServerOptions) -> Generator[BatchClient]:
    from gemvec.client.batches import BatchClient

    with BatchClient(server.find()) as client:
        yield client


def _follow(client: BatchClient, name: str) -> EmbedContentBatch:
    """Wait, with a progress bar on a terminal; after an interrupt, say how to go on waiting."""
    with _bar() as on_progress:
        try:
            return client.wait(name, on_progress=on_progress)
        except KeyboardInterrupt:
            Console(stderr=True).print(f"The batch goes on. To wait for it again: gemvec batch wait {escape(name)}")
            raise


@contextmanager
def _bar() -> Generator[OnProgress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("requests"))
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("waiting", total=None)

        def show(batch: EmbedContentBatch) -> None:
            description = batch.waiting_reason or batch.state.lower()
            bar.update(task, description=escape(description), completed=_done(batch), total=batch.stats.request_count)

        yield show


def _end(batch: EmbedContentBatch | None) -> None:
    """Exit with status 1 if a batch that was waited for did not succeed, or if all of its requests failed."""
    from gemvec.wire.batches import BatchState

    if batch is None:
        return
    reason = (
        "" if batch.state is BatchState.SUCCEEDED else batch.error_message or f"Its state is {batch.state.lower()}."
    )
    if not reason and batch.stats.failed_request_count == batch.stats.request_count > 0:
        reason = f"Every request failed; gemvec batch results {batch.batch_id} says why."
    if reason:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(reason)}", highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _done(batch: EmbedContentBatch) -> int:
    return batch.stats.successful_request_count + batch.stats.failed_request_count


def _to_json(batch: EmbedContentBatch) -> dict[str, Any]:
    from gemvec.wire.message import to_wire

    error = {"error": {"code": batch.error_code, "message": batch.error_message}} if batch.error_code else {}
    return to_wire(batch) | error


def _counts(batch: EmbedContentBatch) -> str:
    failed = f", {batch.stats.failed_request_count:,} failed" if batch.stats.failed_request_count else ""
    return f"{_done(batch):,} of {batch.stats.request_count:,}{failed}"


_COLUMNS: dict[str, Callable[[EmbedContentBatch], str]] = {
    "batch": lambda batch: f"batches/{batch.batch_id}",
    "name": lambda batch: batch.display_name or "",
    "state": lambda batch: batch.state.lower(),
    "done": _counts,
    ">priority": lambda batch: f"{batch.priority or 0:,}",
    "created (UTC)": lambda batch: f"{batch.created_at:%Y-%m-%d %H:%M}" if batch.created_at else "-",
}
