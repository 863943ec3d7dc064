import asyncio
import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
from google.genai import types

from gemvec import GeminiEmbeddingFunction
from gemvec.client import EmbedConfig, RemoteEmbedder, Usage
from gemvec.embedding.task_type import TaskType
from gemvec.errors import (
    ApiError,
    BadDimensionality,
    BadResourceName,
    BadSetting,
    EmptyText,
    InvalidRequest,
    KeyMissing,
    TitleNotAllowed,
)
from scripted_server import DIMENSIONALITY, Answer, error_body, quota_exceeded, unit_vector_of

DOCUMENTS = [
    "Artificial intelligence was founded as an academic discipline in 1956.",
    "Alan Turing was the first person to conduct substantial research in AI.",
    "Born in Maida Vale, London, Turing was raised in southern England.",
]


@pytest.fixture
def open_function(server):
    """Make functions that ask the scripted server, and close them."""
    opened = []

    def open_function(*arguments, **options):
        opened.append(GeminiEmbeddingFunction(*arguments, base_url=server.url, **options))
        return opened[-1]

    yield open_function
    for each in opened:
        each.close()


@pytest.fixture
def function(open_function):
    return open_function("gemini-embedding-001", "key")


def assert_vectors_of(vectors, texts):
    assert isinstance(vectors, list)
    assert len(vectors) == len(texts)
    for vector, text in zip(vectors, texts, strict=True):
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, unit_vector_of(text, vector.size), rtol=1e-5)


def test_vectors_are_float32_of_length_one_and_in_order(function):
    vectors = function.encode_documents(DOCUMENTS)
    assert_vectors_of(vectors, DOCUMENTS)
    assert vectors[0].shape == (DIMENSIONALITY,)
    np.testing.assert_allclose([np.linalg.norm(vector) for vector in vectors], 1, rtol=1e-6)


def test_documents_and_queries_have_task_types_of_their_own(server, function):
    function.encode_documents(["a"])
    function.encode_queries(["a"])
    function(["a"])
    assert [each["taskType"] for each in server.requests] == [
        "RETRIEVAL_DOCUMENT",
        "RETRIEVAL_QUERY",
        "RETRIEVAL_DOCUMENT",
    ]


@pytest.mark.parametrize(
    "config",
    [
        types.EmbedContentConfig(task_type="CLUSTERING"),
        {"taskType": "CLUSTERING"},
        {"task_type": "clustering"},
        EmbedConfig(task_type="CLUSTERING"),
    ],
)
def test_an_explicit_task_type_wins(server, open_function, config):
    function = open_function(config=config)
    function.encode_documents(["a"])
    function.encode_queries(["a"])
    assert [each["taskType"] for each in server.requests] == ["CLUSTERING", "CLUSTERING"]


def test_embedding_001_is_sent_neither_task_type_nor_title_nor_dimensionality(server, open_function):
    function = open_function("models/embedding-001", config={"task_type": "CLUSTERING", "output_dimensionality": 768})
    with pytest.warns(UserWarning, match="left out"):
        function.encode_documents(["a"], titles=["T"])
    assert server.requests == [{"model": "models/embedding-001", "content": {"parts": [{"text": "a"}]}}]


