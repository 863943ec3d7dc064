"""Write docs/reference/*.md from the code. `--check` changes nothing and fails where a page is stale.

python tools/reference.py [--check]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from gemvec.cli.app import app
from gemvec.cli.help import split_help
from gemvec.cli.options import default_text
from gemvec.documents.archive import MAX_XML_BYTES
from gemvec.documents.content import MAX_FILE_BYTES, MAX_TEXT_BYTES
from gemvec.documents.json_values import MAX_VALUE_CHARACTERS
from gemvec.documents.readers import READERS
from gemvec.documents.records import MAX_LINE_BYTES, RECORD_KINDS
from gemvec.documents.walk import BUILT_FOLDERS, NAMED_FOLDERS
from gemvec.errors import GemvecError
from gemvec.server.errors import STATUSES
from gemvec.server.routes import ROUTES
from gemvec.settings import Settings, field_types, flag_name, variable_name

PAGES = Path(__file__).parent.parent / "docs" / "reference"
MODULES = ("gemvec", "gemvec.client", "gemvec.documents", "gemvec.milvus", "gemvec.evaluation")
OTHER_VARIABLES = {
    "GEMVEC_BASE_URL": "Server for the client and the commands, unless they name another; `local` is the "
    "model in the process itself.",
    "GOOGLE_GEMINI_BASE_URL": "The same for the client, `gemvec batch` and `gemvec files`, as google-genai reads it, "
    "where GEMVEC_BASE_URL is not set.",
    "GEMINI_API_KEY": "Key that is sent to a server that was named, or to Google.",
    "GOOGLE_API_KEY": "The same, where GEMINI_API_KEY is not set.",
    "GOOGLE_APPLICATION_CREDENTIALS": "File with the credentials for buckets at `gs://`.",
    "GOOGLE_SKIP_SIGNATURE": "`true` for buckets at `gs://` that everybody may read without credentials.",
    "HF_ENDPOINT": "Model hub that weights are fetched from, instead of the public one.",
    "XDG_CACHE_HOME": "Folder that takes the place of `~/.cache` in the default of `--cache-dir`.",
    "XDG_DATA_HOME": "Folder that takes the place of `~/.local/share` in the default of `--data-dir`.",
    "HTTPS_PROXY": "Proxy on the way to `https://` addresses; HTTP_PROXY and NO_PROXY are read as well.",
}
NOTE = "<!-- Written by tools/reference.py; change the code instead. -->\n\n"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; line breaks and bars inside cells are made harmless."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |" for row in lines
    )


def commands_page() -> str:
    """Describe every command and option of the command line, in the order of `gemvec --help`."""
    root = typer.main.get_command(app)
    sections = [section for path, command in walk(root, "gemvec") for section in command_section(path, command)]
    return "# Commands\n\n" + "\n\n".join(sections)


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each command below `command` with the words that call it, groups left out."""
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from walk(child, f"{path} {name}")
    else:
        yield path, command


def command_section(path: str, command: Any) -> list[str]:
    """Return a command's heading, help, examples and table of arguments and options."""
    prose, examples = split_help(command.callback)
    shown = "\n".join(["```console", *(f"$ {each}" for each in examples), "```"])
    rows = [[f"`{words(each)}`", getattr(each, "help", "") or ""] for each in command.params if each.name != "help"]
    return [f"## {path}", *prose, shown, table(["option", "meaning"], rows)]


def words(parameter: Any) -> str:
    """Return how a parameter is written on the command line."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def settings_page() -> str:
    """Describe every field of Settings."""
    rows = [
        [
            f"`{flag_name(each.name)}`",
            f"`{variable_name(each.name)}`",
            kind_of(field_types()[each.name], each.metadata["unit"]),
            default_text(each),
            each.metadata["help"],
        ]
        for each in fields(Settings)
    ]
    intro = (
        "A flag wins over a variable, and a variable over the default; an empty one counts as not given. "
        "Sizes take `20MiB` or `2GB`; lists take commas.\n\n"
    )
    settings = table(["flag", "variable", "value", "default", "meaning"], rows)
    others = table(["variable", "meaning"], [[f"`{name}`", meaning] for name, meaning in OTHER_VARIABLES.items()])
    return f"# Settings\n\n{intro}{settings}\n\n## Other variables\n\n{others}"


def kind_of(kind: Any, unit: str) -> str:
    """Return what a setting's value looks like."""
    if get_origin(kind) is tuple:
        return "list"
    options = get_args(kind)
    if options and all(isinstance(each, str) for each in options):
        return ", ".join(f"`{each}`" for each in options)
    names = {bool: "true or false", int: "whole number", float: "number", Path: "path", str: "text"}
    name = next((names[each] for each in (kind, *options) if each in names), "text")
    return f"{name} ({unit})" if unit else name


