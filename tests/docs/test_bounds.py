"""The tables of bounds and promises in operations.md name a test for each, and the test exists."""

import re

import pytest

from pages import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("title", ["Bounds", "Promises"])
def test_every_row_names_a_test_that_exists(title):
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py)::(\w+)` \|\n", section + "\n")
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(named) == len(rows) > 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
