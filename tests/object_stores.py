"""Real servers for the suites that keep bytes in an object store, or read documents from one.

S3 is moto's server, in a thread of this process. The XML interface of Google Cloud Storage is that of S3 with other
names of headers, so moto answers that as well, behind `GoogleHeaders`. Azure is Azurite, a program for Node.js; where
it is not on the path, its tests are skipped.
"""

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import shutil
import subprocess
import threading
import urllib.request
from email.utils import formatdate

import pytest

_numbers = itertools.count()
_S3_SIGNATURE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_AZURE_ACCOUNT, _AZURE_KEY = "account", base64.b64encode(b"a key of thirty-two characters..").decode()


class S3:
    """An S3 server."""

    scheme = "s3"

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def environment(self):
        """Return the variables by which a process finds it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name="bucket"):
        """Make a bucket; nothing happens when it exists."""
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")).close()

    def remove_bucket(self, name):
        """Remove an empty bucket."""
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/{name}", method="DELETE")).close()


class GoogleCloudStorage(S3):
    """A server of Google Cloud Storage."""

    scheme = "gs"

    def environment(self):
        """Return the variables by which a process finds it."""
        account = {"gcs_base_url": self.endpoint, "disable_oauth": True}
        account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}


class Azure:
    """A server of Azure Blob Storage."""

    scheme = "az"

    def __init__(self, endpoint):
        self.endpoint = f"{endpoint}/{_AZURE_ACCOUNT}"
        self._made = set()

    def environment(self):
        """Return the variables by which a process finds it."""
        return {
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
            "AZURE_ALLOW_HTTP": "true",
            "AZURE_STORAGE_ACCOUNT_NAME": _AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _AZURE_KEY,
        }

    def make_bucket(self, name="bucket"):
        """Make a container; nothing happens when it exists."""
        if name not in self._made:
            self._ask("PUT", name)
            self._made.add(name)

    def remove_bucket(self, name):
        """Remove a container."""
        self._ask("DELETE", name)
        self._made.discard(name)

    def _ask(self, method, name):
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = [method, *[""] * 11, *(f"{key}:{value}" for key, value in headers.items())]
        signed += [f"/{_AZURE_ACCOUNT}/{_AZURE_ACCOUNT}/{name}", "restype:container"]
        digest = hmac.new(base64.b64decode(_AZURE_KEY), "\n".join(signed).encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {_AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
        url = f"{self.endpoint}/{name}?restype=container"
        urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers)).close()


class GoogleHeaders:
    """A WSGI application that lets a server of S3 answer requests of Google's XML interface.

    Removing what is not there is an error, as at Google.
    """

    def __init__(self, s3):
        self._s3 = s3

    def __call__(self, environ, start_response):
        """Answer one request."""
        names = {name for name in environ if name.startswith("HTTP_X_GOOG_")}
        s3_environ = environ | {f"HTTP_X_AMZ_{name.removeprefix('HTTP_X_GOOG_')}": environ[name] for name in names}
        s3_environ["HTTP_AUTHORIZATION"] = _S3_SIGNATURE  # moto takes it apart and does not check it
        if s3_environ["REQUEST_METHOD"] == "DELETE" and not s3_environ["QUERY_STRING"]:
            found = []
            head = s3_environ | {"REQUEST_METHOD": "HEAD"}
            self._s3(head, lambda status, *_: found.append(status))
            if found[0].startswith("404"):
                start_response("404 Not Found", [("Content-Length", "0")])
                return []
        return self._s3(s3_environ, start_response)


@contextlib.contextmanager
def running_s3():
    """Run an S3 server for the length of a block, on the loopback only."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield S3("http://{}:{}".format(*server.get_host_and_port()))
    server.stop()


@contextlib.contextmanager
def running_google_cloud_storage():
    """Run a server of Google Cloud Storage for the length of a block, on the loopback only."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = GoogleHeaders(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield GoogleCloudStorage(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def running_azure():
    """Run Azurite for the length of a block, on the loopback only."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on the path; `just azure` installs it and runs its tests")
    words = [program, "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry"]
    environ = os.environ | {"AZURITE_ACCOUNTS": f"{_AZURE_ACCOUNT}:{_AZURE_KEY}"}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as process:
        line = next(each for each in process.stdout if " listens on " in each)
        reading = threading.Thread(target=process.stdout.read, daemon=True)  # it stops when nobody reads
        reading.start()
        yield Azure(line.split()[-1])
        process.terminate()
        reading.join()


RUNNING = {"s3": running_s3, "gs": running_google_cloud_storage, "az": running_azure}


@pytest.fixture(scope="session")
def start_object_store():
    """Return what starts the server of a scheme once, and gives it."""
    pytest.importorskip("moto.server", reason="moto is not installed")
    with contextlib.ExitStack() as running:
        started = {}

        def start(scheme):
            if scheme not in started:
                started[scheme] = running.enter_context(RUNNING[scheme]())
            return started[scheme]

        yield start


def use(server, monkeypatch):
    """Let this process use a server, and return a prefix of its own in a bucket of it."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.make_bucket()
    return f"{server.scheme}://bucket/store{next(_numbers)}"


@pytest.fixture(params=sorted(RUNNING))
def object_store(request, start_object_store):
    """Each server of an object store in turn."""
    return start_object_store(request.param)


@pytest.fixture
def store_url(object_store, monkeypatch):
    """A prefix of its own in a bucket of each object store in turn, which this process can use."""
    return use(object_store, monkeypatch)


@pytest.fixture
def far_store(request, start_object_store):
    """The server for suites that would take too long with each: that of `--object-store`, which is S3 otherwise."""
    return start_object_store(request.config.getoption("--object-store"))


@pytest.fixture
def far_url(far_store, monkeypatch):
    """A prefix of its own in a bucket of that server, which this process can use."""
    return use(far_store, monkeypatch)


@pytest.fixture
def s3_url(start_object_store, monkeypatch):
    """A prefix of its own in a bucket of the S3 server, which this process can use."""
    return use(start_object_store("s3"), monkeypatch)
