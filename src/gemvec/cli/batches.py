"""`gemvec batch`: large amounts of texts, embedded while nobody waits, at a gemvec server or at Google."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from gemvec.cli.files import ApiKey, BaseUrl, Google
from gemvec.cli.options import AsJson
from gemvec.cli.target import Target
from gemvec.errors import BadSetting, GemvecError

if TYPE_CHECKING:
    from gemvec.client.batches import BatchClient, OnProgress
    from gemvec.wire.batches import EmbedContentBatch

app = typer.Typer(help="Create, follow and fetch batches at a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="`batches/{id}`, or the id alone.")]

_STANDARD_OUTPUT = "-"


@app.command("create")
def create(
    *,
    source: Annotated[
        str,
        typer.Argument(
            help="Requests in a .jsonl file, rows of a .csv or .parquet, lines of a .txt, or an uploaded `files/{id}`."
        ),
    ],
    model: Annotated[str, typer.Option(help="Model to embed with.")] = "gemini-embedding-001",
    display_name: Annotated[str | None, typer.Option(help="A name for people; the file's own when absent.")] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first; negatives are allowed.")] = 0,
    task_type: Annotated[
        str | None, typer.Option(help="What the vectors are for: RETRIEVAL_DOCUMENT and others.")
    ] = None,
    dimensionality: Annotated[int | None, typer.Option(min=1, metavar="N", help="Values in each vector.")] = None,
    text_column: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    key_column: Annotated[
        str | None, typer.Option(help="Column of the keys; `key` or `id` where there is one, else row numbers.")
    ] = None,
    title_column: Annotated[
        str | None, typer.Option(help="Column of the titles, for RETRIEVAL_DOCUMENT; `title` where there is one.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Hand in a batch and print its name.

    Examples:
        gemvec batch create requests.jsonl --base-url http://localhost:8000
        gemvec batch create articles.parquet --text-column body --wait
        gemvec batch create lines.txt --google --dimensionality 768 --json
    """
    from gemvec.cli.batch_input import Columns, HandIn

    columns = Columns(text=text_column, key=key_column, title=title_column)
    hand_in = HandIn(
        model=model,
        display_name=display_name,
        priority=priority,
        columns=columns,
        task_type=task_type,
        dimensionality=dimensionality,
    )
    with _open(base_url, google=google, api_key=api_key) as client:
        batch = hand_in.create(client, source)
        if wait:
            batch = _follow(client, batch.batch_id)
    typer.echo(_json(batch) if as_json else f"batches/{batch.batch_id}")
    _end(batch if wait else None)


