"""`POST /v1/collections/{name}:search`: a text in, passages out, with the keys and limits of embedding."""

import asyncio
import shutil

import pytest

from gemvec.errors import BadSetting, CollectionNotFound, FingerprintMismatch
from gemvec.milvus import Document, ingest, open_collection
from gemvec.milvus.embed import make_query_request
from gemvec.models.local import open_embedder
from gemvec.server.limits import limits_of
from gemvec.server.services import open_services
from gemvec.settings import Settings

TEXTS = {"refunds": "Refunds take three days.", "shipping": "We ship on weekdays.", "hours": "We open at nine."}


async def fill(uri, settings, texts=TEXTS):
    embedder = open_embedder(settings)
    with open_collection(uri, "docs") as collection:
        documents = [Document(id=name, text=text, metadata={"name": name}) for name, text in texts.items()]
        await ingest(collection, embedder, documents)
    await embedder.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory, tiny_folder):
    uri = str(tmp_path_factory.mktemp("milvus") / "my.db")
    asyncio.run(fill(uri, Settings(model=(str(tiny_folder),), streams=1)))
    return uri


@pytest.fixture
def uri(filled, tmp_path):
    """A copy of the database: a server keeps a Milvus Lite file for itself."""
    shutil.copytree(filled, tmp_path / "copy.db")
    return str(tmp_path / "copy.db")


@pytest.fixture(scope="module")
def searching(running_whole, filled, tmp_path_factory):
    """An HTTP client of a server with a collection and a key."""
    data = tmp_path_factory.mktemp("data")
    shutil.copytree(filled, data / "copy.db")
    with running_whole(data / "own", served_collection=f"docs={data / 'copy.db'}", api_key="secret") as client:
        client.headers["x-goog-api-key"] = "secret"
        yield client


def ask(client, path="/v1/collections/docs:search", **body):
    return client.post(path, json={"query": "refunds"} | body)


@pytest.mark.parametrize("version", ["/v1", "/v1beta", ""])
def test_a_text_gives_passages(searching, version):
    answer = ask(searching, f"{version}/collections/docs:search", limit=2).json()
    assert len(answer["passages"]) == 2
    first = answer["passages"][0]
    assert first["text"] == TEXTS[first["documentId"]]
    assert first["metadata"] == {"name": first["documentId"]}
    assert set(first) >= {"score", "title", "heading", "source", "position", "chunk"}


def test_options_have_both_spellings(searching):
    answer = ask(searching, hybrid=True, by_document=True, where='metadata["name"] == "hours"').json()
    assert [each["documentId"] for each in answer["passages"]] == ["hours"]
    assert ask(searching, hybrid=True).json()["passages"][0]["documentId"] == "refunds"


def test_a_query_may_be_one_for_source_code(searching, monkeypatch):
    made = []

    def record(*arguments):
        made.append(make_query_request(*arguments))
        return made[-1]

    monkeypatch.setattr("gemvec.milvus.embed.make_query_request", record)
    bodies = ({}, {"taskType": "CODE_RETRIEVAL_QUERY"}, {"task_type": 0})
    assert [ask(searching, **body).status_code for body in bodies] == [200] * 3
    names = [each.task_type.name for each in made]
    assert names == ["RETRIEVAL_QUERY", "CODE_RETRIEVAL_QUERY", "RETRIEVAL_QUERY"]


def test_words_decide_a_hybrid_search_in_a_script_that_the_model_does_not_know(running_whole, tiny_folder, tmp_path):
    uri = str(tmp_path / "my.db")
    texts = {"other": "备份", "named": "The capital is 城市 as all say."}
    asyncio.run(fill(uri, Settings(model=(str(tiny_folder),), streams=1), texts))
    with running_whole(tmp_path / "own", served_collection=f"docs={uri}") as client:

        def find(**body):
            found = ask(client, **body).json()
            return [each["documentId"] for each in found["passages"]], found.get("orderedByWords", False)

        assert find(query="城市", hybrid=True) == (["named", "other"], True)
        assert find(query="城市") == (["other", "named"], False)
        assert find(query="the dog and the cat 城市", hybrid=True)[1] is False


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"query": " "}, "query"),
        ({"taskType": "CLUSTERING"}, "task_type is CLUSTERING"),
        ({"limit": 0}, "limit is 0"),
        ({"context": 21}, "context is 21"),
        ({"where": "name ==="}, "where"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_is_wrong_is_named(searching, body, words):
    answer = ask(searching, **body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_a_collection_that_is_not_served_is_not_found(searching):
    answer = ask(searching, "/v1/collections/nope:search")
    assert answer.status_code == 404
    assert "'nope'" in answer.json()["error"]["message"]


def test_a_search_needs_the_servers_key(searching):
    answer = searching.post("/v1/collections/docs:search", json={"query": "a"}, headers={"x-goog-api-key": "wrong"})
    assert answer.status_code == 400
    assert "API key not valid" in answer.json()["error"]["message"]


def test_a_search_counts_against_the_limits(running_whole, uri, tmp_path):
    limits = limits_of(Settings(limits="google", requests_per_minute=1))
    with running_whole(tmp_path, limits=limits, served_collection=f"docs={uri}") as client:
        assert ask(client).status_code == 200
        assert ask(client).status_code == 429


@pytest.mark.parametrize(
    ("entry", "error"),
    [("docs", BadSetting), ("=./a.db", BadSetting), ("docs=./none.db", CollectionNotFound)],
)
def test_a_collection_that_cannot_be_searched_is_refused_at_the_start(tiny_folder, tmp_path, monkeypatch, entry, error):
    monkeypatch.chdir(tmp_path)
    settings = Settings(model=(str(tiny_folder),), streams=1, data_dir=tmp_path / "data", served_collection=(entry,))
    with pytest.raises(error):
        open_services(settings)


def test_a_collection_of_another_model_is_refused_at_the_start(uri, tmp_path):
    settings = Settings(model=("fake",), data_dir=tmp_path / "data", served_collection=(f"docs={uri}",))
    with pytest.raises(FingerprintMismatch):
        open_services(settings)
