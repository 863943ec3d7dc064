"""What callers and workers do, and what they were promised for it.

A call that returns is a promise. One that fails by a fault leaves its object in doubt: it may have happened or not, and
whatever is seen first is true from then on. Only one caller at a time works on an object.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass, field

import orjson

from gemvec.batches import rows
from gemvec.batches.chunk import run_chunk, run_isolated
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.isolation import SUSPECT_CRASHES
from gemvec.batches.job import NewBatch
from gemvec.batches.queue import Claimable
from gemvec.embedding.embed import Embedding
from gemvec.errors import BatchNotCancellable, DataLost, GemvecError, StorageFailure
from gemvec.server.keys import hash_of
from gemvec.wire.batches import BatchUpdate
from hash_embedder import NAME, HashEmbedder, vector_of
from simulation.world import Violation

WEIGHTS = "hash@12345678"
CHUNK_REQUESTS = 3
CLAIMABLE = Claimable(weights=[WEIGHTS])
YES, NO, MAYBE = "yes", "no", "maybe"
POISON = "poison"
OWNERS = ("", "mine")


@dataclass
class Thing:
    """An upload, file, batch or key, and what is known of it.

    Attributes:
        exists: YES or NO as promised, MAYBE after a call whose end nobody knows.
        is_busy: whether a caller works on it now.
        facts: what it must be, by name.
    """

    kind: str
    name: str
    owner: str = ""
    exists: str = YES
    is_busy: bool = False
    facts: dict = field(default_factory=dict)


class Clients:
    """Every caller of one world, over all lives of its servers."""

    def __init__(self, world):
        self.world = world
        self.things = []
        self.operations = Counter()
        self.refusals_on_full_disk = 0
        self.computed = Counter()  # (batch id, chunk) -> how often it was counted
        self._number = 0

    # Tasks.

    def call(self, store):
        """Be a caller: one call after the other."""
        actions = [
            (self.upload, 5),
            (self.create_file, 5),
            (self.delete_file, 3),
            (self.create_batch, 6),
            (self.cancel_batch, 2),
            (self.delete_batch, 2),
            (self.update_batch, 1),
            (self.look, 4),
            (self.create_key, 2),
            (self.change_key, 3),
            (self.wait, 2),
        ]
        names, weights = zip(*actions, strict=True)
        while True:
            (action,) = self.world.chance.choices(names, weights)
            self.operations[action.__name__] += 1
            action(store)
            self.world.pause()

    def work(self, store, turns):
        """Be a worker: one chunk after the other, as the runner does it."""
        while True:
            self.world.pause()
            if turns.is_one_alone:
                continue
            task = self._durably(store.queue.claim, CLAIMABLE)
            while task is not None:
                task = self._carry_out(store, task, turns)
                self.world.pause()

    def _carry_out(self, store, task, turns):
        self.operations["chunk"] += 1
        try:
            result = self._run(store, task, turns)
        except DataLost:
            if self._is_damage(store, task):
                raise Violation(f"the input of batches/{task.batch_id} is gone") from None
            self._durably(store.queue.release, task)
            return None
        except GemvecError:
            self._durably(store.queue.release, task, "no room")
            return None
        following = None if turns.is_one_alone else CLAIMABLE
        checkpoint = self._durably(store.queue.checkpoint, task, result, following)
        if checkpoint is not None and checkpoint.is_counted:
            self._count(task)
        return checkpoint and checkpoint.next_task

    def _is_damage(self, store, task):
        """Whether the input is missing though the batch is there, at one moment."""
        try:
            with store.database.read() as connection:
                known = task.batch_id in rows.list_batch_ids(connection)
        except StorageFailure:
            return False
        return known and not task.input_path.exists()

    def _count(self, task):
        self.computed[task.batch_id, task.chunk_index] += 1
        if self.computed[task.batch_id, task.chunk_index] > 1:
            raise Violation(f"chunk {task.chunk_index} of batches/{task.batch_id} was counted twice")

    def _run(self, store, task, turns):
        embedder = PoisonedEmbedder(self.world)
        if task.crashes < SUSPECT_CRASHES:
            turns.running += 1
            try:
                return _at_once(run_chunk(task, embedder, ChunkFiles(task)))
            finally:
                turns.running -= 1
        turns.waiting += 1
        try:
            while turns.running:
                self.world.pause()
            turns.running += 1
            try:

                async def record(isolation):
                    self._durably(store.queue.record_isolation, task, isolation)

                return _at_once(run_isolated(task, embedder, ChunkFiles(task), record))
            finally:
                turns.running -= 1
        finally:
            turns.waiting -= 1

    def _durably(self, call, *arguments):
        """Call as the runner does: again for as long as the database takes nothing."""
        for _ in range(50):
            try:
                return call(*arguments)
            except StorageFailure:
                self.world.pause()
        return None

    def keep_time(self, store):
        """Be the server's clock: expire, settle and sweep now and then."""
        while True:
            for _ in range(self.world.chance.randrange(20)):
                self.world.pause()
            self.operations["sweep"] += 1
            with contextlib.suppress(GemvecError):
                store.sweep()

    # Calls.

    def wait(self, _store):
        """Let time pass."""
        self.world.seconds += self.world.chance.choice([1, 60, 3600])

    def upload(self, store):
        """Send a file in pieces, with wrong turns."""
        chance, owner = self.world.chance, self.world.chance.choice(OWNERS)
        content = (
            self._lines(chance.randrange(1, 8)) if chance.random() < 0.5 else chance.randbytes(chance.randrange(900))
        )
        declared = chance.choice([None, len(content)])
        upload = self._call(lambda: store.files.uploads.start(owner, declared_bytes=declared))
        if upload is None:
            return
        facts = {"content": content, "received": 0, "file_id": upload.file_id, "may_end": store.is_deposed}
        thing = self._new("upload", upload.upload_id, owner, **facts)
        with self._alone(thing):
            self._continue(store, thing)

    def _continue(self, store, thing):
        for _ in range(6):
            self._append(store, thing)
        if self.world.chance.random() < 0.2:
            thing.exists = MAYBE
            self._call(lambda: store.files.uploads.cancel(thing.name))
            thing.exists = NO
        elif thing.facts["received"] == len(thing.facts["content"]):
            self._finalize(store, thing)

    def _append(self, store, thing):
        """Send a block, which may repeat some of what was received."""
        known = self._call(lambda: store.files.uploads.get(thing.name))
        if known is None:
            return
        if known.received_bytes < thing.facts["received"]:
            raise Violation(f"an upload lost bytes: {thing.facts['received']} -> {known.received_bytes}")
        content, start = thing.facts["content"], self.world.chance.randint(0, known.received_bytes)
        block = content[start : known.received_bytes + self.world.chance.randint(1, len(content) or 1)]
        done = self._call(lambda: store.files.uploads.append(thing.name, start, [block]))
        if done is not None:
            thing.facts["received"] = done.received_bytes

    def _finalize(self, store, thing):
        thing.exists = MAYBE
        content = thing.facts["content"]
        file = self._new("file", thing.facts["file_id"], thing.owner, content=content, made=self.world.seconds)
        file.exists = MAYBE
        if self._call(lambda: store.files.uploads.finalize(thing.name)) is not None:
            thing.exists, file.exists = NO, YES

    def create_file(self, store):
        """Store a whole file at once."""
        owner, content = self.world.chance.choice(OWNERS), self._lines(self.world.chance.randrange(1, 14))
        name = f"file-{self._next()}"
        thing = self._new("file", name, owner, content=content, made=self.world.seconds)
        thing.exists = MAYBE
        with self._alone(thing):
            if self._call(lambda: store.files.create(owner, [content[:9], content[9:]], file_id=name)) is not None:
                thing.exists = YES

    def delete_file(self, store):
        """Delete a file."""
        self._remove(store, "file", lambda thing: store.files.delete(thing.name, thing.owner))

    def create_batch(self, store):
        """Create a batch, from a file or inline."""
        chance = self.world.chance
        source = self._pick("file", lambda thing: thing.exists == YES and thing.facts["content"].startswith(b'{"key"'))
        if source is not None and chance.random() < 0.6:
            content, owner = source.facts["content"], source.owner
        else:
            source, content, owner = None, self._lines(chance.randrange(1, 9)), chance.choice(OWNERS)
        label = f"batch {self._next()}"
        asked = NewBatch(
            owner=owner,
            model=NAME,
            weights=WEIGHTS,
            display_name=label,
            priority=chance.randrange(-2, 3),
            chunk_requests=CHUNK_REQUESTS,
        )
        facts = {"content": content, "is_file": source is not None, "made": self.world.seconds, "may_be": set()}
        thing = self._new("batch", label, owner, **facts)
        thing.exists = MAYBE
        with self._alone(thing), self._alone(source or thing):
            if source is not None:
                job = self._call(lambda: store.batches.create_from_file(asked, source.name))
            else:
                job = self._call(lambda: store.batches.create_inline(asked, content.splitlines()))
            if job is not None:
                thing.exists, thing.facts["batch_id"] = YES, job.batch_id

    def cancel_batch(self, store):
        """Cancel a batch."""
        thing = self._pick("batch", lambda thing: thing.exists == YES)
        if thing is not None:
            thing.facts["may_be"].add("CANCELLED")
            with self._alone(thing):
                self._on_full_disk(lambda: store.batches.cancel(thing.facts["batch_id"], thing.owner))

    def delete_batch(self, store):
        """Delete a batch."""
        self._remove(store, "batch", lambda thing: store.batches.delete(thing.facts["batch_id"], thing.owner))

    def update_batch(self, store):
        """Change a batch's priority."""
        thing = self._pick("batch", lambda thing: thing.exists == YES)
        if thing is not None:
            with self._alone(thing):
                changes = BatchUpdate(priority=self.world.chance.randrange(9))
                self._call(lambda: store.batches.update(thing.facts["batch_id"], thing.owner, changes))

    def look(self, store):
        """Read something; another owner's is not found."""
        thing = self._pick("file", lambda thing: thing.exists == YES)
        if thing is not None:
            with self._alone(thing):
                content = self._call(lambda: b"".join(store.files.open_content(thing.name, thing.owner).read()))
                if content is not None and content != thing.facts["content"]:
                    raise Violation(f"files/{thing.name} has other bytes than were sent")

    def create_key(self, store):
        """Make an API key."""
        name = f"key {self._next()}"
        thing = self._new("key", name, hashes=set(), void=set())
        thing.exists = MAYBE
        with self._alone(thing):
            made = self._call(lambda: store.keys.create(name))
            if made is not None:
                thing.exists, thing.facts["hashes"] = YES, {hash_of(made[1])}
                thing.owner = made[0].key_id

    def change_key(self, store):
        """Rotate, revoke or delete a key."""
        thing = self._pick("key", lambda thing: thing.exists == YES)
        if thing is None:
            return
        change = self.world.chance.choice(["rotate", "rotate", "revoke", "delete"])
        with self._alone(thing):
            hashes, thing.facts["hashes"] = thing.facts["hashes"], set()  # in doubt until it returns
            done = self._on_full_disk(lambda: (getattr(store.keys, change)(thing.name), None))
            if done is None:
                thing.exists = MAYBE
                return
            thing.facts["void"] |= hashes
            if change == "rotate":
                key, secret = done[0]
                thing.facts["hashes"] = {hash_of(secret)}
                if key.key_id != thing.owner:
                    raise Violation("a rotation changed the owner")
            elif change == "delete":
                thing.exists = NO
            else:
                thing.exists = MAYBE

    # Steps of calls.

    def _call(self, call):
        """Return what a call returns, None where it fails by a fault or is refused."""
        try:
            return call()
        except GemvecError:
            return None
        except OSError as error:
            raise Violation(f"an error that is not one of ours: {error!r}") from error

    def _on_full_disk(self, call):
        """Make a call that must work on a full disk for as long as the reserve lasts."""
        was_left = self.world.disk.is_full and self.world.reserve.is_left
        faults = sum(self.world.faults.values())
        try:
            return call() or ()
        except BatchNotCancellable:
            return ()
        except GemvecError as error:
            if was_left and self.world.disk.is_full and sum(self.world.faults.values()) == faults:
                raise Violation(f"on a full disk, a way out was refused: {type(error).__name__}: {error}") from error
            return None

    def _remove(self, store, kind, remove):
        thing = self._pick(kind, lambda thing: thing.exists == YES)
        if thing is None:
            return
        thing.exists = MAYBE
        with self._alone(thing):
            if self._on_full_disk(lambda: remove(thing)) is not None:
                thing.exists = NO

    def _new(self, kind, name, owner="", **facts):
        thing = Thing(kind, name, owner, facts=facts)
        self.things.append(thing)
        return thing

    def _pick(self, kind, suits):
        found = [each for each in self.things if each.kind == kind and not each.is_busy and suits(each)]
        return self.world.chance.choice(found) if found else None

    def _alone(self, thing):
        return _Busy(thing)

    def _next(self):
        self._number += 1
        return self._number

    def _lines(self, count):
        lines = []
        for number in range(count):
            text = f"text {self._next()}"
            if self.world.chance.random() < 0.08:
                text = ""
            elif self.world.has_poison and self.world.chance.random() < 0.03:
                text = POISON
            request = {"content": {"parts": [{"text": text}]}}
            lines.append(orjson.dumps({"key": number, "request": request}) + b"\n")
        return b"".join(lines)


class Turns:
    """Which chunks of one process run; as `gemvec.batches.turns`, between tasks."""

    def __init__(self):
        self.running = self.waiting = 0

    @property
    def is_one_alone(self):
        return self.waiting > 0


class PoisonedEmbedder(HashEmbedder):
    """Dies of some texts."""

    def __init__(self, world):
        super().__init__()
        self._world = world

    async def embed(self, model, requests, **options):
        if any(each.text == POISON for each in requests):
            self._world.die("poison")
        return [Embedding(vector_of(each.text), len(each.text)) for each in requests]


class _Busy:
    def __init__(self, thing):
        self._thing = thing

    def __enter__(self):
        self._thing.is_busy = True

    def __exit__(self, *_):
        self._thing.is_busy = False


def _at_once(coroutine):
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")
