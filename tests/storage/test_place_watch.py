"""Whether the data folder or the object store answers, as `/readyz` says it."""

import asyncio
import socket
import threading

import pytest

from gemvec.storage.hold import STORE_ID_NAME
from gemvec.storage.objects import parse_storage
from gemvec.storage.place_watch import PlaceWatch
from gemvec.storage.threads import in_file_thread

ID = [b"0123456789abcdef"]


class Watch:
    """A clock that the test turns, in seconds."""

    now = 0.0

    def __call__(self):
        return self.now


def troubles(place, *moments):
    """Return what is wrong with a place at some moments, of which each is a number of seconds and what happens then."""

    async def ask():
        watch, found = Watch(), []
        place_watch = PlaceWatch(place, ID[0].decode(), clock=watch)
        for watch.now, happens in moments:
            happens()
            found.append(await place_watch.trouble())
        return found

    return asyncio.run(ask())


@pytest.fixture(params=["folder", "object store"])
def place(request, tmp_path):
    if request.param == "folder":
        return tmp_path
    return parse_storage(request.getfixturevalue("s3_url"))


def test_a_place_without_the_id_of_the_store_is_told_within_ten_seconds(place):
    path = place / STORE_ID_NAME
    path.write(ID) if hasattr(path, "write") else path.write_bytes(ID[0])
    found = troubles(place, (0, bool), (9, path.unlink), (10, bool))
    assert found[:2] == [None, None]
    assert "does not hold the id" in found[2]


def test_an_object_store_that_does_not_answer_is_told_at_once(s3_url, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        place = parse_storage(f"{s3_url}-silent")
        watch = PlaceWatch(place, ID[0].decode())

        async def ask():
            return [await watch.trouble() for _ in range(2)]

        with asyncio.Runner() as runner:
            assert runner.run(ask()) == ["The object store does not answer, or it refuses access."] * 2


def test_an_object_store_that_refuses_access_is_told(s3_url, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "does not answer" in troubles(parse_storage(f"{s3_url}-refusing"), (0, bool))[0]


def test_the_place_of_another_store_is_told(place):
    path = place / STORE_ID_NAME

    def become_another():
        path.write([b"of-another"]) if hasattr(path, "write") else path.write_bytes(b"of-another")

    path.write(ID) if hasattr(path, "write") else path.write_bytes(ID[0])
    found = troubles(place, (0, bool), (10, become_another))
    assert found[0] is None
    assert "maybe it is another one" in found[1]


def test_a_place_answers_while_every_thread_for_files_is_busy(tmp_path):
    (tmp_path / STORE_ID_NAME).write_bytes(ID[0])
    may_end = threading.Event()

    async def ask():
        busy = [asyncio.create_task(in_file_thread(may_end.wait)) for _ in range(20)]
        await asyncio.sleep(0)
        try:
            return await PlaceWatch(tmp_path, ID[0].decode()).trouble()
        finally:
            may_end.set()
            await asyncio.gather(*busy)

    assert asyncio.run(ask()) is None
