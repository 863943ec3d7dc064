"""Groups are embedded ahead: in order, as many at once as allowed, and the next one is read before it is needed."""

import asyncio
import threading

import pytest

from batch_steps import until
from gemvec.embedding.ahead import embed_ahead


class Model:
    """Embeds a group when `finish` is called with it; `log` has everything that has begun, in order."""

    def __init__(self):
        self.log = []
        self.may_read = threading.Event()  # more than the first group
        self.may_write = threading.Event()
        self._waiting = {}

    def groups(self, count):
        for number in range(count):
            if number:
                self.may_read.wait()
            self.log.append(f"read {number}")
            yield number

    async def embed(self, group):
        self._waiting[group] = asyncio.get_running_loop().create_future()
        self.log.append(f"embed {group}")
        return await self._waiting[group]

    def write(self, group, vectors):
        assert vectors == f"vectors of {group}"
        self.log.append(f"write {group}")
        self.may_write.wait()

    def finish(self, group):
        self._waiting.pop(group).set_result(f"vectors of {group}")

    def fail(self, group):
        self._waiting.pop(group).set_exception(ValueError(f"group {group}"))

    async def until(self, *events):
        await until(lambda: set(events) <= set(self.log))

    def events(self, kind):
        return [event for event in self.log if event.startswith(kind)]


def run(script, *, count, ahead):
    model = Model()

    async def go():
        running = asyncio.create_task(embed_ahead(model.groups(count), model.embed, model.write, ahead=ahead))
        try:
            await script(model)
        finally:
            model.may_read.set()
            model.may_write.set()
        await running

    asyncio.run(go())
    return model


def test_the_next_group_is_read_before_it_is_needed_and_embedded_while_the_finished_one_is_written():
    async def script(model):
        model.may_read.set()
        await model.until("embed 0", "embed 1", "read 2")
        assert model.events("embed") == ["embed 0", "embed 1"]
        model.finish(0)
        await model.until("write 0", "embed 2")
        assert model.events("read") == ["read 0", "read 1", "read 2"]
        model.may_write.set()
        model.finish(2)
        model.finish(1)
        await model.until("embed 3")
        model.finish(3)

    assert run(script, count=4, ahead=1).events("write") == ["write 0", "write 1", "write 2", "write 3"]


def test_a_group_that_is_embedded_is_written_before_more_are_read():
    async def script(model):
        await model.until("embed 0")
        model.finish(0)
        await asyncio.sleep(0.01)
        model.may_read.set()
        await model.until("write 0", "embed 1")
        assert model.events("read") == ["read 0", "read 1"]
        model.may_write.set()
        await model.until("embed 2")
        model.finish(1)
        model.finish(2)

    assert run(script, count=3, ahead=5).events("write") == ["write 0", "write 1", "write 2"]


def test_groups_before_one_that_fails_are_written():
    models = []

    async def script(model):
        models.append(model)
        model.may_read.set()
        model.may_write.set()
        await model.until("embed 1", "read 2")
        model.fail(1)
        model.finish(0)

    with pytest.raises(ValueError, match="group 1"):
        run(script, count=9, ahead=1)
    assert models[0].events("write") == ["write 0"]


def test_nothing_happens_without_groups():
    async def script(model):
        await asyncio.sleep(0)

    assert run(script, count=0, ahead=1).log == []
