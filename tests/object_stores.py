"""A real S3 server for the suites that keep bytes in an object store: moto's, in a thread of this process."""

import itertools
import urllib.request

import pytest

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_endpoint():
    """The address of a running S3 server, on the loopback only."""
    server_of = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer
    server = server_of(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3_environment(s3_endpoint):
    """The variables by which a process finds the S3 server."""
    return {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture
def s3_url(s3_endpoint, s3_environment, monkeypatch):
    """A prefix of its own in a bucket of the S3 server, which this process can use."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{s3_endpoint}/bucket", method="PUT")).close()
    return f"s3://bucket/store{next(_numbers)}"
