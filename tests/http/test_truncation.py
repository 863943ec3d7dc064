"""A cut is visible: on every route in a header, in the log, in a metric, and in a field where the API has one."""

import io
import json
import logging

import httpx
import pytest

from gemvec import GeminiEmbeddingFunction
from gemvec.logs import configure_logs
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings
from gemvec.wire.truncation import TRUNCATED_HEADER, format_truncated, parse_truncated

LONG = "the dog " * 2000  # 4,000 tokens, of which gemini-embedding-001 reads 2,048
LIMIT = 2048
MODEL = "gemini-embedding-001"
EMBED = f"/v1beta/models/{MODEL}:embedContent"
BATCH = f"/v1beta/models/{MODEL}:batchEmbedContents"


def content(text):
    return {"content": {"parts": [{"text": text}]}}


ROUTES = {
    BATCH: {"requests": [content("a"), content(LONG)]},
    "/v1/embeddings": {"model": MODEL, "input": ["a", LONG]},
    f"/v1/engines/{MODEL}/embeddings": {"input": ["a", LONG]},
    f"/openai/deployments/{MODEL}/embeddings": {"input": ["a", LONG]},
    "/api/embed": {"model": MODEL, "input": ["a", LONG]},
    "/v2/embed": {"model": MODEL, "texts": ["a", LONG]},
    f"/v1/publishers/google/models/{MODEL}:predict": {"instances": [{"content": "a"}, {"content": LONG}]},
    f"/v1/publishers/google/models/{MODEL}:batchEmbedContents": {"requests": [content("a"), content(LONG)]},
}


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_that_embeds_says_which_text_was_cut(http, path):
    answer = http.post(path, json=ROUTES[path])
    assert answer.status_code == 200, answer.text
    ((index, tokens),) = parse_truncated(answer.headers[TRUNCATED_HEADER]).items()
    assert index == 1
    assert tokens > LIMIT


def test_a_default_model_says_it_too(http):
    answer = http.post("/embed", json={"inputs": ["a", "the dog " * 9000], "truncate": True})
    assert set(parse_truncated(answer.headers[TRUNCATED_HEADER])) == {1}


def test_a_text_that_fits_is_not_said_to_be_cut(http):
    answer = http.post(BATCH, json={"requests": [content("a")]})
    assert TRUNCATED_HEADER not in answer.headers
    assert "statistics" not in answer.text


def test_usage_counts_what_was_embedded(http):
    assert http.post(EMBED, json=content(LONG)).json()["usageMetadata"]["promptTokenCount"] == LIMIT
    usage = http.post("/v1/embeddings", json={"model": MODEL, "input": LONG}).json()["usage"]
    assert usage == {"prompt_tokens": LIMIT, "total_tokens": LIMIT}


def test_geminis_answer_has_vertex_ais_fields_for_it(http):
    alone = http.post(EMBED, json=content(LONG)).json()
    assert alone["truncated"] is True
    first, second = http.post(BATCH, json=ROUTES[BATCH]).json()["embeddings"]
    assert "statistics" not in first
    assert second["statistics"] == alone["embedding"]["statistics"]
    assert second["statistics"]["truncated"] is True
    assert second["statistics"]["token_count"] > LIMIT


def test_the_header_stays_short(http):
    answer = http.post("/v1/embeddings", json={"model": MODEL, "dimensions": 1, "input": ["dog " * 2050] * 130})
    value = answer.headers[TRUNCATED_HEADER]
    assert value.endswith(",+30")
    assert len(parse_truncated(value)) == 100


@pytest.mark.parametrize("value", ["", "x", "1=", "=2", "1=2=3", "-1=5", "1" * 5000, ",,,"])
def test_a_header_that_says_nothing_is_read_as_nothing(value):
    assert parse_truncated(value) == {}


def test_what_was_cut_is_read_as_it_was_written():
    counts = {index: 3000 + index for index in range(0, 100, 3)}
    assert parse_truncated(format_truncated(counts)) == counts


def test_the_calls_line_in_the_log_has_indexes_and_counts_and_no_text(running):
    log = io.StringIO()
    configure_logs("json", "info", log)
    try:
        with running() as http:
            said = http.post(BATCH, json=ROUTES[BATCH]).headers[TRUNCATED_HEADER]
    finally:
        logging.getLogger("gemvec").handlers.clear()
        logging.getLogger("gemvec").setLevel(logging.NOTSET)
    line = json.loads(log.getvalue().splitlines()[-1])
    assert line["truncated"] == said
    assert "dog" not in log.getvalue()


def test_cut_texts_are_counted_by_served_name(running):
    with running() as http:
        http.post(BATCH, json=ROUTES[BATCH])
        assert f'gemvec_truncated_texts_total{{model="{MODEL}"}} 1.0' in http.get("/metrics").text


def test_a_batch_says_it_at_the_requests_place(http):
    requests = [{"request": content(text)} for text in ("a", LONG)]
    created = http.post(
        f"/v1beta/models/{MODEL}:asyncBatchEmbedContent",
        json={"batch": {"inputConfig": {"requests": {"requests": requests}}}},
    ).json()
    while not (operation := http.get(f"/v1beta/{created['name']}").json()).get("done"):
        pass
    first, second = operation["response"]["inlinedResponses"]["inlinedResponses"]
    assert "statistics" not in first["response"]["embedding"]
    assert second["response"]["tokenCount"] == str(LIMIT)
    assert second["response"]["embedding"]["statistics"]["truncated"] is True


def test_pythons_class_warns_once_and_counts(server_url):
    embed = GeminiEmbeddingFunction(MODEL, base_url=server_url, api_key="any")
    with embed:
        with pytest.warns(UserWarning, match=r"1 of 2 documents were cut .* documents\[1\] has \d+ tokens"):
            embed.encode_documents(["a", LONG])
        embed.encode_queries(LONG)
        assert (embed.usage.texts, embed.usage.truncated) == (3, 2)
        with pytest.warns(UserWarning, match="cut"):
            GeminiEmbeddingFunction(MODEL, base_url=server_url, api_key="any").encode_documents_batch([LONG])


def test_a_gateway_passes_on_what_was_cut(server_url, tmp_path):
    settings = Settings(upstream=server_url, data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    with serving(open_services(settings)) as url:
        first, cached = (httpx.post(url + BATCH, json=ROUTES[BATCH]) for _ in range(2))
    assert set(parse_truncated(first.headers[TRUNCATED_HEADER])) == {1}
    assert cached.headers[TRUNCATED_HEADER] == first.headers[TRUNCATED_HEADER]
