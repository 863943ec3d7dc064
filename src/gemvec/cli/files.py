"""`gemvec files`: the files of batches, at a gemvec server or at Google."""

from __future__ import annotations

import json
import mimetypes
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from gemvec.cli.options import AsJson
from gemvec.cli.resources import STANDARD_OUTPUT, Limit, delete_each, page_size, show_fields, show_list
from gemvec.cli.server import ServerOptions, with_server
from gemvec.storage.durable import replacing

if TYPE_CHECKING:
    from gemvec.client.files import FileClient, Progress
    from gemvec.wire.files import File

app = typer.Typer(help="Upload, list, download and delete files at a server.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="`files/{id}`, or only the id.")]
_TYPES = {".jsonl": "application/jsonl", ".parquet": "application/vnd.apache.parquet"}


@app.command("upload")
@with_server
def upload(
    server: ServerOptions,
    *,
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="What to upload.")],
    name: Annotated[
        str | None,
        typer.Option(help="The file's id: lower-case letters, digits, dashes. [default: chosen by the server]"),
    ] = None,
    display_name: Annotated[str, typer.Option(help="A human-readable name. [default: the file's name]")] = "",
    mime_type: Annotated[str, typer.Option(help="Its media type. [default: guessed from the file's name]")] = "",
    as_json: AsJson = False,
) -> None:
    """Upload a file piece by piece.

    After a broken connection, the upload goes on where it stopped.

    Examples:
        gemvec files upload requests.jsonl --base-url http://localhost:8000
        gemvec files upload requests.jsonl --google --json
    """
    guessed = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    with _open(server) as files, _bar(f"uploading {path.name}") as progress:
        file = files.upload(
            path,
            file_id=name,
            display_name=display_name or path.name,
            mime_type=mime_type or guessed,
            progress=progress,
        )
    typer.echo(json.dumps(_to_json(file)) if as_json else file.name)


@app.command("list")
@with_server
def list_files(
    server: ServerOptions,
    *,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List your files, the newest first.

    Examples:
        gemvec files list --base-url http://localhost:8000
        gemvec files list --google --json
    """
    with _open(server) as files:
        found = files.list(page_size=page_size(limit))
        show_list(
            found, limit=limit, to_wire=_to_json, columns=_COLUMNS, nothing="There are no files.", as_json=as_json
        )


@app.command("get")
@with_server
def get(server: ServerOptions, *, name: Name, as_json: AsJson = False) -> None:
    """Describe a file.

    Examples:
        gemvec files get files/abc-123 --base-url http://localhost:8000
    """
    with _open(server) as files:
        show_fields(_to_json(files.get(name)), as_json=as_json)


@app.command("download")
@with_server
def download(
    server: ServerOptions,
    *,
    name: Name,
    output: Annotated[str, typer.Option("--output", "-o", help="File to write, or - for standard output.")],
    as_json: AsJson = False,
) -> None:
    """Download a file's bytes.

    Google allows this only for generated files, such as a batch's results.

    Examples:
        gemvec files download files/batch-abc -o results.jsonl
        gemvec files download files/batch-abc -o - --google | head -1
    """
    with _open(server) as files, _bar(f"downloading {name}") as progress:
        size = (
            _to_standard_output(files, name, progress)
            if output == STANDARD_OUTPUT
            else _to_path(files, name, Path(output), progress)
        )
    if as_json and output != STANDARD_OUTPUT:
        typer.echo(json.dumps({"path": output, "sizeBytes": size}))


@app.command("delete")
@with_server
def delete(
    server: ServerOptions,
    *,
    names: Annotated[list[str], typer.Argument(help="`files/{id}`, or only the ids.")],
    as_json: AsJson = False,
) -> None:
    """Delete files.

    Examples:
        gemvec files delete files/abc-123 files/abc-124 --google
    """
    with _open(server) as files:
        delete_each(names, files.delete, as_json=as_json)


@contextmanager
def _open(server: ServerOptions) -> Generator[FileClient]:
    from gemvec.client.files import FileClient

    with FileClient(server.find()) as files:
        yield files


@contextmanager
def _bar(label: str) -> Generator[Progress]:
    """Show the progress of a transfer, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(escape(label), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _to_path(files: FileClient, name: str, path: Path, progress: Progress) -> int:
    """Download to a path, which afterwards has the whole file or is unchanged."""
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


def _to_json(file: File) -> dict[str, object]:
    from gemvec.wire.message import to_wire

    return to_wire(file)


_COLUMNS: dict[str, Callable[[File], str]] = {
    "file": lambda file: file.name,
    "name": lambda file: file.display_name,
    ">bytes": lambda file: f"{file.size_bytes or 0:,}",
    "type": lambda file: file.mime_type,
    "expires (UTC)": lambda file: f"{file.expires_at:%Y-%m-%d %H:%M}" if file.expires_at else "never",
}
