"""Any order of create, get, list, update, cancel, delete, work, crash and the passing of time agrees with a model."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from batch_steps import file_answers, inline_answers, line, new
from gemvec.batches.chunk import run_chunk
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.job import ChunkState
from gemvec.batches.queue import BatchQueue, Claimable
from gemvec.batches.rows import list_chunks
from gemvec.batches.store import BatchStore
from gemvec.errors import BatchNotCancellable, BatchNotFound, UploadedFileNotFound
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.storage.durable import write_durably
from gemvec.storage.objects import ObjectPath
from gemvec.storage.timestamps import utc_now
from gemvec.wire.batches import BatchState, BatchUpdate
from hash_embedder import HashEmbedder, vector_of

ANY = Claimable(weights=["hash@12345678"])
INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 0, 1, -1])
CHUNK = 2  # requests, so that a few of them are several chunks
EXPIRY, RETENTION = timedelta(hours=48), timedelta(days=42)


@dataclass
class Expected:
    """What the store must say of one batch."""

    number: int
    owner: str
    texts: list
    priority: int
    display_name: str
    is_file: bool
    created_at: object
    state: BatchState = BatchState.PENDING
    done: set = field(default_factory=set)
    ended_at: object = None

    def chunk(self, index):
        return self.texts[index * CHUNK : (index + 1) * CHUNK]

    @property
    def chunks(self):
        return range(-(-len(self.texts) // CHUNK))

    @property
    def answered(self):
        return [text for index in sorted(self.done) for text in self.chunk(index)]


class Batches(RuleBasedStateMachine):
    """The store against the model; the runner's moves are made one by one."""

    ids = Bundle("ids")

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.late = timedelta()
        self.model = {}
        self.deleted = {}
        self.in_flight = []
        self.count = 0
        self.place = self.open_place()
        self.open()

    def open_place(self):
        return self.folder

    def now(self):
        return utc_now() + self.late

    def open(self):
        self.database = open_database(self.folder / "gemvec.sqlite3")
        files = FileStore(self.database, self.place, clock=self.now)
        self.store = BatchStore(self.database, files, self.place, expiry=EXPIRY, retention=RETENTION, clock=self.now)
        self.queue = BatchQueue(self.store)
        self.last_owner = ""

    def teardown(self):
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)

    @rule(
        target=ids,
        owner=st.sampled_from(["", "other"]),
        texts=st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=7),
        priority=INT64,
        is_file=st.booleans(),
    )
    def create(self, owner, texts, priority, is_file):
        self.count += 1
        asked = new(owner=owner, priority=priority, display_name=f"batch {self.count}", chunk_requests=CHUNK)
        requests = [line(text, key=number) for number, text in enumerate(texts)]
        if is_file:
            file = self.store.files.create(owner, [b"\n".join(requests)])
            job = self.store.create_from_file(asked, file.file_id)
            self.store.files.delete(file.file_id, owner)
        else:
            job = self.store.create_inline(asked, requests)
        self.model[job.batch_id] = Expected(
            self.count, owner, texts, priority, asked.display_name, is_file, job.created_at
        )
        return job.batch_id

    @rule(batch_id=ids, priority=st.none() | INT64, name=st.none() | st.text(st.characters(codec="ascii")))
    def update(self, batch_id, priority, name):
        expected = self.model.get(batch_id)
        if expected is None:
            with pytest.raises(BatchNotFound):
                self.store.update(batch_id, "", BatchUpdate(priority=priority))
            return
        name = name and name.replace("\0", "")
        self.store.update(batch_id, expected.owner, BatchUpdate(priority=priority, display_name=name))
        if priority is not None:
            expected.priority = priority
        if name is not None:
            expected.display_name = name

    @rule(batch_id=ids)
    def cancel(self, batch_id):
        expected = self.model.get(batch_id)
        if expected is None:
            with pytest.raises(BatchNotFound):
                self.store.cancel(batch_id, self.deleted[batch_id])
        elif expected.state.is_ended and expected.state is not BatchState.CANCELLED:
            with pytest.raises(BatchNotCancellable):
                self.store.cancel(batch_id, expected.owner)
        else:
            self.store.cancel(batch_id, expected.owner)
            self.end(expected, BatchState.CANCELLED)

    @rule(batch_id=consumes(ids))
    def delete(self, batch_id):
        expected = self.model.pop(batch_id, None)
        if expected is None:
            with pytest.raises(BatchNotFound):
                self.store.delete(batch_id, self.deleted[batch_id])
            return
        self.store.delete(batch_id, expected.owner)
        self.deleted[batch_id] = expected.owner
        with pytest.raises(UploadedFileNotFound):
            self.store.files.get(f"batch-{batch_id}", expected.owner)

    @rule(batch_id=ids)
    def another_owner_sees_nothing(self, batch_id):
        for call in (self.store.get, self.store.cancel, self.store.delete):
            with pytest.raises(BatchNotFound):
                call(batch_id, "a stranger")

    def end(self, expected, state):
        if not expected.state.is_ended:
            expected.state, expected.ended_at = state, self.now()

    def first_in_line(self):
        """Return the batch and the chunk to claim: owners take turns, then the highest priority, then the oldest."""
        claimed = {(task.batch_id, task.chunk_index) for task in self.in_flight}
        waiting = [
            (expected.owner <= self.last_owner, expected.owner, -expected.priority, expected.number, batch_id, index)
            for batch_id, expected in self.model.items()
            if not expected.state.is_ended
            for index in expected.chunks
            if index not in expected.done and (batch_id, index) not in claimed
        ]
        return min(waiting)[4:] if waiting else None

    @rule()
    def claim(self):
        self.take(self.queue.claim(ANY))

    def take(self, task):
        assert (task and (task.batch_id, task.chunk_index)) == self.first_in_line()
        if task:
            self.in_flight.append(task)
            self.last_owner = task.owner
            self.model[task.batch_id].state = BatchState.RUNNING

    @rule(which=st.integers(0, 3), claims_next=st.booleans())
    def checkpoint(self, which, claims_next):
        if not self.in_flight:
            return
        task = self.in_flight.pop(which % len(self.in_flight))
        expected = self.model.get(task.batch_id)
        is_void = expected is None or expected.state.is_ended
        if expected is None:
            return  # its input is gone; the runner sets such a chunk aside
        result = asyncio.run(run_chunk(task, HashEmbedder(), ChunkFiles(task)))
        checkpoint = self.queue.checkpoint(task, result, ANY if claims_next else None)
        assert checkpoint.is_counted is task.part_path.exists() is not is_void
        if not is_void:
            expected.done.add(task.chunk_index)
            if len(expected.done) == len(expected.chunks):
                self.end(expected, BatchState.SUCCEEDED)
        if claims_next and not is_void:
            self.take(checkpoint.next_task)

    @rule(which=st.integers(0, 3), reason=st.none() | st.just("no room"))
    def release(self, which, reason):
        if not self.in_flight:
            return
        task = self.in_flight.pop(which % len(self.in_flight))
        self.queue.release(task, reason)
        expected = self.model.get(task.batch_id)
        if expected and not expected.state.is_ended and reason:
            expected.state = BatchState.PENDING

    @rule()
    def fail(self):
        if not self.in_flight:
            return
        task = self.in_flight.pop()
        self.queue.fail(task, "DATA_LOSS", "damaged")
        self.queue.settle()
        if task.batch_id in self.model:
            self.end(self.model[task.batch_id], BatchState.FAILED)

    @rule(half_written=st.booleans())
    def crash(self, half_written):
        for task in self.in_flight:
            if half_written and task.batch_id in self.store.folder.list_batch_ids():
                write_durably(task.part_path, b"whole, never counted\n")
        if half_written:
            self.store.folder.write_input("orphan", [line("a")])
        self.in_flight.clear()
        self.database.close()
        self.open()
        self.queue.recover(ANY.weights)
        assert self.store.folder.list_batch_ids() == set(self.model)

    @rule(hours=st.sampled_from([1, 30, 500, 1000]))
    def time_passes(self, hours):
        self.late += timedelta(hours=hours)
        self.queue.expire()
        self.queue.settle()
        for expected in self.model.values():
            if expected.created_at + EXPIRY <= self.now():
                self.end(expected, BatchState.EXPIRED)
        self.queue.sweep()
        kept = {
            batch_id: expected
            for batch_id, expected in self.model.items()
            if expected.ended_at is None or expected.ended_at + RETENTION > self.now()
        }
        self.deleted |= {batch_id: each.owner for batch_id, each in self.model.items() if batch_id not in kept}
        self.model = kept

    @invariant()
    def lists_agree(self):
        if not hasattr(self, "model"):
            return
        for owner in ("", "other"):
            shown, token = [], None
            while True:
                page = self.store.list(owner, page_size=2, page_token=token)
                shown += page.items
                token = page.next_page_token
                if token is None:
                    break
            mine = [batch_id for batch_id, expected in self.model.items() if expected.owner == owner]
            assert [job.batch_id for job in shown] == mine[::-1]
            for job in shown:
                self.agree(job, self.model[job.batch_id])

    def agree(self, job, expected):
        failed = expected.answered.count("")
        if expected.state.is_ended:
            failed += len(expected.texts) - len(expected.answered)
        assert (job.state, job.priority, job.display_name) == (
            expected.state,
            expected.priority,
            expected.display_name,
        )
        assert (job.successful_count, job.failed_count) == (
            len(expected.answered) - expected.answered.count(""),
            failed,
        )
        assert job.successful_count + job.failed_count + job.pending_count == job.request_count == len(expected.texts)
        assert (job.ended_at is not None) == job.state.is_ended
        assert replace(job) == self.store.get(job.batch_id, job.owner)
        with self.database.read() as connection:
            chunks = list_chunks(connection, job.job_number)
        assert {chunk.chunk_index for chunk in chunks if chunk.state is ChunkState.DONE} == expected.done
        if job.state.is_ended:
            self.answers_agree(job, expected)

    def answers_agree(self, job, expected):
        answers = file_answers(self.store, job) if expected.is_file else inline_answers(self.store, job)
        assert [answer["key"] for answer in answers] == list(range(len(expected.texts)))
        for answer in answers:
            text = expected.texts[answer["key"]]
            if answer["key"] // CHUNK in expected.done and text:
                assert np.array_equal(np.float32(answer["response"]["embedding"]["values"]), vector_of(text))
            else:
                assert answer["error"]["code"] in {1, 3, 4, 15}


class ObjectBatches(Batches):
    """The same, with the bytes in an object store."""

    def open_place(self):
        return ObjectPath(f"memory:///{self.folder.name}")


TestObjectBatches = ObjectBatches.TestCase
TestObjectBatches.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)

TestBatches = Batches.TestCase
TestBatches.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
