"""The command line: thin commands over the library. `main` is the `gemvec` script."""

from __future__ import annotations

import atexit
import os
import sys

import gemvec
from gemvec.errors import how_to_install


def main() -> None:
    """Run the `gemvec` command; where packages are missing, say which extra brings them."""
    if sys.argv[1:] == ["--version"]:  # needs no package
        sys.stdout.write(f"gemvec {gemvec.__version__}\n")
        return
    ending = _Ending()
    atexit.register(ending.leave)
    try:
        from gemvec.cli.app import run

        ending.status = run()
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"error: The command line needs more packages. {how_to_install('all')}\n")
        ending.status = 2
    except KeyboardInterrupt:  # before `run` could tell
        ending.status = 130
    sys.exit(ending.status)


class _Ending:
    """Ends the process without taking it apart, which for OpenVINO and Arrow takes a fifth of a second.

    What was registered at exit later, by whatever the command has imported, has been called before: the last comes
    first. So all that is left to be done is to free memory.
    """

    status = 1  # of a traceback

    def leave(self) -> None:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # nobody reads any more, or it is closed; Python says so
            return
        os._exit(self.status)
