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
    exit_ = _QuickExit()
    atexit.register(exit_.leave)
    try:
        from gemvec.cli.app import run

        exit_.status = run()
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"error: The command line needs more packages. {how_to_install('all')}\n")
        exit_.status = 2
    except KeyboardInterrupt:  # before `run` could tell
        exit_.status = 130
    sys.exit(exit_.status)


class _QuickExit:
    """Ends the process without freeing its memory, which takes OpenVINO and Arrow a fifth of a second.

    It is registered first and so called last: what imported modules have registered at exit has been done by then.
    """

    status = 1  # when a traceback ends the command

    def leave(self) -> None:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # the reader has left, or the stream is closed; Python reports it
            return
        os._exit(self.status)
