"""A real S3 server for the suites that keep bytes in an object store: moto's, in a thread of this process."""

import contextlib
import itertools
import urllib.request

import pytest

_numbers = itertools.count()


@contextlib.contextmanager
def running_s3():
    """Run an S3 server for the length of a block, on the loopback only; gives its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def make_bucket(endpoint):
    """Make the bucket of the tests in an S3 server; nothing happens when it exists."""
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT")).close()


def environment_of(endpoint):
    """Return the variables by which a process finds an S3 server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture(scope="session")
def s3_endpoint():
    """The address of a running S3 server."""
    pytest.importorskip("moto.server", reason="moto is not installed")
    with running_s3() as endpoint:
        yield endpoint


@pytest.fixture
def s3_environment(s3_endpoint):
    """The variables by which a process finds the S3 server."""
    return environment_of(s3_endpoint)


@pytest.fixture
def s3_url(s3_endpoint, s3_environment, monkeypatch):
    """A prefix of its own in a bucket of the S3 server, which this process can use."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    make_bucket(s3_endpoint)
    return f"s3://bucket/store{next(_numbers)}"
