"""A stored file is found by its owner alone, read in whole or in part, and gone with its bytes when deleted."""

import hashlib
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import (
    BadResourceName,
    DataLost,
    FailedPrecondition,
    FileAlreadyExists,
    FileTooLarge,
    InvalidRequest,
    QuotaExceeded,
    StorageFailure,
    UploadedFileNotFound,
)
from gemvec.files.content import FileContent, FilePart
from gemvec.files.file import FileSource
from gemvec.files.store import FileStore


def read(store, file_id, owner="", start=0, stop=None):
    return b"".join(store.open_content(file_id, owner).read(start, stop))


def test_a_created_file_has_its_size_hash_and_times(store, clock):
    before = clock.now
    file = store.create("me", [b"hello ", b"world"], display_name="greeting", mime_type="text/plain")
    assert (file.size_bytes, file.owner, file.display_name, file.mime_type) == (11, "me", "greeting", "text/plain")
    assert file.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert file.source is FileSource.UPLOADED
    assert before < file.created_at <= clock.now
    assert file.expires_at - file.created_at == timedelta(hours=48)
    assert store.get(file.file_id, "me") == file
    assert read(store, file.file_id, "me") == b"hello world"


def test_an_empty_file_is_a_file(store):
    file = store.create("", [])
    assert file.size_bytes == 0
    assert file.sha256 == hashlib.sha256().hexdigest()
    assert read(store, file.file_id) == b""


def test_a_file_is_there_after_a_restart(store, database, tmp_path, clock):
    file = store.create("me", [b"x"])
    again = FileStore(database, tmp_path / "data", clock=clock)
    assert again.get(file.file_id, "me") == file
    assert read(again, file.file_id, "me") == b"x"


def test_another_owners_file_is_not_found(store):
    file = store.create("me", [b"x"])
    for attempt in (store.get, store.open_content, store.delete):
        with pytest.raises(UploadedFileNotFound):
            attempt(file.file_id, "you")
    assert store.list("you").items == ()
    assert store.get(file.file_id, "me") == file


def test_owners_choose_names_independently(store):
    store.create("me", [b"mine"], file_id="files/data")
    store.create("you", [b"yours"], file_id="data")
    assert read(store, "data", "me") == b"mine"
    assert read(store, "data", "you") == b"yours"


def test_a_taken_name_is_refused_and_keeps_its_file(store, names_on_disk):
    store.create("", [b"first"], file_id="data")
    with pytest.raises(FileAlreadyExists, match="files/data"):
        store.create("", [b"second"], file_id="data")
    assert read(store, "data") == b"first"
    assert len(names_on_disk()) == 1


def test_of_two_uploads_for_one_name_the_first_finalized_wins(store):
    uploads = [store.uploads.start("", file_id="data") for _ in range(2)]
    store.uploads.finalize(uploads[1].upload_id)
    with pytest.raises(FileAlreadyExists):
        store.uploads.finalize(uploads[0].upload_id)


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "files/", "files/..", "/etc/passwd", "a/b", "A", "a_b", "-a", "a-", "%2e%2e", "a" * 41, "a\0", "ä"],
)
def test_a_name_that_is_no_plain_id_is_refused(store, name, names_on_disk):
    with pytest.raises(BadResourceName) as caught:
        store.create("", [b"x"], file_id=name)
    assert caught.value.field == "file.name"
    assert names_on_disk() == []


@pytest.mark.parametrize("name", ["a", "a-b", "0", "a" * 40, "files/x-1"])
def test_a_plain_id_is_accepted(store, name):
    assert store.create("", [b"x"], file_id=name).file_id == name.removeprefix("files/")


@pytest.mark.parametrize("field", ["display_name", "mime_type"])
@pytest.mark.parametrize("text", ["a\0b", "x" * 513])
def test_a_description_no_database_could_keep_is_refused(store, field, text):
    with pytest.raises(InvalidRequest) as caught:
        store.create("", [b"x"], **{field: text})
    assert caught.value.field == f"file.{field}"


def test_a_file_beyond_the_limit_is_refused_and_leaves_nothing(store, limits, names_on_disk):
    with pytest.raises(FileTooLarge, match=str(limits.max_file_bytes)):
        store.create("", [b"x" * limits.max_file_bytes, b"x"])
    assert names_on_disk() == []
    assert store.create("", [b"x" * limits.max_file_bytes]).size_bytes == limits.max_file_bytes


def test_an_owners_quota_counts_every_file_and_frees_what_is_deleted(store, limits):
    full = [store.create("me", [b"x" * limits.max_file_bytes]) for _ in range(4)]
    with pytest.raises(QuotaExceeded):
        store.create("me", [b"x"])
    store.create("you", [b"x"])
    store.delete(full[0].file_id, "me")
    store.create("me", [b"x"])


