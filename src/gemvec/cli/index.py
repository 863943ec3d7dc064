"""`gemvec index`: index documents into a Milvus collection, without doing work twice."""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape

from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, ModelName
from gemvec.cli.index_outcome import IndexOutcome, report_left_out, show, to_json
from gemvec.cli.index_request import IndexRequest
from gemvec.cli.options import AsJsonOutcome, check_can_be_written, or_none, with_settings
from gemvec.cli.ray import RAY_SETTINGS, RayAddress
from gemvec.cli.server import ServerOptions, with_server
from gemvec.cli.watch import watch
from gemvec.errors import BadSetting, GemvecError
from gemvec.memory import sparing_memory
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.storage.durable import Place

_INTERRUPTED = 130  # the exit status that shells give to Ctrl-C


def _parse_folder(text: str) -> Path:
    """Return a folder; an empty text is none, although as a path it would be the current folder."""
    if not text or not Path(text).is_dir():
        raise typer.BadParameter(f"there is no folder {text!r}.")
    return Path(text)


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
            parser=_parse_folder,
            metavar="DIRECTORY",
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
        with sparing_memory():
            return request.run()
    except KeyboardInterrupt:
        request.console.print("Everything done so far is kept; run the same command again to continue.")
        raise


def _report(request: IndexRequest, outcome: IndexOutcome, *, as_json: bool) -> None:
    report_left_out(outcome, request.error_report, request.console)
    if as_json:
        # In file names, bytes that are no characters are written as JSON writes half a character.
        typer.echo(json.dumps(to_json(outcome), ensure_ascii=False).encode(errors="backslashreplace"))
    else:
        show(outcome, request.settings, Console())


def _watch(request: IndexRequest, *, as_json: bool) -> None:
    """Index now and after each change, until Ctrl-C. A run that fails later is tried again after a pause."""
    if request.dry_run:
        raise BadSetting("--watch and --dry-run exclude each other.")
    with suppress(KeyboardInterrupt):
        is_first, failure = True, ""
        for has_changed in watch(request.sources, request.list_own()):
            if is_first or failure or has_changed:
                failure = _index_again(request, as_json=as_json, is_first=is_first, said=failure)
                is_first = False


def _index_again(request: IndexRequest, *, as_json: bool, is_first: bool, said: str) -> str:
    """Do one run of a watch; return why it failed, or an empty text.

    Args:
        request: what to do.
        as_json: how to report it.
        is_first: whether it is the first run.
        said: why the run before failed, which is not said each time that it is tried again.

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
        if error.message != said:
            request.console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
        return error.message
    if is_first or outcome.has_changed:
        _report(request, outcome, as_json=as_json)
        sys.stdout.flush()
    if is_first:
        request.console.print("Watching for changes; Ctrl-C ends.", style="dim")
    return ""


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
