"""An upload takes bytes in order and once each; what was acknowledged is there after any crash; its end is final."""

import contextlib
import dataclasses
import hashlib
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from sqlalchemy import select

import gemvec.files.upload
from gemvec.errors import (
    FileTooLarge,
    InvalidRequest,
    QuotaExceeded,
    StorageFailure,
    StorageFull,
    UploadedFileNotFound,
    UploadNotActive,
    UploadNotFound,
)
from gemvec.files.limits import OwnerLimits
from gemvec.files.store import FileStore
from gemvec.files.upload import UploadState
from gemvec.storage import schema
from gemvec.storage.database import open_database
from gemvec.storage.objects import parse_storage
from gemvec.storage.places import list_names


@pytest.fixture
def uploads(store):
    return store.uploads


@pytest.fixture
def frequent_checkpoints(monkeypatch):
    monkeypatch.setattr(gemvec.files.upload, "CHECKPOINT_BYTES", 4)


def read(store, file):
    return b"".join(store.open_content(file.file_id, file.owner).read())


def test_chunks_in_order_make_the_file(store, uploads):
    upload = uploads.start("me", display_name="dn", mime_type="text/plain", declared_bytes=6)
    assert uploads.append(upload.upload_id, 0, [b"abc"]).received_bytes == 3
    assert uploads.append(upload.upload_id, 3, [b"d", b"ef"]).received_bytes == 6
    file = uploads.finalize(upload.upload_id)
    assert file.file_id == upload.file_id
    assert (file.size_bytes, file.display_name, file.mime_type) == (6, "dn", "text/plain")
    assert file.sha256 == hashlib.sha256(b"abcdef").hexdigest()
    assert read(store, file) == b"abcdef"


def test_an_upload_is_no_file_before_it_is_finalized(store, uploads):
    upload = uploads.start("me", file_id="data")
    uploads.append(upload.upload_id, 0, [b"abc"])
    with pytest.raises(UploadedFileNotFound):
        store.get("data", "me")
    assert store.list("me").items == ()


def test_a_repeated_chunk_changes_nothing(store, uploads):
    upload = uploads.start("")
    for offset, chunk in [(0, b"abc"), (0, b"abc"), (3, b"def"), (3, b"def"), (0, b"abc")]:
        uploads.append(upload.upload_id, offset, [chunk])
    assert read(store, uploads.finalize(upload.upload_id)) == b"abcdef"


def test_an_overlapping_chunk_adds_only_what_is_new(store, uploads):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    uploads.append(upload.upload_id, 1, [b"b", b"cd", b"ef"])
    assert read(store, uploads.finalize(upload.upload_id)) == b"abcdef"


@pytest.mark.parametrize("offset", [4, 2**31, 2**63 - 1, 2**64, -1, -(2**63)])
def test_a_gap_or_an_absurd_offset_is_refused_with_the_bytes_received(uploads, offset):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    with pytest.raises(InvalidRequest, match=f"{offset} does not continue the 3 bytes") as caught:
        uploads.append(upload.upload_id, offset, [b"x"])
    assert caught.value.field == "offset"
    assert uploads.query(upload.upload_id).received_bytes == 3


def test_finalizing_again_gives_the_same_file(uploads):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    assert uploads.finalize(upload.upload_id) == uploads.finalize(upload.upload_id)


def test_a_repeated_last_chunk_is_taken_after_the_end(uploads):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    uploads.finalize(upload.upload_id)
    assert uploads.append(upload.upload_id, 0, [b"abc"]).state is UploadState.FINAL
    with pytest.raises(UploadNotActive):
        uploads.append(upload.upload_id, 3, [b"more"])


def test_finalizing_again_after_the_file_was_deleted_finds_nothing(store, uploads):
    upload = uploads.start("", file_id="data")
    uploads.finalize(upload.upload_id)
    store.delete("data", "")
    store.create("", [b"another"], file_id="data")
    with pytest.raises(UploadedFileNotFound):
        uploads.finalize(upload.upload_id)


def test_fewer_bytes_than_declared_are_not_finalized_and_may_still_come(uploads):
    upload = uploads.start("", declared_bytes=6)
    uploads.append(upload.upload_id, 0, [b"abc"])
    with pytest.raises(InvalidRequest, match="6 were declared, 3 received"):
        uploads.finalize(upload.upload_id)
    uploads.append(upload.upload_id, 3, [b"def"])
    assert uploads.finalize(upload.upload_id).size_bytes == 6


