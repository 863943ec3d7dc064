"""The command line: thin commands over the library. `main` is the `gemvec` script."""

from __future__ import annotations

import atexit
import os
import sys

import gemvec
from gemvec.errors import how_to_install


def main() -> None:
    """Run the `gemvec` command; if packages are missing, say which extra installs them."""
    if sys.argv[1:] == ["--version"]:  # needs no other package
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
    except KeyboardInterrupt:  # before `run` could report it
        exit_.status = 130
    sys.exit(exit_.status)


class _QuickExit:
    """Ends the process without freeing memory, which would take OpenVINO and Arrow a fifth of a second.

    It is registered first, so it is called last: exit handlers of imported modules have run by then.
    """

    status = 1  # if a traceback ends the command

    def leave(self) -> None:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # the reader is gone, or the stream is closed; Python reports it
            return
        os._exit(self.status)
