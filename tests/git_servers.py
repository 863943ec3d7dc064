"""Git over HTTP, HTTPS and SSH on this machine: the real `git http-backend` behind a small server, and a real sshd."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")


class GitSite(ThreadingHTTPServer):
    """Serves the repositories below a folder.

    Attributes:
        authorization: what a request must have as its Authorization; None for nothing.
        redirects: where to send requests for a path, by how the path begins.
        asked: the paths that were asked for.
        authorizations: what each request had as its Authorization.
    """

    daemon_threads = True

    def __init__(self, folder, certificate=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.authorization = folder, None
        self.redirects, self.asked, self.authorizations = {}, [], []
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.host}"

    def handle_error(self, request, client_address):
        """Say nothing: a client that does not trust the certificate hangs up."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def log_message(self, *_):
        pass

    def _answer(self):
        server, parts = self.server, urlsplit(self.path)
        server.asked.append(self.path)
        server.authorizations.append(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for beginning, target in server.redirects.items():
            if parts.path.startswith(beginning):
                self._send("302 Found", [("Location", target + self.path.removeprefix(beginning))], b"")
                return
        if server.authorization not in {None, self.headers.get("Authorization")}:
            self._send("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')], b"")
            return
        self._send(*self._ask_git(parts, body))

    def _ask_git(self, parts, body):
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], env=environ, input=body, capture_output=True, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = dict(headers).get("Status", "200 OK")
        return status, [each for each in headers if each[0] != "Status"], answer

    def _send(self, status, headers, body):
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def running_git_site(folder, certificate=None):
    """Serve the repositories below a folder for the length of a block."""
    site = GitSite(folder, certificate)
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


class Sshd:
    """A server of SSH.

    Attributes:
        port: on 127.0.0.1.
        command: how to call `ssh` so that it uses the key and the host keys of the tests.
        known_hosts: the file of host keys; without it the server is unknown.
    """

    def __init__(self, folder, port):
        self.port, self.known_hosts = port, folder / "known_hosts"
        key = ("-i", folder / "key", "-F", os.devnull, "-o", f"UserKnownHostsFile={self.known_hosts}")
        self.command = " ".join(["ssh", *map(str, key), "-p", str(port)])


@contextlib.contextmanager
def running_sshd(folder, home):
    """Run an SSH server for the length of a block, whose callers begin in the folder `home`."""
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    public = (folder / "key.pub").read_text()
    begin = f'command="cd {home} && sh -c \\"$SSH_ORIGINAL_COMMAND\\""'
    (folder / "authorized_keys").write_text(f"{begin} {public}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
    ]
    (folder / "sshd_config").write_text("\n".join(settings) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd asks for it
    server = Sshd(folder, port)
    host = (folder / "host.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"[127.0.0.1]:{port} {' '.join(host)}\n")
    words = [SSHD, "-D", "-e", "-f", folder / "sshd_config"]
    with (folder / "log").open("w") as log, subprocess.Popen(words, stderr=log) as process:
        _wait_for(port, process)
        yield server
        process.terminate()


def _wait_for(port, process):
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        assert process.poll() is None, "sshd ended"
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
