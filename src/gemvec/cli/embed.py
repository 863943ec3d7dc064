"""`gemvec embed`: texts in, vectors out, as JSON lines or as one NumPy array."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer
from rich.console import Console
from rich.markup import escape

from gemvec.cli.completion import complete_model
from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, OpenEmbedder, open_embedder
from gemvec.cli.options import TaskTypeName, check_can_be_written, or_none, with_settings
from gemvec.cli.ray import RAY_SETTINGS, RayAddress
from gemvec.cli.server import ServerOptions, announce, with_server
from gemvec.errors import BadSetting, ClusterUnavailable, EmptyText, InvalidRequest, TextNotComputed
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.embedding.embed import Embedding, EmbedRequest
    from gemvec.embedding.models import ServedModel
    from gemvec.embedding.task_type import TaskType

# Texts that are embedded before their vectors are written; an interrupted command loses at most these.
_TEXTS_AT_ONCE = 1024
_MIN_CHARACTERS, _SHOWN_CHARACTERS, _SHOWN_VALUES = 12, 40, 4

_NOTHING_GIVEN = "There is nothing to embed: give texts, --file, or lines on standard input."

Write = Callable[[Sequence["EmbedRequest"], Sequence["Embedding"]], None]


@with_settings(*EMBEDDER_SETTINGS, *RAY_SETTINGS)
@with_server
def embed(
    settings: Settings,
    server: ServerOptions,
    *,
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to embed; without any, each line of standard input.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Embed each line of a file; in a .jsonl file, each line's text and title."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the vectors: .npy (float32), otherwise JSON lines.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to embed with. [GEMVEC_MODEL]", autocompletion=complete_model)
    ] = None,
    task_type: TaskTypeName = "RETRIEVAL_DOCUMENT",
    dimensionality: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of values in each vector.")
    ] = None,
    ray: RayAddress = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text, with all values.")] = False,
) -> None:
    """Embed texts from arguments, a file or standard input.

    Shows the first values of each vector; --json prints all values, and --output writes them to a file in the order of
    the texts. If a gemvec server runs on this machine, it computes them, otherwise this process does; --base-url and
    --google choose another server, and --ray a Ray cluster.

    Examples:
        gemvec embed "What is the meaning of life?"
        gemvec embed --file documents.txt --output vectors.npy
        gemvec embed --task-type RETRIEVAL_QUERY --json < questions.txt
        gemvec embed "hello" --google --dimensionality 768 --json
        gemvec embed --file documents.txt --output vectors.npy --ray 10.0.0.5:6379
    """
    from gemvec.client.config import parse_task_type

    choice = EmbedderChoice(server=server, model=model, ray=or_none("--ray", ray))
    choice.check(settings)
    check_can_be_written(output, "--output")
    requests = _read_requests(_open_lines(texts or [], file), parse_task_type(task_type), dimensionality)
    if not requests:
        announce(_NOTHING_GIVEN)
    with _open_output(output, as_json=as_json) as write:
        asyncio.run(_embed(settings, choice, requests, write))


async def _embed(settings: Settings, choice: EmbedderChoice, requests: list[EmbedRequest], write: Write) -> None:
    from gemvec.client.progress import show_progress
    from gemvec.embedding.ahead import embed_ahead

    if not requests:  # no model is needed
        return
    async with open_embedder(settings, choice) as opened:
        served, requests = await asyncio.to_thread(_fit_to_model, opened, requests)
        is_long = len(requests) > _TEXTS_AT_ONCE and sys.stderr.isatty()
        with show_progress(len(requests), is_wanted=is_long) as advance:

            async def embed_part(part: range) -> list[Embedding]:
                try:
                    return await opened.embedder.embed(served, requests[part.start : part.stop])
                except TextNotComputed as error:
                    number = "A text" if error.index is None else f"Text {part[error.index] + 1:,}"
                    raise ClusterUnavailable(f"{number} cannot be embedded: {error.reason}.") from error

            def write_part(part: range, embeddings: list[Embedding]) -> None:
                write(requests[part.start : part.stop], embeddings)
                advance(len(part))

            starts = range(0, len(requests), _TEXTS_AT_ONCE)
            parts = (range(start, min(start + _TEXTS_AT_ONCE, len(requests))) for start in starts)
            ahead = opened.on_cluster.texts_in_flight // _TEXTS_AT_ONCE if opened.on_cluster else 0
            await embed_ahead(parts, embed_part, write_part, ahead=ahead)


def _fit_to_model(opened: OpenEmbedder, requests: list[EmbedRequest]) -> tuple[ServedModel, list[EmbedRequest]]:
    """Return the model, and the requests without options that it does not take and that would change nothing.

    A dimensionality that it cannot give is kept, so that it is refused later.
    """
    from gemvec.embedding.embed import EmbedRequest

    served = opened.get_model()
    if served.takes_options:
        return served, requests
    usual = served.default_dimensionality
    wanted = [None if each.output_dimensionality == usual else each.output_dimensionality for each in requests]
    return served, [
        EmbedRequest(text=each.text, output_dimensionality=length)
        for each, length in zip(requests, wanted, strict=True)
    ]


def _open_lines(texts: list[str], file: Path | None) -> Iterator[tuple[str, str, str | None]]:
    """Yield the place of each text, the text and its title.

    Raises:
        BadSetting: there are no texts, or texts and --file.
        InvalidRequest: the file cannot be read.
    """
    if texts and file is not None:
        raise BadSetting("Give either texts or --file, not both.")
    if texts:
        return ((f"text {number}", text, None) for number, text in enumerate(texts, start=1))
    if file is None and (sys.stdin is None or sys.stdin.isatty()):
        raise BadSetting(_NOTHING_GIVEN)
    return _read_lines(file)


def _read_lines(file: Path | None) -> Iterator[tuple[str, str, str | None]]:
    name = "standard input" if file is None else str(file)
    try:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
        text = content.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"Cannot read {name}: {reason}.", field="file") from error
    is_jsonl = file is not None and file.suffix == ".jsonl"
    for number, line in enumerate(text.split("\n") if text else [], start=1):
        where = f"{name}, line {number}"
        yield (where, *_read_object(line, where)) if is_jsonl else (where, line, None)


def _read_object(line: str, where: str) -> tuple[str, str | None]:
    import msgspec

    class Document(msgspec.Struct):
        text: str
        title: str | None = None

    try:
        document = msgspec.json.decode(line, type=Document)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{where}: {error}.", field="file") from error
    return document.text, document.title


def _read_requests(
    lines: Iterator[tuple[str, str, str | None]], task_type: TaskType | None, dimensionality: int | None
) -> list[EmbedRequest]:
    from gemvec.embedding.embed import EmbedRequest
    from gemvec.embedding.task_type import TaskType

    requests: list[EmbedRequest] = []
    for where, text, title in lines:
        if not text:
            raise EmptyText(f"{where} is empty.", index=len(requests))
        requests.append(
            EmbedRequest(
                text=text,
                task_type=task_type or TaskType.TASK_TYPE_UNSPECIFIED,
                title=title if task_type is TaskType.RETRIEVAL_DOCUMENT else None,
                output_dimensionality=dimensionality,
            )
        )
    return requests


@contextmanager
def _open_output(output: Path | None, *, as_json: bool) -> Generator[Write]:
    """Yield a function that writes texts and their vectors to the output.

    Raises:
        StorageFailure: the output cannot be written; raised before anything is embedded.
    """
    from gemvec.storage.durable import translate_os_errors

    if output is None:
        yield _json_writer(sys.stdout.buffer) if as_json else _show
    elif output.suffix == ".npy":
        with _array_writer(output) as write:
            yield write
    else:
        with translate_os_errors(), output.open("wb") as stream:
            yield _json_writer(stream)


def _show(requests: Sequence[EmbedRequest], embeddings: Sequence[Embedding]) -> None:
    console = Console()
    for request, embedding in zip(requests, embeddings, strict=True):
        line = " ".join(request.text.split())
        values = ", ".join(f"{value:.4f}" for value in embedding.vector[:_SHOWN_VALUES])
        tokens = "1 token" if embedding.token_count == 1 else f"{embedding.token_count:,} tokens"
        cut = "" if embedding.truncated_from is None else f", cut from {embedding.truncated_from:,}"
        size = f"{embedding.vector.size} values, {tokens}{cut}"
        room = console.width - len(f"  [{values}, …]  {size}")
        most = min(max(room, _MIN_CHARACTERS), _SHOWN_CHARACTERS)
        text = line if len(line) <= most else line[: most - 1] + "…"
        console.print(
            f"[bold]{escape(text)}[/]  [cyan]\\[{values}, …][/]  [dim]{size}[/]", highlight=False, soft_wrap=True
        )


def _json_writer(stream: BinaryIO) -> Write:
    import orjson

    def write(requests: Sequence[EmbedRequest], embeddings: Sequence[Embedding]) -> None:
        for request, embedding in zip(requests, embeddings, strict=True):
            line = {"text": request.text, "embedding": embedding.vector, "tokenCount": embedding.token_count}
            if embedding.truncated_from is not None:
                line["truncatedFrom"] = embedding.truncated_from
            stream.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
        stream.flush()

    return write


@contextmanager
def _array_writer(output: Path) -> Generator[Write]:
    """Collect the vectors and write float32[texts, values] when the block ends without an error."""
    import numpy as np

    from gemvec.embedding.embed import Float32Array
    from gemvec.storage.durable import replacing

    vectors: list[Float32Array] = []
    with replacing(output) as partial, partial.open("wb") as stream:
        yield lambda _, embeddings: vectors.extend(each.vector for each in embeddings)
        np.save(stream, np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32))
    Console(stderr=True).print(f"{len(vectors)} vectors in {escape(str(output))}", highlight=False)
