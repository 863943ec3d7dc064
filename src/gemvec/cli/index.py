"""`gemvec index`: documents into a Milvus collection, again and again, without doing work twice."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, ModelName, open_embedder, refuse_other_model
from gemvec.cli.index_outcome import IndexOutcome, report_left_out, show, to_json
from gemvec.cli.options import AsJsonOutcome, check_can_be_written, with_settings
from gemvec.cli.server import ServerOptions, with_server
from gemvec.errors import FailedPrecondition, InvalidRequest
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.documents import PassageOptions, RecordFields, Sources, Splitter
    from gemvec.embedding.embedder import Embedder
    from gemvec.milvus import Collection, CollectionVersion, Fingerprint, IngestPlan, IngestReport
    from gemvec.milvus import Progress as IngestProgress
    from gemvec.milvus.indexing import Indexing


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
    root: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            exists=True,
            help="Folder that documents are named from; the one that the collection records when not given.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with status 1 when anything was left out.")] = False,
    chunk_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most tokens in a passage; as before, at first 128."),
    ] = None,
    overlap_tokens: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Tokens repeated where a paragraph is cut; as before, at first 16."),
    ] = None,
    text_field: Annotated[
        list[str] | None,
        typer.Option(
            "--text-field",
            "--text-column",
            metavar="TEXT",
            help="Field or column of records that is the text; repeat to join several.",
        ),
    ] = None,
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
    Run again, it embeds only what has changed; interrupted at any moment, it goes on from there. What cannot be read is
    said and left out. The status is 1 when nothing could be read.

    Examples:
        gemvec index docs/
        gemvec index docs/ notes.pdf --uri ./my.db --collection docs --prune
        gemvec index docs/ --dry-run
        gemvec index articles.parquet --text-field body
        cat notes.txt | gemvec index - --uri http://localhost:19530
    """
    from gemvec.milvus import RecordFields

    check_can_be_written(error_report, "--error-report")
    named = {"id": id_field, "title": title_field}
    request = IndexRequest(
        settings=settings,
        choice=EmbedderChoice(server=server, model=model),
        dimensionality=dimensionality,
        sources=sources,
        fields=RecordFields(
            joined_text=tuple(text_field or ()), **{name: (field,) for name, field in named.items() if field}
        ),
        standard_input=_read_standard_input() if "-" in sources else None,
        root=root,
        max_tokens=chunk_tokens,
        overlap_tokens=overlap_tokens,
        prune=prune,
        dry_run=dry_run,
        error_report=error_report,
        console=Console(stderr=True),
    )
    try:
        outcome = request.run()
    except KeyboardInterrupt:
        request.console.print("What is done is kept; run the same command again to go on.")
        raise
    report_left_out(outcome, error_report, request.console)
    if as_json:
        typer.echo(json.dumps(to_json(outcome), ensure_ascii=False))
    else:
        show(outcome, settings, Console())
    if not outcome.has_read_anything or (strict and outcome.has_left_anything_out):
        raise typer.Exit(1)


