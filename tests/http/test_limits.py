"""`--limits google`: what Google's service would refuse is refused, in its words; our own client gets through."""

import pytest
from google import genai
from google.genai import errors

from gemvec import GeminiEmbeddingFunction
from gemvec.embedding.embedder import WrapperEmbedder
from gemvec.server.limits import Limits
from gemvec.server.quota import Quota, per_day_requests, per_minute_requests, per_minute_tokens

MODEL = "models/gemini-embedding-001"
RETIRED = ["gemini-embedding-exp-03-07", "text-embedding-004", "embedding-001"]


def content(text="hello"):
    return {"content": {"parts": [{"text": text}]}}


def batch(count, text="hello"):
    return {"requests": [content(text)] * count}


def post(http, method="embedContent", body=None, model=MODEL, **options):
    return http.post(f"/v1beta/{model}:{method}", json=content() if body is None else body, **options)


def details(response):
    return {each["@type"].rpartition(".")[2]: each for each in response.json()["error"]["details"]}


@pytest.fixture(scope="module")
def strict(running):
    """A server with Google's limits, except for the rates."""
    with running(limits="google", requests_per_minute=0, tokens_per_minute=0, requests_per_day=0) as http:
        yield http


def test_a_hundred_texts_are_the_most_of_a_call(strict):
    assert post(strict, "batchEmbedContents", batch(100)).status_code == 200
    refused = post(strict, "batchEmbedContents", batch(101))
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert refused.json()["error"]["message"] == (
        "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
    )
    assert strict.post("/v1/embeddings", json={"input": ["a"] * 101}).status_code == 400


def test_four_mebibytes_are_the_most_of_a_body(strict):
    body = b'{"content": {"parts": [{"text": "' + b"a " * (2 * 2**20) + b'"}]}}'
    refused = strict.post(f"/v1beta/{MODEL}:embedContent", content=body)
    assert refused.json()["error"]["message"] == "Request payload size exceeds the limit: 4194304 bytes."


def test_the_body_of_a_batch_may_be_larger(strict):
    inline = {"requests": {"requests": [{"request": content("a " * (2 * 2**20))}]}}
    answer = post(strict, "asyncBatchEmbedContent", {"batch": {"inputConfig": inline}})
    assert "payload size" not in answer.text


@pytest.mark.parametrize("name", RETIRED)
def test_retired_models_are_not_found(strict, name):
    counted = {"contents": [content()["content"]]}
    for method, body in [("embedContent", None), ("batchEmbedContents", batch(1)), ("countTokens", counted)]:
        refused = post(strict, method, body, model=f"models/{name}")
        assert refused.status_code == 404
        assert refused.json()["error"]["message"].startswith(
            f"models/{name} is not found for API version v1beta, or is not supported for {method}."
        )
    assert strict.get(f"/v1beta/models/{name}").status_code == 404
    listed = [each["name"] for each in strict.get("/v1beta/models?pageSize=100").json()["models"]]
    assert f"models/{name}" not in listed
    assert MODEL in listed
    assert name not in [each["id"] for each in strict.get("/v1/openai/models").json()["data"]]


