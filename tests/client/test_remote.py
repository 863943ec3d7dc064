import asyncio
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.client import RemoteEmbedder
from gemvec.client.micro_batches import MicroBatchLimits
from gemvec.client.remote import share_tokens
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.transport import Transport
from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import ApiError, BadAnswer, BadResourceName, EmptyText, ModelNotFound, TransportFailure
from scripted_server import Answer, error_body, quota_exceeded, unit_vector_of
from word_embedder import served_model

QUICK = RetryPolicy(timeout_seconds=5.0, first_delay_seconds=0.001)
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"


def requests_for(texts):
    return [EmbedRequest(text=text) for text in texts]


@pytest.fixture
def embedder(server):
    embedder = RemoteEmbedder(Transport(f"{server.url}/v1beta", api_key="key"), retries=QUICK)
    yield embedder
    asyncio.run(embedder.close())


def embed(embedder, texts, model="gemini-embedding-001", **options):
    return asyncio.run(embedder.ask(model, requests_for(texts), **options))


def test_two_hundred_and_fifty_texts_are_three_calls_and_come_back_in_order(server, embedder):
    texts = [f"text {number}" for number in range(250)]
    server.delay_of = lambda texts: 0.05 if texts[0] == "text 0" else 0.0  # the first micro-batch answers last
    embeddings = embed(embedder, texts)
    assert len(embeddings) == 250
    for text, embedding in zip(texts, embeddings, strict=True):
        np.testing.assert_allclose(embedding.vector, unit_vector_of(text), rtol=1e-5)
    assert sorted(len(body["requests"]) for body in server.bodies) == [50, 100, 100]
    assert {seen["path"] for seen in server.seen} == {"/v1beta/models/gemini-embedding-001:batchEmbedContents"}


def test_micro_batches_are_sent_several_at_a_time_within_a_bound(server):
    embedder = RemoteEmbedder(
        Transport(server.url), retries=QUICK, limits=MicroBatchLimits(max_texts=1), max_concurrency=3
    )
    server.delay_of = lambda texts: 0.0 if server.most_under_way == 3 else 0.5  # the first ones wait for the third
    embed(embedder, [f"text {number}" for number in range(12)])
    asyncio.run(embedder.close())
    assert server.most_under_way == 3


def test_long_texts_are_split_by_tokens(server, embedder):
    embed(embedder, ["word " * 1600] * 20)  # 8,000 bytes each: more than 001 reads, so each counts 2048
    assert sorted(len(body["requests"]) for body in server.bodies) == [2, 9, 9]


def test_bodies_stay_within_google_s_four_mebibytes(server):
    limits = MicroBatchLimits(max_tokens=10**9)
    embedder = RemoteEmbedder(Transport(server.url), retries=QUICK, limits=limits)
    embed(embedder, ["中" * 100_000] * 30)
    asyncio.run(embedder.close())
    assert all(int(seen["headers"]["content-length"]) <= 4 * 2**20 for seen in server.seen)
    assert len(server.requests) == 30
    assert len(server.seen) == 3


def test_no_texts_are_no_call(server, embedder):
    assert embed(embedder, []) == []
    assert server.seen == []


def test_a_quota_that_names_a_time_is_waited_for(server, embedder):
    server.script = [quota_exceeded("0.05s"), Answer(503, b"", {"Retry-After": "0"})]
    assert len(embed(embedder, ["a"])) == 1
    assert len(server.seen) == 3


def test_a_connection_that_drops_is_tried_again(server, embedder):
    server.script = [Answer(200, {"embeddings": []}, cut=True)]
    assert len(embed(embedder, ["a"])) == 1


def test_another_number_of_embeddings_than_texts_is_an_error(server, embedder):
    server.script = [Answer(200, {"embeddings": [{"values": [1.0]}]})]
    with pytest.raises(ApiError, match="expected 3, got 1"):
        embed(embedder, ["a", "b", "c"])


def test_an_error_about_one_text_names_its_index_among_all(server):
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "requests[2].title"}]}
    refusal = Answer(400, error_body(400, "INVALID_ARGUMENT", "no such title", detail))
    embedder = RemoteEmbedder(
        Transport(server.url), retries=QUICK, limits=MicroBatchLimits(max_texts=10), max_concurrency=1
    )
    embed(embedder, ["a"] * 10)
    server.seen.clear()
    server.script = [Answer(200, {"embeddings": [{"values": [1.0] * 8}] * 10}), refusal]
    with pytest.raises(ApiError) as caught:
        embed(embedder, ["a"] * 25)
    asyncio.run(embedder.close())
    assert caught.value.index == 12
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert caught.value.details == [{**detail, "fieldViolations": [{"field": "requests[12].title"}]}]
    assert len(server.seen) == 2  # what came after it was not sent