@pytest.mark.parametrize(
    ("config", "options", "left_out"),
    [
        ({"task_type": "CLUSTERING"}, {}, "left out: the task type\\."),
        ({"title": "T"}, {}, "left out: the title\\."),
        ({}, {"task_type": "CLUSTERING", "titles": ["T"]}, "left out: the task type and the title\\."),
    ],
)
def test_what_embedding_001_cannot_take_is_said_once(open_function, config, options, left_out):
    function = open_function("embedding-001", config=config)
    with pytest.warns(UserWarning, match=left_out):
        function.encode_documents(["a"], **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function.encode_documents(["a"], **options)


@pytest.mark.parametrize(
    ("configured", "of_documents", "of_queries"),
    [
        (None, "RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"),
        ("RETRIEVAL_DOCUMENT", "RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"),
        ("RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"),
        ("CODE_RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "CODE_RETRIEVAL_QUERY"),
        ("QUESTION_ANSWERING", "RETRIEVAL_DOCUMENT", "QUESTION_ANSWERING"),
        ("FACT_VERIFICATION", "RETRIEVAL_DOCUMENT", "FACT_VERIFICATION"),
        ("SEMANTIC_SIMILARITY", "SEMANTIC_SIMILARITY", "SEMANTIC_SIMILARITY"),
        ("CLASSIFICATION", "CLASSIFICATION", "CLASSIFICATION"),
        ("CLUSTERING", "CLUSTERING", "CLUSTERING"),
    ],
)
def test_task_types_come_in_pairs(server, open_function, configured, of_documents, of_queries):
    function = open_function(config={"task_type": configured})
    function.encode_documents(["a"])
    asyncio.run(function.aencode_documents(["a"]))
    function.encode_queries(["a"])
    asyncio.run(function.aencode_queries(["a"]))
    assert [each["taskType"] for each in server.requests] == [of_documents, of_documents, of_queries, of_queries]


def test_the_task_type_of_one_call_wins_over_the_config(server, open_function):
    function = open_function(config={"task_type": "CODE_RETRIEVAL_QUERY"})
    function.encode_documents(["a"], task_type="clustering")
    function.encode_queries(["a"], task_type=TaskType.SEMANTIC_SIMILARITY)
    assert [each["taskType"] for each in server.requests] == ["CLUSTERING", "SEMANTIC_SIMILARITY"]


def test_documents_of_a_code_search_may_have_titles(server, open_function):
    open_function(config={"task_type": "CODE_RETRIEVAL_QUERY", "title": "T"}).encode_documents(["a"])
    assert (server.requests[0]["taskType"], server.requests[0]["title"]) == ("RETRIEVAL_DOCUMENT", "T")


def test_embedding_001_has_one_dimensionality_only(open_function):
    with pytest.raises(BadDimensionality, match="768 values only, not 256"):
        open_function("models/embedding-001", config={"output_dimensionality": 256})


def test_dimensionality_is_asked_for_and_shortened_vectors_have_length_one(server, open_function):
    function = open_function(config=types.EmbedContentConfig(output_dimensionality=5))
    [vector] = function.encode_documents(["a"])
    assert server.requests[0]["outputDimensionality"] == 5
    assert vector.shape == (function.dim,) == (5,)
    assert np.linalg.norm(vector) == pytest.approx(1)


@pytest.mark.parametrize(
    ("model", "dim"),
    [
        ("gemini-embedding-exp-03-07", 3072),
        ("gemini-embedding-001", 3072),
        ("models/gemini-embedding-001", 3072),
        ("gemini-embedding-2", 3072),
        ("gemini-embedding-2-preview", 3072),
        ("models/text-embedding-004", 768),
        ("models/embedding-001", 768),
        ("embedding-001", 768),
    ],
)
def test_dim_of_google_s_models_is_known_without_asking(server, open_function, model, dim):
    assert open_function(model).dim == dim
    assert server.seen == []


def test_dim_of_another_model_is_asked_once(server, open_function):
    function = open_function("all-minilm-l6-v2")
    assert function.dim == function.dim == DIMENSIONALITY
    assert len(server.seen) == 1


def test_titles_go_with_their_documents(server, function):
    function.config = {"title": "Encyclopedia"}
    function.encode_documents(["a", "b"], titles=["Turing", None])
    function.encode_queries(["c"])
    assert [each.get("title") for each in server.requests] == ["Turing", "Encyclopedia", None]


@pytest.mark.parametrize("titles", [("T", None), iter(["T", None]), np.array(["T", ""])], ids=type)
def test_any_iterable_of_titles_will_do(server, function, titles):
    function.encode_documents(["a", "b"], titles=titles)
    assert [each.get("title") for each in server.requests] == ["T", None]


@pytest.mark.parametrize("titles", [["only one"], "ab", ["a", 5]])
def test_titles_that_do_not_fit_the_documents_are_refused(server, function, titles):
    with pytest.raises(InvalidRequest, match="titles"):
        function.encode_documents(["a", "b"], titles=titles)
    assert server.seen == []


def test_titles_need_the_task_type_of_documents(open_function):
    with pytest.raises(TitleNotAllowed, match="CLUSTERING"):
        open_function(config={"task_type": "CLUSTERING"}).encode_documents(["a"], titles=["T"])


def test_a_config_may_be_replaced_or_changed_later(server, open_function):
    config = types.EmbedContentConfig(output_dimensionality=4)
    function = open_function(config=config)
    assert function.config is config
    config.output_dimensionality = 6
    assert function.dim == 6
    function.config = None
    assert function.dim == 3072
    with pytest.raises(BadDimensionality):
        function.config = {"output_dimensionality": -1}


def test_any_number_of_texts_goes_into_one_call(server, function):
    texts = [f"text {number}" for number in range(301)]
    assert_vectors_of(function.encode_documents(texts), texts)
    assert len(server.seen) == 4


@pytest.mark.parametrize("nothing", [[], (), iter([])])
def test_no_texts_are_no_vectors_and_no_call(server, function, nothing):
    assert function.encode_documents(nothing) == []
    assert server.seen == []


@pytest.mark.parametrize(
    "texts", [("a", "b"), (text for text in "ab"), np.array(["a", "b"]), {"a": 1, "b": 2}.keys()], ids=type
)
def test_any_iterable_of_strings_will_do(function, texts):
    assert_vectors_of(function.encode_documents(texts), ["a", "b"])


def test_one_string_is_one_text(function):
    assert_vectors_of(function.encode_queries("one query"), ["one query"])


@pytest.mark.parametrize(("texts", "kind"), [(None, "NoneType"), (5, "int")])
def test_what_holds_no_texts_is_refused(texts, kind):
    function = GeminiEmbeddingFunction(api_key="key")
    with pytest.raises(InvalidRequest, match=f"documents is a {kind}: expected strings"):
        function.encode_documents(texts)
    with pytest.raises(InvalidRequest, match=f"queries is a {kind}: expected strings"):
        function.encode_queries(texts)
    with pytest.raises(InvalidRequest, match="titles must be a list"):
        function.encode_documents(["a"], titles=5)


@pytest.mark.parametrize(("bad", "kind"), [(None, "NoneType"), (5, "int"), (b"a", "bytes"), (["a"], "list")])
def test_what_is_no_string_is_refused_with_its_index_and_nothing_is_sent(server, function, bad, kind):
    with pytest.raises(InvalidRequest, match=rf"documents\[2\] is a {kind}") as caught:
        function.encode_documents(["a", "b", bad])
    assert caught.value.index == 2
    with pytest.raises(InvalidRequest, match=r"queries\[0\]"):
        function.encode_queries([bad])
    assert server.seen == []


def test_an_empty_text_is_refused_with_its_index(server, function):
    with pytest.raises(EmptyText, match=r"documents\[1\]") as caught:
        function.encode_documents(["a", ""])
    assert caught.value.index == 1
    assert server.seen == []


def test_quotas_are_waited_for(server, function):
    server.script = [quota_exceeded("0.05s")]
    assert_vectors_of(function.encode_queries(["a"]), ["a"])


def test_refusals_are_raised_as_they_were_said(server, function):
    server.script = [Answer(404, error_body(404, "NOT_FOUND", "models/x is not found"))]
    with pytest.raises(ApiError, match="404 NOT_FOUND: models/x is not found") as caught:
        function.encode_queries(["a"])
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_usage_adds_up(server, function):
    assert function.usage == Usage(texts=0, tokens=0)
    function.encode_documents(["a"] * 150)
    function.encode_queries(["a"])
    assert function.usage == Usage(texts=151, tokens=755)


def test_usage_counts_what_was_paid_for_before_an_error(server, open_function):
    function = open_function(max_concurrency=1)
    server.script = [
        Answer(200, {"embeddings": [{"values": [1.0]}] * 100, "usageMetadata": {"promptTokenCount": 9}}),
        Answer(400, error_body(400, "INVALID_ARGUMENT", "no")),
    ]
    with pytest.raises(ApiError):
        function.encode_documents(["a"] * 150)
    assert function.usage == Usage(texts=100, tokens=9)


def test_async_methods_give_the_same_in_any_loop(function):
    async def encode():
        documents, queries = await asyncio.gather(
            function.aencode_documents(DOCUMENTS), function.aencode_queries(["a"])
        )
        assert await function.aencode_documents([]) == []
        return documents, queries

    for _ in range(2):
        documents, queries = asyncio.run(encode())
        assert_vectors_of(documents, DOCUMENTS)
        assert_vectors_of(queries, ["a"])


def test_async_methods_leave_the_loop_free(server, function):
    async def encode():
        server.delay_of = lambda texts: 60
        task = asyncio.create_task(function.aencode_queries(["a"]))
        await server.wait_for_request()
        assert not task.done()
        task.cancel()

    asyncio.run(encode())


def test_cancelling_an_async_call_ends_it(server, function):
    async def start_and_cancel():
        server.delay_of = lambda texts: 30
        task = asyncio.create_task(function.aencode_queries(["a"]))
        await server.wait_for_request()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(start_and_cancel())


def test_sync_methods_work_inside_a_running_loop(function):
    async def cell_of_a_notebook():
        return function.encode_queries(["a"])

    assert_vectors_of(asyncio.run(cell_of_a_notebook()), ["a"])


def test_threads_may_share_a_function(function):
    results = {}

    def encode(number):
        texts = [f"{number} {index}" for index in range(30)]
        results[number] = (function.encode_documents(texts), texts)

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for vectors, texts in results.values():
        assert_vectors_of(vectors, texts)
    assert function.usage.texts == 240


@pytest.mark.parametrize("duplicate", [lambda function: pickle.loads(pickle.dumps(function)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("is_used", [True, False])
def test_copies_work_and_keep_model_config_and_key(server, open_function, duplicate, is_used):
    function = open_function("gemini-embedding-001", "key", types.EmbedContentConfig(output_dimensionality=4))
    if is_used:
        function.encode_queries(["a"])
    with duplicate(function) as other:
        server.seen.clear()
        assert_vectors_of(other.encode_queries(["a"]), ["a"])
        assert (other.model_name, other.dim) == ("gemini-embedding-001", 4)
    assert server.seen[0]["headers"]["x-goog-api-key"] == "key"


def test_a_closed_function_opens_again_by_itself(function):
    with function:
        function.encode_queries(["a"])
    assert_vectors_of(function.encode_queries(["a"]), ["a"])
    function.close()
    function.close()


def test_async_context_managers_close(function):
    async def encode():
        async with function as same:
            return await same.aencode_queries(["a"])

    assert_vectors_of(asyncio.run(encode()), ["a"])
    assert function._held is None


def test_client_is_what_computes_the_vectors(server, function):
    assert isinstance(function.client, RemoteEmbedder)
    assert function.client is function.client
    server.script = [Answer(200, {"embeddings": [{"values": [1.0]}]}, {"x-gemvec-model": "all-minilm-l6-v2@53aa5117"})]
    function.encode_queries(["a"])
    assert function.client.weights == "all-minilm-l6-v2@53aa5117"


def test_the_key_is_masked_in_reprs(function):
    assert "'key'" not in repr(function)
    assert "***" in repr(function)
    assert repr(GeminiEmbeddingFunction(base_url="http://h")).count("None") == 2


def test_addresses_and_keys_come_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("GEMVEC_BASE_URL", server.url)
    monkeypatch.setenv("GEMINI_API_KEY", "from the environment")
    with GeminiEmbeddingFunction() as function:
        function.encode_queries(["a"])
    assert server.seen[0]["headers"]["x-goog-api-key"] == "from the environment"


def test_http_options_of_google_genai_are_understood(server):
    options = types.HttpOptions(base_url=server.url, api_version="v1", headers={"X-Team": "a"}, timeout=9000)
    with GeminiEmbeddingFunction("gemini-embedding-001", "key", http_options=options) as function:
        function.encode_queries(["a"])
    assert server.seen[0]["path"].startswith("/v1/models/")
    assert server.seen[0]["headers"]["x-team"] == "a"


def test_http_options_inside_the_config_are_understood(server):
    config = types.EmbedContentConfig(http_options=types.HttpOptions(base_url=server.url))
    with GeminiEmbeddingFunction(config=config) as function:
        assert_vectors_of(function.encode_queries(["a"]), ["a"])


def test_without_key_or_address_construction_fails():
    with pytest.raises(KeyMissing, match="GEMVEC_BASE_URL"):
        GeminiEmbeddingFunction()


@pytest.mark.parametrize("argument", ["vertexai", "enterprise", "credentials", "project", "location"])
def test_arguments_of_vertex_ai_are_refused_unless_they_are_off(argument):
    with pytest.raises(InvalidRequest, match=f"{argument} is for Vertex AI"):
        GeminiEmbeddingFunction(api_key="key", **{argument: "x"})
    GeminiEmbeddingFunction(api_key="key", **{argument: None})


@pytest.mark.parametrize("argument", ["max_concurrency", "timeout_seconds"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_bound_that_would_let_no_text_through_is_refused(argument, value):
    with pytest.raises(BadSetting, match=f"{argument} has value {value}: must be"):
        GeminiEmbeddingFunction(api_key="key", **{argument: value})


def test_an_unknown_argument_is_a_type_error():
    with pytest.raises(TypeError, match="'modelname'"):
        GeminiEmbeddingFunction(api_key="key", modelname="x")


@pytest.mark.parametrize("name", ["", "my model", "publishers/google/models/x"])
def test_what_is_no_model_name_is_refused_at_once(name):
    with pytest.raises(BadResourceName, match="model_name"):
        GeminiEmbeddingFunction(name, "key")


def test_progress_is_shown_on_standard_error(open_function, capfd):
    open_function(show_progress=True).encode_documents(["a"] * 150)
    shown = capfd.readouterr()
    assert "150/150" in shown.err
    assert shown.out == ""


def test_nothing_is_shown_unless_asked_for(function, capfd):
    function.encode_documents(["a"] * 150)
    assert capfd.readouterr() == ("", "")
