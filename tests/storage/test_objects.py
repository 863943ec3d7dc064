"""Objects are used as files are: whole or absent, read from anywhere, listed, and removed."""

import base64
import logging
import pickle
import socket
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.exceptions import GenericError

from gemvec.errors import BadSetting, StorageFailure, StoreMismatch
from gemvec.storage import objects
from gemvec.storage.database import open_database
from gemvec.storage.durable import crc32_of, write_durably
from gemvec.storage.hold import take_store
from gemvec.storage.object_failures import explain_failure
from gemvec.storage.objects import ObjectPath, parse_storage
from gemvec.storage.places import link_or_copy, list_names, name_below, remove_files, remove_tree, stats_of
from object_stores import RUNNING, use


@pytest.fixture(params=["memory", *sorted(RUNNING)])
def root(request, tmp_path, start_object_store, monkeypatch):
    if request.param == "memory":
        return ObjectPath(f"memory:///{tmp_path.name}")
    return parse_storage(use(start_object_store(request.param), monkeypatch))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(objects, "_PART_BYTES", 5 * 2**20)  # as small as S3 allows


def read(path):
    with path.open("rb") as file:
        return file.read()


def test_an_object_has_what_was_written_last(root):
    for content in (b"one", b"", b"three"):
        assert write_durably(root / "a" / "b", content) == len(content)
        assert read(root / "a" / "b") == content
        assert (root / "a" / "b").stat().st_size == len(content)


def test_a_large_object_is_written_in_parts(root, small_parts):
    blocks = [bytes([number]) * 2**20 for number in range(12)]
    assert write_durably(root / "large", iter(blocks)) == 12 * 2**20
    assert read(root / "large") == b"".join(blocks)


@pytest.mark.parametrize("before", [0, 12])
def test_an_object_whose_bytes_break_off_stays_as_it_was(root, small_parts, before):
    write_durably(root / "a", b"old")

    def blocks():
        yield from [bytes(2**20)] * before
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        write_durably(root / "a", blocks())
    assert read(root / "a") == b"old"


def test_an_object_is_read_from_any_position(root):
    content = bytes(range(256)) * 10_000
    write_durably(root / "a", content)
    with (root / "a").open("rb") as file:
        assert file.seek(2_000_000) == 2_000_000
        assert file.read(10) == content[2_000_000:2_000_010]
        assert file.seek(5) == file.tell() == 5
        assert file.read() == content[5:]
        assert file.read(1) == b""
        file.seek(len(content) + 7)
        assert file.read(1) == b""
    assert crc32_of(root / "a", 9, offset=3) == zlib.crc32(content[3:12])


def test_what_is_missing_is_noticed_when_it_is_opened(root):
    assert not (root / "a").exists()
    for call in (read, ObjectPath.stat, lambda path: path.copy_to(root / "b")):
        with pytest.raises(FileNotFoundError):
            call(root / "a")
    (root / "a").unlink(missing_ok=True)


def test_names_in_a_folder_are_objects_and_folders(root):
    assert list_names(root / "a") == set()
    for name in ("a/x", "a/y/z", "a/y/w", "ab/x"):
        write_durably(root / name, b"")
    assert list_names(root / "a") == {"x", "y"}
    assert list_names(root) == {"a", "ab"}
    found = stats_of([root / "a" / "x", root / "a" / "no", root / "ab" / "x"])
    assert [stat and stat.st_size for stat in found] == [0, None, 0]


def test_a_folder_is_removed_with_everything_in_it_and_nothing_else(root):
    for name in ("a/x", "a/y/z", "ab/x"):
        write_durably(root / name, b"")
    for _ in range(2):
        remove_tree(root / "a")
        assert list_names(root) == {"ab"}


def test_files_are_removed_together_whether_they_are_there_or_not(root, tmp_path):
    for folder in (root, tmp_path):
        paths = [folder / name for name in "abcd"]
        for path in paths[:3]:
            write_durably(path, b"x")
        remove_files([paths[0], paths[3], paths[2]])
        assert list_names(folder) == {"b"}
        remove_files([])


def test_a_folder_that_others_remove_too_is_removed(root):
    """As when another server sweeps, or an answer of the store was lost and the request is sent again."""
    with ThreadPoolExecutor(4) as threads:
        for number in range(5):
            folder = root / str(number)
            list(threads.map(lambda name, folder=folder: write_durably(folder / name, b""), "abcdefgh"))
            list(threads.map(remove_tree, [folder] * 4))
            assert list_names(folder) == set()


def test_a_copy_outlives_its_source(root):
    write_durably(root / "a", b"bytes")
    link_or_copy(root / "a", root / "b")
    (root / "a").unlink()
    assert read(root / "b") == b"bytes"


