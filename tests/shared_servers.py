"""Several servers on one PostgreSQL and one object store, which are killed while clients use another one for each call.

What must hold, whatever dies: a batch whose creation was answered is there; when it has ended it has one response for
every request, in order, each computed from its own request; at rest nothing is left over.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import select

from gemvec.batches.queue import BatchQueue
from gemvec.batches.store import BatchStore
from gemvec.errors import StorageFailure
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.storage.objects import parse_storage
from gemvec.storage.schema import servers as servers_table
from gemvec.storage.servers import SERVER_ID_NAME
from hash_embedder import vector_of
from simulation.contract import check_leftovers

PROGRAM = Path(__file__).parent / "batch_server.py"
PATIENCE_SECONDS = 120
MODEL = "/v1beta/models/gemini-embedding-001"


class SharedServers:
    """Real servers in processes of their own; a context manager that ends them."""

    def __init__(self, folder, count, environment, database_url, **settings):
        self._database = open_database(database_url)
        self._folder = folder
        self._environment = os.environ | environment
        settings["database_url"] = database_url
        self._options = [f"{name}={value}" for name, value in settings.items()]
        self._processes = [None] * count
        self._urls = [None] * count

    def __enter__(self):
        for index in range(len(self._processes)):
            self.start(index)
        return self

    def __exit__(self, *_):
        for process in filter(None, self._processes):
            process.send_signal(signal.SIGTERM)
        for process in filter(None, self._processes):
            process.communicate()
        self._database.close()

    def start(self, index):
        """Start a server, with the data folder that it had before."""
        command = [sys.executable, PROGRAM, self._folder / f"server{index}", *self._options]
        with (self._folder / f"server{index}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment)
        self._processes[index] = process
        self._urls[index] = process.stdout.readline().strip() or None

    def kill(self, index):
        """Kill a server at once."""
        self._urls[index] = None
        self._processes[index].kill()
        self._processes[index].communicate()

    @contextmanager
    def paused(self, index):
        """Stop a server for the length of a block; afterwards it goes on where it was."""
        url, self._urls[index] = self._urls[index], None
        self._processes[index].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes[index].send_signal(signal.SIGCONT)
            self._urls[index] = url

    def wait_for_takeover(self, index):
        """Wait until the others have removed a silent server."""
        server_id = (self._folder / f"server{index}" / SERVER_ID_NAME).read_text().strip()
        its_rows = select(servers_table.c.token).where(servers_table.c.server_id == server_id)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(StorageFailure), self._database.read() as connection:
                if connection.execute(its_rows).first() is None:
                    return
            time.sleep(0.1)
        raise AssertionError(f"server {index} was silent for {PATIENCE_SECONDS} seconds and nobody took over")

    def any_url(self):
        """Return the address of one that runs."""
        while not (running := [url for url in self._urls if url]):
            time.sleep(0.05)
        return random.choice(running)

    def log(self):
        """Return what all of them have logged."""
        return "".join(path.read_text() for path in self._folder.glob("server*.log"))


class Client:
    """A client that uses another server for each call, and asks again when one has died."""

    def __init__(self, servers):
        self._servers = servers
        self._http = httpx.Client(timeout=30)
        self.retries = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.close()

    def ask(self, method, path, **options):
        """Return the answer of the first server that has one below 500."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self._http.request(method, self._servers.any_url() + path, **options)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code < 500:
                    return answer
            self.retries += 1
            time.sleep(0.05)
        raise AssertionError(f"no server answers {method} {path}")

    def upload(self, content):
        """Begin an upload, send it in two pieces, and finish it, each at another server; return the file's name."""
        start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
        url = self.ask("POST", "/upload/v1beta/files", headers=start, json={}).headers["x-goog-upload-url"]
        path = "/" + url.split("/", 3)[3]
        while (received := self._received(path)) < len(content):
            stop = len(content) // 2 if received < len(content) // 2 else len(content)
            headers = {"x-goog-upload-command": "upload", "x-goog-upload-offset": str(received)}
            self.ask("POST", path, headers=headers, content=content[received:stop])
        answer = self.ask("POST", path, headers={"x-goog-upload-command": "finalize"})
        assert answer.status_code == 200, answer.text
        return answer.json()["file"]["name"]

    def _received(self, path):
        answer = self.ask("POST", path, headers={"x-goog-upload-command": "query"})
        return int(answer.headers["x-goog-upload-size-received"])

    def run_batch(self, number, count):
        """Have texts embedded as a batch; check every answer and return the batch's name."""
        texts = [f"text {index} of {number}" for index in range(count)]
        lines = [
            json.dumps({"key": f"{number}-{index}", "request": {"content": {"parts": [{"text": text}]}}})
            for index, text in enumerate(texts)
        ]
        file = self.upload("\n".join(lines).encode())
        body = {"batch": {"inputConfig": {"fileName": file}, "displayName": str(number)}}
        created = self.ask("POST", f"{MODEL}:asyncBatchEmbedContent", json=body)
        assert created.status_code == 200, created.text
        name = created.json()["name"]
        while not (operation := self.ask("GET", f"/v1beta/{name}").json())["done"]:
            time.sleep(0.1)
        assert operation["metadata"]["state"] == "BATCH_STATE_SUCCEEDED", operation
        self._check(operation["response"]["responsesFile"], number, texts)
        return name

    def _check(self, file, number, texts):
        while (answer := self._download(file)) is None:
            self.retries += 1
        answers = [json.loads(line) for line in answer.splitlines()]
        assert [each["key"] for each in answers] == [f"{number}-{index}" for index in range(len(texts))]
        for each, text in zip(answers, texts, strict=True):
            assert np.array_equal(np.float32(each["response"]["embedding"]["values"]), vector_of(text)), each

    def _download(self, file):
        """Return a file's bytes, None if the server died while it sent them."""
        answer = self.ask("GET", f"/v1beta/{file}:download?alt=media")
        assert answer.status_code == 200, answer.text
        return answer.text


