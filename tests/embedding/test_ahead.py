"""Groups are embedded ahead: in order, as many at once as allowed, and the next one is read before it is needed."""

import asyncio
import threading

import pytest

from batch_steps import until
from gemvec.embedding.ahead import embed_ahead


class Model:
    """Embeds a group when `finish` is called with it; `log` has everything that happened, in order."""

    def __init__(self):
        self.log = []
        self.may_read = threading.Event()  # more than the first group
        self._waiting = {}

    def groups(self, count):
        for number in range(count):
            if number:
                self.may_read.wait()
            self.log.append(f"read {number}")
            yield number

    async def embed(self, group):
        self.log.append(f"embed {group}")
        self._waiting[group] = asyncio.get_running_loop().create_future()
        return await self._waiting[group]

    def write(self, group, vectors):
        assert vectors == f"vectors of {group}"
        self.log.append(f"write {group}")

    def finish(self, group):
        self._waiting.pop(group).set_result(f"vectors of {group}")

    def fail(self, group):
        self._waiting.pop(group).set_exception(ValueError(f"group {group}"))

    async def until(self, event):
        """Wait for something to happen; return what has happened up to then and was not returned before."""
        await until(lambda: event in self.log)
        end = self.log.index(event) + 1
        happened, self.log[:end] = self.log[:end], []
        return happened


def run(script, *, count, ahead):
    async def go():
        model = Model()
        running = asyncio.create_task(embed_ahead(model.groups(count), model.embed, model.write, ahead=ahead))
        await script(model)
        await running

    asyncio.run(go())


def test_the_next_group_is_read_while_as_many_as_allowed_are_embedded_and_begins_before_the_first_is_written():
    async def script(model):
        model.may_read.set()
        assert await model.until("read 2") == ["read 0", "embed 0", "read 1", "embed 1", "read 2"]
        model.finish(0)
        assert await model.until("read 3") == ["embed 2", "write 0", "read 3"]
        model.finish(2)
        model.finish(1)
        assert await model.until("write 2") == ["embed 3", "write 1", "write 2"]
        model.finish(3)

    run(script, count=4, ahead=1)


def test_a_group_that_is_embedded_is_written_before_more_are_read():
    async def script(model):
        await model.until("embed 0")
        model.finish(0)
        await asyncio.sleep(0.01)
        model.may_read.set()
        assert await model.until("read 2") == ["read 1", "embed 1", "write 0", "read 2"]
        await model.until("embed 2")
        model.finish(1)
        model.finish(2)

    run(script, count=3, ahead=5)


def test_groups_before_one_that_fails_are_written():
    async def script(model):
        model.may_read.set()
        await model.until("read 2")
        model.fail(1)
        model.finish(0)
        assert "write 0" in await model.until("write 0")

    with pytest.raises(ValueError, match="group 1"):
        run(script, count=9, ahead=1)


def test_nothing_happens_without_groups():
    async def script(model):
        assert model.log == []

    run(script, count=0, ahead=1)
