"""A request that kills the server is found, whatever it takes, and harms no other."""

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_steps import file_answers, line, new
from gemvec.batches.isolation import SUSPECT_CRASHES, Isolation, format_isolation, parse_isolation
from gemvec.batches.queue import BatchQueue, Claimable
from gemvec.batches.store import BatchStore
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.wire.batches import BatchState

ANY = Claimable(weights=["hash@12345678"])

# Dies as by the kernel's hand when it meets the text "poison"; ends when no batch is open any more.
SERVER = textwrap.dedent("""
    import asyncio, os, signal, sys
    from pathlib import Path
    from batch_steps import running
    from gemvec.batches.store import BatchStore
    from gemvec.files.store import FileStore
    from gemvec.storage.database import open_database
    from hash_embedder import HashEmbedder

    class Mortal(HashEmbedder):
        async def embed(self, model, requests, *, priority=0):
            if any(request.text == "poison" for request in requests):
                os.kill(os.getpid(), signal.SIGKILL)
            return await super().embed(model, requests, priority=priority)

    async def main(folder):
        store = BatchStore(database(folder), FileStore(database(folder), folder), folder)
        async with running(store, Mortal()):
            while any(not job.state.is_ended for job in store.list("").items):
                await asyncio.sleep(0.01)

    def database(folder):
        return open_database(folder / "gemvec.sqlite3")

    asyncio.run(main(Path(sys.argv[1])))
""")


def lives_until_done(folder):
    """Start the server again and again until it is through; return how often it died."""
    for deaths in range(100):
        if subprocess.run([sys.executable, "-c", SERVER, str(folder)], check=False).returncode == 0:
            return deaths
    raise AssertionError("the poison stays in the loop")


@pytest.mark.parametrize("places", [[17], [3, 30]], ids=["one", "two"])
def test_the_line_that_kills_is_an_error_at_its_place_and_the_rest_is_finished(tmp_path, monkeypatch, places):
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    database = open_database(tmp_path / "gemvec.sqlite3")
    store = BatchStore(database, FileStore(database, tmp_path), tmp_path)
    texts = ["poison" if number in places else str(number) for number in range(40)]
    content = b"".join(line(text, key=number) + b"\n" for number, text in enumerate(texts))
    job = store.create_from_file(new(chunk_requests=8), store.files.create("", [content]).file_id)
    beside = store.create_inline(new(), [line("beside")])
    deaths = lives_until_done(tmp_path)
    assert deaths <= (SUSPECT_CRASHES + 4) * len(places)
    assert store.get(beside.batch_id, "").state is BatchState.SUCCEEDED
    kept = store.get(job.batch_id, "")
    assert (kept.state, kept.failed_count) == (BatchState.SUCCEEDED, len(places))
    answers = file_answers(store, kept)
    assert [number for number, answer in enumerate(answers) if "error" in answer] == places
    assert all(answer["key"] == number for number, answer in enumerate(answers) if number not in places)
    assert answers[places[0]]["error"] == {"code": 13, "message": "The server died whenever it worked on this request."}


@given(st.integers(1, 300), st.data())
def test_halving_finds_every_killer_and_nothing_else(count, data):
    killers = data.draw(st.sets(st.integers(0, count - 1), max_size=4))
    isolation, deaths = Isolation(((0, count),)), 0
    while True:
        deadly = [
            index for index, (first, size) in enumerate(isolation.ranges) if killers & {*range(first, first + size)}
        ]
        if not deadly:
            break
        isolation = parse_isolation(format_isolation(isolation.begin(deadly[0]))).after_crash()
        deaths += 1
    assert set(isolation.killers) == killers
    tried = [number for first, size in isolation.ranges for number in range(first, first + size)]
    assert tried == [number for number in range(count) if number not in killers]
    assert deaths <= len(killers) * (count.bit_length() + 1)


def test_a_stop_in_order_is_held_against_no_chunk(any_store):
    queue = BatchQueue(any_store)
    any_store.create_inline(new(), [line("a")])
    for _ in range(3):
        queue.claim(ANY)
        queue.release_all()
    assert queue.claim(ANY).crashes == 0


def test_deaths_are_counted_against_what_was_in_flight(any_store):
    queue = BatchQueue(any_store)
    any_store.create_inline(new(), [line("a")] * 300)
    queue.claim(ANY)
    queue.recover(ANY.weights)
    assert [queue.claim(ANY).crashes, queue.claim(ANY).crashes] == [1, 0]


def test_what_was_tried_when_a_chunk_was_given_back_is_not_blamed_for_a_later_death(any_store):
    queue = BatchQueue(any_store)
    any_store.create_inline(new(), [line("a")])
    task = queue.claim(ANY)
    queue.record_isolation(task, Isolation(((0, 1),)).begin(0))
    queue.release(task)
    queue.claim(ANY)
    queue.recover(ANY.weights)
    assert queue.claim(ANY).isolation == Isolation(((0, 1),))
