"""The `gemvec` command: one table of commands, and how an error ends one.

Only the module of the called command is imported, and at its top it imports only what loads quickly; models, servers
and Milvus are loaded inside the command. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

import gemvec
from gemvec.cli.help import HelpCommand, HelpGroup, format_help
from gemvec.errors import BadSetting, DataFolderLocked, GemvecError, how_to_install

_START, _MILVUS, _SERVER, _HERE = "Start here", "Documents in Milvus", "At a server", "On this machine"

# What to do about an error, if its message cannot say.
_HINTS: dict[type[GemvecError], str] = {DataFolderLocked: "Use another folder with --data-dir."}

# Name -> module, the command or group in it, panel of the help.
_COMMANDS = {
    "demo": ("demo", "demo", _START),
    "serve": ("serve", "serve", _START),
    "wait": ("wait", "wait", _START),
    "embed": ("embed", "embed", _START),
    "index": ("index", "index", _MILVUS),
    "search": ("search", "search", _MILVUS),
    "collections": ("collections", "app", _MILVUS),
    "mcp": ("mcp", "mcp", _MILVUS),
    "reembed": ("reembed", "reembed", _MILVUS),
    "eval": ("evaluate", "evaluate", _MILVUS),
    "export": ("export", "export", _MILVUS),
    "import": ("export", "import_", _MILVUS),
    "batch": ("batches", "app", _SERVER),
    "files": ("files", "app", _SERVER),
    "models": ("models", "app", _HERE),
    "keys": ("keys", "app", _HERE),
    "cache": ("cache", "app", _HERE),
}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gemvec {gemvec.__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The Gemini embeddings API on your own machine, and the shortest way from documents to Milvus."""


@cache
def make_app(*names: str) -> typer.Typer:
    """Return the command line with the named commands, or with all of them."""
    app = typer.Typer(
        name="gemvec",
        cls=HelpGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # errors as plain lines, which fit every terminal
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in names or _COMMANDS:
        module, attribute, panel = _COMMANDS[name]
        found = getattr(import_module(f"gemvec.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, cls=HelpGroup, rich_help_panel=panel)
        else:
            app.command(name, cls=HelpCommand, rich_help_panel=panel)(found)
    format_help(app)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":  # the whole command line, for tools and tests
        return make_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run() -> int:
    """Run the command line and return its exit status."""
    called = [name for name in sys.argv[1:2] if name in _COMMANDS]
    _show_all_letters()
    try:
        make_app(*called)()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        return 130
    except GemvecError as error:
        return _failed(
            f"{error.message} {_HINTS.get(type(error), '')}".strip(), 2 if isinstance(error, BadSetting) else 1
        )
    except ModuleNotFoundError as error:
        if (error.name or "gemvec").startswith("gemvec"):
            raise
        return _failed(f"This command needs {error.name}. {how_to_install('all')}")
    except OSError as error:
        if said := _explain(error):
            return _failed(said)
        raise
    return 0


def _show_all_letters() -> None:
    """Show letters that an output does not take by their numbers: a pipe on Windows takes few."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: OSError) -> str:
    """Return what to tell the user about a fault of the system; empty if it is likely ours."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "There is no space left to write to."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} and error.filename:
        return f"{error.filename} cannot be used: {error.strerror}."
    return ""


def _failed(message: str, status: int = 1) -> int:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return status
