"""A Milvus server with bulk import by REST, as Milvus 2.4 and later describe it: Milvus Lite behind the same port.

No package brings such a server. This one answers the three calls as Milvus documents them, with its states, and its
jobs insert the rows of the Parquet files, each job all of them at once. Like Milvus, it does not compare keys: a file
that is imported twice gives rows twice, so it counts what it has inserted.
"""

import contextlib
import json
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pyarrow import parquet

_JOBS = "/v2/vectordb/jobs/import/"
_GRPC = b"PRI * HTTP/2.0"
_BLOCK_BYTES = 2**16


@dataclass
class Job:
    """One import."""

    job_id: str
    collection: str
    files: list
    state: str = "Pending"
    reason: str = ""


@dataclass
class ImportServer:
    """What a test sees of the server.

    Attributes:
        address: for `--uri`.
        objects: where its bucket is, a folder; absolute paths are read as they are.
        jobs: by id.
        imported: how often each key was inserted.
        fails: how many of the next jobs fail.
        is_held: set while jobs are to stay as they are.
        forgets: whether ended jobs are no longer listed.
        has_jobs: whether it has these calls, which 2.3 does not.
    """

    address: str
    objects: Path
    jobs: dict = field(default_factory=dict)
    imported: Counter = field(default_factory=Counter)
    fails: int = 0
    is_held: threading.Event = field(default_factory=threading.Event)
    forgets: bool = False
    has_jobs: bool = True

    def answer(self, action, body):
        """Return the data of an answer."""
        if action == "create":
            job = Job(str(4_000 + len(self.jobs)), body["collectionName"], [name for (name,) in body["files"]])
            self.jobs[job.job_id] = job
            return {"jobId": job.job_id}
        if action == "list":
            found = [each for each in self.jobs.values() if each.collection == body["collectionName"]]
            listed = [each for each in found if not self.forgets or each.state in {"Pending", "Importing"}]
            return {"records": [self._describe(each) for each in listed]}
        job = self.jobs[body["jobId"]]
        if job.state == "Pending" and not self.is_held.is_set():  # it has no tasks yet, so it names no files
            job.state = "Importing"
            return self._describe(job) | {"state": "Pending", "details": []}
        self._go_on(job)
        details = [{"fileName": f'id:{number} paths:"{name}" '} for number, name in enumerate(job.files)]
        return self._describe(job) | {"details": details}

    def _describe(self, job):
        reason = {"reason": job.reason} if job.reason else {}
        return {"jobId": job.job_id, "collectionName": job.collection, "state": job.state, "progress": 0, **reason}

    def _go_on(self, job):
        """Go one step further: a job is asked for a few times before it is done."""
        if self.is_held.is_set() or job.state in {"Completed", "Failed"}:
            return
        if self.fails:
            self.fails -= 1
            job.state, job.reason = "Failed", "no disk left"
        else:
            self._insert(job)
            job.state = "Completed"

    def _insert(self, job):
        from pymilvus import MilvusClient

        client = MilvusClient(self.address)
        for name in job.files:
            rows = parquet.read_table(self.objects / name).to_pylist()
            for row in rows:
                row["metadata"] = json.loads(row["metadata"])
            self.imported.update(row["key"] for row in rows)
            for start in range(0, len(rows), 1000):
                client.insert(job.collection, rows[start : start + 1000])
        client.close()


@contextlib.contextmanager
def running_import_server(folder):
    """Run a server for the length of a block."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    grpc, database, grpc_port = start_server_in_thread(data_dir=str(folder / "server.db"), host="127.0.0.1", port=0)
    listening = socket.create_server(("127.0.0.1", 0))
    server = ImportServer(f"http://127.0.0.1:{listening.getsockname()[1]}", folder)
    threading.Thread(target=_accept, args=(listening, server, grpc_port), daemon=True).start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        grpc.stop(grace=0)
        database.close()


def _accept(listening, server, grpc_port):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, server, grpc_port), daemon=True).start()


def _serve(connection, server, grpc_port):
    """Pass gRPC on, and answer HTTP/1.1: both come to one port of Milvus."""
    with contextlib.suppress(OSError), connection:
        head = connection.recv(len(_GRPC), socket.MSG_PEEK | socket.MSG_WAITALL)
        if head == _GRPC:
            with socket.create_connection(("127.0.0.1", grpc_port)) as behind:
                back = threading.Thread(target=_pass_on, args=(behind, connection), daemon=True)
                back.start()
                _pass_on(connection, behind)
                back.join()
        else:
            _answer_all(connection, server)


def _pass_on(source, target):
    with contextlib.suppress(OSError):
        while block := source.recv(_BLOCK_BYTES):
            target.sendall(block)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _answer_all(connection, server):
    with connection.makefile("rb") as stream:
        while line := stream.readline():
            length = 0
            while header := stream.readline().strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            path, body = line.split()[1].decode(), json.loads(stream.read(length))
            status, content = "404 Not Found", b"404 page not found"
            if server.has_jobs:
                data = server.answer(path.removeprefix(_JOBS), body)
                status, content = "200 OK", json.dumps({"code": 0, "data": data}).encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content)