def test_an_empty_text_is_refused_with_its_index_and_nothing_is_sent(server, embedder):
    with pytest.raises(EmptyText, match="content is empty") as caught:
        embed(embedder, ["a", ""])
    assert caught.value.index == 1
    assert server.seen == []


def test_a_server_that_stays_silent_is_a_transport_failure(server):
    policy = RetryPolicy(timeout_seconds=0.2, attempt_seconds=0.05, first_delay_seconds=0.001)
    embedder = RemoteEmbedder(Transport(server.url), retries=policy)
    server.delay_of = lambda texts: 60.0
    with pytest.raises(TransportFailure, match="no answer within"):
        embed(embedder, ["a"])


def test_a_server_that_stayed_silent_once_is_asked_again(server):
    policy = RetryPolicy(timeout_seconds=60, attempt_seconds=0.5, first_delay_seconds=0.001)
    embedder = RemoteEmbedder(Transport(server.url), retries=policy)
    server.script = [Answer(delay=60.0)]
    assert len(embed(embedder, ["a"])) == 1
    asyncio.run(embedder.close())


def test_arrivals_are_reported_as_they_come(server, embedder):
    arrived = []
    embed(embedder, ["a"] * 250, on_done=lambda embeddings: arrived.append(len(embeddings)))
    assert sorted(arrived) == [50, 100, 100]


def test_tokens_of_a_call_are_shared_among_its_texts(server, embedder):
    embeddings = embed(embedder, ["a", "a much longer text than that"])
    assert sum(each.token_count for each in embeddings) == 10
    assert embeddings[0].token_count < embeddings[1].token_count


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**4), min_size=1, max_size=100))
def test_shared_tokens_add_up(token_count, estimates):
    shares = share_tokens(token_count, estimates)
    assert sum(shares) == token_count
    assert min(shares) >= 0


def test_the_weights_that_answered_are_remembered(server, embedder):
    assert embedder.weights is None
    server.script = [Answer(200, {"embeddings": [{"values": [1.0]}]}, {"x-gemvec-model": "all-minilm-l6-v2@53aa5117"})]
    embed(embedder, ["a"])
    assert embedder.weights == "all-minilm-l6-v2@53aa5117"


def test_a_model_s_name_may_have_its_prefix(server, embedder):
    embed(embedder, ["a"], "models/text-embedding-004")
    assert server.seen[0]["path"] == "/v1beta/models/text-embedding-004:batchEmbedContents"
    assert server.requests[0]["model"] == "models/text-embedding-004"


@pytest.mark.parametrize("name", ["", "models/", "a b", "tunedModels/x", "../x"])
def test_what_is_no_model_name_is_refused(embedder, name):
    with pytest.raises(BadResourceName):
        embed(embedder, ["a"], name)


DOCUMENT = EmbedRequest(text="Born in London.", task_type=TaskType.RETRIEVAL_DOCUMENT, title="Turing")
QUERY = EmbedRequest(text="Where?", task_type=TaskType.RETRIEVAL_QUERY)


def test_a_gemvec_server_gets_task_and_title_as_fields(server, embedder):
    asyncio.run(embedder.ask("gemini-embedding-2", [DOCUMENT, QUERY]))
    document, query = server.requests
    assert (document["taskType"], document["title"]) == ("RETRIEVAL_DOCUMENT", "Turing")
    assert (query["taskType"], query["content"]["parts"][0]["text"]) == ("RETRIEVAL_QUERY", "Where?")


