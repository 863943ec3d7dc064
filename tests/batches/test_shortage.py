"""A server that runs out of what the system gives it: it parks its batches, lives, answers, and goes on afterwards.

The limits are set from outside on a server that is in the middle of a batch, and lifted again.
"""

import resource
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from batch_steps import line
from hash_embedder import vector_of

SERVER = Path(__file__).parent.parent / "batch_server.py"
COUNT = 20_000
PARKED = "a batch is parked"
STORE_FAILS = "the store of batches cannot be written"

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of other processes are Linux's")


class Server:
    """A server in a process of its own.

    Attributes:
        http: one connection to it, kept open.
        log: what it has written to standard error.
    """

    def __init__(self, process):
        self.process = process
        self.http = httpx.Client(base_url=process.stdout.readline().strip(), timeout=120)
        self.log = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for each in self.process.stderr:
            self.log += each

    def batch(self, name):
        """Return a batch, or None while the server says that it cannot."""
        answer = self.http.get(f"/v1beta/{name}")
        if answer.status_code != 200:
            assert answer.json()["error"]["status"] in {"UNAVAILABLE", "INTERNAL"}
            return None
        return answer.json()["metadata"]

    def done(self, name):
        """Return how many requests of a batch have their result."""
        batch = self.batch(name)
        return int(batch["batchStats"].get("successfulRequestCount", 0)) if batch else 0

    @contextmanager
    def short_of(self, limited, most):
        """Let the server have only so much."""
        before = resource.prlimit(self.process.pid, limited)
        resource.prlimit(self.process.pid, limited, (most, before[1]))
        yield
        resource.prlimit(self.process.pid, limited, before)

    def close(self):
        """Stop it."""
        self.process.terminate()
        self.http.close()
        self._reader.join()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def server(tmp_path):
    command = [sys.executable, SERVER, tmp_path / "data", "delay_seconds=0.1"]
    opened = Server(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    yield opened
    opened.close()


def until(condition):
    """Wait as long as it takes; a test that hangs is ended by the person who runs it."""
    while not condition():
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("limited", "most"),
    [
        pytest.param(resource.RLIMIT_NOFILE, 3, id="file descriptors"),
        pytest.param(resource.RLIMIT_FSIZE, 1000, id="room on the disk"),
    ],
)
def test_a_batch_in_progress_waits_and_goes_on_when_there_is_enough_again(server, limited, most):
    content = b"".join(line(f"secret {number}", key=str(number)) + b"\n" for number in range(COUNT))
    file = server.http.post("/upload/v1beta/files?uploadType=media", content=content).json()["file"]["name"]
    asked = {"batch": {"inputConfig": {"fileName": file}}}
    name = server.http.post("/v1beta/models/hash:asyncBatchEmbedContent", json=asked).json()["name"]
    until(lambda: server.done(name))
    with server.short_of(limited, most):
        until(lambda: PARKED in server.log or STORE_FAILS in server.log)
        answer = server.http.post("/v1beta/models/hash:embedContent", json={"content": {"parts": [{"text": "now"}]}})
        assert answer.json()["embedding"]["values"] == vector_of("now").tolist()
        refused = server.http.post("/v1beta/models/hash:asyncBatchEmbedContent", json=asked)
        assert (refused.status_code, refused.json()["error"]["status"]) in {(503, "UNAVAILABLE"), (500, "INTERNAL")}
        assert str(server.process.args[2]) not in refused.text
    until(lambda: (server.batch(name) or {}).get("state") == "BATCH_STATE_SUCCEEDED")
    results = server.http.get(f"/v1beta/files/{name.replace('batches/', 'batch-')}:download").content.splitlines()
    assert len(results) == COUNT
    for number, result in enumerate(map(orjson.loads, results)):
        assert result["key"] == str(number)
        assert result["response"]["embedding"]["values"] == vector_of(f"secret {number}").tolist()
    assert "secret" not in server.log
    assert "Traceback" not in server.log