@app.command("list")
def list_batches(
    *,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show at most so many.")] = 50,
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List your batches, the newest first.

    Examples:
        gemvec batch list --base-url http://localhost:8000
        gemvec batch list --google --json
    """
    with _open(base_url, google=google, api_key=api_key) as client:
        found = list(islice(client.list(page_size=min(limit, 100)), limit))
    if as_json:
        typer.echo("[" + ", ".join(_json(batch) for batch in found) + "]")
        return
    right = [Column(name, justify="right") for name in ("done", "failed", "of", "priority")]
    table = Table(Column("batch", no_wrap=True), "name", "model", "state", *right, "created", box=None)
    for batch in found:
        created = f"{batch.created_at:%Y-%m-%d %H:%M} UTC" if batch.created_at else "-"
        counts = (_done(batch), batch.stats.failed_request_count, batch.stats.request_count, batch.priority)
        shown = (f"batches/{batch.batch_id}", batch.display_name, batch.model, batch.state.lower())
        table.add_row(*(escape(each) for each in shown), *(f"{each:,}" for each in counts), created)
    Console().print(table)


@app.command("get")
def get(
    *, name: Name, base_url: BaseUrl = None, google: Google = False, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Describe a batch.

    Examples:
        gemvec batch get batches/abc123 --base-url http://localhost:8000
    """
    with _open(base_url, google=google, api_key=api_key) as client:
        batch = client.get(name)
    if as_json:
        typer.echo(_json(batch))
        return
    table = Table(show_header=False, box=None)
    for field, value in json.loads(_json(batch)).items():
        table.add_row(field, escape(value if isinstance(value, str) else json.dumps(value)))
    Console().print(table)


@app.command("wait")
def wait(
    *, name: Name, base_url: BaseUrl = None, google: Google = False, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Wait until a batch has ended; exit status 1 unless it succeeded.

    Examples:
        gemvec batch wait batches/abc123 --base-url http://localhost:8000
    """
    with _open(base_url, google=google, api_key=api_key) as client:
        batch = _follow(client, name)
    if as_json:
        typer.echo(_json(batch))
    else:
        counts = f"{_done(batch):,} done, {batch.stats.failed_request_count:,} of them failed"
        typer.echo(f"batches/{batch.batch_id} {batch.state.lower()}: {counts}")
    _end(batch)


@app.command("cancel")
def cancel(
    *, name: Name, base_url: BaseUrl = None, google: Google = False, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """End a batch; what is finished stays.

    Examples:
        gemvec batch cancel batches/abc123 --base-url http://localhost:8000
    """
    with _open(base_url, google=google, api_key=api_key) as client:
        client.cancel(name)
        batch = client.get(name)
    typer.echo(_json(batch) if as_json else f"batches/{batch.batch_id} {batch.state.lower()}")


@app.command("delete")
def delete(
    *,
    names: Annotated[list[str], typer.Argument(help="`batches/{id}`, or ids alone.")],
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Delete batches with their results.

    Those that run are cancelled first.

    Examples:
        gemvec batch delete batches/abc123 batches/abc124 --google
    """
    with _open(base_url, google=google, api_key=api_key) as client:
        for name in names:
            client.delete(name)
            if not as_json:
                typer.echo(f"{name} is deleted.")
    if as_json:
        typer.echo(json.dumps({"deleted": names}))


@app.command("results")
def results(
    *,
    name: Name,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="A .jsonl, .parquet or .npy file; - for JSON lines on standard output."),
    ] = _STANDARD_OUTPUT,
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Write a batch's results in the order of its requests.

    JSON lines and Parquet have errors at their places; an array has none, and is refused where a request failed.

    Examples:
        gemvec batch results batches/abc123 -o vectors.npy
        gemvec batch results batches/abc123 --google | head -1
    """
    from gemvec.cli.batch_output import write_lines, write_results

    with _open(base_url, google=google, api_key=api_key) as client:
        batch = client.get(name)
        if not batch.state.is_ended:
            raise GemvecError(f"batches/{batch.batch_id} has not ended; gemvec batch wait waits for it.")
        if output == _STANDARD_OUTPUT:
            write_lines(client, name, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        count = write_results(client, name, Path(output))
    typer.echo(json.dumps({"path": output, "results": count}) if as_json else f"{count:,} results in {output}")


@contextmanager
def _open(base_url: str | None, *, google: bool, api_key: str | None) -> Generator[BatchClient]:
    from gemvec.client.batches import BatchClient
    from gemvec.client.target import find_target

    target = find_target(Target.of(model=None, base_url=base_url, google=google).base_url, api_key=api_key)
    if target.is_local:
        raise BadSetting("--base-url has value 'local': batches are kept by a server; give its address.")
    with BatchClient(target) as client:
        yield client


def _follow(client: BatchClient, name: str) -> EmbedContentBatch:
    """Wait with a progress bar, on a terminal only; an interrupt says how to go on waiting."""
    with _bar() as on_progress:
        try:
            return client.wait(name, on_progress=on_progress)
        except KeyboardInterrupt:
            Console(stderr=True).print(f"The batch goes on. gemvec batch wait {escape(name)} waits for it again.")
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
    """Exit with status 1 when a batch that was waited for did not succeed."""
    from gemvec.wire.batches import BatchState

    if batch is not None and batch.state is not BatchState.SUCCEEDED:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(batch.error_message)}", highlight=False)
        raise typer.Exit(1)


def _done(batch: EmbedContentBatch) -> int:
    return batch.stats.successful_request_count + batch.stats.failed_request_count


def _json(batch: EmbedContentBatch) -> str:
    from gemvec.wire.batches import batch_to_wire

    error = {"error": {"code": batch.error_code, "message": batch.error_message}} if batch.error_code else {}
    return json.dumps(batch_to_wire(batch) | error)
