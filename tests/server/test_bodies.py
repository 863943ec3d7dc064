"""Large answers are written and sent in pieces, so that nothing waits for them; they say what a whole one would say."""

import asyncio

import numpy as np
import orjson
import pytest
from starlette.requests import Request

from gemvec.server.bodies import MANY_REQUESTS, answer_many, write_vectors

COUNT = 3 * MANY_REQUESTS


def sent(wire, count=COUNT):
    """Return what is sent for an answer: its head, and its body in pieces."""
    messages = []

    async def send(message):
        messages.append(message)

    async def receive():
        await asyncio.Event().wait()

    async def run():
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "state": {}, "asgi": {}}
        response = await answer_many(Request(scope), count, lambda: wire)
        await response(scope, receive, send)

    asyncio.run(run())
    start, *bodies = messages
    return dict(start["headers"]), [each["body"] for each in bodies]


@pytest.mark.parametrize(
    "wire",
    [
        list(range(COUNT)),
        {"embeddings": [{"values": [0.5]}] * COUNT, "usageMetadata": {"promptTokenCount": 3}},
        {"id": "a", "embeddings": {"float": [[0.5]] * COUNT, "int8": []}, "texts": ["ä"] * COUNT, "none": None},
        {},
        [],
    ],
)
def test_an_answer_in_pieces_is_the_whole_answer(wire):
    headers, pieces = sent(wire)
    assert b"".join(pieces) == orjson.dumps(wire)
    assert int(headers[b"content-length"]) == sum(map(len, pieces))


def test_a_large_answer_is_never_in_memory_as_one_piece():
    _, pieces = sent({"embeddings": [{"values": [0.5] * 10}] * COUNT})
    assert max(map(len, pieces)) < sum(map(len, pieces)) / 10


def test_a_small_answer_is_one_piece():
    _, pieces = sent([1, 2], count=2)
    assert pieces == [b"[1,2]"]


def test_vectors_are_written_in_slices_however_short_they_are():
    async def run():
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        await write_vectors([np.ones(1, np.float32)] * COUNT, write=lambda vector: vector)
        beside.cancel()
        return turns

    assert asyncio.run(run()) > 10
