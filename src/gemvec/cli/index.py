"""`gemvec index`: index documents into a Milvus collection, without doing work twice."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gemvec.cli.embedder import (
    EMBEDDER_SETTINGS,
    EmbedderChoice,
    ModelName,
    OpenEmbedder,
    open_embedder,
    refuse_other_model,
)
from gemvec.cli.index_outcome import IndexOutcome, report_left_out, show, to_json
from gemvec.cli.options import AsJsonOutcome, check_can_be_written, or_none, with_settings
from gemvec.cli.ray import RAY_SETTINGS, RayAddress, make_cutter
from gemvec.cli.server import ServerOptions, announce, with_server
from gemvec.cli.watch import watch
from gemvec.errors import BadSetting, FailedPrecondition, GemvecError, InvalidRequest
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.documents import Filters, PassageOptions, RecordFields, Remote, Sources, Splitter
    from gemvec.milvus import Collection, CollectionVersion, Fingerprint, IngestPlan, IngestReport
    from gemvec.milvus import Progress as IngestProgress
    from gemvec.milvus.bulk import BulkImport
    from gemvec.milvus.indexing import Indexing
    from gemvec.storage.durable import Place

_INTERRUPTED = 130  # the exit status that shells give to Ctrl-C


@with_settings("uri", "collection", "token", *EMBEDDER_SETTINGS, *RAY_SETTINGS)
@with_server
def index(
    settings: Settings,
    server: ServerOptions,
    *,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Folders, files, globs in quotes, or - for standard input; s3://, gs:// or az:// and a bucket; "
            "a page, a sitemap or a Git repository at https://.",
        ),
    ],
    model: ModelName = None,
    dimensionality: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of values in a vector. [default: the model's own]")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete documents of these sources that are gone.")] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            exists=True,
            help="Folder that document names are relative to. [default: the one recorded in the collection]",
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Read only files that match, a pattern as in .gitignore; can be repeated."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Leave out what matches, a pattern as in .gitignore; can be repeated."),
    ] = None,
    code: Annotated[
        bool | None,
        typer.Option(
            "--code/--no-code",
            help="Read source code, too, cut by its syntax; it needs gemvec[code]. [default: as before, or not]",
        ),
    ] = None,
    max_pages: Annotated[
        int, typer.Option(min=1, metavar="N", help="Read at most this many pages of a sitemap.")
    ] = 10_000,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 if anything was left out.")] = False,
    chunk_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most tokens in a passage. [default: as before, or 128]"),
    ] = None,
    overlap_tokens: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Tokens repeated if a paragraph is cut. [default: as before, or 16]"),
    ] = None,
    text_field: Annotated[
        list[str] | None,
        typer.Option(
            "--text-field",
            "--text-column",
            metavar="TEXT",
            help="Field or column with the text of a record; can be repeated to join several.",
        ),
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="Field with the id of a record.")] = None,
    title_field: Annotated[str | None, typer.Option(help="Field with the title of a record.")] = None,
    error_report: Annotated[
        Path | None, typer.Option(help="Write documents that were left out to this file, one JSON object per line.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done and what Google would bill; change nothing.")
    ] = False,
    watching: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Keep running: index files again when they change, and delete documents that are gone.",
        ),
    ] = False,
    ray: RayAddress = None,
    bulk: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Let a Milvus server import new rows from Parquet files, put here: where in its own bucket, such as "
            "s3://bucket/gemvec, or a folder that it reads.",
        ),
    ] = None,
    as_json: AsJsonOutcome = False,
) -> None:
    """Index documents into Milvus, where they can be searched.

    Reads .md, .txt, .html, .rst and .pdf files, many more formats with gemvec[documents], source code with --code, and
    records in .jsonl, .json, .csv and .parquet files, and cuts them along their structure. When run again, it embeds
    only what has changed; after an interruption, it continues. What cannot be read is reported and left out. The exit
    status is 1 if nothing could be read.

    Examples:
        gemvec index docs/
        gemvec index docs/ notes.pdf --uri ./my.db --collection docs --prune
        gemvec index docs/ --dry-run
        gemvec index articles.parquet --text-field body
        gemvec index src/ docs/ --code
        gemvec index https://docs.example.com/sitemap.xml --include 'guide/**'
        gemvec index s3://bucket/manuals https://github.com/example/project.git
        gemvec index docs/ --ray 10.0.0.5:6379 --uri http://10.0.0.7:19530
        gemvec index docs/ --uri http://10.0.0.7:19530 --bulk s3://bucket/gemvec
        cat notes.txt | gemvec index - --uri http://localhost:19530
    """
    from gemvec.documents import Filters
    from gemvec.milvus import RecordFields

    check_can_be_written(error_report, "--error-report")
    choice = EmbedderChoice(server=server, model=model, ray=or_none("--ray", ray))
    if watching and choice.ray is not None:
        raise BadSetting("--watch and --ray exclude each other: a run on a cluster ends when all is indexed.")
    choice.check(settings)
    place = _check_bulk(settings, or_none("--bulk", bulk), is_watching=watching)
    named = {"id": id_field, "title": title_field}
    request = IndexRequest(
        settings=settings,
        choice=replace(choice, ray=None) if dry_run else choice,  # a dry run computes nothing
        dimensionality=dimensionality,
        sources=sources,
        fields=RecordFields(
            joined_text=tuple(text_field or ()), **{name: (field,) for name, field in named.items() if field}
        ),
        standard_input=_read_standard_input() if "-" in sources else None,
        root=root,
        filters=Filters(include=tuple(include or ()), exclude=tuple(exclude or ()), code=code),
        max_pages=max_pages,
        max_tokens=chunk_tokens,
        overlap_tokens=overlap_tokens,
        prune=prune,
        dry_run=dry_run,
        error_report=error_report,
        bulk=place,
        console=Console(stderr=True),
    )
    if watching:
        _watch(request, as_json=as_json)
        return
    outcome = _run(request)
    _report(request, outcome, as_json=as_json)
    if not outcome.has_read_anything or (strict and outcome.has_left_anything_out):
        raise typer.Exit(1)


def _check_bulk(settings: Settings, text: str | None, *, is_watching: bool) -> Place | None:
    """Return the place for files that Milvus imports.

    Raises:
        BadSetting: it is not one, or there is no server to import.
        MissingDependency: obstore is not installed.
    """
    if text is None:
        return None
    from gemvec.milvus.bulk import parse_place
    from gemvec.milvus.connection import is_lite

    if is_lite(settings.uri):
        raise BadSetting(f"--bulk {text} needs a Milvus server, and --uri {settings.uri} is Milvus Lite.")
    if is_watching:
        raise BadSetting("--watch and --bulk exclude each other: files are for many rows at once.")
    return parse_place(text)


def _run(request: IndexRequest) -> IndexOutcome:
    try:
        return request.run()
    except KeyboardInterrupt:
        request.console.print("Everything done so far is kept; run the same command again to continue.")
        raise


def _report(request: IndexRequest, outcome: IndexOutcome, *, as_json: bool) -> None:
    report_left_out(outcome, request.error_report, request.console)
    if as_json:
        typer.echo(json.dumps(to_json(outcome), ensure_ascii=False))
    else:
        show(outcome, request.settings, Console())


def _watch(request: IndexRequest, *, as_json: bool) -> None:
    """Index now and after each change, until Ctrl-C. A run that fails later is tried again after a pause."""
    if request.dry_run:
        raise BadSetting("--watch and --dry-run exclude each other.")
    with suppress(KeyboardInterrupt):
        is_first = is_due = True
        for has_changed in watch(request.sources, request.list_own()):
            if is_due or has_changed:
                is_due = not _index_again(request, as_json=as_json, is_first=is_first)
                is_first = False


def _index_again(request: IndexRequest, *, as_json: bool, is_first: bool) -> bool:
    """Do one run of a watch; return whether it succeeded.

    Raises:
        GemvecError: the first run failed.
        Exit: Ctrl-C came in the middle of it, so that it is not finished.
    """
    try:
        outcome = _run(request if is_first else replace(request, prune=True, is_repeated=True))
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    except GemvecError as error:
        if is_first:
            raise
        request.console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
        return False
    if is_first or outcome.has_changed:
        _report(request, outcome, as_json=as_json)
        sys.stdout.flush()
    if is_first:
        request.console.print("Watching for changes; Ctrl-C ends.", style="dim")
    return True


def _read_standard_input() -> IO[bytes]:
    """Read all of it now, because documents are read in another thread, which Ctrl-C does not interrupt.

    Raises:
        BadSetting: it is closed.
    """
    if sys.stdin is None:
        raise BadSetting("There is no standard input to index.")
    found = io.BytesIO()
    read = cast("io.BufferedReader", sys.stdin.buffer).read1  # in pieces, so that signals are noticed
    while some := read():
        found.write(some)
    found.seek(0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRequest:
    """The options of one `gemvec index`."""

    settings: Settings
    choice: EmbedderChoice
    dimensionality: int | None
    sources: list[str]
    fields: RecordFields
    standard_input: IO[bytes] | None
    root: Path | None
    filters: Filters
    max_pages: int
    max_tokens: int | None
    overlap_tokens: int | None
    prune: bool
    dry_run: bool
    error_report: Path | None
    bulk: Place | None
    console: Console
    is_repeated: bool = False

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
        from gemvec.documents import FetchLimits, Remote

        # Leaving ends what is being fetched, so that Ctrl-C does not wait for a slow server.
        with Remote(self.settings.cache_dir, FetchLimits(max_pages=self.max_pages)) as remote:
            return await self._run_from(collection, remote)

    async def _run_from(self, collection: Collection | None, remote: Remote) -> IndexOutcome:
        from gemvec.milvus import Splitter
        from gemvec.milvus.indexing import Indexing

        version = collection.resolve() if collection is not None and collection.exists() else None
        stored, how = (version.fingerprint, version.indexing) if version else (None, Indexing())
        options = self._get_options(how)
        sources = await self._open_sources(version, how, remote)
        if sources.is_empty and not self.prune:  # no model is needed
            return IndexOutcome(report=self._report_nothing(sources, options), left_out=sources.left_out)
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
                report = await self._ingest(collection, opened, sources, wanted, splitter)
        return IndexOutcome(report=report, left_out=sources.left_out)

    def _report_nothing(self, sources: Sources, options: PassageOptions) -> IngestReport | IngestPlan:
        from gemvec.milvus import IngestReport, Splitter

        return self._plan(None, sources, None, Splitter(options, None)) if self.dry_run else IngestReport()

    def _get_options(self, how: Indexing) -> PassageOptions:
        """Return how documents are cut; say what has changed since the last run."""
        options = how.get_options(max_tokens=self.max_tokens, overlap_tokens=self.overlap_tokens)
        if change := how.describe_change(options):
            self._say(change)
        return options

    async def _open_sources(self, version: CollectionVersion | None, how: Indexing, remote: Remote) -> Sources:
        """Search the sources and return them; one that does not exist must have been in the collection."""
        root = self._find_root(version, how)
        if version and not self.is_repeated and (change := how.describe_code(asked=self.filters.code)):
            self._say(change)
        filters = replace(self.filters, code=how.get_code(asked=self.filters.code))
        with self.console.status("Looking for files ..."):
            # In a thread, so that Ctrl-C is noticed.
            sources = await asyncio.to_thread(self._find_sources, version, root, filters, remote)
        self._check_gone(version, sources)
        return sources

    def _find_sources(self, version: CollectionVersion | None, root: Path, filters: Filters, remote: Remote) -> Sources:
        from gemvec.milvus import Sources

        return Sources(
            self.sources,
            fields=self.fields,
            standard_input=self.standard_input,
            root=root,
            own=self.list_own(),
            may_be_gone=self.prune and version is not None,
            filters=filters,
            remote=remote,
        )

    def list_own(self) -> list[Path]:
        """Return the files and folders that gemvec itself writes."""
        settings = self.settings
        own = [Path(settings.uri), settings.cache_dir, settings.data_dir]
        return [*own, self.error_report] if self.error_report else own

    def _check_gone(self, version: CollectionVersion | None, sources: Sources) -> None:
        if version is not None and sources.gone:
            more = ["metadata"] if any(scope.needs_metadata for scope in sources.gone.values()) else []
            known = [(row["source"], row.get("metadata")) for row in version.scan(["source", *more])]
            for gone, scope in sources.gone.items():
                if not any(scope.holds(*each) for each in known):
                    raise InvalidRequest(
                        f"There is no file, folder or match for {gone!r}, and the collection has no document from it.",
                        field="source",
                    )

    def _find_root(self, version: CollectionVersion | None, how: Indexing) -> Path:
        """Return the folder that document names are relative to; say so if it is not the collection's."""
        if self.root is not None:
            if how.root and self.root.resolve() != Path(how.root):
                self._say(f"Document names are now relative to {self.root.resolve()}, no longer to {how.root}.")
            return self.root
        if version is None:
            return Path.cwd()
        if how.root and Path(how.root).is_dir():
            return Path(how.root)
        missing = (
            f"have names relative to {how.root}, which does not exist here"
            if how.root
            else "have names relative to an unknown folder"
        )
        if self.prune:
            raise FailedPrecondition(
                f"The documents of collection {self.settings.collection!r} {missing}, so --prune could delete the "
                f"wrong ones. Name the folder with --root."
            )
        self._say(
            f"The collection's documents {missing}. From now on, the current folder is used; --root names another."
        )
        return Path.cwd()

    def _say(self, text: str) -> None:
        self.console.print(f"[yellow]note:[/] {escape(text)}", highlight=False, soft_wrap=True)

    def _must_compare(self, stored: Fingerprint | None) -> bool:
        """Whether the model must be opened to find out which vectors are wanted."""
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
        opened: OpenEmbedder,
        sources: Sources,
        wanted: Fingerprint | None,
        splitter: Splitter,
    ) -> IngestReport:
        from gemvec.milvus import ingest
        from gemvec.milvus.embed import TEXTS_IN_FLIGHT

        on_cluster = opened.on_cluster

        with self._open_bulk() as bulk, show_progress(self.console, sources) as on_progress:
            return await ingest(
                collection,
                opened.embedder,
                sources,
                fingerprint=wanted,
                splitter=splitter,
                prune=sources.scopes if self.prune else (),
                on_progress=on_progress,
                texts_in_flight=on_cluster.texts_in_flight if on_cluster else TEXTS_IN_FLIGHT,
                cutter=make_cutter(on_cluster, splitter, opened.tokenizer_file) if on_cluster else None,
                bulk=bulk,
            )

    @contextmanager
    def _open_bulk(self) -> Generator[BulkImport | None]:
        from gemvec.milvus.bulk import BulkImport
        from gemvec.milvus.import_jobs import ImportJobs

        if self.bulk is None:
            yield None
            return
        settings = self.settings
        bulk = BulkImport(self.bulk, ImportJobs(settings.uri, settings.token), announce)
        try:
            yield bulk
        finally:
            bulk.close()


@contextmanager
def show_progress(console: Console, sources: Sources) -> Generator[Callable[[IngestProgress], None]]:
    """Yield a function that shows an ingest's progress: a bar with passages per second and the time left."""
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
