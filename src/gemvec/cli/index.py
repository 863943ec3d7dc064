"""`gemvec index`: documents into a Milvus collection, again and again, without doing work twice."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, ModelName, open_embedder, refuse_other_model
from gemvec.cli.options import AsJsonOutcome, check_can_be_written, with_settings
from gemvec.cli.server import ServerOptions, with_server
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.cli.embedder import OpenEmbedder
    from gemvec.milvus import BadDocument, Collection, Fingerprint, IngestPlan, IngestReport, PassageOptions, Sources
    from gemvec.milvus import Progress as IngestProgress

_BAD_DOCUMENTS_SHOWN = 5


@with_settings("uri", "collection", "token", *EMBEDDER_SETTINGS)
@with_server
def index(
    settings: Settings,
    server: ServerOptions,
    *,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Folders, files, globs in quotes, or - for standard input."),
    ],
    model: ModelName = None,
    dimensionality: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Values in a vector; the model's own number when not given.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete documents of these sources that are gone.")] = False,
    chunk_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most tokens in a passage; 128 when not given.")
    ] = None,
    overlap_tokens: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Tokens repeated where a paragraph has to be cut; 16 when not given."),
    ] = None,
    text_field: Annotated[str | None, typer.Option(help="Field of records that is the text.")] = None,
    id_field: Annotated[str | None, typer.Option(help="Field of records that is the id.")] = None,
    title_field: Annotated[str | None, typer.Option(help="Field of records that is the title.")] = None,
    error_report: Annotated[
        Path | None, typer.Option(help="Write documents that were left out to this file, one JSON object a line.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what Google would bill; change nothing.")
    ] = False,
    as_json: AsJsonOutcome = False,
) -> None:
    """Index documents into Milvus, searchable at the end.

    Reads .md, .txt, .html, .rst and .pdf, and records of .jsonl, .csv and .parquet; cuts them along their structure.
    Run again, it embeds only what has changed; interrupted at any moment, it goes on from there. A document that cannot
    be read is reported and left out.

    Examples:
        gemvec index docs/
        gemvec index docs/ notes.pdf --uri ./my.db --collection docs --prune
        gemvec index docs/ --dry-run
        gemvec index articles.parquet --text-field body
        cat notes.txt | gemvec index - --uri http://localhost:19530
    """
    from gemvec.milvus import PassageOptions, RecordFields, Sources

    check_can_be_written(error_report, "--error-report")
    sizes = {"max_tokens": chunk_tokens, "overlap_tokens": overlap_tokens}
    named = {"text": text_field, "id": id_field, "title": title_field}
    fields = RecordFields(**{name: (field,) for name, field in named.items() if field})
    standard_input = _read_standard_input() if "-" in sources else None
    order = Order(
        settings=settings,
        choice=EmbedderChoice(server=server, model=model),
        dimensionality=dimensionality,
        sources=Sources(sources, fields=fields, standard_input=standard_input),
        passages=PassageOptions(**{name: size for name, size in sizes.items() if size is not None}),
        prune=prune,
        dry_run=dry_run,
        console=Console(stderr=True),
    )
    try:
        outcome = order.run()
    except KeyboardInterrupt:
        order.console.print("What is done is kept; run the same command again to go on.")
        raise
    report_bad(outcome.bad, error_report, order.console)
    if as_json:
        told = asdict(outcome) | {"bad": [_describe(each) for each in outcome.bad]}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        show(outcome, settings, Console())


def _read_standard_input() -> IO[bytes]:
    """Read all of it now: documents are read in another thread, which Ctrl-C does not interrupt."""
    found = io.BytesIO()
    read = cast("io.BufferedReader", sys.stdin.buffer).read1  # piece by piece, so that no signal is overlooked for long
    while some := read():
        found.write(some)
    found.seek(0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one `gemvec index` was asked to do; the fields are its options."""

    settings: Settings
    choice: EmbedderChoice
    dimensionality: int | None
    sources: Sources
    passages: PassageOptions
    prune: bool
    dry_run: bool
    console: Console

    def run(self) -> IngestReport | IngestPlan:
        """Do it."""
        from gemvec.milvus import open_collection
        from gemvec.milvus.connection import is_lite

        uri = self.settings.uri
        if self.dry_run and is_lite(uri) and not Path(uri).exists():
            return asyncio.run(self._run_with(None))
        name, token, snapshots = self.settings.collection, self.settings.token, self.settings.cache_dir / "collections"
        with open_collection(uri, name, token=token, is_only_client=True, snapshots=snapshots) as collection:
            return asyncio.run(self._run_with(collection))

    async def _run_with(self, collection: Collection | None) -> IngestReport | IngestPlan:
        stored = collection.resolve().fingerprint if collection is not None and collection.exists() else None
        choice = self.choice.or_model(stored.model if stored else None).resolve(self.settings)
        if stored is not None:
            refuse_other_model(self.settings, choice, stored, collection=self.settings.collection)
        async with open_embedder(self.settings, choice) as opened:
            wanted = None
            if self._must_compare(stored):
                wanted = await asyncio.to_thread(opened.get_fingerprint, self.dimensionality)
            if self.dry_run or collection is None:
                return self._plan(collection, opened, wanted)
            return await self._ingest(collection, opened, wanted)

    def _must_compare(self, stored: Fingerprint | None) -> bool:
        """Whether the model must be opened to know which vectors are wanted."""
        if stored is None:
            return not self.dry_run
        return self.choice.model is not None or self.dimensionality is not None

    def _plan(self, collection: Collection | None, opened: OpenEmbedder, wanted: Fingerprint | None) -> IngestPlan:
        from gemvec.milvus import Splitter, plan_ingest

        splitter = Splitter(self.passages, opened.tokenizer_file)
        with self.console.status("Reading documents ..."):
            return plan_ingest(collection, self.sources, fingerprint=wanted, splitter=splitter)

    async def _ingest(self, collection: Collection, opened: OpenEmbedder, wanted: Fingerprint | None) -> IngestReport:
        from gemvec.milvus import Splitter, ingest

        with show_progress(self.console, self.sources.total_bytes) as on_progress:
            return await ingest(
                collection,
                opened.embedder,
                self.sources,
                fingerprint=wanted,
                splitter=Splitter(self.passages, opened.tokenizer_file),
                prune=self.sources.scopes if self.prune else (),
                on_progress=on_progress,
            )