def test_more_bytes_than_declared_are_refused(uploads):
    upload = uploads.start("", declared_bytes=2)
    with pytest.raises(InvalidRequest, match="2 were declared"):
        uploads.append(upload.upload_id, 0, [b"abc"])


@pytest.mark.parametrize("declared", [-1, -(2**63)])
def test_a_negative_size_is_refused(uploads, declared):
    with pytest.raises(InvalidRequest, match="negative"):
        uploads.start("", declared_bytes=declared)


@pytest.mark.parametrize("beyond", [1, 2**63])
def test_a_declared_size_beyond_the_limit_is_refused_at_the_start(uploads, limits, beyond, names_on_disk):
    with pytest.raises(FileTooLarge):
        uploads.start("", declared_bytes=limits.max_file_bytes + beyond)
    assert names_on_disk() == []


def test_a_declared_size_that_the_disk_has_no_room_for_is_refused_at_the_start(database, tmp_path, limits):
    store = FileStore(database, tmp_path / "data", limits=dataclasses.replace(limits, max_file_bytes=2**60))
    with pytest.raises(StorageFull):
        store.uploads.start("", declared_bytes=2**60)


def test_announced_sizes_count_against_the_quota(uploads, limits):
    started = [uploads.start("me", declared_bytes=limits.max_file_bytes) for _ in range(4)]
    with pytest.raises(QuotaExceeded):
        uploads.start("me", declared_bytes=1)
    uploads.cancel(started[0].upload_id)
    uploads.start("me", declared_bytes=1)


def test_uploads_of_unknown_size_are_stopped_at_the_quota(uploads, limits, frequent_checkpoints):
    for _ in range(4):
        uploads.start("me", declared_bytes=limits.max_file_bytes - 1)
    upload = uploads.start("me")
    with pytest.raises(QuotaExceeded):
        uploads.append(upload.upload_id, 0, [b"abcd", b"efgh"])
    assert uploads.query(upload.upload_id).received_bytes == 4


def test_an_owner_can_have_only_so_many_uploads_open(database, tmp_path):
    store = FileStore(database, tmp_path / "data", limits_of=lambda owner: OwnerLimits(open_uploads=2))
    first, _ = store.uploads.start("me"), store.uploads.start("me")
    with pytest.raises(QuotaExceeded, match="may have 2 uploads open") as refused:
        store.uploads.start("me")
    assert (refused.value.limit, refused.value.most) == ("open_uploads", 2)
    store.uploads.start("you")
    store.uploads.finalize(first.upload_id)
    store.uploads.start("me")


def test_everything_that_an_owner_keeps_counts_results_of_batches_too(database, tmp_path, frequent_checkpoints):
    store = FileStore(database, tmp_path / "data", limits_of=lambda owner: OwnerLimits(stored_bytes=10))
    part = tmp_path / "data" / "part"
    part.write_bytes(b"x" * 6)
    with database.write() as connection:
        store.create_from_parts(connection, "me", "results", [part])
    with pytest.raises(QuotaExceeded, match="would be 11 bytes, and one API key may keep 10"):
        store.uploads.start("me", declared_bytes=5)
    upload = store.uploads.start("me")
    with pytest.raises(QuotaExceeded):
        store.uploads.append(upload.upload_id, 0, [b"abcd", b"e"])
    store.delete("results", "me")
    store.uploads.append(upload.upload_id, 4, [b"efghij"])


def test_a_cancelled_upload_takes_nothing_and_frees_its_bytes(uploads, names_on_disk):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    uploads.cancel(upload.upload_id)
    uploads.cancel(upload.upload_id)
    assert uploads.query(upload.upload_id).state is UploadState.CANCELLED
    assert names_on_disk() == []
    with pytest.raises(UploadNotActive):
        uploads.append(upload.upload_id, 3, [b"def"])
    with pytest.raises(UploadNotActive):
        uploads.finalize(upload.upload_id)


def test_a_complete_upload_cannot_be_cancelled(store, uploads):
    upload = uploads.start("")
    file = uploads.finalize(upload.upload_id)
    with pytest.raises(UploadNotActive):
        uploads.cancel(upload.upload_id)
    assert store.get(file.file_id, "") == file