@pytest.fixture
def google(server, monkeypatch):
    """An embedder that believes it talks to Google: the scripted server is the proxy on the way."""
    monkeypatch.setenv("http_proxy", server.url)
    embedder = RemoteEmbedder(Transport("http://generativelanguage.googleapis.com/v1beta"), retries=QUICK)
    assert embedder.is_google
    yield embedder
    asyncio.run(embedder.close())


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (DOCUMENT, "title: Turing | text: Born in London."),
        (EmbedRequest(text="a", task_type=TaskType.RETRIEVAL_DOCUMENT), "title: none | text: a"),
        (QUERY, "task: search result | query: Where?"),
        (EmbedRequest(text="a", task_type=TaskType.QUESTION_ANSWERING), "task: question answering | query: a"),
        (EmbedRequest(text="a", task_type=TaskType.FACT_VERIFICATION), "task: fact checking | query: a"),
        (EmbedRequest(text="a", task_type=TaskType.CODE_RETRIEVAL_QUERY), "task: code retrieval | query: a"),
        (EmbedRequest(text="a", task_type=TaskType.CLASSIFICATION), "task: classification | query: a"),
        (EmbedRequest(text="a", task_type=TaskType.CLUSTERING), "task: clustering | query: a"),
        (EmbedRequest(text="a", task_type=TaskType.SEMANTIC_SIMILARITY), "task: sentence similarity | query: a"),
        (EmbedRequest(text="a"), "a"),
    ],
)
def test_google_s_embedding_2_gets_its_task_in_the_text(server, google, request_, text):
    asyncio.run(google.ask("gemini-embedding-2", [request_]))
    [sent] = server.requests
    assert sent == {"model": "models/gemini-embedding-2", "content": {"parts": [{"text": text}]}}


def test_google_s_embedding_001_gets_its_task_as_fields(server, google):
    asyncio.run(google.ask("gemini-embedding-001", [DOCUMENT]))
    assert server.requests[0]["taskType"] == "RETRIEVAL_DOCUMENT"
    assert server.requests[0]["content"]["parts"] == [{"text": "Born in London."}]


def test_google_s_models_are_known_without_asking(server):
    google = RemoteEmbedder(Transport(GOOGLE))
    names = [each.name for each in google.list_models()]
    assert "gemini-embedding-001" in names
    assert "embedding-001" not in names  # retired
    assert google.get_model("models/gemini-embedding-001").weights == "gemini-embedding-001@google"
    with pytest.raises(ModelNotFound):
        google.get_model("gemini-embedding-99")
    assert server.seen == []


def test_closing_ends_what_asks_a_silent_server_in_another_thread(server, embedder):
    server.script = [Answer(200, {}, delay=60)]
    outcomes = []

    def ask():
        try:
            outcomes.append(embedder.get_model("tiny"))
        except CancelledError as error:
            outcomes.append(error)

    async def close():
        await server.wait_for_request()
        await embedder.close()

    thread = threading.Thread(target=ask)
    thread.start()
    asyncio.run(close())
    thread.join(30)
    assert [type(each) for each in outcomes] == [CancelledError]


def test_tokens_are_counted_by_the_server_text_by_text(server, embedder):
    server.script = [Answer(200, {"totalTokens": 3}), Answer(200, {"totalTokens": "4"})]
    counts = asyncio.run(embedder.count_tokens(served_model("gemini-embedding-001"), ["a b c", "a b c d"]))
    assert sorted(counts) == [3, 4]
    assert server.seen[0]["path"] == "/v1beta/models/gemini-embedding-001:countTokens"


def test_reprs_show_no_key(embedder):
    assert "'key'" not in repr(embedder)


def test_vectors_of_another_length_than_before_are_refused(server, embedder):
    assert embed(embedder, ["a"])[0].vector.size == server.default_dimensionality
    server.default_dimensionality += 1
    with pytest.raises(BadAnswer, match=r"vectors of 8 values .* before, and now of 9"):
        embed(embedder, ["b"])


def test_other_weights_may_have_vectors_of_another_length(server, embedder):
    for size, weights in ((1, "m@1"), (2, "m@2")):
        server.script = [Answer(200, {"embeddings": [{"values": [1.0] * size}]}, {"x-gemvec-model": weights})]
        assert embed(embedder, ["a"])[0].vector.size == size


@pytest.mark.parametrize("body", [b"{}", b'{"totalTokens": -1}', b'{"totalTokens": "many"}', b"[]", b"[" * 100_000])
def test_a_token_count_that_is_none_is_a_bad_answer(server, embedder, body):
    server.script = [Answer(200, body)]
    with pytest.raises(BadAnswer):
        asyncio.run(embedder.count_tokens(served_model("m"), ["a"]))


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"models": 5}', b'{"models": [{"name": "a b"}]}', b'{"models": [{}]}']
)
def test_a_list_of_models_that_is_none_is_a_bad_answer(server, embedder, body):
    server.script = [Answer(200, body)]
    with pytest.raises(BadAnswer):
        embedder.list_models()


def test_a_list_that_never_ends_is_a_bad_answer(server, embedder):
    server.script = [Answer(200, {"nextPageToken": "again"}) for _ in range(3)]
    with pytest.raises(BadAnswer, match="leads back"):
        embedder.list_models()