class Kill(StrEnum):
    """How a server is lost for a while."""

    RESTART = "killed, started again at once"
    AWAY = "killed, started again after the others have taken over"
    PAUSE = "paused until the others have taken over, then it lives on"


class Killer:
    """Makes a list of kills at random moments, in the background; leaving the block raises what went wrong.

    Attributes:
        made: how many kills of each kind were made.
    """

    def __init__(self, servers, kills, *, seed=0, pause_seconds=1.0, also=lambda left: None):
        """Begin at `start` of the block.

        Args:
            servers: SharedServers.
            kills: pairs of a server's index and a Kill, in order.
            seed: of the moments.
            pause_seconds: how long to wait between two kills, at most.
            also: called after each kill, while the server is gone, with the number of kills that are left.
        """
        self.made = Counter()
        self._servers, self._kills, self._also = servers, list(kills), also
        self._chance, self._pause_seconds = random.Random(seed), pause_seconds
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self):
        self._run = self._pool.submit(self._make_all)
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._pool.shutdown()
        self._run.result()

    @property
    def is_done(self):
        """Whether all kills were made, or one has failed."""
        return self._run.done()

    def _make_all(self):
        for number, (index, kind) in enumerate(self._kills, start=1):
            if self._stopped.wait(self._chance.uniform(0, self._pause_seconds)):
                break
            self._make(index, kind, left=len(self._kills) - number)
            self.made[kind] += 1

    def _make(self, index, kind, left):
        if kind is Kill.PAUSE:
            with self._servers.paused(index):
                self._also(left)
                self._servers.wait_for_takeover(index)
            return
        self._servers.kill(index)
        self._also(left)
        if kind is Kill.AWAY:
            self._servers.wait_for_takeover(index)
        self._servers.start(index)


def run_batches(servers, killer, *, batches, requests, clients=4):
    """Run batches until as many as asked for have ended and every kill was made; return the clients' counts."""
    numbers = iter(range(10**9))
    lock = threading.Lock()
    names, retries = [], []

    def work():
        with Client(servers) as client:
            while True:
                with lock:
                    number = next(numbers)
                    if number >= batches and killer.is_done:
                        break
                names.append(client.run_batch(number, requests))
        retries.append(client.retries)

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(work) for _ in range(clients)]:
            done.result()
    assert set(names) <= _list_names(servers)
    return {"batches": len(names), "requests": len(names) * requests, "calls_again": sum(retries)}


def _list_names(servers):
    names, token = set(), ""
    with Client(servers) as client:
        while True:
            page = client.ask("GET", f"/v1beta/batches?pageSize=100&pageToken={token}").json()
            names |= {each["name"] for each in page["operations"]}
            if not (token := page.get("nextPageToken", "")):
                return names


def check_rest(database_url, storage):
    """Sweep as a server does, and check that nothing is left over and nobody is in the list of servers."""
    database = open_database(database_url)
    try:
        place = parse_storage(storage)
        store = BatchStore(database, FileStore(database, place), place)
        store.files.sweep()
        BatchQueue(store).sweep_leftovers()
        BatchQueue(store).sweep()
        check_leftovers(place, store)
    finally:
        database.close()
