"""Any order of start, send, query, finalize, cancel, delete, restart, crash, expiry and sweep agrees with a model."""

import contextlib
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gemvec.errors import (
    FileAlreadyExists,
    GemvecError,
    InvalidRequest,
    QuotaExceeded,
    UploadedFileNotFound,
    UploadNotActive,
    UploadNotFound,
)
from gemvec.files.limits import FileLimits
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from gemvec.storage.objects import ObjectPath
from gemvec.storage.places import list_names

LIMITS = FileLimits(max_file_bytes=20, max_owner_bytes=60, expiry=timedelta(hours=48))
OWNERS = st.sampled_from(["", "me"])
NAMES = st.none() | st.sampled_from(["a", "b"])


@dataclass
class ModelUpload:
    owner: str
    file_id: str
    declared: int | None
    expires: datetime
    content: bytes = b""
    state: str = "active"


@dataclass
class ModelFile:
    upload_id: str
    content: bytes
    expires: datetime


class UploadMachine(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    @initialize()
    def open(self):
        self.folder = Path(tempfile.mkdtemp())
        self.database = open_database(self.folder / "gemvec.sqlite3")
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.sessions: dict[str, ModelUpload] = {}
        self.files: dict[tuple[str, str], ModelFile] = {}
        self.place = self.open_place()
        self.restart()

    def open_place(self):
        return self.folder

    def teardown(self):
        self.database.close()
        shutil.rmtree(self.folder)

    def clock(self):
        self.now += timedelta(microseconds=1)
        return self.now

    @rule()
    def restart(self):
        self.store = FileStore(self.database, self.place, limits=LIMITS, clock=self.clock)

    def live_file(self, owner, file_id):
        file = self.files.get((owner, file_id))
        return file if file and file.expires > self.now else None

    def live_session(self, upload_id):
        session = self.sessions.get(upload_id)
        return session if session and session.expires > self.now else None

    def used(self, owner, *, without=None):
        files = sum(len(file.content) for (whose, _), file in self.files.items() if whose == owner and self.live(file))
        coming = sum(
            len(each.content) if each.declared is None else each.declared
            for upload_id, each in self.sessions.items()
            if each.owner == owner and each.state == "active" and self.live(each) and upload_id != without
        )
        return files + coming

    def live(self, thing):
        return thing.expires > self.now

    @rule(target=uploads, owner=OWNERS, name=NAMES, declared=st.none() | st.integers(0, 25))
    def start(self, owner, name, declared):
        if declared is not None and declared > LIMITS.max_file_bytes:
            expected = InvalidRequest
        elif name and self.live_file(owner, name):
            expected = FileAlreadyExists
        elif self.used(owner) + (declared or 0) > LIMITS.max_owner_bytes:
            expected = QuotaExceeded
        else:
            upload = self.store.uploads.start(owner, file_id=name, declared_bytes=declared)
            session = ModelUpload(owner, upload.file_id, declared, upload.expires_at)
            self.sessions[upload.upload_id] = session
            return upload.upload_id
        self.refused(expected, self.store.uploads.start, owner, file_id=name, declared_bytes=declared)
        return "never started"

    def refused(self, expected, call, *arguments, **options):
        try:
            call(*arguments, **options)
        except expected:
            return
        raise AssertionError(f"{call} was not refused with {expected}")

    @rule(upload_id=uploads, back=st.integers(-2, 4), chunk=st.binary(max_size=8))
    def send(self, upload_id, back, chunk):
        session = self.live_session(upload_id)
        offset = (len(session.content) if session else 0) - back
        error, whole = self.outcome_of_send(upload_id, session, offset, chunk)
        if error:
            self.refused(error, self.store.uploads.append, upload_id, offset, [chunk])
        else:
            assert self.store.uploads.append(upload_id, offset, [chunk]).received_bytes == len(whole)
            session.content = whole

    def outcome_of_send(self, upload_id, session, offset, chunk):
        if not session:
            return UploadNotFound, b""
        if session.state == "cancelled":
            return UploadNotActive, b""
        if not 0 <= offset <= len(session.content):
            return InvalidRequest, b""
        whole = session.content + chunk[len(session.content) - offset :]
        if whole == session.content:
            return None, whole
        return self.refusal_of_growth(upload_id, session, len(whole)), whole

    def refusal_of_growth(self, upload_id, session, size):
        if session.state == "final":
            return UploadNotActive
        if size > (LIMITS.max_file_bytes if session.declared is None else session.declared):
            return InvalidRequest
        is_over = self.used(session.owner, without=upload_id) + size > LIMITS.max_owner_bytes
        return QuotaExceeded if session.declared is None and is_over else None

    @rule(upload_id=uploads, chunk=st.binary(min_size=1, max_size=8))
    def crash_while_sending(self, upload_id, chunk):
        """The process ends after bytes reached the disk and before they were recorded."""
        with contextlib.suppress(GemvecError):
            writer = self.store.uploads.open_append(upload_id, 0)
            with contextlib.closing(writer._sink):  # the system closes what a dead process had open
                writer.write(self.sessions[upload_id].content + chunk)
        self.restart()

    @rule(upload_id=uploads)
    def query(self, upload_id):
        session = self.live_session(upload_id)
        if not session:
            self.refused(UploadNotFound, self.store.uploads.query, upload_id)
            return
        upload = self.store.uploads.query(upload_id)
        assert (upload.received_bytes, upload.state) == (len(session.content), session.state)

    @rule(upload_id=uploads)
    def finalize(self, upload_id):
        session = self.live_session(upload_id)
        error = self.outcome_of_finalize(upload_id, session)
        if error:
            self.refused(error, self.store.uploads.finalize, upload_id)
            return
        file = self.store.uploads.finalize(upload_id)
        assert (file.owner, file.file_id, file.size_bytes) == (session.owner, session.file_id, len(session.content))
        assert file.sha256 == hashlib.sha256(session.content).hexdigest()
        if session.state == "active":
            session.state = "final"
            self.files[session.owner, session.file_id] = ModelFile(upload_id, session.content, file.expires_at)

    def outcome_of_finalize(self, upload_id, session):
        if not session:
            return UploadNotFound
        file = self.live_file(session.owner, session.file_id)
        if session.state == "final":
            return None if file and file.upload_id == upload_id else UploadedFileNotFound
        if session.state == "cancelled":
            return UploadNotActive
        if session.declared not in {None, len(session.content)}:
            return InvalidRequest
        return FileAlreadyExists if file else None

    @rule(upload_id=uploads)
    def cancel(self, upload_id):
        session = self.live_session(upload_id)
        if not session:
            self.refused(UploadNotFound, self.store.uploads.cancel, upload_id)
        elif session.state == "final":
            self.refused(UploadNotActive, self.store.uploads.cancel, upload_id)
        else:
            self.store.uploads.cancel(upload_id)
            session.state = "cancelled"

    @rule(upload_id=consumes(uploads), by=OWNERS)
    def delete(self, upload_id, by):
        file_id = self.sessions[upload_id].file_id if upload_id in self.sessions else "never"
        if not self.live_file(by, file_id):
            self.refused(UploadedFileNotFound, self.store.delete, file_id, by)
            return
        self.store.delete(file_id, by)
        del self.files[by, file_id]

    @rule(hours=st.sampled_from([1, 30]))
    def wait(self, hours):
        self.now += timedelta(hours=hours)

    @rule()
    def sweep(self):
        self.store.sweep()
        kept = [file for file in self.files.values() if self.live(file)]
        coming = [each for each in self.sessions.values() if each.state == "active" and self.live(each)]
        assert len(list_names(self.place / "files")) == self.count_names([*kept, *coming])

    def count_names(self, contents):
        return len(contents)

    @invariant()
    def every_file_is_whole_and_nobody_elses(self):
        for owner in ("", "me"):
            listed = {file.file_id: file for file in self.store.list(owner, page_size=100).items}
            assert set(listed) == {name for whose, name in self.files if whose == owner and self.live_file(owner, name)}
            for name, file in listed.items():
                content = b"".join(self.store.open_content(name, owner).read())
                assert content == self.files[owner, name].content
                assert file.sha256 == hashlib.sha256(content).hexdigest()


class ObjectUploadMachine(UploadMachine):
    """The same, with the bytes in an object store: what has no bytes has no name there."""

    def open_place(self):
        return ObjectPath(f"memory:///{self.folder.name}")

    def count_names(self, contents):
        return sum(bool(each.content) for each in contents)


TestObjectUploadMachine = ObjectUploadMachine.TestCase
TestObjectUploadMachine.settings = settings(max_examples=10, stateful_step_count=30, deadline=None)

TestUploadMachine = UploadMachine.TestCase
TestUploadMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