@pytest.mark.parametrize("upload_id", ["", "x", "../x", "a" * 1000, "' OR 1=1 --"])
def test_an_upload_that_was_never_started_is_not_found(uploads, upload_id):
    for attempt in (uploads.get, uploads.query, uploads.finalize, uploads.cancel):
        with pytest.raises(UploadNotFound):
            attempt(upload_id)
    with pytest.raises(UploadNotFound):
        uploads.open_append(upload_id, 0)


def test_an_expired_upload_is_not_found(uploads, clock):
    upload = uploads.start("")
    clock.advance(hours=48)
    with pytest.raises(UploadNotFound):
        uploads.append(upload.upload_id, 0, [b"abc"])


def test_upload_ids_cannot_be_guessed_and_are_not_shown(uploads):
    ids = {uploads.start("").upload_id for _ in range(10)}
    assert len(ids) == 10
    assert all(len(each) >= 43 for each in ids)  # 256 bits
    upload = uploads.start("")
    assert upload.upload_id not in repr(upload)


def test_a_request_that_breaks_off_keeps_what_it_brought(store, uploads):
    upload = uploads.start("")

    def broken():
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        uploads.append(upload.upload_id, 0, broken())
    assert uploads.query(upload.upload_id).received_bytes == 3
    uploads.append(upload.upload_id, 3, [b"def"])
    assert read(store, uploads.finalize(upload.upload_id)) == b"abcdef"


def test_a_query_counts_what_a_request_in_progress_has_brought(uploads):
    upload = uploads.start("")
    writer = uploads.open_append(upload.upload_id, 0)
    writer.write(b"abc")
    assert uploads.get(upload.upload_id).received_bytes == 0
    assert uploads.query(upload.upload_id).received_bytes == 3
    writer.write(b"def")
    writer.close()
    assert uploads.query(upload.upload_id).received_bytes == 6


def test_a_second_request_takes_over_from_one_that_hangs(store, uploads):
    upload = uploads.start("")
    hanging = uploads.open_append(upload.upload_id, 0)
    hanging.write(b"abc")
    uploads.append(upload.upload_id, 0, [b"abcdef"])
    with pytest.raises(UploadNotActive):
        hanging.write(b"XYZ")
    hanging.close()
    assert read(store, uploads.finalize(upload.upload_id)) == b"abcdef"


def test_a_writer_of_an_upload_that_was_cancelled_meanwhile_is_stopped(uploads, names_on_disk):
    upload = uploads.start("")
    writer = uploads.open_append(upload.upload_id, 0)
    writer.write(b"abc")
    uploads.cancel(upload.upload_id)
    with pytest.raises(UploadNotActive):
        writer.write(b"def")
    assert names_on_disk() == []