def _read_standard_input() -> IO[bytes]:
    """Read all of it now: documents are read in another thread, which Ctrl-C does not interrupt."""
    found = io.BytesIO()
    read = cast("io.BufferedReader", sys.stdin.buffer).read1  # piece by piece, so that no signal is overlooked for long
    while some := read():
        found.write(some)
    found.seek(0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRequest:
    """What one `gemvec index` was asked to do; the fields are its options."""

    settings: Settings
    choice: EmbedderChoice
    dimensionality: int | None
    sources: list[str]
    fields: RecordFields
    standard_input: IO[bytes] | None
    root: Path | None
    max_tokens: int | None
    overlap_tokens: int | None
    prune: bool
    dry_run: bool
    error_report: Path | None
    console: Console

    def run(self) -> IndexOutcome:
        """Do it."""
        from gemvec.milvus import open_collection
        from gemvec.milvus.connection import is_lite

        uri = self.settings.uri
        if self.dry_run and is_lite(uri) and not Path(uri).exists():
            return asyncio.run(self._run_with(None))
        name, token, snapshots = self.settings.collection, self.settings.token, self.settings.cache_dir / "collections"
        with open_collection(uri, name, token=token, is_only_client=True, snapshots=snapshots) as collection:
            return asyncio.run(self._run_with(collection))

    async def _run_with(self, collection: Collection | None) -> IndexOutcome:
        from gemvec.milvus import Splitter
        from gemvec.milvus.indexing import Indexing

        version = collection.resolve() if collection is not None and collection.exists() else None
        stored, how = (version.fingerprint, version.indexing) if version else (None, Indexing())
        options = self._get_options(how)
        sources = self._open_sources(version, how)
        choice = self.choice.or_model(stored.model if stored else None).resolve(self.settings)
        if stored is not None:
            refuse_other_model(self.settings, choice, stored, collection=self.settings.collection)
        async with open_embedder(self.settings, choice) as opened:
            wanted = None
            if self._must_compare(stored):
                wanted = await asyncio.to_thread(opened.get_fingerprint, self.dimensionality)
            splitter = Splitter(options, opened.tokenizer_file)
            if self.dry_run or collection is None:
                report = self._plan(collection, sources, wanted, splitter)
            else:
                report = await self._ingest(collection, opened.embedder, sources, wanted, splitter)
        return IndexOutcome(report=report, left_out=sources.left_out)

    def _get_options(self, how: Indexing) -> PassageOptions:
        """Return how documents are cut; say what is different from the run before."""
        options = how.get_options(max_tokens=self.max_tokens, overlap_tokens=self.overlap_tokens)
        if change := how.describe_change(options):
            self._say(change)
        return options

    def _open_sources(self, version: CollectionVersion | None, how: Indexing) -> Sources:
        """Return the sources, searched through; one that does not exist must have been in the collection."""
        with self.console.status("Looking for files ..."):
            sources = self._find_sources(version, how)
        self._check_gone(version, sources)
        return sources

    def _find_sources(self, version: CollectionVersion | None, how: Indexing) -> Sources:
        from gemvec.milvus import Sources

        settings = self.settings
        own = [Path(settings.uri), settings.cache_dir, settings.data_dir]
        return Sources(
            self.sources,
            fields=self.fields,
            standard_input=self.standard_input,
            root=self._find_root(version, how),
            own=[*own, self.error_report] if self.error_report else own,
            may_be_gone=self.prune and version is not None,
        )

    def _check_gone(self, version: CollectionVersion | None, sources: Sources) -> None:
        if version is not None and sources.gone:
            known = {row["source"] for row in version.scan(["source"])}
            for gone, scope in sources.gone.items():
                if not any(scope.holds(each) for each in known):
                    raise InvalidRequest(
                        f"There is no file, folder or match for {gone!r}, and the collection has no document from it.",
                        field="source",
                    )

    def _find_root(self, version: CollectionVersion | None, how: Indexing) -> Path:
        """Return the folder that documents are named from; say when it is not the collection's own."""
        if self.root is not None:
            if how.root and self.root.resolve() != Path(how.root):
                self._say(f"Documents are named from {self.root.resolve()} from now on, no longer from {how.root}.")
            return self.root
        if version is None:
            return Path.cwd()
        if how.root and Path(how.root).is_dir():
            return Path(how.root)
        missing = f"are named from {how.root}, which is not here" if how.root else "do not say what they are named from"
        if self.prune:
            raise FailedPrecondition(
                f"The documents of collection {self.settings.collection!r} {missing}, so that --prune could delete the "
                f"wrong ones. Name the folder with --root."
            )
        self._say(f"The collection's documents {missing}. From now on it is the current folder; --root names another.")
        return Path.cwd()

    def _say(self, text: str) -> None:
        self.console.print(f"[yellow]note:[/] {escape(text)}", highlight=False, soft_wrap=True)

    def _must_compare(self, stored: Fingerprint | None) -> bool:
        """Whether the model must be opened to know which vectors are wanted."""
        if stored is None:
            return not self.dry_run
        return self.choice.model is not None or self.dimensionality is not None

    def _plan(
        self, collection: Collection | None, sources: Sources, wanted: Fingerprint | None, splitter: Splitter
    ) -> IngestPlan:
        from gemvec.milvus import plan_ingest

        with self.console.status("Reading documents ..."):
            return plan_ingest(collection, sources, fingerprint=wanted, splitter=splitter)

    async def _ingest(
        self,
        collection: Collection,
        embedder: Embedder,
        sources: Sources,
        wanted: Fingerprint | None,
        splitter: Splitter,
    ) -> IngestReport:
        from gemvec.milvus import ingest

        with show_progress(self.console, sources) as on_progress:
            return await ingest(
                collection,
                embedder,
                sources,
                fingerprint=wanted,
                splitter=splitter,
                prune=sources.scopes if self.prune else (),
                on_progress=on_progress,
            )


@contextmanager
def show_progress(console: Console, sources: Sources) -> Generator[Callable[[IngestProgress], None]]:
    """Give a function that shows how far an ingest is: a bar with passages a second and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        files = f"{sources.total_files:,} file{'' if sources.total_files == 1 else 's'}"
        task = bar.add_task(f"Reading {files}", total=sources.total_bytes or None)

        def report(progress: IngestProgress) -> None:
            rate = progress.embedded / max(time.monotonic() - started, 1e-3)
            text = f"{files}: {progress.documents:,} documents, {progress.embedded:,} passages, {rate:,.0f} passages/s"
            bar.update(task, completed=progress.read_bytes, description=text)

        yield report