def reading_page() -> str:
    """Describe every kind of file that is read, and what is skipped."""
    rows = [
        [
            ", ".join(f"`{suffix}`" for suffix in each.suffixes),
            each.becomes,
            each.position,
            f"`gemvec[{each.extra}]`" if each.extra != "milvus" else "",
        ]
        for each in READERS
    ]
    rows += [
        [", ".join(f"`{suffix}`" for suffix in suffixes), becomes, "record", ""]
        for suffixes, becomes in RECORD_KINDS.items()
    ]
    skipped = [[f"`{name}`", reason] for name, reason in NAMED_FOLDERS.items()]
    skipped += [
        [f"`{name}`", "made by a build, beside " + ", ".join(f"`{sign}`" for sign in signs)]
        for name, signs in BUILT_FOLDERS.items()
    ]
    intro = (
        "Which files `gemvec index` reads, and how. The position of a passage names the line, page, slide and so on "
        "where it starts; a part is its place in a text without lines.\n\n"
    )
    kinds = table(["suffix", "becomes", "position", "needs"], rows)
    opened = ", ".join(f"`{suffix}`" for each in READERS if each.is_opened for suffix in each.suffixes)
    bounds = table(
        ["what", "at most", "otherwise"],
        [
            [f"a file that is not {opened}, and not of records", _size(MAX_FILE_BYTES), "split it"],
            ["the parts with text of the same but `.pdf`, unpacked", _size(MAX_XML_BYTES), "split it"],
            ["the text of one document, in memory", _size(MAX_TEXT_BYTES), "split it"],
            ["a line of JSON Lines", _size(MAX_LINE_BYTES), "split it"],
            ["one value of a JSON file, in characters", f"{MAX_VALUE_CHARACTERS:,}", "use JSON Lines"],
        ],
    )
    folders = table(["folder", "why"], skipped)
    size = (
        "A document is in memory as a whole while it is cut. One that would take too much is left out, and named with "
        "its size and what to do. In memory, a character takes one byte, two in most scripts, or four in a text with "
        "pictographs. Files of records may be of any size, and so may what is in a file beside its text, such as films "
        "in a presentation and pictures in a PDF.\n\n"
    )
    return (
        f"# What is read\n\n{intro}{kinds}\n\n## How large a document may be\n\n{size}{bounds}\n\n"
        f"## Folders that are skipped by their names\n\n{folders}"
    )


def _size(size: int) -> str:
    return f"{size // 2**20} MiB"


def routes_page() -> str:
    """Describe every route of the server."""
    rows = [[f"`{each.method}`", f"`{each.path}`", each.summary] for each in ROUTES]
    intro = (
        "Gemini routes answer under `/v1beta`, `/v1`, `/v1alpha` and without a prefix. `/openapi.json` describes every "
        "field; `/docs` shows it for people.\n\n"
    )
    return "# Routes\n\n" + intro + table(["method", "path", "what it does"], rows)


def errors_page() -> str:
    """Describe every error class and the status it is answered with."""
    rows = [
        [f"`{kind.__name__}`", str(status[0]), f"`{status[1]}`", (kind.__doc__ or "").strip().splitlines()[0]]
        for kind, status in sorted(STATUSES.items(), key=lambda row: depth(row[0]))
    ]
    return "# Errors\n\n" + table(["class", "HTTP", "status", "when"], rows)


def depth(kind: type[GemvecError]) -> tuple[str, ...]:
    """Sort key that puts each class behind its base."""
    return tuple(each.__name__ for each in reversed(kind.__mro__[:-3]))


def python_page() -> str:
    """Describe every public name and what can be called on it."""
    parts, described = ["# Python"], set[str]()
    for name in MODULES:
        module = importlib.import_module(name)
        rows = [
            row for each in module.__all__ if each not in described for row in name_rows(each, getattr(module, each))
        ]
        described.update(module.__all__)
        parts += [f"## {name}", first_paragraph(module), table(["name", "what it is"], rows)]
    return "\n\n".join(parts)


def name_rows(name: str, value: Any) -> Iterator[list[str]]:
    """Yield the row of a public name and those of a class' public methods and properties."""
    if not inspect.isclass(value):
        described = first_paragraph(value) if inspect.isfunction(value) else "The version."
        yield [f"`{name}{arguments(value)}`", described]
        return
    yield [f"`{name}`", first_paragraph(value)]
    for member_name, member in vars(value).items():
        called = getattr(member, "__func__", member)
        if not member_name.startswith("_") and (inspect.isfunction(called) or isinstance(called, property)):
            yield [f"`{name}.{member_name}{arguments(called)}`", first_paragraph(called)]


def arguments(value: Any) -> str:
    """Return a function's parameters as a caller sees them, without types; nothing for what is not called."""
    if not inspect.isfunction(value):
        return ""
    signature = inspect.signature(value)
    shown = [
        each.replace(annotation=each.empty)
        for each in signature.parameters.values()
        if each.name not in {"self", "cls"}
    ]
    text = str(signature.replace(parameters=shown, return_annotation=signature.empty))
    text = re.sub(r"<function [^>]*>", "...", text)
    return re.sub(r"<([\w.]+): [^>]*>", r"\1", text)  # members of enumerations


def first_paragraph(value: Any) -> str:
    """Return the beginning of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n\n")[0]


WRITERS: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "routes.md": routes_page,
    "errors.md": errors_page,
    "reading.md": reading_page,
    "python.md": python_page,
}


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a page is stale")
    check = parser.parse_args().check
    stale: list[str] = []
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, write in WRITERS.items():
        text, page = NOTE + write().rstrip() + "\n", PAGES / name
        if page.exists() and page.read_text() == text:
            continue
        stale.append(name)
        if not check:
            page.write_text(text)
    if stale:
        print(("stale: " if check else "written: ") + ", ".join(stale))
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
