"""The command line: thin commands over the library. `main` is the `gemvec` script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the `gemvec` command; without the packages it needs, say which extra to install."""
    try:
        from gemvec.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write("gemvec: the command line needs more packages: pip install 'gemvec[all]'\n")
        sys.exit(2)
    sys.exit(run())
