"""A server that keeps files and serves no model, as a program: `python file_server.py DATA_DIR [SETTING=VALUE ...]`.

For tests that kill it, fill its disk or weigh it. Prints its URL and serves until it is stopped.
"""

import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from gemvec.logs import configure_logs
from gemvec.server.run import open_socket, serve, serving, url_of
from gemvec.server.services import open_services
from gemvec.settings import Settings


class NoModels:
    """An embedder that serves nothing."""

    def list_models(self):
        return []

    def figures(self):
        return []


def file_services(**settings):
    """Return the services of a server without models."""
    return open_services(Settings.load({}, **({"port": 0} | settings)), embedder=NoModels())


@contextmanager
def file_server(data_dir, **settings):
    """Serve files in a thread; gives the URL."""
    with serving(file_services(data_dir=data_dir, **settings)) as url:
        yield url


class FileServerProcess:
    """The same in a process of its own; a context manager that ends it."""

    def __init__(self, data_dir, **settings):
        options = [f"{name}={value}" for name, value in settings.items()]
        command = [sys.executable, __file__, str(data_dir), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)

    def end(self, with_signal):
        """End the process and return what it logged."""
        self.process.send_signal(with_signal)
        return self.process.communicate()[1]

    def peak_memory_bytes(self):
        """Return the largest memory the process ever had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def main():
    """Serve until SIGTERM."""
    configure_logs("json", "info")
    services = file_services(data_dir=sys.argv[1], **dict(each.split("=", 1) for each in sys.argv[2:]))
    bound = open_socket("127.0.0.1", services.settings.port)
    serve(services, bound, lambda: print(url_of(bound), flush=True))


if __name__ == "__main__":
    main()
