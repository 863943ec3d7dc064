"""The `gemvec` command: one table of commands, and how an error ends one.

A command module imports only light things at its top; models, servers and Milvus load inside the command.
Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

import gemvec
from gemvec.cli import batches, cache, files, keys, models
from gemvec.cli.demo import demo
from gemvec.cli.embed import embed
from gemvec.cli.evaluate import evaluate
from gemvec.cli.export import export, import_
from gemvec.cli.help import show_examples
from gemvec.cli.index import index
from gemvec.cli.reembed import reembed
from gemvec.cli.search import search
from gemvec.cli.serve import serve
from gemvec.errors import BadSetting, GemvecError

app = typer.Typer(
    name="gemvec",
    help="The Gemini embeddings API on your own machine, and the shortest way from documents to Milvus.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gemvec {gemvec.__version__}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction] # typer calls it
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The Gemini embeddings API on your own machine, and the shortest way from documents to Milvus."""


_START, _MILVUS, _SERVER, _HERE = "Start here", "Documents in Milvus", "At a server", "On this machine"

app.command("demo", rich_help_panel=_START)(demo)
app.command("serve", rich_help_panel=_START)(serve)
app.command("embed", rich_help_panel=_START)(embed)
app.command("index", rich_help_panel=_MILVUS)(index)
app.command("search", rich_help_panel=_MILVUS)(search)
app.command("reembed", rich_help_panel=_MILVUS)(reembed)
app.command("eval", rich_help_panel=_MILVUS)(evaluate)
app.command("export", rich_help_panel=_MILVUS)(export)
app.command("import", rich_help_panel=_MILVUS)(import_)
app.add_typer(batches.app, name="batch", rich_help_panel=_SERVER)
app.add_typer(files.app, name="files", rich_help_panel=_SERVER)
app.add_typer(models.app, name="models", rich_help_panel=_HERE)
app.add_typer(keys.app, name="keys", rich_help_panel=_HERE)
app.add_typer(cache.app, name="cache", rich_help_panel=_HERE)
show_examples(app)


def run() -> int:
    """Run the command line and return its exit status."""
    errors = Console(stderr=True)
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        errors.print("interrupted")
        return 130
    except GemvecError as error:
        errors.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
        return 2 if isinstance(error, BadSetting) else 1
    except ModuleNotFoundError as error:
        if (error.name or "gemvec").startswith("gemvec"):
            raise
        advice = f"this command needs {error.name}: pip install 'gemvec[all]'"
        errors.print(f"[bold red]error:[/] {escape(advice)}", highlight=False, soft_wrap=True)
        return 1
    return 0
