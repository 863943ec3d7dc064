"""The import rule of the rooms, which `lint-imports` reads from pyproject.toml, holds, and imports have no circles."""

import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent


def test_rooms_import_only_what_stands_to_their_right():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_the_architecture_page_draws_the_rule_that_is_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    drawing = re.search(r"```\n(.*?─▶.*?)```", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL)
    assert drawing, "the page has a drawing of the rooms"
    assert [" ".join(each.split()) for each in drawing[1].split("─▶")] == layers


def test_every_file_that_the_architecture_page_names_is_there():
    page = re.sub(r"```.*?```", "", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.DOTALL)
    rooms = (ROOT / name for name in ("src", "tests", "tools", "docs"))
    paths = {path.relative_to(ROOT).as_posix() for room in rooms for path in room.rglob("*.*")}
    named = re.findall(r"`([\w./]+\.(?:py|js|md))`", page)
    assert named, "the page names files"
    assert [each for each in named if not any(f"/{path}".endswith(f"/{each}") for path in paths)] == []


def test_no_module_imports_itself_by_way_of_others():
    """Local imports count, too: a circle that they hide is a circle."""
    graph = grimp.build_graph("gemvec", exclude_type_checking_imports=True, cache_dir=None)
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert any("gemvec.server.services" in names for names in imported.values()), "local imports are seen"
    assert find_circle(imported) == []


def test_a_circle_is_found():
    assert set(find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def find_circle(imported):
    """Return modules that import each other in a circle, or nothing."""
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return error.args[1]
    return []
