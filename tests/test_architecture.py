"""The import rule of the rooms, which `lint-imports` reads from pyproject.toml, holds, and imports have no circles."""

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent


def test_rooms_import_only_what_stands_to_their_right():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


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
