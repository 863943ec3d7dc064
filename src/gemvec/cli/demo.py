"""`gemvec demo`: gemvec's main uses, step by step, each checked."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from gemvec.cli.demo_library import Language, Library, open_library
from gemvec.cli.options import with_settings
from gemvec.errors import GemvecError
from gemvec.settings import Settings, is_variable_set

if TYPE_CHECKING:
    from gemvec.milvus import Hit, IngestReport

# The texts in Milvus' page on Gemini embeddings.
DOCUMENTS = (
    "Artificial intelligence was founded as an academic discipline in 1956.",
    "Alan Turing was the first person to conduct substantial research in AI.",
    "Born in Maida Vale, London, Turing was raised in southern England.",
)
QUERIES = ("When was artificial intelligence founded", "Where was Alan Turing born?")
ANSWERS = (0, 2)

_LINE_CELLS = 80  # of a terminal; a Chinese character takes two
# What answers in another language than English, from the Python package index if the model hub cannot be reached.
_WIDE_MODEL = "multilingual-e5-small-q4"

NEXT_STEPS = (
    ("gemvec serve{model}", "a server for any Gemini, OpenAI or Milvus client"),
    ("gemvec index FOLDER --uri ./my.db{model}", "your own documents into Milvus"),
    ('gemvec search "..." --uri ./my.db', "and answers out of it"),
)


@dataclass(slots=True)
class DemoReport:
    """The steps of the demo so far, shown as they end and kept for --json."""

    console: Console
    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @contextmanager
    def step(self, name: str, *, has_own_progress: bool = False) -> Generator[dict[str, Any]]:
        """Time a step, and show it with its `detail`."""
        outcome: dict[str, Any] = {"step": name}
        started = time.perf_counter()
        with nullcontext() if has_own_progress else self.console.status(f"{name} ..."):
            yield outcome
        outcome["seconds"] = round(time.perf_counter() - started, 3)
        self.steps.append(outcome)
        self.console.print(
            f"[green]✓[/] [bold]{name}[/] [dim]{outcome['seconds']:.2f} s[/]  {escape(outcome['detail'])}",
            highlight=False,
            soft_wrap=True,
        )


@with_settings("model", "precision", "cache_dir")
def demo(
    settings: Settings,
    context: typer.Context,
    *,
    language: Annotated[
        Language | None,
        typer.Option(help="Index and search documents in this language, with a model for it if none is named."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Show what gemvec does, without a key.

    Serves, embeds as in Google's and Milvus' documentation, indexes documents and searches them. The exit status is 0
    only if every step worked.

    Examples:
        gemvec demo
        gemvec demo --language es
        gemvec demo --json --precision exact
    """
    demo_report = DemoReport(Console(stderr=as_json))
    with tempfile.TemporaryDirectory(prefix="gemvec-demo-") as folder:
        own = own_settings(settings, Path(folder))
        if language and not (context.params.get("model") or is_variable_set("model")):
            own = replace(own, model=(_WIDE_MODEL,))
        run_demo(own, demo_report, open_library(language, Path(folder) / "documents"), Path(folder))
    if as_json:
        typer.echo(json.dumps(demo_report.steps))
    else:
        show_next_steps(demo_report.console, f" --model {own.model[0]}" if language else "")


def own_settings(settings: Settings, folder: Path) -> Settings:
    """Return the demo's own settings; those of a real server (keys, limits, database) are not used.

    Data goes into `folder`, because a running server has locked the user's data folder.
    """
    return Settings.load(
        {},
        model=settings.model,
        precision=settings.precision,
        cache_dir=settings.cache_dir,
        data_dir=folder / "data",
    )


def run_demo(settings: Settings, demo_report: DemoReport, library: Library, folder: Path) -> None:
    """Run every step; raise if one fails."""
    from gemvec.client.progress import show_fetch
    from gemvec.models.naming import find_named_record
    from gemvec.models.weights import fetch_model
    from gemvec.server.run import serving
    from gemvec.server.services import open_services

    with demo_report.step("Weights", has_own_progress=True) as outcome, show_fetch() as progress:
        path = fetch_model(find_named_record(settings.model[0]), settings.cache_dir, progress=progress)
        outcome["detail"] = f"{settings.model[0]}, checked, in {path}"
    with demo_report.step("Server") as outcome:
        services = open_services(settings)
        outcome["detail"] = f"the model {services.default_model().weights} is loaded"
    with serving(services) as url:
        demo_report.console.print(
            f"  serving the Gemini API at [cyan]{url}[/] for as long as this runs", highlight=False
        )
        show_google_sdk(demo_report, url)
        show_milvus_class(demo_report, url)
        show_index(demo_report, url, services.default_model().name, library, folder)


