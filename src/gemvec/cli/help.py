"""What `--help` shows of a command: its docstring's prose reflowed to the terminal, its examples at the end.

A command's docstring is a summary of one line, paragraphs, and a section `Examples:` of one command a line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer
from rich.markup import escape

_HEADING = "\nExamples:\n"


def split_help(command: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Return a command's paragraphs, each one line, and its examples."""
    prose, _, examples = (inspect.getdoc(command) or "").partition(_HEADING)
    paragraphs = [" ".join(each.split()) for each in prose.split("\n\n")]
    return [each for each in paragraphs if each], inspect.cleandoc(examples).splitlines()


def show_examples(app: typer.Typer) -> None:
    """Give each command below `app` its help; called when all of them are registered."""
    for command in app.registered_commands:
        if command.callback:
            prose, examples = split_help(command.callback)
            command.help = "\n\n".join(escape(each) for each in prose)
            command.epilog = "\n".join(["[bold]Examples[/]", *(f"[dim]$[/] {escape(each)}" for each in examples)])
    for group in app.registered_groups:
        if group.typer_instance:
            show_examples(group.typer_instance)