@contextmanager
def show_progress(console: Console, total_bytes: int) -> Generator[Callable[[IngestProgress], None]]:
    """Give a function that shows how far an ingest is: a bar with passages a second and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading documents", total=total_bytes or None)

        def report(progress: IngestProgress) -> None:
            rate = progress.embedded / max(time.monotonic() - started, 1e-3)
            text = f"{progress.documents:,} documents, {progress.embedded:,} passages, {rate:,.0f} passages/s"
            bar.update(task, completed=progress.read_bytes, description=text)

        yield report


def report_bad(bad: Sequence[BadDocument], path: Path | None, console: Console) -> None:
    """Tell which documents were left out and why: the first ones on the terminal, all of them in the file `path`."""
    if path is not None:
        path.write_text("".join(json.dumps(_describe(each)) + "\n" for each in bad))
    for each in bad[:_BAD_DOCUMENTS_SHOWN]:
        where = f"{each.source}, {each.place}" if each.place else each.source
        console.print(f"[yellow]left out:[/] {escape(where)}: {escape(each.reason)}", highlight=False, soft_wrap=True)
    if len(bad) > _BAD_DOCUMENTS_SHOWN:
        more = len(bad) - _BAD_DOCUMENTS_SHOWN
        hint = f"see {path}" if path else "--error-report FILE writes them all"
        console.print(f"[yellow]left out:[/] {more:,} more; {hint}", highlight=False, soft_wrap=True)


def _describe(bad: BadDocument) -> dict[str, str]:
    return {name: getattr(bad, name) for name in ("source", "place", "id", "reason")}


def show(outcome: IngestReport | IngestPlan, settings: Settings, console: Console) -> None:
    """Print the outcome for people."""
    from gemvec.milvus import IngestReport

    if not isinstance(outcome, IngestReport):
        show_plan(outcome, console)
        return
    counts = ("added", "changed", "unchanged", "removed")
    said = ", ".join(f"{getattr(outcome, name):,} {name}" for name in counts if getattr(outcome, name))
    rate = f", {outcome.embedded / outcome.seconds:,.0f} passages/s" if outcome.embedded else ""
    console.print(
        f"[green]Ready:[/] {outcome.documents:,} documents ({said or 'none'}); {outcome.embedded:,} passages embedded, "
        f"{outcome.tokens:,} tokens, {outcome.seconds:.1f} s{rate}",
        highlight=False,
        soft_wrap=True,
    )
    where = shlex.join(["--uri", settings.uri, "--collection", settings.collection])
    console.print(f'Ask it: gemvec search "..." {escape(where)}', highlight=False, soft_wrap=True)


def show_plan(plan: IngestPlan, console: Console) -> None:
    """Print what an ingest would do and what Google would bill for it."""
    from gemvec.milvus.prices import PRICES_AS_OF, PRICES_SOURCE

    about = "" if plan.are_tokens_exact else "about "
    console.print(
        f"{plan.documents:,} documents: {plan.added:,} new, {plan.changed:,} changed, {plan.unchanged:,} unchanged\n"
        f"{plan.passages:,} passages in new and changed ones, {about}{plan.tokens:,} tokens; "
        f"to embed: {plan.new_passages:,} passages, {about}{plan.new_tokens:,} tokens",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("model", "interactive", "batch", title="What Google would bill, about", title_justify="left")
    for bill in plan.bills:
        table.add_row(bill.model, f"${bill.interactive:,.4f}", f"${bill.batch:,.4f}")
    console.print(table)
    console.print(
        f"[dim]Prices of {PRICES_AS_OF}, {PRICES_SOURCE}. In this process it costs nothing.[/]", soft_wrap=True
    )
