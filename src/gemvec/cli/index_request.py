"""What one `gemvec index` is asked to do, and how it does it: `IndexRequest`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gemvec.cli.embedder import EmbedderChoice, OpenEmbedder, open_embedder, refuse_other_model
from gemvec.cli.index_outcome import IndexOutcome
from gemvec.cli.ray import make_cutter
from gemvec.cli.server import announce
from gemvec.errors import FailedPrecondition, InvalidRequest
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.documents import Filters, PassageOptions, RecordFields, Remote, Sources, Splitter
    from gemvec.milvus import Collection, CollectionVersion, Fingerprint, IngestPlan, IngestReport
    from gemvec.milvus import Progress as IngestProgress
    from gemvec.milvus.bulk import BulkImport
    from gemvec.milvus.indexing import Indexing
    from gemvec.storage.durable import Place


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
