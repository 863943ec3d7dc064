"""The table of bounds in operations.md names a test for each, and the test exists."""

import re

from pages import ROOT

ROWS = (ROOT / "docs" / "operations.md").read_text().partition("## Bounds\n")[2].partition("\n## ")[0]


def test_every_bound_names_a_test_that_exists():
    named = re.findall(r"`([\w/]+\.py)::(\w+)` \|\n", ROWS + "\n")
    rows = [line for line in ROWS.splitlines() if line.startswith("| ")][2:]
    assert len(named) == len(rows) > 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
