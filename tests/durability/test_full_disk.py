"""There is a way out of a full disk: what makes room and what takes rights away always works, and the rest goes on."""

import json
import time

import httpx
import pytest

from batch_server import NAMES, batch_server
from disks import fill, small_disk
from gemvec.server.keys import KeyStore
from gemvec.storage.database import open_database
from hash_embedder import HashEmbedder

MODEL = "/v1beta/models/gemini-embedding-001"
REQUEST = {"content": {"parts": [{"text": "a"}]}}


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 40) as folder:
        yield folder


@pytest.fixture
def slow():
    return HashEmbedder(names=NAMES, delay_seconds=0.2)


def connect(url):
    return httpx.Client(base_url=url, timeout=120)


def upload(http, count):
    content = b"".join(json.dumps({"key": number, "request": REQUEST}).encode() + b"\n" for number in range(count))
    answer = http.post("/upload/v1beta/files", content=content, headers={"x-goog-upload-protocol": "raw"})
    return answer.json()["file"]["name"]


def create(http, file):
    return http.post(f"{MODEL}:asyncBatchEmbedContent", json={"batch": {"inputConfig": {"fileName": file}}})


def until(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came about")


def wait_for_the_reserve(disk):
    until((disk / "gemvec.reserve").exists)


def test_a_full_disk_can_be_left_by_every_command_that_makes_room(disk, slow):
    with batch_server(disk, slow) as url, connect(url) as http:
        wait_for_the_reserve(disk)
        file = upload(http, 5000)
        cancelled, deleted = (create(http, file).json()["name"] for _ in range(2))
        ballast = fill(disk)
        assert create(http, file).status_code == 503
        assert http.post(f"{MODEL}:embedContent", json=REQUEST).status_code == 200
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["storage"]) == (200, "There is no room left to store data.")
        assert http.post(f"/v1beta/{cancelled}:cancel").status_code == 200
        assert http.delete(f"/v1beta/{deleted}").status_code == 200
        assert http.delete(f"/v1beta/{file}").status_code == 200
        assert http.get(f"/v1beta/{deleted}").status_code == 404
        ballast.unlink()
        until(lambda: http.get(f"/v1beta/{cancelled}").json()["done"])
        results = http.get(f"/v1beta/{cancelled}").json()["metadata"]["output"]["responsesFile"]
        lines = http.get(f"/v1beta/{results}:download").text.splitlines()
        assert [json.loads(line)["key"] for line in lines] == list(range(5000))
        assert "storage" not in http.get("/readyz").json()


def test_a_server_starts_on_a_full_disk_and_embeds(disk, slow):
    with batch_server(disk, slow) as url, connect(url) as http:
        wait_for_the_reserve(disk)
        file = upload(http, 5000)
        name = create(http, file).json()["name"]
    fill(disk)
    with batch_server(disk, slow) as url, connect(url) as http:
        assert http.post(f"{MODEL}:embedContent", json=REQUEST).status_code == 200
        assert http.delete(f"/v1beta/{name}").status_code == 200


def test_a_key_is_revoked_on_a_full_disk(disk):
    database = open_database(disk / "gemvec.sqlite3")
    store = KeyStore(database)
    store.create("laptop")
    database.keep_reserve()
    fill(disk)
    assert store.revoke("laptop").revoked_at
    database.close()
