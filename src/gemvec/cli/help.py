"""What `--help` prints: a command's description, its options by topic, and its examples.

A command's docstring has a summary of one line, paragraphs, and a section `Examples:` with one command per line. Flags
that are too long for their column get a line of their own, so that nothing is cut in a terminal of eighty columns.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

_HEADING = "\nExamples:\n"
_FLAGS_WIDTH, _INDENT = 28, 2
_MAX_WIDTH = 100
_ARGUMENTS, _OPTIONS, _COMMANDS = "Arguments", "Options", "Commands"


def split_help(command: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Return a command's paragraphs, each as one line, and its examples."""
    prose, _, examples = (inspect.getdoc(command) or "").partition(_HEADING)
    paragraphs = [" ".join(each.split()) for each in prose.split("\n\n")]
    return [each for each in paragraphs if each], inspect.cleandoc(examples).splitlines()


def format_help(app: typer.Typer) -> None:
    """Set the help of each command in `app`; called after all of them are registered."""
    for command in app.registered_commands:
        command.cls = HelpCommand
        if command.callback:
            prose, _ = split_help(command.callback)
            command.help = "\n\n".join(prose)
    for group in app.registered_groups:
        group.cls = HelpGroup
        if group.typer_instance:
            format_help(group.typer_instance)


class HelpCommand(TyperCommand):
    """A command with our format of help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; `--ray` may come without an address."""
        if any("--ray" in parameter.opts for parameter in self.get_params(ctx)):
            from gemvec.cli.ray import fill_address

            args = fill_address(args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the command's name."""
        arguments = [each for each in self.get_params(ctx) if each.param_type_name == "argument"]
        names = [_flags(each) + ("..." if each.nargs == -1 else "") for each in arguments]
        return ["[OPTIONS]", *(n if each.required else f"[{n}]" for n, each in zip(names, arguments, strict=True))]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        examples = split_help(self.callback)[1] if self.callback else []
        formatter.write(_render(self, ctx, examples=examples))


class HelpGroup(TyperGroup):
    """A group of commands with our format of help."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 # as typer calls it
        """Return what follows the group's name."""
        return ["COMMAND", "..."]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (getattr(each, "rich_help_panel", None), name, (each.help or "").partition("\n")[0])
            for name, each in commands
            if each is not None and not each.hidden
        ]
        formatter.write(_render(self, ctx, commands=rows))


def _render(
    command: TyperCommand | TyperGroup,
    ctx: Any,
    *,
    commands: Iterable[tuple[str | None, str, str]] = (),
    examples: Sequence[str] = (),
) -> str:
    console = Console()
    width = min(console.width, _MAX_WIDTH)
    topics: dict[str, list[tuple[str, str]]] = {}
    for topic, name, summary in commands:
        topics.setdefault(topic or _COMMANDS, []).append((name, summary))
    for parameter in command.get_params(ctx):
        if not getattr(parameter, "hidden", False):
            topics.setdefault(_topic_of(parameter), []).append((_flags(parameter), _meaning(parameter)))
    with console.capture() as written:
        usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
        console.print(Text.assemble(("Usage: ", "bold"), usage), soft_wrap=True)
        for paragraph in (command.help or "").split("\n\n"):
            console.print()
            console.print(textwrap.fill(" ".join(paragraph.split()), width), markup=False, highlight=False)
        for topic, rows in topics.items():
            _print_topic(console, topic, rows, width)
        _print_examples(console, examples)
    return written.get()


def _print_topic(console: Console, topic: str, rows: Iterable[tuple[str, str]], width: int) -> None:
    console.print(Text.assemble("\n", (topic, "bold")))
    for flags, meaning in rows:
        _print_row(console, flags, meaning, width)


def _print_examples(console: Console, examples: Sequence[str]) -> None:
    if examples:
        console.print("\n[bold]Examples[/]")
    for example in examples:
        console.print(Text.assemble((f"{'':{_INDENT}}$ ", "dim"), example), soft_wrap=True)


def _print_row(console: Console, flags: str, meaning: str, width: int) -> None:
    left = " " * _INDENT + flags
    lines = textwrap.wrap(meaning, width - _FLAGS_WIDTH, break_long_words=False, break_on_hyphens=False)
    first = ""
    if lines and len(left) < _FLAGS_WIDTH:
        first = " " * (_FLAGS_WIDTH - len(left)) + lines.pop(0)
    console.print(Text.assemble((left, "cyan"), first), soft_wrap=True)
    for line in lines:
        console.print(Text(" " * _FLAGS_WIDTH + line), soft_wrap=True)


def _topic_of(parameter: Any) -> str:
    usual = _ARGUMENTS if parameter.param_type_name == "argument" else _OPTIONS
    return getattr(parameter, "rich_help_panel", None) or usual


def _flags(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    short_first = sorted(parameter.opts, key=len)
    names = " / ".join([", ".join(short_first), *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or parameter.name.rsplit('_', 1)[-1].upper()}"


def _meaning(parameter: Any) -> str:
    meaning = str(parameter.help or "")
    has_default = parameter.default not in (None, False, "", ()) and not callable(parameter.default)
    if has_default and getattr(parameter, "show_default", False):
        meaning += f" [default: {parameter.default}]"
    return meaning
