"""Buckets as sources: real servers, no collection."""

import pickle

import pytest
from obstore.store import from_url

from gemvec.documents import BadDocument, Filters, Remote, Sources, UnreadDocument
from gemvec.errors import BadSetting, InvalidRequest, StorageFailure


@pytest.fixture
def remote(tmp_path):
    with Remote(tmp_path / "cache") as opened:
        yield opened


@pytest.fixture
def store(store_url):
    """The test's own prefix, opened."""
    return from_url(store_url)


def names(found, store_url):
    return [each.id.removeprefix(f"{store_url}/") for each in found]


def test_a_bucket_is_read_like_a_folder(store_url, store, remote):
    for key in ("a.md", "deep/b.txt", ".hidden.md", "deep/.git/c.md", "node_modules/d.md", "e.bin", "skip/f.md"):
        store.put(key, f"Text of {key}.".encode())
    store.put("empty/", b"")
    sources = Sources([store_url], remote=remote, filters=Filters(exclude=("skip/",)))
    found = list(sources)
    assert [(each.id, each.text) for each in found] == [
        (f"{store_url}/a.md", "Text of a.md."),
        (f"{store_url}/deep/b.txt", "Text of deep/b.txt."),
    ]
    assert dict(sources.left_out.files) == {"hidden": 2, ".bin": 1}
    assert sorted(sources.left_out.ignored.values()) == [1, 1]


def test_one_object_is_a_source_and_names_that_only_begin_the_same_are_others(store_url, store, remote):
    store.put("docs/a.md", b"One.")
    store.put("docs2/b.md", b"Two.")
    assert names(Sources([f"{store_url}/docs/a.md"], remote=remote), store_url) == ["docs/a.md"]
    assert names(Sources([f"{store_url}/docs"], remote=remote), store_url) == ["docs/a.md"]


def test_records_of_an_object_are_documents_each(store_url, store, remote):
    store.put("rows.csv", b"id,text\na,one sentence of text\nb,another sentence of text\n")
    assert names(Sources([store_url], remote=remote), store_url) == ["rows.csv#a", "rows.csv#b"]


def test_an_object_is_fetched_only_when_it_is_parsed_and_known_by_its_etag(store_url, store, remote):
    def look():
        (found,) = Sources([store_url], remote=remote).unread()
        assert isinstance(found, UnreadDocument)
        return found

    store.put("a.md", b"One.")
    first = look()
    assert first.hash("v") == look().hash("v") == first.read().hash("v")
    store.put("a.md", b"Two.")
    assert look().hash("v") != first.hash("v")


def test_an_object_that_goes_during_the_run_costs_itself(store_url, store, remote):
    store.put("a.md", b"One.")
    store.put("b.md", b"Two.")
    store.put("c.csv", b"id,text\na,one sentence of text\n")
    sources = Sources([store_url], remote=remote)
    for key in ("a.md", "c.csv"):
        store.delete(key)
    found = list(sources)
    assert names([each for each in found if not isinstance(each, BadDocument)], store_url) == ["b.md"]
    assert [each.reason for each in found if isinstance(each, BadDocument)] == ["it was deleted during the run"] * 2


def test_a_damaged_object_costs_itself(store_url, store, remote):
    store.put("a.pdf", b"no pdf")
    store.put("b.md", b"Two.")
    bad, good = Sources([store_url], remote=remote)
    assert (bad.source, good.id) == (f"{store_url}/a.pdf", f"{store_url}/b.md")


def test_a_prefix_without_objects_is_refused_or_gone(store_url, remote):
    with pytest.raises(InvalidRequest, match="nothing at"):
        Sources([store_url], remote=remote)
    assert list(Sources([store_url], remote=remote, may_be_gone=True).gone) == [store_url]


def test_a_bucket_that_does_not_exist_is_never_one_without_objects(store_url, remote):
    source = store_url.replace("//bucket/", "//no-such-bucket/")
    with pytest.raises(
        StorageFailure, match=f"{source} cannot be read: .* there is no (bucket|container) no-such-buck"
    ):
        Sources([source], remote=remote, may_be_gone=True)


def test_a_store_without_settings_is_refused_with_what_it_needs(remote, monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadSetting, match=r"az://container/docs cannot be used: .*set AZURE_STORAGE_ACCOUNT_NAME"):
        Sources(["az://container/docs"], remote=remote)


def test_another_machine_reads_only_an_object_that_is_the_same_there(store_url, store, remote):
    store.put("a.md", b"# A\n\nWords.\n")
    (found,) = Sources([store_url], remote=remote).unread()
    elsewhere = pickle.loads(pickle.dumps(found.read_elsewhere))
    assert elsewhere().text == found.read().text
    store.put("a.md", b"# B\n\nOther words.\n")
    assert elsewhere() is None
    store.delete("a.md")
    assert elsewhere() is None