def show_google_sdk(demo_report: DemoReport, url: str) -> None:
    """Call the server with Google's SDK as in Google's reference."""
    if not _has_google_sdk():
        demo_report.console.print("[dim]- Google's SDK is not installed: pip install google-genai[/]")
        return
    with demo_report.step("Google's SDK") as outcome:
        from google import genai
        from google.genai import types

        # Ignore what the shell says about Vertex AI or a proxy: the server is on this machine.
        options = types.HttpOptions(base_url=url, client_args={"trust_env": False})
        client = genai.Client(vertexai=False, api_key="any", http_options=options)
        result = client.models.embed_content(
            model="gemini-embedding-001",
            contents="Hello World!",
            config=types.EmbedContentConfig(output_dimensionality=10),
        )
        values = (result.embeddings or [types.ContentEmbedding()])[0].values or []
        _require(len(values) == 10 and any(values), f"google-genai got {len(values)} values, expected 10")  # noqa: PLR2004 - as in Google's reference
        outcome["detail"] = (
            f'embed_content("Hello World!") = [{", ".join(f"{value:.3f}" for value in values[:3])}, ...]'
        )


def _has_google_sdk() -> bool:
    try:
        return importlib.util.find_spec("google.genai") is not None
    except ModuleNotFoundError:  # there is no package `google` at all
        return False


def show_milvus_class(demo_report: DemoReport, url: str) -> None:
    """Embed the documents and queries of Milvus' page, and check that each query is nearest to its answer."""
    from gemvec.client import GeminiEmbeddingFunction

    with demo_report.step("Milvus' class") as outcome, GeminiEmbeddingFunction(base_url=url) as embed:
        documents, queries = embed.encode_documents(list(DOCUMENTS)), embed.encode_queries(list(QUERIES))
        nearest = [max(range(len(documents)), key=lambda place: float(query @ documents[place])) for query in queries]
        _require(tuple(nearest) == ANSWERS, f"the queries of Milvus' page found the documents {nearest}")
        outcome["detail"] = f"dim {embed.dim}, both queries of Milvus' page find their document"
    for query, place in zip(QUERIES, nearest, strict=True):
        demo_report.console.print(
            f"    [dim]{escape(query)}[/] → {escape(DOCUMENTS[place])}", highlight=False, soft_wrap=True
        )


def show_index(demo_report: DemoReport, url: str, model: str, library: Library, folder: Path) -> None:
    """Index documents into Milvus Lite and ask them questions."""
    from gemvec.client import find_target, open_target
    from gemvec.milvus import Sources, ingest, open_collection, search

    with demo_report.step("Milvus") as outcome, open_collection(str(folder / "demo.db"), "docs") as collection:

        async def index_and_ask() -> tuple[IngestReport, list[list[Hit]]]:
            embedder = open_target(find_target(url), model=model)
            try:
                report = await ingest(collection, embedder, Sources([str(library.folder)]))
                return report, [
                    await search(collection, embedder, question, limit=library.limit) for question in library.questions
                ]
            finally:
                await embedder.close()

        report, answers = asyncio.run(index_and_ask())
        _require(not report.bad, f"documents could not be read: {[each.source for each in report.bad]}")
        for (question, file), hits in zip(library.questions.items(), answers, strict=True):
            found = [Path(hit.source).name for hit in hits]
            _require(file in found, f"{question!r} found {found} instead of {file}")
        outcome["detail"] = (
            f"{report.documents} {library.name} are {report.embedded} passages in Milvus Lite; "
            f"{len(library.questions)} questions asked"
        )
    for (question, file), hits in zip(library.questions.items(), answers, strict=True):
        best = next(hit for hit in hits if Path(hit.source).name == file)
        show_passage(demo_report.console, question, best)


def show_passage(console: Console, question: str, hit: Hit) -> None:
    """Show a question and the beginning of the passage that answers it."""
    passage = " ".join(hit.text.split()).lstrip("# ").removeprefix(hit.heading or "").lstrip()
    console.print(f"    [dim]{escape(question)}[/]", highlight=False)
    where = f"{Path(hit.source).name} > {hit.heading}" if hit.heading else Path(hit.source).name
    console.print(f"    → [cyan]{escape(where)}[/] [dim]{hit.score:.2f}[/]", highlight=False, soft_wrap=True)
    shown = Text(f"      {passage}")
    shown.truncate(_LINE_CELLS, overflow="ellipsis")
    console.print(shown, highlight=False, soft_wrap=True)


def show_next_steps(console: Console, model: str) -> None:
    """Say what to do next, with the option that names the model if it is needed."""
    console.print("\n[bold]Everything worked.[/] Next:")
    commands = [command.format(model=model) for command, _ in NEXT_STEPS]
    width = max(map(len, commands)) + 2
    for command, (_, meaning) in zip(commands, NEXT_STEPS, strict=True):
        console.print(f"  [cyan]{escape(command):{width}}[/]{meaning}", highlight=False, soft_wrap=True)
    console.print(
        "  The vectors are an open model's, not Google's: never mix the two in one collection.", soft_wrap=True
    )


def _require(holds: bool, failure: str) -> None:
    if not holds:
        raise GemvecError(failure)