GOOGLES_WORDS = [
    ({"input": ["a"] * 101}, 400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"),
    ({"input": ["a", ""]}, 400, "EmbedContentRequest.content contains an empty Part."),
    ({"input": "a " * (3 * 2**20)}, 400, "Request payload size exceeds the limit: 4194304 bytes."),
    (
        {"input": "a", "model": "text-embedding-004"},
        404,
        "models/text-embedding-004 is not found for API version v1, or is not supported for embedContent.",
    ),
]


@pytest.mark.parametrize(("body", "status", "words"), GOOGLES_WORDS)
def test_googles_words_stand_on_openais_route_too(strict, body, status, words):
    refused = strict.post("/v1/embeddings", json=body)
    assert refused.status_code == status
    assert refused.json()["error"]["message"].startswith(words)
    assert refused.json()["error"]["type"] == "invalid_request_error"


def test_a_used_up_minute_has_googles_words_on_openais_route(running):
    with running(limits="google", requests_per_minute=1, requests_per_day=0) as http:
        answers = [http.post("/v1/embeddings", json={"input": "a"}) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 429]
    assert answers[1].json()["error"]["message"].startswith("You exceeded your current quota, please check your plan")


def test_nothing_of_it_holds_without_the_setting(http):
    assert post(http, "batchEmbedContents", batch(150)).status_code == 200
    for name in RETIRED:
        assert post(http, model=f"models/{name}").status_code == 200


def test_a_used_up_minute_is_googles_429(running):
    with running(limits="google", requests_per_minute=5, requests_per_day=0) as http:
        assert post(http, "batchEmbedContents", batch(4)).status_code == 200
        refused = post(http, "batchEmbedContents", batch(2))
        assert (refused.status_code, refused.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert refused.json()["error"]["message"].startswith("You exceeded your current quota, please check your plan")
        assert list(details(refused)) == ["Help", "QuotaFailure", "RetryInfo", "RequestInfo"]
        assert details(refused)["QuotaFailure"]["violations"] == [
            {
                "quotaMetric": "generativelanguage.googleapis.com/embed_content_free_tier_requests",
                "quotaId": "EmbedContentRequestsPerMinutePerProjectPerModel-FreeTier",
                "quotaDimensions": {"location": "global", "model": "gemini-embedding-001"},
                "quotaValue": "5",
            }
        ]
        assert 0 < float(details(refused)["RetryInfo"]["retryDelay"].removesuffix("s")) <= 60
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert post(http, "batchEmbedContents", batch(1)).status_code == 200, "what fits is still taken"
        assert post(http, model="models/tiny").status_code == 200, "each model has quotas of its own"


class AskedEmbedder(WrapperEmbedder):
    """Notes which names are resolved, and which requests come with their tokens."""

    def __init__(self, embedder):
        super().__init__(embedder)
        self.names, self.token_counts = [], []

    def get_model(self, name):
        self.names.append(name)
        return super().get_model(name)

    async def embed(self, model, requests, **options):
        self.token_counts += [each.tokens and each.tokens.count for each in requests]
        return await super().embed(model, requests, **options)


def test_a_name_is_resolved_once_and_a_text_tokenized_once(running, open_tiny):
    asked = AskedEmbedder(open_tiny())
    with running(asked, limits="google", tokens_per_minute=1000) as http:
        usage = post(http, "batchEmbedContents", batch(2, "the dog")).json()["usageMetadata"]
    assert asked.names == ["gemini-embedding-001"]
    assert sum(asked.token_counts) == usage["promptTokenCount"]


def test_a_call_larger_than_a_limit_never_passes(running_whole, tmp_path):
    limits = Limits(quotas=(per_minute_requests(10), per_minute_tokens(100)))
    with running_whole(tmp_path, limits=limits) as http:
        for body in (batch(5000), batch(2, "word " * 60)):
            refused = post(http, "batchEmbedContents", body)
            assert refused.status_code == 429
            assert "send fewer at once" in refused.json()["error"]["message"]
        assert post(http, "batchEmbedContents", batch(10)).status_code == 200, "what was refused cost nothing"


def test_counting_tokens_counts(running):
    counted = {"contents": [content("one two")["content"]]}
    with running(limits="google", requests_per_minute=2, tokens_per_minute=0, requests_per_day=0) as http:
        codes = [post(http, "countTokens", counted).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert post(http).status_code == 429


def test_listing_tokens_and_decoding_them_counts(running):
    with running(limits="google", requests_per_minute=0, tokens_per_minute=10, requests_per_day=0) as http:
        assert http.post("/tokenize", json={"inputs": "the dog"}).status_code == 200
        assert http.post("/decode", json={"ids": [1, 2, 3, 4, 5, 6]}).status_code == 200
        for path, body in [("/tokenize", {"inputs": "the"}), ("/decode", {"ids": [1]}), ("/embed", {"inputs": "the"})]:
            assert http.post(path, json=body).status_code == 429


class TokenizingEmbedder(WrapperEmbedder):
    """Notes how many texts are tokenized."""

    def __init__(self, embedder):
        super().__init__(embedder)
        self.texts = 0

    async def tokenize(self, model, requests):
        self.texts += len(requests)
        return await super().tokenize(model, requests)

    async def count_tokens(self, model, texts):
        self.texts += len(texts)
        return await super().count_tokens(model, texts)

    async def list_tokens(self, model, texts, **options):
        self.texts += len(texts)
        return await super().list_tokens(model, texts, **options)


def test_a_call_that_will_be_refused_is_not_tokenized(running, open_tiny):
    noting = TokenizingEmbedder(open_tiny())
    with running(noting, limits="google", requests_per_minute=5, tokens_per_minute=50, requests_per_day=0) as http:
        assert post(http, "batchEmbedContents", batch(50)).status_code == 429
        assert post(http, "countTokens", {"contents": [content()["content"]] * 50}).status_code == 429
        assert http.post("/tokenize", json={"inputs": ["a"] * 50}).status_code == 429
        assert noting.texts == 0
        assert post(http, "batchEmbedContents", batch(5)).status_code == 200
        assert noting.texts == 5
        assert post(http).status_code == 429
        assert noting.texts == 5


def test_tokens_are_counted_before_they_are_computed(running):
    with running(limits="google", requests_per_minute=0, requests_per_day=0, tokens_per_minute=10) as http:
        assert post(http, body=content("one two three")).status_code == 200
        refused = post(http, body=content("word " * 20))
        assert "TokensPerModelPerMinute" in details(refused)["QuotaFailure"]["violations"][0]["quotaId"]


def test_a_used_up_day_says_so(running):
    with running(limits="google", requests_per_minute=0, tokens_per_minute=0, requests_per_day=2) as http:
        post(http, "batchEmbedContents", batch(2))
        refused = post(http)
        assert "PerDay" in details(refused)["QuotaFailure"]["violations"][0]["quotaId"]
        assert float(details(refused)["RetryInfo"]["retryDelay"].removesuffix("s")) > 86_000


def test_each_key_has_quotas_of_its_own(running):
    with running(limits="google", requests_per_minute=1, api_key=("one", "two")) as http:
        codes = [post(http, headers={"x-goog-api-key": key}).status_code for key in ("one", "two", "one", "two")]
        assert codes == [200, 200, 429, 429]


def test_every_way_in_is_counted(running, open_tiny):
    ways = [
        lambda http: post(http, model="models/tiny"),
        lambda http: post(http, "batchEmbedContents", batch(1), model="models/tiny"),
        lambda http: http.post("/v1/embeddings", json={"input": "a", "model": "tiny"}),
        lambda http: http.post("/v2/embed", json={"texts": ["a"], "model": "tiny", "input_type": "classification"}),
        lambda http: http.post("/api/embed", json={"input": "a", "model": "tiny"}),
        lambda http: http.post("/embed", json={"inputs": "a"}),
        lambda http: http.post("/embed_all", json={"inputs": "a"}),
    ]
    with running(open_tiny(), limits="google", requests_per_minute=len(ways), requests_per_day=0) as http:
        assert [way(http).status_code for way in ways] == [200] * len(ways)
        assert [way(http).status_code for way in ways] == [429] * len(ways)


def test_info_says_what_a_caller_may_have(running):
    with running(limits="google", requests_per_day=0) as http:
        info = http.get("/info").json()
        assert info["limits"] == {
            "texts_per_call": 100,
            "body_bytes": 4 * 2**20,
            "requests_per_minute": 100,
            "tokens_per_minute": 30_000,
        }
        assert not set(RETIRED) & set(info["models"])


def test_batches_are_not_counted(running_whole, tmp_path):
    limits = Limits(quotas=(per_minute_requests(1), per_minute_tokens(10), per_day_requests(1)))
    inline = {"requests": {"requests": [{"request": content()}] * 20}}
    with running_whole(tmp_path, limits=limits) as http:
        name = post(http, "asyncBatchEmbedContent", {"batch": {"inputConfig": inline}}).json()["name"]
        while not (operation := http.get(f"/v1beta/{name}").json()).get("done"):
            pass
        assert operation["metadata"]["batchStats"]["successfulRequestCount"] == "20"
        assert post(http).status_code == 200


def short_windows(seconds, **limits):
    """Return Google's kind of limits with a minute of so many seconds."""
    quotas = (
        Quota(unit="requests", limit=limits["requests"], window_seconds=seconds, quota_id="q", metric="m"),
        Quota(unit="tokens", limit=limits["tokens"], window_seconds=seconds, quota_id="t", metric="n"),
    )
    return Limits(max_texts=100, has_retired_names=False, quotas=quotas)


def test_our_client_finishes_two_thousand_texts_and_no_error_reaches_the_caller(running_whole, tmp_path):
    texts = [f"text number {number}" for number in range(2000)]
    # Fewer texts a window than the client sends at once.
    with running_whole(tmp_path, limits=short_windows(1, requests=300, tokens=5000)) as http:
        base_url = str(http.base_url)
        function = GeminiEmbeddingFunction(
            "gemini-embedding-001", api_key="any", base_url=base_url, config={"output_dimensionality": 8}
        )
        vectors = function.encode_documents(texts)
        scraped = http.get("/metrics").text
    assert len(vectors) == 2000
    assert 'gemvec_errors_total{error="RESOURCE_EXHAUSTED"}' in scraped, "the limits were never reached"


def test_googles_client_sees_the_429(running_whole, tmp_path):
    with (
        running_whole(tmp_path, limits=short_windows(60, requests=500, tokens=500_000)) as http,
        genai.Client(api_key="any", http_options={"base_url": str(http.base_url)}) as client,
    ):
        for _ in range(5):
            client.models.embed_content(model="gemini-embedding-001", contents=["text"] * 100)
        with pytest.raises(errors.ClientError) as refused:
            client.models.embed_content(model="gemini-embedding-001", contents=["text"] * 100)
    assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
