"""A model hub on this machine: the three routes that fetching a model takes, and the ways a network fails."""

import hashlib
import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Serves the files of one folder as the repository `acme/tiny`.

    Attributes:
        content: bytes by path; change them to serve something else.
        break_off: paths whose next download ends half-way.
        stall: paths whose download stops half-way until `go_on` is set; `stalled` is set when one does.
        downloads: paths of the downloads asked for, in order.
        authorizations: what each request had as its Authorization, None without one.
    """

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.content = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self.digests = {path: hashlib.sha256(content).hexdigest() for path, content in self.content.items()}
        self.break_off, self.stall, self.downloads, self.authorizations = [], [], [], []
        self.stalled, self.go_on = threading.Event(), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.authorizations.append(self.headers.get("Authorization"))
        if self.path.startswith("/api/models/acme/tiny/"):
            self._send(json.dumps(self._listing()).encode())
        elif (path := self._asked()) in self.server.content:
            self.server.downloads.append(path)
            self._send_file(path)
        else:
            self._send(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

    def do_HEAD(self):
        self.server.authorizations.append(self.headers.get("Authorization"))
        path = self._asked()
        if path in self.server.content:
            self._send(self.server.content[path], headers=self._describe(path))
        else:
            self._send(b"", 404, {"X-Error-Code": "EntryNotFound"})

    def log_message(self, *args):
        pass

    def _asked(self):
        return self.path.partition(f"/acme/tiny/resolve/{COMMIT}/")[2]

    def _listing(self):
        siblings = []
        for path, content in self.server.content.items():
            entry = {"rfilename": path, "size": len(content), "blobId": "0" * 40}
            if path.endswith(".safetensors"):
                entry["lfs"] = {"sha256": self.server.digests[path], "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {"id": "acme/tiny", "sha": COMMIT, "siblings": siblings, "private": False, "downloads": 0, "tags": []}

    def _describe(self, path):
        return {"X-Repo-Commit": COMMIT, "ETag": f'"{self.server.digests[path]}"'}

    def _send(self, content, status=200, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_file(self, path):
        content, start = self.server.content[path], 0
        if ranged := self.headers.get("Range"):
            start = int(ranged.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if ranged else 200)
        for name, value in self._describe(path).items():
            self.send_header(name, value)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        half = start + (len(content) - start) // 2
        self.wfile.write(content[start:half])
        if path in self.server.break_off:
            self.server.break_off.remove(path)
            self.close_connection = True
            return
        if path in self.server.stall:
            self.wfile.flush()
            self.server.stalled.set()
            self.server.go_on.wait(60)
        self.wfile.write(content[half:])

    def handle(self):
        with suppress(ConnectionError):  # the client was killed
            super().handle()


@contextmanager
def serving(folder: Path):
    """Serve `folder` while the block runs."""
    server = HubServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
