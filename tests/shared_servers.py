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
from pathlib import Path

import httpx
import numpy as np

from gemvec.batches.queue import BatchQueue
from gemvec.batches.store import BatchStore
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.storage.objects import parse_storage
from hash_embedder import vector_of
from simulation.contract import check_leftovers

PROGRAM = Path(__file__).parent / "batch_server.py"
PATIENCE_SECONDS = 120
MODEL = "/v1beta/models/gemini-embedding-001"


class SharedServers:
    """Real servers in processes of their own; a context manager that ends them.

    Attributes:
        kills: how many servers were killed.
    """

    def __init__(self, folder, count, environment, **settings):
        self.kills = Counter()
        self._folder = folder
        self._environment = os.environ | environment
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
        self.kills[index] += 1

    def pause(self, index, seconds):
        """Stop a server for a while, so that the others take it for dead."""
        url, self._urls[index] = self._urls[index], None
        self._processes[index].send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._processes[index].send_signal(signal.SIGCONT)
        self._urls[index] = url

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


class Killer:
    """Kills servers at random moments and starts them again, some only after the others have taken over."""

    def __init__(self, servers, count, *, kills_each, lease_seconds, seed=0, also=lambda number: None):
        self._servers = servers
        self._left = [index for index in range(count) for _ in range(kills_each)]
        self._lease_seconds = lease_seconds
        self._chance = random.Random(seed)
        self._also = also
        self._chance.shuffle(self._left)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join()

    @property
    def is_done(self):
        """Whether all kills were made."""
        return not self._left

    def _run(self):
        while self._left and not self._stopped.wait(self._chance.uniform(0, 1)):
            index = self._left.pop()
            long = 1.5 * self._lease_seconds
            if self._chance.random() < 0.1:
                self._servers.pause(index, long)
            self._servers.kill(index)
            if self._chance.random() < 0.2:
                time.sleep(long)
            self._also(len(self._left))
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
