"""The head of an answer goes out with its body, in order, and nothing that was written is lost."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.server.joining import JoiningTransport


class Recorder(asyncio.Transport):
    """Records what is done with a connection."""

    def __init__(self):
        super().__init__()
        self.done = []

    def write(self, data):
        self.done.append(bytes(data))

    def write_eof(self):
        self.done.append("end of writing")

    def close(self):
        self.done.append("close")

    def abort(self):
        self.done.append("abort")

    def is_closing(self):
        return "close" in self.done


def record(use):
    """Return what is done with the connection, and what of it was done before the loop went on."""

    async def run():
        recorder = Recorder()
        use(JoiningTransport(recorder, asyncio.get_running_loop()))
        at_once = list(recorder.done)
        await asyncio.sleep(0)
        return at_once, recorder.done

    return asyncio.run(run())


def test_a_head_and_a_short_body_are_one_piece():
    def answer(transport):
        transport.write(b"head,")
        transport.write(b"body")
        transport.write(b"")  # the end of the message

    assert record(answer) == ([b"head,body"], [b"head,body"])


def test_a_large_body_is_not_copied_to_join_it():
    body = b"x" * 2**20

    def answer(transport):
        transport.write(b"head,")
        transport.write(body)

    assert record(answer)[0] == [b"head,", body]


def test_a_head_without_a_body_goes_in_the_next_round():
    at_once, later = record(lambda transport: transport.write(b"head"))
    assert (at_once, later) == ([], [b"head"])


@pytest.mark.parametrize(("end", "does"), [("close", "close"), ("write_eof", "end of writing")])
def test_what_was_written_goes_before_the_end(end, does):
    def answer(transport):
        transport.write(b"head")
        getattr(transport, end)()

    assert record(answer) == ([b"head", does], [b"head", does])


def test_a_connection_that_is_broken_off_sends_nothing_more():
    def answer(transport):
        transport.write(b"head")
        transport.abort()

    assert record(answer) == (["abort"], ["abort"])


@given(st.lists(st.integers(0, 100_000).map(lambda size: bytes([size % 251]) * size), max_size=12))
def test_all_bytes_arrive_in_their_order(pieces):
    def answer(transport):
        for piece in pieces:
            transport.write(piece)

    _, written = record(answer)
    assert b"".join(written) == b"".join(pieces)
