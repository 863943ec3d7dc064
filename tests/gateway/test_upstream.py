import asyncio
from dataclasses import replace

import numpy as np
import pytest

from gemvec.client import RemoteEmbedder
from gemvec.client.micro_batches import MicroBatchLimits
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.transport import Transport
from gemvec.embedding.embed import EmbedRequest, Priority
from gemvec.embedding.task_type import TaskType
from gemvec.errors import (
    ApiError,
    BadDimensionality,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    ShuttingDown,
    TitleNotAllowed,
    TransportFailure,
)
from gemvec.gateway.rate import Rate
from gemvec.gateway.upstream import UpstreamEmbedder
from scripted_server import Answer, error_body, quota_exceeded, unit_vector_of

QUICK = RetryPolicy(timeout_seconds=5.0, first_delay_seconds=0.001)
MODEL = "gemini-embedding-001"
NO_RATE = Rate()
KEY_REFUSED = error_body(
    400,
    "INVALID_ARGUMENT",
    "API key not valid. Please pass a valid API key.",
    {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
)


def list_of_models(*names):
    models = [{"name": f"models/{name}", "inputTokenLimit": 2048} for name in names]
    return Answer(body={"models": models}, method="GET")


def described(name, weights):
    body = {"name": f"models/{name}", "inputTokenLimit": 2048}
    return Answer(body=body, headers={"x-gemvec-model": weights}, method="GET")


@pytest.fixture
def open_upstream(server):
    """Return a function that opens the upstream embedder of the scripted server, which has one of Google's names."""
    opened = []

    def open_upstream(*, rate=NO_RATE, weights="tiny@00000000", retries=QUICK, **options):
        server.script = [list_of_models(MODEL), described(MODEL, weights)]
        remote = RemoteEmbedder(Transport(f"{server.url}/v1beta"), retries=retries)
        opened.append(UpstreamEmbedder(remote, rate=rate, max_waiting_tokens=options.pop("most", 10**6), **options))
        server.seen.clear()
        return opened[-1]

    yield open_upstream
    for each in opened:
        asyncio.run(each.close())


async def ask(embedder, requests, **options):
    return await embedder.embed(embedder.get_model(MODEL), requests, **options)


def figure_of(embedder, name):
    return next(each.value for each in embedder.figures() if each.name == name)


def requests_for(*texts):
    return [EmbedRequest(text=text) for text in texts]


def texts_of(body):
    return [each["content"]["parts"][0]["text"] for each in body["requests"]]


def assert_embeds(embeddings, *texts):
    assert len(embeddings) == len(texts)
    for text, embedding in zip(texts, embeddings, strict=True):
        np.testing.assert_allclose(embedding.vector, unit_vector_of(text), rtol=1e-5)


async def in_turn(server, embedder, *calls, priority=Priority.INTERACTIVE):
    """Embed each call's texts for a caller of its own, all while a first is being answered; return their answers."""
    first = asyncio.create_task(ask(embedder, requests_for("first")))
    await server.wait_for_request()
    others = [asyncio.create_task(ask(embedder, requests_for(*texts), priority=priority)) for texts in calls]
    await first
    return await asyncio.gather(*others, return_exceptions=True)


def test_a_text_is_sent_at_once(server, open_upstream):
    embedder = open_upstream()
    assert_embeds(asyncio.run(ask(embedder, requests_for("a", "b"))), "a", "b")
    assert [texts_of(body) for body in server.bodies] == [["a", "b"]]


def test_callers_who_wait_share_a_call_and_each_gets_its_own(server, open_upstream):
    embedder = open_upstream(max_concurrency=1)
    server.delay_of = lambda texts: 0.2
    answers = asyncio.run(in_turn(server, embedder, ["a", "b"], ["c"], ["d", "e", "f"]))
    for answer, texts in zip(answers, ("ab", "c", "def"), strict=True):
        assert_embeds(answer, *texts)
    assert [texts_of(body) for body in server.bodies] == [["first"], list("abcdef")]
    assert (figure_of(embedder, "upstream_calls"), figure_of(embedder, "upstream_texts")) == (2, 7)


def test_token_counts_of_a_shared_call_add_up_to_what_the_server_counted(server, open_upstream):
    embedder = open_upstream(max_concurrency=1)
    server.delay_of = lambda texts: 0.2
    answers = asyncio.run(in_turn(server, embedder, ["a", "a longer text"], ["b"]))
    assert sum(each.token_count for answer in answers for each in answer) == 15


def test_no_call_is_larger_than_the_limits(server, open_upstream):
    embedder = open_upstream(limits=MicroBatchLimits(max_texts=4, max_tokens=30))
    texts = [f"{number:09}" for number in range(10)] + ["long " * 60] + ["short"]  # of 3 tokens, of 100, of 2
    assert_embeds(asyncio.run(ask(embedder, requests_for(*texts))), *texts)
    assert sorted(len(texts_of(body)) for body in server.bodies) == [1, 1, 2, 4, 4]


def test_interactive_texts_go_before_those_of_batches(server, open_upstream):
    embedder = open_upstream(max_concurrency=1, limits=MicroBatchLimits(max_texts=1))
    server.delay_of = lambda texts: 0.2 if texts[:1] == ["first"] else 0.0

    async def embed():
        first = asyncio.create_task(ask(embedder, requests_for("first")))
        await server.wait_for_request()
        batch = asyncio.create_task(ask(embedder, requests_for("batch"), priority=Priority.BATCH))
        await asyncio.sleep(0)
        await asyncio.gather(first, batch, ask(embedder, requests_for("interactive")))

    asyncio.run(embed())
    assert [texts_of(body) for body in server.bodies] == [["first"], ["interactive"], ["batch"]]


def test_a_bad_text_of_one_caller_harms_no_other(server, open_upstream):
    embedder = open_upstream(max_concurrency=1)
    server.delay_of = lambda texts: 0.2 if texts == ["first"] else 0.0
    server.refused = {"bad"}
    answers = asyncio.run(in_turn(server, embedder, ["a"], ["b", "bad"], ["c"]))
    assert_embeds(answers[0], "a")
    assert isinstance(answers[1], ApiError)
    assert (answers[1].code, answers[1].index) == (400, 1)
    assert_embeds(answers[2], "c")
    assert [texts_of(body) for body in server.bodies] == [["first"], ["a", "b", "bad", "c"], ["a"], ["b", "bad"], ["c"]]


def test_a_refused_text_beyond_the_first_call_is_named_by_its_place_in_the_callers(server, open_upstream):
    embedder = open_upstream(limits=MicroBatchLimits(max_texts=2), max_concurrency=1)
    server.refused = {"bad"}
    with pytest.raises(ApiError, match=r"text 3 of this call") as caught:
        asyncio.run(ask(embedder, requests_for("a", "b", "c", "bad", "e", "f")))
    assert caught.value.index == 3
    assert [each["field"] for each in caught.value.details[0]["fieldViolations"]] == ["requests[3].content"]
    assert [texts_of(body) for body in server.bodies] == [["a", "b"], ["c", "bad"]]  # what came after was not sent


def test_what_can_be_known_to_be_wrong_is_not_sent(server, open_upstream):
    embedder = open_upstream()
    wrong = {
        TitleNotAllowed: EmbedRequest(text="a", title="t", task_type=TaskType.CLUSTERING),
        BadDimensionality: EmbedRequest(text="a", output_dimensionality=5000),
    }
    for kind, request in wrong.items():
        with pytest.raises(kind) as caught:
            asyncio.run(ask(embedder, [EmbedRequest(text="b"), request]))
        assert caught.value.index == 1
    with pytest.raises(ModelNotFound):
        asyncio.run(embedder.embed(embedder.get_model("another"), requests_for("a")))
    assert server.seen == []


def test_no_texts_are_no_call(server, open_upstream):
    assert asyncio.run(ask(open_upstream(), [])) == []
    assert server.seen == []


def test_a_full_quota_is_waited_for(server, open_upstream):
    embedder = open_upstream()
    server.script = [quota_exceeded("0.05s")]
    assert_embeds(asyncio.run(ask(embedder, requests_for("a"))), "a")
    assert len(server.seen) == 2


def test_a_quota_that_stays_full_for_long_reaches_the_caller_as_it_came(server, open_upstream):
    embedder = open_upstream()
    server.script = [quota_exceeded("3600s")]
    with pytest.raises(ApiError) as caught:
        asyncio.run(ask(embedder, requests_for("a")))
    assert caught.value.code == 429
    assert {"retryDelay": "3600s"}.items() <= caught.value.details[1].items()


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(400, KEY_REFUSED),
        Answer(401, error_body(401, "UNAUTHENTICATED", "who?")),
        Answer(403, error_body(403, "PERMISSION_DENIED", "not you")),
    ],
    ids=["google", "401", "403"],
)
def test_a_key_that_the_upstream_refuses_is_not_the_callers_fault(server, open_upstream, refusal):
    embedder = open_upstream()
    server.script = [refusal]
    with pytest.raises(ModelUnavailable, match="refuses this server's key"):
        asyncio.run(ask(embedder, requests_for("a")))
    assert len(server.seen) == 1