def test_a_source_that_fails_half_way_leaves_nothing(store, names_on_disk):
    def blocks():
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.create("", blocks(), file_id="data")
    assert names_on_disk() == []
    store.create("", [b"whole"], file_id="data")


def test_a_deleted_file_is_gone_with_its_bytes(store, names_on_disk):
    file = store.create("", [b"x"])
    store.delete(file.file_id, "")
    assert names_on_disk() == []
    for attempt in (store.get, store.open_content, store.delete):
        with pytest.raises(UploadedFileNotFound):
            attempt(file.file_id, "")


def test_an_expired_file_is_not_found_before_any_sweep(store, clock):
    file = store.create("", [b"x"], file_id="data")
    clock.advance(hours=48)
    with pytest.raises(UploadedFileNotFound):
        store.get(file.file_id, "")
    assert store.list("").items == ()


def test_the_name_of_an_expired_file_is_free_before_any_sweep(store, clock, names_on_disk):
    store.create("", [b"old"], file_id="data")
    clock.advance(hours=49)
    store.create("", [b"new"], file_id="data")
    assert read(store, "data") == b"new"
    store.sweep()
    assert len(names_on_disk()) == 1


def test_the_sweep_removes_what_expired_and_keeps_the_rest(store, clock, names_on_disk):
    store.create("", [b"old"], file_id="old")
    store.uploads.append(store.uploads.start("").upload_id, 0, [b"unfinished"])
    clock.advance(hours=47)
    store.create("", [b"new"], file_id="new")
    assert store.sweep() == 0
    clock.advance(hours=2)
    assert store.sweep() == 2  # a file, and the bytes of an upload
    assert len(names_on_disk()) == 1
    assert read(store, "new") == b"new"
    assert store.sweep() == 0


def test_the_sweep_removes_bytes_that_no_row_names(store, tmp_path, names_on_disk):
    file = store.create("", [b"x"])
    (tmp_path / "data" / "files" / "leftover").write_bytes(b"of a crash")
    assert store.sweep() == 1
    assert len(names_on_disk()) == 1
    assert read(store, file.file_id) == b"x"


def test_the_sweep_harms_no_upload_that_is_going_on(store):
    stop = threading.Event()

    def sweep():
        while not stop.is_set():
            store.sweep()

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(20):
            file = store.create("", [b"abc", b"def"])
            assert read(store, file.file_id) == b"abcdef"
            store.delete(file.file_id, "")
    finally:
        stop.set()
        sweeper.join()


def test_pages_show_every_file_once_newest_first(store):
    made = [store.create("me", [b"x"]) for _ in range(7)]
    shown, token = [], None
    while True:
        page = store.list("me", page_size=3, page_token=token)
        shown += page.items
        token = page.next_page_token
        if token is None:
            break
        assert len(page.items) == 3
    assert shown == made[::-1]


def test_pages_neither_repeat_nor_hide_when_files_come_and_go(store):
    made = [store.create("", [b"x"]) for _ in range(6)]
    first = store.list("", page_size=2)
    store.delete(first.items[1].file_id, "")
    store.create("", [b"new"])
    rest = store.list("", page_token=first.next_page_token).items
    assert rest == tuple(made[3::-1])


def test_a_last_page_that_is_exactly_full_has_no_token(store):
    store.create("", [b"x"])
    assert store.list("", page_size=1).next_page_token is None


def test_a_page_token_of_another_owner_shows_only_ones_own_files(store):
    for _ in range(3):
        store.create("you", [b"x"])
    token = store.list("you", page_size=1).next_page_token
    assert store.list("me", page_token=token).items == ()


def test_parts_make_one_file_without_a_copy(store, database, tmp_path, names_on_disk):
    parts = write_parts(tmp_path / "data" / "batches" / "b1", [b"one\n", b"", b"three\n"])
    with database.write() as connection:
        file = store.create_from_parts(connection, "me", "batch-b1", parts)
    assert (file.size_bytes, file.sha256, file.source) == (10, None, FileSource.GENERATED)
    assert store.get("batch-b1", "me") == file
    assert read(store, "batch-b1", "me") == b"one\nthree\n"
    assert read(store, "batch-b1", "me", 2, 6) == b"e\nth"
    assert names_on_disk() == []


def test_a_file_of_parts_is_there_only_if_the_callers_transaction_is(store, database, tmp_path):
    parts = write_parts(tmp_path / "data" / "batches" / "b1", [b"one\n"])

    def fail_half_way():
        with database.write() as connection:
            store.create_from_parts(connection, "me", "batch-b1", parts)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with pytest.raises(UploadedFileNotFound):
        store.get("batch-b1", "me")
    assert parts[0].exists()


