"""`gemvec files`: the files of batches, at a gemvec server or at Google."""

from __future__ import annotations

import json
import mimetypes
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table

from gemvec.cli.options import AsJson
from gemvec.cli.target import Target
from gemvec.storage.durable import replacing

if TYPE_CHECKING:
    from gemvec.client.files import FileClient, Progress
    from gemvec.wire.files import FileResource

app = typer.Typer(help="Upload, list, download and delete files at a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="`files/{id}`, or the id alone.")]
BaseUrl = Annotated[
    str | None, typer.Option(help="Address of a gemvec server, else GEMVEC_BASE_URL or GOOGLE_GEMINI_BASE_URL.")
]
Google = Annotated[bool, typer.Option("--google", help="Ask Google; the key comes from GEMINI_API_KEY.")]
ApiKey = Annotated[str | None, typer.Option(help="The server's key, else GEMINI_API_KEY or GOOGLE_API_KEY.")]

_STANDARD_OUTPUT = "-"
_TYPES = {".jsonl": "application/jsonl", ".parquet": "application/vnd.apache.parquet"}


@app.command("upload")
def upload(
    *,
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="What to upload.")],
    name: Annotated[
        str | None, typer.Option(help="The id to give it: lower-case letters, digits, dashes. One is made when absent.")
    ] = None,
    display_name: Annotated[str, typer.Option(help="A name for people; the file's own when absent.")] = "",
    mime_type: Annotated[str, typer.Option(help="What it is; guessed from the file's name when absent.")] = "",
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Upload a file in chunks.

    A broken connection is taken up where it stopped.

    Examples:
        gemvec files upload requests.jsonl --base-url http://localhost:8000
        gemvec files upload requests.jsonl --google --json
    """
    guessed = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    with _open(base_url, google=google, api_key=api_key) as files, _bar(f"uploading {path.name}") as progress:
        file = files.upload(
            path,
            file_id=name,
            display_name=display_name or path.name,
            mime_type=mime_type or guessed,
            progress=progress,
        )
    typer.echo(json.dumps(_to_json(file)) if as_json else file.name)


@app.command("list")
def list_files(
    *, base_url: BaseUrl = None, google: Google = False, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List your files, the newest first.

    Examples:
        gemvec files list --base-url http://localhost:8000
        gemvec files list --google --json
    """
    with _open(base_url, google=google, api_key=api_key) as files:
        found = list(files.list())
    if as_json:
        typer.echo(json.dumps([_to_json(file) for file in found]))
        return
    table = Table(
        Column("file", no_wrap=True),
        Column("name", overflow="fold"),
        Column("bytes", justify="right"),
        Column("type", overflow="fold"),
        Column("expires (UTC)", no_wrap=True),
        box=None,
    )
    for file in found:
        expires = f"{file.expires_at:%Y-%m-%d %H:%M}" if file.expires_at else "never"
        shown = (file.name, file.display_name, f"{file.size_bytes:,}", file.mime_type, expires)
        table.add_row(*(escape(each) for each in shown))
    Console().print(table)


@app.command("get")
def get(
    *, name: Name, base_url: BaseUrl = None, google: Google = False, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Describe a file.

    Examples:
        gemvec files get files/abc-123 --base-url http://localhost:8000
    """
    with _open(base_url, google=google, api_key=api_key) as files:
        shown = _to_json(files.get(name))
    if as_json:
        typer.echo(json.dumps(shown))
        return
    table = Table(Column(), Column(overflow="fold"), show_header=False, box=None)
    for field, value in shown.items():
        table.add_row(field, escape(str(value)))
    Console().print(table)


@app.command("download")
def download(
    *,
    name: Name,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to; - for standard output.")],
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Download a file's bytes.

    Google gives out generated files only, such as a batch's results.

    Examples:
        gemvec files download files/batch-abc -o results.jsonl
        gemvec files download files/batch-abc -o - --google | head -1
    """
    with _open(base_url, google=google, api_key=api_key) as files, _bar(f"downloading {name}") as progress:
        size = (
            _to_standard_output(files, name, progress)
            if output == _STANDARD_OUTPUT
            else _to_path(files, name, Path(output), progress)
        )
    if as_json and output != _STANDARD_OUTPUT:
        typer.echo(json.dumps({"path": output, "sizeBytes": size}))


@app.command("delete")
def delete(
    *,
    names: Annotated[list[str], typer.Argument(help="`files/{id}`, or ids alone.")],
    base_url: BaseUrl = None,
    google: Google = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Delete files.

    Examples:
        gemvec files delete files/abc-123 files/abc-124 --google
    """
    with _open(base_url, google=google, api_key=api_key) as files:
        for name in names:
            files.delete(name)
            if not as_json:
                typer.echo(f"{name} is deleted.")
    if as_json:
        typer.echo(json.dumps({"deleted": names}))


@contextmanager
def _open(base_url: str | None, *, google: bool, api_key: str | None) -> Generator[FileClient]:
    from gemvec.client.files import FileClient
    from gemvec.client.target import find_target

    url = Target.of(model=None, base_url=base_url, google=google).base_url
    with FileClient(find_target(url, api_key=api_key)) as files:
        yield files


@contextmanager
def _bar(label: str) -> Generator[Progress]:
    """Show how far a transfer is, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(escape(label), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _to_path(files: FileClient, name: str, path: Path, progress: Progress) -> int:
    """Download to a path that then has the whole file, or is left as it was."""
    with replacing(path) as partial, partial.open("w+b") as file:
        return files.download(name, file, progress=progress)


def _to_standard_output(files: FileClient, name: str, progress: Progress) -> int:
    with tempfile.TemporaryFile() as file:
        size = files.download(name, file, progress=progress)
        file.seek(0)
        while block := file.read(2**20):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
    return size


def _to_json(file: FileResource) -> dict[str, object]:
    from gemvec.wire.files import file_to_wire

    return file_to_wire(file)