def test_an_upstream_that_breaks_off_fails_those_whose_texts_it_had(server, open_upstream):
    embedder = open_upstream(retries=RetryPolicy(timeout_seconds=2.0, first_delay_seconds=1.0), max_concurrency=1)
    first = server.respond({"requests": [{"content": {"parts": [{"text": "first"}]}}]})
    server.script = [replace(first, delay=0.1), *[Answer(200, {"embeddings": []}, cut=True)] * 1000]
    answers = asyncio.run(in_turn(server, embedder, ["a"], ["b"]))
    assert [type(each) for each in answers] == [TransportFailure, TransportFailure]
    server.script.clear()
    assert_embeds(asyncio.run(ask(embedder, requests_for("c"))), "c")


def test_texts_of_a_caller_who_leaves_are_not_sent(server, open_upstream):
    embedder = open_upstream(max_concurrency=1)
    server.delay_of = lambda texts: 0.2

    async def embed():
        first = asyncio.create_task(ask(embedder, requests_for("first")))
        await server.wait_for_request()
        gone = asyncio.create_task(ask(embedder, requests_for("gone")))
        stays = asyncio.create_task(ask(embedder, requests_for("stays")))
        await asyncio.sleep(0)
        assert figure_of(embedder, "upstream_waiting_texts") == 2
        gone.cancel()
        await asyncio.gather(first, stays)

    asyncio.run(embed())
    assert [texts_of(body) for body in server.bodies] == [["first"], ["stays"]]
    assert figure_of(embedder, "upstream_waiting_texts") == 0