def test_parts_go_with_their_file(store, database, clock, tmp_path):
    parts = write_parts(tmp_path / "data" / "batches" / "b1", [b"one\n"])
    others = write_parts(tmp_path / "data" / "batches" / "b2", [b"two\n"])
    with database.write() as connection:
        store.create_from_parts(connection, "", "batch-b1", parts)
        store.create_from_parts(connection, "", "batch-b2", others)
    store.delete("batch-b1", "")
    assert not parts[0].exists()
    clock.advance(hours=49)
    store.sweep()
    assert not others[0].exists()


def test_parts_do_not_count_against_the_quota(store, database, limits, tmp_path):
    parts = write_parts(tmp_path / "data" / "batches" / "b1", [b"x" * limits.max_owner_bytes])
    with database.write() as connection:
        store.create_from_parts(connection, "", "batch-b1", parts)
    store.create("", [b"x"])


def test_parts_outside_the_data_folder_are_refused(store, database, tmp_path):
    parts = write_parts(tmp_path / "elsewhere", [b"x"])
    with pytest.raises(ValueError, match="elsewhere"), database.write() as connection:
        store.create_from_parts(connection, "", "batch-b1", parts)


def test_a_missing_part_fails_the_read_instead_of_shortening_it(store, database, tmp_path):
    parts = write_parts(tmp_path / "data" / "batches" / "b1", [b"one\n", b"two\n"])
    with database.write() as connection:
        store.create_from_parts(connection, "", "batch-b1", parts)
    parts[1].unlink()
    with pytest.raises(StorageFailure):
        read(store, "batch-b1")


def test_a_link_outlives_the_file(store, tmp_path):
    file = store.create("me", [b"input"])
    store.link_content(file.file_id, "me", tmp_path / "data" / "input.jsonl")
    store.delete(file.file_id, "me")
    store.sweep()
    assert (tmp_path / "data" / "input.jsonl").read_bytes() == b"input"


def test_a_link_to_another_file_system_is_a_copy(store):
    """/dev/shm is one of its own on Linux; elsewhere this is a link like any other."""
    file = store.create("me", [b"input"])
    parent = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        store.link_content(file.file_id, "me", Path(folder, "input"))
        assert Path(folder, "input").read_bytes() == b"input"


def test_a_link_never_overwrites(store, tmp_path):
    file = store.create("me", [b"input"])
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(StorageFailure):
        store.link_content(file.file_id, "me", tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == b"old"


def test_a_link_to_another_owners_file_is_refused(store, tmp_path):
    file = store.create("me", [b"input"])
    with pytest.raises(UploadedFileNotFound):
        store.link_content(file.file_id, "you", tmp_path / "data" / "input.jsonl")
    assert not (tmp_path / "data" / "input.jsonl").exists()


def test_a_file_of_parts_cannot_be_linked(store, database, tmp_path):
    parts = write_parts(tmp_path / "data" / "batches" / "b1", [b"one\n", b"two\n"])
    with database.write() as connection:
        store.create_from_parts(connection, "", "batch-b1", parts)
    with pytest.raises(FailedPrecondition):
        store.link_content("batch-b1", "", tmp_path / "data" / "input.jsonl")


@given(st.lists(st.binary(max_size=5), max_size=6), st.data())
def test_any_range_of_any_parts_is_the_slice_of_the_whole(tmp_path_factory, contents, data):
    parts = write_parts(tmp_path_factory.mktemp("parts"), contents)
    whole = b"".join(contents)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)) | st.none())
    content = FileContent(tuple(FilePart(path, path.stat().st_size) for path in parts))
    assert b"".join(content.read(start, stop)) == whole[start:stop]


def write_parts(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{position:05}.jsonl" for position in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_the_figures_count_the_files_of_every_owner(store):
    assert [each.value for each in store.figures()] == [0, 0]
    store.create("a", [b"12345"])
    store.create("b", [b"123"])
    assert {each.name: each.value for each in store.figures()} == {"files": 2, "file_bytes": 8}


@pytest.mark.parametrize("damage", ["gone", "short", "flipped"])
def test_a_damaged_file_is_noticed_before_anything_of_it_is_read(store, names_on_disk, tmp_path, damage):
    file = store.create("me", [b"0123456789"])
    (name,) = names_on_disk()
    path = tmp_path / "data" / "files" / name
    store.open_content(file.file_id, "me").check()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"short": b"01234", "flipped": b"0123456788"}[damage])
    with pytest.raises(DataLost, match=name):
        store.open_content(file.file_id, "me").check()
