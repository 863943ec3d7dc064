"""Lists that are sent whenever they have changed: their bounds, their end, and whose they are."""

import contextlib
import json
import threading
import time

import httpx
import pytest

from gemvec.server.keys import KeyStore
from gemvec.server.streams import MAX_STREAMS_OF_OWNER
from gemvec.settings import Settings
from gemvec.storage.database import database_of, open_database

EVENTS = {"accept": "text/event-stream"}
BATCHES, FILES = "/console/data/batches", "/console/data/files"
UPLOAD = {"x-goog-upload-protocol": "raw", "content-type": "text/plain"}
BATCH = {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"content": {"parts": [{"text": "a"}]}}}]}}}}


def lists_of(response):
    """Yield the lists of a stream as they arrive."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_a_list_is_sent_at_once_and_again_when_it_has_changed(running_whole, tmp_path):
    with running_whole(tmp_path) as http, http.stream("GET", FILES, headers=EVENTS) as response:
        lists = lists_of(response)
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert next(lists) == {}
        http.post("/upload/v1beta/files", content=b"a", headers=UPLOAD).raise_for_status()
        assert len(next(lists)["files"]) == 1


def test_a_batch_is_followed_to_its_end(running_whole, tmp_path):
    with running_whole(tmp_path) as http, http.stream("GET", BATCHES, headers=EVENTS) as response:
        lists = lists_of(response)
        next(lists)
        http.post("/v1beta/models/tiny:asyncBatchEmbedContent", json=BATCH).raise_for_status()
        while not (found := next(lists)).get("operations") or not found["operations"][0]["done"]:
            pass
        assert found == http.get("/v1beta/batches").json()


@pytest.mark.parametrize("path", [BATCHES, FILES])
def test_who_accepts_no_events_gets_the_list_once(running_whole, tmp_path, path):
    with running_whole(tmp_path) as http:
        answer = http.get(path, params={"pageSize": 1})
        assert answer.json() == http.get(path.replace("console/data", "v1beta")).json()
        assert http.get(path, params={"pageToken": "wrong"}, headers=EVENTS).status_code == 400


def test_the_streams_of_a_caller_are_counted_and_given_back(running_whole, tmp_path):
    with running_whole(tmp_path) as http:
        with contextlib.ExitStack() as opened:
            responses = [
                opened.enter_context(http.stream("GET", FILES, headers=EVENTS)) for _ in range(MAX_STREAMS_OF_OWNER)
            ]
            following = [lists_of(each) for each in responses]  # kept: what forgets one, leaves
            assert [next(each) for each in following] == [{}] * MAX_STREAMS_OF_OWNER
            refused = http.get(FILES, headers=EVENTS)
            assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
            assert http.get(FILES).status_code == 200
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with http.stream("GET", FILES, headers=EVENTS) as response:
                if response.status_code == 200:
                    break
        else:
            pytest.fail("no stream was given back")


def test_a_stream_ends_when_the_server_stops(running_whole, tmp_path):
    with contextlib.ExitStack() as server, httpx.Client(timeout=30) as client:
        url = server.enter_context(running_whole(tmp_path)).base_url
        with client.stream("GET", url.join(FILES), headers=EVENTS) as response:
            lists = lists_of(response)
            next(lists)
            stopping = threading.Thread(target=server.close)
            stopping.start()
            assert list(lists) == []  # an end as the protocol has it, not a connection that breaks off
            stopping.join()


def test_a_stream_ends_when_its_key_is_revoked(running_whole, tmp_path):
    settings = Settings(data_dir=tmp_path)
    with contextlib.closing(open_database(database_of(settings))) as database:
        keys = KeyStore(database)
        _, mine = keys.create("mine")
        with (
            running_whole(tmp_path) as http,
            http.stream("GET", FILES, headers=EVENTS | {"x-goog-api-key": mine}) as response,
        ):
            lists = lists_of(response)
            assert next(lists) == {}
            keys.revoke("mine")
            assert list(lists) == []
            assert http.get(FILES, headers=EVENTS).status_code == 403
