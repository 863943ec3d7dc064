"""What exists is documented, and what is documented exists: commands, settings, routes, errors, names, links."""

import importlib
import re
import shlex
from dataclasses import fields

import pytest
import reference
import typer

import gemvec
from gemvec.cli.app import app
from gemvec.cli.help import split_help
from gemvec.server.errors import STATUSES
from gemvec.server.routes import ROUTES
from gemvec.settings import Settings, flag_name, variable_name
from pages import PAGES, ROOT, blocks_of, simple_commands

COMMANDS = dict(reference.walk(typer.main.get_command(app), "gemvec"))
GENERATED = ROOT / "docs" / "reference"
NAMES = {module: importlib.import_module(module).__all__ for module in reference.MODULES}
EXAMPLES = [(path, line) for path, command in COMMANDS.items() for line in split_help(command.callback)[1]]
CONSOLE_LINES = [
    (block.place, line)
    for page in PAGES
    if GENERATED not in page.parents
    for block in blocks_of(page)
    if block.language == "console"
    for line in block.commands
]
TERMINAL_COLUMNS = 80
# Beside an example: its margin, and the prompt before it.
EXAMPLE_COLUMNS = TERMINAL_COLUMNS - 2 - len("$ ")
# Beside a command's summary in a list: frame, margins and the longest name.
SUMMARY_COLUMNS = TERMINAL_COLUMNS - 6 - len("download ")


def parse(words):
    """Let the command line read `words` as it would, without running anything; raises where it would refuse."""
    command, words = typer.main.get_command(app), list(words[1:])
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    if hasattr(command, "commands"):
        return
    given = command.make_context("gemvec", words).params
    names = {each.name for each in fields(Settings)}
    known = {name: value for name, value in given.items() if name in names and isinstance(value, str)}
    Settings.load({}, **{name: value for name, value in known.items() if "$" not in value})


def gemvec_calls(line):
    """Return the words of each call of gemvec in a shell line, those in `$(...)` too."""
    inner = re.findall(r"\$\((gemvec [^)]*)\)", line)
    outer = [words for words in simple_commands(line) if words[:1] == ["gemvec"]]
    return [*outer, *(shlex.split(each) for each in inner)]


def test_the_generated_pages_are_fresh():
    for name, write in reference.WRITERS.items():
        text = reference.NOTE + write().rstrip() + "\n"
        assert (GENERATED / name).read_text() == text, f"run tools/reference.py: {name} is stale"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_documented(path):
    section = (GENERATED / "commands.md").read_text().partition(f"\n## {path}\n")[2].partition("\n## ")[0]
    assert section
    for option in COMMANDS[path].params:
        for word in [*option.opts, *option.secondary_opts]:
            assert word == "--help" or f"{word.upper() if option.param_type_name == 'argument' else word}" in section


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_is_for(path):
    for option in COMMANDS[path].params:
        assert option.help, option.name


@pytest.mark.parametrize("path", COMMANDS)
def test_every_summary_is_a_sentence_that_fits_one_line(path):
    summary = split_help(COMMANDS[path].callback)[0][0]
    assert summary.endswith(".")
    assert len(summary) <= SUMMARY_COLUMNS


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_examples_that_call_it_and_keep_their_lines(path):
    examples = split_help(COMMANDS[path].callback)[1]
    assert examples
    for line in examples:
        assert len(line) <= EXAMPLE_COLUMNS, line
        assert path in line


@pytest.mark.parametrize(("place", "line"), [*EXAMPLES, *CONSOLE_LINES])
def test_every_documented_call_is_one_the_command_line_reads(place, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in gemvec_calls(line):
        for file in [word for word in words if re.fullmatch(r"\w+\.\w+", word)]:
            (tmp_path / file).touch()  # some must exist to be accepted
        parse(words)


def test_a_call_that_the_command_line_refuses_is_noticed():
    with pytest.raises(Exception, match="no-such"):
        parse(["gemvec", "index", "docs/", "--no-such"])
    with pytest.raises(AssertionError, match="no command"):
        parse(["gemvec", "no-such"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_flag_that_a_page_names_exists(page):
    options = [option for command in COMMANDS.values() for option in command.params]
    flags = {word for option in options for word in [*option.opts, *option.secondary_opts]}
    named = set(re.findall(r"`(--[a-z][a-z-]+)", page.read_text()))
    assert not named - flags - {"--help", "--version"}


def test_every_setting_is_documented_with_its_flag_and_its_variable():
    page = (GENERATED / "settings.md").read_text()
    for each in fields(Settings):
        assert f"`{flag_name(each.name)}` | `{variable_name(each.name)}`" in page


def test_every_other_variable_that_is_read_is_documented():
    page = (GENERATED / "settings.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'"((?:GEMVEC|GEMINI|GOOGLE|HF|XDG)(?:_[A-Z]+)+)"', sources))
    assert {"GEMVEC_BASE_URL", "XDG_CACHE_HOME"} <= named
    assert not [name for name in named if f"`{name}`" not in page]


def test_every_route_is_documented():
    page = (GENERATED / "routes.md").read_text()
    for row in ROUTES:
        assert f"`{row.method}` | `{row.path}`" in page


def test_every_error_is_documented():
    page = (GENERATED / "errors.md").read_text()
    assert all(f"`{kind.__name__}`" in page for kind in STATUSES)


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_is_documented(module):
    text = "".join(page.read_text() for page in PAGES)
    missing = [name for name in NAMES[module] if not re.search(rf"\b{name}\b", text)]
    assert not missing


def test_the_changelog_names_this_version():
    versions = re.findall(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == gemvec.__version__


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text()
    pages = [*ROOT.glob("docs/*.md"), *GENERATED.glob("*.md")]
    assert not [page.name for page in pages if f"({page.relative_to(ROOT)})" not in readme]


def anchors(page):
    """Return what GitHub makes of a page's headings."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target