def test_a_call_whose_callers_have_all_left_makes_room_for_another(server, open_upstream):
    embedder = open_upstream(max_concurrency=1)
    server.delay_of = lambda texts: 60.0 if texts == ["gone", "gone too"] else 0.0

    async def embed():
        gone = asyncio.create_task(ask(embedder, requests_for("gone", "gone too")))
        await server.wait_for_request()
        stays = asyncio.create_task(ask(embedder, requests_for("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert_embeds(asyncio.run(embed()), "stays")


def test_more_than_the_rate_waits_and_the_rest_goes_together(server, open_upstream, monkeypatch):
    monkeypatch.setattr("gemvec.gateway.rate._MINUTE_SECONDS", 0.3)
    embedder = open_upstream(rate=Rate(texts=4))
    texts = [f"text {number}" for number in range(10)]
    assert_embeds(asyncio.run(ask(embedder, requests_for(*texts), priority=Priority.BATCH)), *texts)
    assert [len(texts_of(body)) for body in server.bodies] == [4, 4, 2]


def test_interactive_calls_get_the_rate_before_batches(server, open_upstream):
    embedder = open_upstream(rate=Rate(tokens=100))

    async def embed():
        await ask(embedder, requests_for("used " * 40))  # of 67 tokens
        large = asyncio.create_task(ask(embedder, requests_for("large " * 25)))  # of 50
        await asyncio.sleep(0)
        batch = asyncio.create_task(ask(embedder, requests_for("small"), priority=Priority.BATCH))
        await asyncio.sleep(0)
        assert figure_of(embedder, "upstream_waiting_texts") == 2
        large.cancel()
        await asyncio.gather(large, return_exceptions=True)
        assert figure_of(embedder, "upstream_waiting_texts") == 0
        assert_embeds(await batch, "small")

    asyncio.run(embed())


def test_a_call_that_would_wait_longer_than_a_minute_is_refused(server, open_upstream):
    embedder = open_upstream(rate=Rate(texts=2))

    async def embed():
        long = asyncio.create_task(ask(embedder, requests_for(*"abcdef")))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await ask(embedder, requests_for("late"))
        assert caught.value.retry_after_seconds == 60
        batch = asyncio.create_task(ask(embedder, requests_for("patient"), priority=Priority.BATCH))
        await asyncio.sleep(0)
        assert figure_of(embedder, "upstream_waiting_texts") == 5
        for each in (long, batch):
            each.cancel()
        await asyncio.gather(long, batch, return_exceptions=True)

    asyncio.run(embed())


def test_more_tokens_than_may_wait_are_refused(server, open_upstream):
    embedder = open_upstream(rate=Rate(texts=1), most=10)

    async def embed():
        waiting = asyncio.create_task(ask(embedder, requests_for("a", "b" * 15), priority=Priority.BATCH))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await ask(embedder, requests_for("c" * 18), priority=Priority.BATCH)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(embed())


def test_other_weights_than_at_the_start_are_refused(server, open_upstream):
    embedder = open_upstream(weights="tiny@00000000")
    answer = server.respond({"requests": [{"content": {"parts": [{"text": "a"}]}}]})
    server.script = [replace(answer, headers={"x-gemvec-model": "tiny@11111111"})]
    with pytest.raises(ModelUnavailable, match=r"tiny@00000000 .* tiny@11111111"):
        asyncio.run(ask(embedder, requests_for("a")))


def test_closing_finishes_what_was_sent_and_refuses_what_waits(server, open_upstream):
    embedder = open_upstream(max_concurrency=1)
    server.delay_of = lambda texts: 0.2

    async def embed():
        first = asyncio.create_task(ask(embedder, requests_for("first")))
        await server.wait_for_request()
        waiting = asyncio.create_task(ask(embedder, requests_for("waiting")))
        await asyncio.sleep(0)
        await embedder.close()
        return await asyncio.gather(first, waiting, return_exceptions=True)

    first, waiting = asyncio.run(embed())
    assert_embeds(first, "first")
    assert isinstance(waiting, ShuttingDown)


def test_google_s_living_names_are_served_without_asking():
    remote = RemoteEmbedder(Transport("https://generativelanguage.googleapis.com/v1beta", api_key="key"))
    embedder = UpstreamEmbedder(remote, rate=Rate(), max_waiting_tokens=1)
    names = [each.name for each in embedder.list_models()]
    assert names == ["gemini-embedding-001", "gemini-embedding-2", "gemini-embedding-2-preview"]
    assert {each.weights for each in embedder.list_models()} == {f"{name}@google" for name in names}
