"""A real Milvus server, standalone and of version 2.3, for the suites that need more than Milvus Lite.

The package `milvus` (58 MB, for Linux and macOS) brings it; CI installs it for a step of its own. It listens on every
address of the machine while it runs, as Milvus does.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sysconfig
import time

from balancer import free_port

ABSENT = "no Milvus server: `pip install milvus==2.3.5`"
# The parts of a server that tell the others where they are: by default an address that others can reach.
_PARTS = ["rootCoord", "proxy", "queryCoord", "queryNode", "indexCoord", "indexNode", "dataCoord", "dataNode"]
# Looks more often than by default at what is new, so that small collections are ready sooner; in milliseconds.
_OPTIONS = ["proxy.timeTickInterval=50", "queryCoord.checkInterval=100", "queryCoord.distPullInterval=50"]


def find_program():
    """Return the program that starts a server; None if the package is not installed."""
    return shutil.which("milvus-server", path=sysconfig.get_path("scripts"))


@contextlib.contextmanager
def running_milvus(folder):
    """Run a server on a free port for the length of a block; gives its address."""
    port, log = free_port(), folder / "log.txt"
    options = [f"{part}.ip=127.0.0.1" for part in _PARTS] + _OPTIONS
    command = [find_program(), "--data", folder / "data", "--proxy-port", str(port)]
    command += [word for each in options for word in ("--extra-config", each)]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        _wait_for(process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):  # the program and the server that it has started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)  # half a gigabyte


def _wait_for(process, log):
    deadline = time.monotonic() + 240
    while "Welcome" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"the Milvus server did not start: {log.read_text()}"
        time.sleep(0.1)
