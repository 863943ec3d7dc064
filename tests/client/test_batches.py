"""The client's batches against a real server: handed in, followed, fetched, and never handed in twice."""

import io
import itertools
import json
import socket
import threading

import numpy as np
import pytest

from batch_server import batch_server
from gemvec import GeminiEmbeddingFunction
from gemvec.client.batches import BatchClient
from gemvec.client.encode_batch import encode_batch
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import Target, find_target
from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import ApiError, InvalidRequest, TransportFailure
from gemvec.wire.batches import BatchState, BatchUpdate
from hash_embedder import HashEmbedder, vector_of

MODEL = "gemini-embedding-001"
IMPATIENT = RetryPolicy(timeout_seconds=120, unreachable_seconds=0.3, first_delay_seconds=0.01)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with batch_server(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def client(url):
    with BatchClient(find_target(url), retries=IMPATIENT) as client:
        yield client


@pytest.fixture
def stuck(tmp_path):
    """A client of a server whose model never answers."""
    embedder = HashEmbedder(names=(MODEL,))
    embedder.faults = [MemoryError()] * 10_000
    with batch_server(tmp_path, embedder) as url, BatchClient(find_target(url), retries=IMPATIENT) as client:
        yield client


def requests_of(count, **options):
    return [EmbedRequest(text=f"text {number}", **options) for number in range(count)]


def normalised(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("count", [1, 700, 20_000])
def test_results_come_in_the_order_of_the_requests(client, count):
    created = client.create(MODEL, requests_of(count), display_name="many", priority=-3)
    assert (created.state, created.display_name, created.priority) == (BatchState.PENDING, "many", -3)
    ended = client.wait(created.batch_id)
    assert (ended.state, ended.stats.successful_request_count) == (BatchState.SUCCEEDED, count)
    assert (ended.responses_file is not None) == (count == 20_000)
    results = list(client.results(created.batch_id))
    assert len(results) == count
    for number, result in enumerate(results):
        assert np.array_equal(np.float32(result.values), vector_of(f"text {number}"))
        assert result.token_count == len(f"text {number}")


def test_every_option_of_a_request_arrives(client):
    request = EmbedRequest(text="a", task_type=TaskType.RETRIEVAL_DOCUMENT, title="t", output_dimensionality=3)
    name = client.create(MODEL, [request], keys=["mine"]).batch_id
    client.wait(name)
    [result] = client.results(name)
    assert np.array_equal(np.float32(result.values), vector_of("a", 2, "t", 3))
    assert result.label == {"metadata": {"key": "mine"}}


def test_a_file_of_requests_is_handed_in_by_path_or_name(client, tmp_path):
    path = tmp_path / "requests.jsonl"
    path.write_text('{"key":"k","request":{"content":{"parts":[{"text":"a"}]}}}\n{broken\n')
    uploaded = client.files.upload(path)
    for file in (path, uploaded.name):
        name = client.create_from_file(f"models/{MODEL}", file).batch_id
        assert client.wait(name).stats.failed_request_count == 1
        first, second = client.results(name)
        assert first.label == {"key": "k"}
        assert (second.error_code, second.values) == (3, None)


def test_the_list_is_fetched_page_by_page(client):
    made = [client.create(MODEL, requests_of(1)).batch_id for _ in range(5)]
    listed = client.list(page_size=2)
    assert [batch.batch_id for batch in itertools.islice(listed, 5)] == made[::-1]


def test_an_update_changes_what_it_names(client):
    name = client.create(MODEL, requests_of(1), display_name="old").batch_id
    assert client.update(name, BatchUpdate(priority=2**63 - 1)).priority == 2**63 - 1
    changed = client.update(f"batches/{name}", BatchUpdate(display_name="new"))
    assert (changed.display_name, changed.priority) == ("new", 2**63 - 1)


def test_a_deleted_batch_is_gone(client):
    name = client.create(MODEL, requests_of(1)).batch_id
    client.delete(name)
    for call in (client.get, client.cancel, client.delete, client.wait):
        with pytest.raises(ApiError, match="NOT_FOUND"):
            call(name)
    with pytest.raises(ApiError, match="NOT_FOUND"):
        list(client.results(name))


def test_an_upload_whose_batch_is_refused_is_not_left_behind(client, tmp_path):
    (tmp_path / "refused.jsonl").write_bytes(b"\n\n")
    with pytest.raises(ApiError, match="holds no request"):
        client.create_from_file(MODEL, tmp_path / "refused.jsonl")
    with pytest.raises(ApiError, match="NOT_FOUND"):
        client.create("no-such-model", requests_of(20_000), display_name="refused.jsonl")
    assert not [file for file in client.files.list() if file.display_name == "refused.jsonl"]


def test_a_cancelled_batch_has_ended(stuck):
    name = stuck.create(MODEL, requests_of(2)).batch_id
    with pytest.raises(TimeoutError):
        stuck.wait(name, timeout_seconds=0.2)
    stuck.cancel(name)
    batch = stuck.wait(name)
    assert (batch.state, batch.error_code) == (BatchState.CANCELLED, 1)
    assert [result.error_code for result in stuck.results(name)] == [1, 1]


def test_waiting_reports_progress(stuck):
    told = []
    name = stuck.create(MODEL, requests_of(1)).batch_id

    def follow(batch):
        told.append(batch.state)
        if len(told) == 3:
            stuck.cancel(name)

    stuck.wait(name, on_progress=follow)
    assert told[-1] is BatchState.CANCELLED


def test_a_name_that_is_none_is_refused_before_anything_is_sent(client):
    for call in (client.get, client.cancel, client.delete):
        with pytest.raises(InvalidRequest):
            call("../etc")


def test_this_process_keeps_no_batches():
    with pytest.raises(InvalidRequest, match="base_url"):
        BatchClient(Target(base_url="local"))


class Breaking:
    """A server that answers one request after the other as told; with nothing it hangs up."""

    def __init__(self, *answers):
        self.requests = 0
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while self._answers:
            connection, _ = self._socket.accept()
            with connection:
                if connection.recv(65536):
                    self.requests += 1
                    connection.sendall(self._answers.pop(0))
        self._socket.close()


def answer(status, body=b""):
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("said", "error", "is_unclear"), [(b"", TransportFailure, True), (answer(500), ApiError, False)]
)
def test_what_may_have_been_accepted_is_not_sent_again(said, error, is_unclear):
    server = Breaking(said)
    with BatchClient(find_target(server.url), retries=IMPATIENT) as client, pytest.raises(error) as caught:
        client.create(MODEL, requests_of(1))
    assert server.requests == 1
    assert ("may have been accepted" in str(caught.value)) == is_unclear


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_not_accepted_is_sent_again(status):
    operation = b'{"name":"batches/b","metadata":{"name":"batches/b","state":"BATCH_STATE_PENDING"}}'
    server = Breaking(answer(status), answer(200, operation))
    with BatchClient(find_target(server.url), retries=IMPATIENT) as client:
        assert client.create(MODEL, requests_of(1)).batch_id == "b"
    assert server.requests == 2


def test_the_newer_family_gets_its_task_in_the_text_at_google():
    google = BatchClient(Target(base_url="https://generativelanguage.googleapis.com/v1beta", api_key="k"))
    request = EmbedRequest(text="a", task_type=TaskType.RETRIEVAL_DOCUMENT, title="t", output_dimensionality=5)
    newer, older = io.BytesIO(), io.BytesIO()
    google._write("gemini-embedding-2", [request], None, newer)
    google._write("gemini-embedding-001", [request], None, older)
    google.close()
    told = {"content": {"parts": [{"text": "title: t | text: a"}]}, "outputDimensionality": 5}
    assert json.loads(newer.getvalue())["request"] == told | {"model": "models/gemini-embedding-2"}
    assert json.loads(older.getvalue())["request"]["title"] == "t"


@pytest.mark.parametrize("count", [0, 3, 20_000])
def test_texts_become_normalised_vectors_and_the_batch_is_deleted(client, count):
    told = []
    embeddings = encode_batch(client, MODEL, requests_of(count), display_name="texts", on_progress=told.append)
    assert len(embeddings) == count
    for number, embedding in enumerate(embeddings):
        assert embedding.vector.dtype == np.float32
        assert np.allclose(embedding.vector, normalised(vector_of(f"text {number}")))
        assert embedding.token_count == len(f"text {number}")
    assert not [batch for batch in itertools.islice(client.list(), 5) if batch.display_name == "texts"]
    assert not [file for file in client.files.list() if file.display_name == "texts"]
    assert bool(told) == bool(count)


def test_the_embedding_function_encodes_documents_through_a_batch(url):
    told = []
    with GeminiEmbeddingFunction(MODEL, base_url=url, config={"output_dimensionality": 3}) as function:
        vectors = function.encode_documents_batch(["a", "b"], titles=["t", None], on_progress=told.append)
        assert (function.usage.texts, function.usage.tokens) == (2, 2)
    assert np.allclose(vectors[0], normalised(vector_of("a", TaskType.RETRIEVAL_DOCUMENT, "t", 3)))
    assert np.allclose(vectors[1], normalised(vector_of("b", TaskType.RETRIEVAL_DOCUMENT, None, 3)))
    assert told[-1].state is BatchState.SUCCEEDED


def test_a_text_that_fails_is_named_and_the_batch_is_kept(client):
    requests = [*requests_of(3), EmbedRequest(text="refuse me")]
    with pytest.raises(ApiError, match="refused") as caught:
        encode_batch(client, MODEL, requests, display_name="kept")
    assert (caught.value.index, caught.value.code, caught.value.status) == (3, 400, "INVALID_ARGUMENT")
    assert next(client.list()).display_name == "kept"


def test_a_batch_that_is_cancelled_meanwhile_is_an_error(stuck):
    with pytest.raises(ApiError, match="CANCELLED") as caught:
        encode_batch(stuck, MODEL, requests_of(1), on_progress=lambda batch: _cancel(stuck, batch))
    assert caught.value.code == 499


def _cancel(client, batch):
    if not batch.state.is_ended:
        client.cancel(batch.batch_id)


def test_results_that_are_not_those_of_the_requests_are_refused(url):
    class Swapping(BatchClient):
        def results(self, name):
            return reversed(list(super().results(name)))

    swapping = Swapping(find_target(url), retries=IMPATIENT)
    with swapping, pytest.raises(ApiError, match="belongs to request"):
        encode_batch(swapping, MODEL, requests_of(2))


def test_requests_are_written_as_google_shows_them(client, tmp_path):
    with (tmp_path / "lines").open("w+b") as file:
        client._write(MODEL, [EmbedRequest(text="a", output_dimensionality=5)], None, file)
        file.seek(0)
        line = json.loads(file.read())
    assert line["key"] == "0"
    assert line["request"]["content"] == {"parts": [{"text": "a"}]}
    assert line["request"]["outputDimensionality"] == 5