def test_another_process_finds_the_same_object(root):
    assert pickle.loads(pickle.dumps(root / "a")) == root / "a"
    assert name_below(root / "a" / "b", root) == "a/b"
    with pytest.raises(ValueError, match="is not in"):
        name_below(root / "a", Path("/"))


def test_a_store_that_does_not_answer_is_a_failure_and_not_a_loss(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        unused_port = taken.getsockname()[1]
    monkeypatch.setattr(objects, "_RETRIES", 0)
    for name, value in {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{unused_port}", "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    away = parse_storage("s3://away/store") / "a"
    for call in (read, ObjectPath.exists, ObjectPath.list_names, lambda path: write_durably(path, b"x")):
        with pytest.raises(StorageFailure, match="object store failed") as failed:
            call(away)
        assert "canary" not in str(failed.value)


def test_a_store_in_a_bucket_that_does_not_exist_is_refused_by_name(store_url, database):
    place = parse_storage(store_url.replace("//bucket/", "//no-such-bucket/"))
    with pytest.raises(StorageFailure, match=r"there is no (bucket|container) no-such-bucket"):
        take_store(database, place)


# As obstore says it on a machine outside the cloud.
WITHOUT_CREDENTIALS = {
    "s3://b/a": "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1.25ms - HTTP error",
    "gs://b/a": "Generic GCS error: Error performing token request: Error performing GET http://169.254.169.254/compute",
    "az://b/a": "Generic MicrosoftAzure error: Error performing token request: Error performing GET "
    "http://169.254.169.254/metadata/identity/oauth2/token",
}


@pytest.mark.parametrize("url", WITHOUT_CREDENTIALS)
def test_without_credentials_the_variables_and_a_command_are_named(url):
    told = explain_failure(GenericError(WITHOUT_CREDENTIALS[url]), url)
    variable = {"s3": "AWS_ACCESS_KEY_ID", "gs": "GOOGLE_APPLICATION_CREDENTIALS", "az": "AZURE_STORAGE_ACCOUNT_NAME"}
    command = {"s3": "aws configure", "gs": "gcloud auth", "az": "az login"}
    assert told.startswith(f"there are no credentials for {url[:-2]}; set {variable[url[:2]]}")
    assert command[url[:2]] in told.partition("or run: ")[2]


def test_a_password_in_the_address_of_a_store_is_never_shown():
    told = "Generic S3 error: Error performing HEAD http://user:canary@127.0.0.1:9/b/a in 1.2ms - HTTP error"
    shown = explain_failure(GenericError(told), "s3://b/a")
    assert shown == "Generic S3 error: Error performing HEAD http://127.0.0.1:9/b/a in 1.2ms - HTTP error"


@pytest.mark.parametrize("name", ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"])
def test_a_key_that_is_refused_is_never_shown(start_object_store, monkeypatch, caplog, name):
    caplog.set_level(logging.DEBUG)
    use(start_object_store("az"), monkeypatch)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    secret = base64.b64encode(b"canary").decode()
    monkeypatch.setenv(name, secret if name.endswith("KEY") else f"sv=2021-08-06&sp=r&sig={secret}")
    place = parse_storage(f"az://bucket/{name}")
    for call in (list_names, ObjectPath.exists, lambda path: write_durably(path, b"x")):
        with pytest.raises(StorageFailure, match="az://bucket refuses access with the credentials") as failed:
            call(place / "a")
        assert secret.strip("=") not in f"{failed.value} {failed.value.__cause__} {caplog.text}"


@pytest.mark.parametrize("url", ["http://bucket/store", "s3://", "folder", "memory:///a"])
def test_another_kind_of_storage_is_refused_by_name(url):
    with pytest.raises(BadSetting, match=r"--storage .*s3://, gs://, az://"):
        parse_storage(url)


def test_a_store_knows_its_objects(root, database, tmp_path):
    take_store(database, root / "one")
    take_store(database, root / "one")
    with pytest.raises(StoreMismatch, match="it has no such file"):
        take_store(database, root / "two")
    other = open_database(tmp_path / "other.sqlite3")
    write_durably(root / "one" / "files" / "x" / "y", b"")
    with pytest.raises(StoreMismatch, match="the database to none"):
        take_store(other, root / "one")
    other.close()


def test_a_bucket_that_is_gone_is_not_an_empty_one(object_store, store_url):
    object_store.make_bucket("short")
    root = parse_storage(f"{object_store.scheme}://short/store")
    write_durably(root / "a", b"")
    root.remove_tree()
    object_store.remove_bucket("short")
    with pytest.raises((StorageFailure, FileNotFoundError)):
        write_durably(root / "a", b"")
