"""Write docs/compatibility.md: what of Google's API is the same here, and what each client did when it was last run.

    python tools/compatibility.py [--check]

The rows on the API are in `compatibility_rows.toml`, each with the test that shows it; the rows on clients are what
`pytest -m clients --client-results benchmarks/results/clients.json` wrote. `--check` changes nothing and fails where
the page is stale or a row names a test that does not exist.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "compatibility.md"
RESULTS = ROOT / "benchmarks" / "results" / "clients.json"
INTRODUCTION = """\
<!-- Written by tools/compatibility.py; change its rows or run the clients again. -->

# Compatibility

## APIs

Every endpoint and field of Google's reference for embeddings, what there is of other APIs, and the test below `tests/`
that shows the answer.
"""
CLIENTS = """\

## Clients

Each client ran as its users run it, unpatched, in a process and an environment of its own, pointed at `gemvec serve`
by its own documented setting. To run them again: `pytest -m clients`. That runs the programs in `examples/`, too; the
one with Google's Go SDK only where there are a Go toolchain and the SDK's modules.
"""


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows]) + "\n"


class Row(NamedTuple):
    """What gemvec does with one endpoint or field; `test` is file::name below tests/, or a file."""

    name: str
    answer: str
    remark: str
    test: str


def api_sections() -> dict[str, list[Row]]:
    """Return the rows on the APIs by their heading."""
    sections: list[dict[str, Any]] = tomllib.loads((HERE / "compatibility_rows.toml").read_text())["section"]
    return {section["title"]: [Row(*row) for row in section["rows"]] for section in sections}


def missing_tests(rows: Iterable[Row]) -> list[str]:
    """Return the tests that rows name and that do not exist."""
    missing: list[str] = []
    for row in rows:
        file, _, name = row.test.partition("::")
        path = ROOT / "tests" / file
        if not path.is_file() or (name and f"def {name}(" not in path.read_text()):
            missing.append(row.test)
    return missing


def _shown(name: str) -> str:
    """Return a name of the API as code, anything else as it is."""
    return f"`{name}`" if re.fullmatch(r"[\w.]+(, [\w.]+)*", name) else name


def client_row(client: dict[str, Any]) -> list[str]:
    """Return what one client did."""
    checks: list[dict[str, Any]] = client["checks"]
    works = ", ".join(each["check"] for each in checks if each["ok"])
    differs = "; ".join(f"{each['check']}: {each['detail']}" for each in checks if not each["ok"]) or "-"
    return [client["client"], client["version"] or "-", client["how"], works, differs.replace("|", "\\|")]


def page(sections: dict[str, list[Row]]) -> str:
    """Return the whole page."""
    api = [
        f"\n### {title}\n\n"
        + table(
            ["endpoint or field", "here", "remark", "shown by"],
            [[_shown(row.name), row.answer, row.remark or "-", f"`{row.test}`"] for row in rows],
        )
        for title, rows in sections.items()
    ]
    clients = [client_row(each) for each in json.loads(RESULTS.read_text())]
    return (
        f"{INTRODUCTION}{''.join(api)}"
        f"{CLIENTS}\n{table(['client', 'version', 'pointed here by', 'works', 'differs'], clients)}"
    )


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description="Write docs/compatibility.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where something is stale")
    check = parser.parse_args().check
    sections = api_sections()
    if missing := missing_tests(chain.from_iterable(sections.values())):
        print("no such test: " + ", ".join(missing))
        return 1
    text = page(sections)
    is_stale = not PAGE.exists() or PAGE.read_text() != text
    if is_stale and not check:
        PAGE.write_text(text)
    if is_stale:
        print(("stale: " if check else "written: ") + PAGE.name)
    return 1 if is_stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