def test_the_same_chunk_sent_by_many_at_once_is_taken_once(store, uploads):
    upload = uploads.start("")
    content = os.urandom(40_000)

    def send():
        with contextlib.suppress(UploadNotActive):  # when another one took over
            uploads.append(upload.upload_id, 0, [content[start : start + 1000] for start in range(0, 40_000, 1000)])

    senders = [threading.Thread(target=send) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    file = uploads.finalize(upload.upload_id)
    assert read(store, file) == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_a_restart_between_chunks_loses_neither_bytes_nor_hash(database, tmp_path, store, uploads, clock):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    again = FileStore(database, tmp_path / "data", clock=clock)
    again.uploads.append(upload.upload_id, 3, [b"def"])
    file = FileStore(database, tmp_path / "data", clock=clock).uploads.finalize(upload.upload_id)
    assert file.sha256 == hashlib.sha256(b"abcdef").hexdigest()


def test_bytes_beyond_the_last_checkpoint_are_written_over_after_a_crash(database, tmp_path, store, uploads, clock):
    upload = uploads.start("")
    uploads.append(upload.upload_id, 0, [b"abc"])
    (tmp_path / "data" / "files" / upload.content_id).write_bytes(b"abcGARBAGE")
    again = FileStore(database, tmp_path / "data", clock=clock)
    again.uploads.append(upload.upload_id, 3, [b"def"])
    file = again.uploads.finalize(upload.upload_id)
    assert (read(again, file), file.size_bytes) == (b"abcdef", 6)
    assert file.sha256 == hashlib.sha256(b"abcdef").hexdigest()


def test_a_kill_in_the_middle_of_a_request_loses_nothing_recorded(database_url, tmp_path):
    """A process is killed (SIGKILL) while it takes one long request; the next one goes on from the last checkpoint."""
    content = bytes(range(256)) * 4096  # 1 MiB
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        import gemvec.files.upload
        from gemvec.files.store import FileStore
        from gemvec.storage.database import open_database
        gemvec.files.upload.CHECKPOINT_BYTES = 2**16
        store = FileStore(open_database({database_url!r}), Path({str(tmp_path / "data")!r}))
        upload = store.uploads.start("me", declared_bytes=2**20)
        print(upload.upload_id, flush=True)
        writer = store.uploads.open_append(upload.upload_id, 0)
        block = bytes(range(256)) * 40  # 10 KiB: no divisor of a checkpoint
        for _ in range(55):
            writer.write(block)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    database = open_database(database_url)
    store = FileStore(database, tmp_path / "data")
    upload = store.uploads.query(killed.stdout.strip())
    assert 7 * 2**16 <= upload.received_bytes <= 55 * 10240
    store.uploads.append(upload.upload_id, upload.received_bytes, [content[upload.received_bytes :]])
    file = store.uploads.finalize(upload.upload_id)
    assert read(store, file) == content
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert store.sweep() == 0
    database.close()


def test_a_full_disk_is_storage_full_and_the_upload_goes_on_when_there_is_room(store, uploads):
    upload = uploads.start("", declared_bytes=50_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        # SQLite's log is under the same limit, so recording may fail as well.
        with pytest.raises(StorageFull):
            uploads.append(upload.upload_id, 0, [b"x" * 10_000] * 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    received = uploads.query(upload.upload_id).received_bytes
    assert received <= 20_000
    uploads.append(upload.upload_id, received, [b"x" * (50_000 - received)])
    file = uploads.finalize(upload.upload_id)
    assert read(store, file) == b"x" * 50_000
    assert file.sha256 == hashlib.sha256(b"x" * 50_000).hexdigest()


def test_nothing_is_written_outside_the_data_folder(store, tmp_path):
    for name in ["../evil", "/tmp/evil", "..", "files/../../evil"]:
        with pytest.raises(InvalidRequest):
            store.uploads.start("../../owner", file_id=name)
    store.create("../../owner", [b"x"], display_name="../../evil", mime_type="../../evil")
    outside = {each.name for each in tmp_path.iterdir()} - {"data"}
    assert all(name.startswith("gemvec.sqlite3") for name in outside)


def test_the_secret_of_an_upload_is_not_in_the_database(uploads, database):
    upload = uploads.start("me")
    with database.read() as connection:
        rows = connection.execute(select(schema.uploads)).all()
    assert upload.upload_id not in str(rows)
    assert uploads.get(upload.upload_id) == upload


def test_an_upload_that_a_crash_left_without_bytes_is_over_and_takes_no_quota(uploads, names_on_disk, tmp_path, limits):
    upload = uploads.start("me", declared_bytes=limits.max_file_bytes)
    (name,) = names_on_disk()
    (tmp_path / "data" / "files" / name).unlink()
    uploads.recover()
    with pytest.raises(UploadNotActive):
        uploads.open_append(upload.upload_id, 0)
    for _ in range(limits.max_owner_bytes // limits.max_file_bytes):
        uploads.start("me", declared_bytes=limits.max_file_bytes)


def test_an_upload_under_way_goes_on_after_recovery(uploads):
    upload = uploads.start("me")
    uploads.append(upload.upload_id, 0, [b"abc"])
    uploads.recover()
    assert uploads.append(upload.upload_id, 3, [b"def"]).received_bytes == 6


def test_a_segment_that_cannot_be_recorded_is_not_left_behind(database, far_url):
    """Before it is recorded, the store asks what its owner may keep, and the database may be away then."""
    place, is_away = parse_storage(f"{far_url}-unrecorded"), threading.Event()

    def limits_of(_):
        if is_away.is_set():
            raise StorageFailure("The database does not answer.")
        return OwnerLimits()

    store = FileStore(database, place, limits_of=limits_of)
    upload, announced = store.uploads.start("me"), store.uploads.start("me", declared_bytes=3)
    before = list_names(place / "files")
    is_away.set()
    with pytest.raises(StorageFailure):
        store.uploads.append(upload.upload_id, 0, [b"abc"])
    assert list_names(place / "files") == before
    assert store.uploads.append(announced.upload_id, 0, [b"abc"]).received_bytes == 3
