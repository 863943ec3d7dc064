"""Through a balancer, each request of an upload, a batch and a download is answered by another server.

Needs `--servers 3`; the other tests of this folder then run against these servers too.
"""

import itertools
import json
import time

import httpx
import pytest

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]


@pytest.fixture
def client(request, server):
    """A caller that checks that each of its requests goes to the server after the last one."""
    count = request.config.getoption("--servers")
    if count == 1:
        pytest.skip("one server: run with --servers 3")
    served_by = []

    def note(answer):
        served_by.append(answer.headers["x-served-by"])
        assert answer.is_success, answer.read()

    with httpx.Client(base_url=server, timeout=30, event_hooks={"response": [note]}) as client:
        yield client
    assert len(set(served_by)) == count
    assert all(one != next_one for one, next_one in itertools.pairwise(served_by))


def test_an_upload_begun_at_one_server_is_continued_and_finished_at_the_others(client):
    content = bytes(range(256)) * 3000
    start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    url = client.post("/upload/v1beta/files", headers=start, json={}).headers["x-goog-upload-url"]
    assert url.startswith(str(client.base_url))
    for offset in (0, 300_000, 600_000):
        headers = {"x-goog-upload-command": "upload", "x-goog-upload-offset": str(offset)}
        client.post(url, headers=headers, content=content[offset : offset + 300_000])
    asked = client.post(url, headers={"x-goog-upload-command": "query"})
    assert asked.headers["x-goog-upload-size-received"] == str(len(content))
    name = client.post(url, headers={"x-goog-upload-command": "finalize"}).json()["file"]["name"]
    pieces = [
        client.get(f"/v1beta/{name}:download?alt=media", headers={"range": f"bytes={first}-{first + 255_999}"}).content
        for first in range(0, len(content), 256_000)
    ]
    assert b"".join(pieces) == content


def test_a_batch_made_at_one_server_is_followed_and_read_at_the_others(client):
    requests = [{"request": {"content": {"parts": [{"text": f"text {number}"}]}}} for number in range(30)]
    body = {"batch": {"displayName": "d", "inputConfig": {"requests": {"requests": requests}}}}
    name = client.post("/v1beta/models/gemini-embedding-001:asyncBatchEmbedContent", json=body).json()["name"]
    while not (operation := client.get(f"/v1beta/{name}").json())["done"]:
        time.sleep(0.05)
    answers = operation["response"]["inlinedResponses"]["inlinedResponses"]
    assert len(answers) == 30, json.dumps(operation)[:500]
    client.delete(f"/v1beta/{name}")
    listed = [client.get("/v1beta/batches").json().get("operations", []) for _ in range(3)]
    assert all(name not in {each["name"] for each in page} for page in listed)
