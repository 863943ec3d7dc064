"""OpenAI's embeddings route under both of its addresses."""

import base64

import numpy as np
import openai
import pytest

MODEL = "gemini-embedding-001"
ADDRESSES = ["/v1/embeddings", "/v1beta/openai/embeddings", "/embeddings", "/openai/v1/embeddings"]
ADDRESSES_WITH_A_MODEL = ["/openai/deployments/{}/embeddings?api-version=2024-10-21", "/v1/engines/{}/embeddings"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_texts_are_embedded_in_order(http, address):
    answer = http.post(
        address, json={"input": ["a", "b", "a"], "model": "gemini-embedding-001", "dimensions": 8}
    ).json()
    vectors = [each["embedding"] for each in answer["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    assert [len(each) for each in vectors] == [8, 8, 8]
    assert answer["model"] == "gemini-embedding-001"
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("address", ADDRESSES_WITH_A_MODEL)
def test_the_model_of_the_url_wins_over_the_bodys(http, address):
    body = {"input": ["a", "b"], "dimensions": 8}
    expected = http.post("/v1/embeddings", json=body | {"model": MODEL}).json()
    assert http.post(address.format(MODEL), json=body).json() == expected
    assert http.post(address.format(MODEL), json=body | {"model": "anything"}).json() == expected
    refused = http.post(address.format("none"), json=body | {"model": MODEL})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


def test_azures_client_is_pointed_at_the_servers_address(server_url, http):
    options = {"api_version": "2024-10-21", "api_key": "any", "azure_endpoint": server_url}
    with openai.AzureOpenAI(**options) as client:
        found = client.embeddings.create(model=MODEL, input=["a"], dimensions=8)
    expected = http.post("/v1/embeddings", json={"input": ["a"], "dimensions": 8, "model": MODEL}).json()
    assert found.data[0].embedding == pytest.approx(expected["data"][0]["embedding"], abs=1e-6)


def test_2048_inputs_are_one_call(http):
    answer = http.post("/v1/embeddings", json={"input": ["a", "b"] * 1024, "dimensions": 2}).json()
    assert [each["index"] for each in answer["data"]] == list(range(2048))


def test_without_a_model_the_default_one_answers(http):
    answer = http.post("/v1/embeddings", json={"input": "a"}).json()
    assert answer["model"] == http.get("/v1/models").json()["models"][0]["name"].removeprefix("models/")


def test_base64_and_float_are_the_same_vector(http):
    def embedding(**options):
        return http.post("/v1/embeddings", json={"input": "a"} | options).json()["data"][0]["embedding"]

    decoded = np.frombuffer(base64.b64decode(embedding(encoding_format="base64")), "<f4")
    assert decoded.tolist() == np.float32(embedding()).tolist()


NUMBERS = {"int8": np.int8, "uint8": np.uint8, "binary": np.int8, "ubinary": np.uint8}


def embedding(http, **options):
    answer = http.post("/v1/embeddings", json={"input": "the dog", "dimensions": 16} | options)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"][0]["embedding"]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_instead_of_floats_are_those_of_coheres_route(http, name):
    """Voyage AI's and Mistral's field, Jina AI's, Mixedbread's, and the one that LlamaIndex sends to Jina AI.

    Voyage AI's client asks for the bytes in base64.
    """
    body = {"model": "tiny", "texts": ["the dog"], "embedding_types": [name], "output_dimension": 16}
    (expected,) = http.post("/v2/embed", json=body).json()["embeddings"][name]
    assert embedding(http, output_dtype=name) == embedding(http, embedding_type=name) == expected
    assert embedding(http, encoding_format=name) == embedding(http, encoding_format=name, output_dtype=name) == expected
    assert embedding(http, encoding_type=name) == expected
    in_base64 = base64.b64decode(embedding(http, output_dtype=name, encoding_format="base64"))
    assert np.frombuffer(in_base64, NUMBERS[name]).tolist() == expected


def test_floats_may_be_named_as_such(http):
    floats = embedding(http)
    assert embedding(http, output_dtype="float") == embedding(http, embedding_type="float") == floats
    assert embedding(http, embedding_type="base64") == embedding(http, encoding_format="base64")
    assert embedding(http, dimensions=None, output_dimension=16) == floats
    assert embedding(http, encoding_type="float", encoding_format="float") == floats


def test_no_dimensions_are_as_many_as_the_model_has(http):
    """Infinity documents 0 as the default, and its client always sends it."""
    whole = http.post("/v1/embeddings", json={"input": "the dog"}).json()
    assert http.post("/v1/embeddings", json={"input": "the dog", "dimensions": 0}).json() == whole
    assert len(embedding(http, dimensions=0, output_dimension=16)) == 16


@pytest.mark.parametrize("body", [{"dimensions": -1}, {"output_dimension": 0}, {"dimensions": 0.5}])
def test_dimensions_that_no_service_has_are_refused(http, body):
    refused = http.post("/v1/embeddings", json={"input": "the dog", **body})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, *body)


def test_two_fields_that_ask_for_different_numbers_are_refused(http):
    refused = http.post("/v1/embeddings", json={"input": "a", "encoding_type": "binary", "embedding_type": "ubinary"})
    assert refused.status_code == 400
    assert "`embedding_type` and `encoding_type` ask for different things" in refused.json()["error"]["message"]


@pytest.mark.parametrize("option", [{"truncation": False}, {"truncate": False}, {"truncate": "NONE"}])
def test_a_text_that_is_too_long_is_refused_where_a_client_asks_for_it(http, option):
    body = {"input": ["a", "the dog " * 2000], "model": MODEL}
    assert http.post("/v1/embeddings", json=body).status_code == 200
    refused = http.post("/v1/embeddings", json=body | option)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[1]")


@pytest.mark.parametrize(
    ("name", "asked", "served"),
    [
        ("normalized", False, True),
        ("normalize", False, True),
        ("use_activation", False, True),
        ("embd_normalize", -1, 2),
        ("late_chunking", True, False),
        ("return_multivector", True, False),
        ("add_special_tokens", False, True),
        ("truncate_prompt_tokens", 5, -1),
        ("truncation_side", "left", "right"),
        ("embed_dtype", "float16", "float32"),
        ("endianness", "big", "little"),
        ("modality", "image", "text"),
        ("modality", ["text", "image"], ["text"]),
        ("prompt", "Represent this sentence: ", None),
        ("prompt", ["Represent this sentence: "], ""),
        ("instruction", "Represent this sentence: ", ""),
    ],
)
def test_an_option_of_another_service_that_would_give_other_vectors_is_refused(http, name, asked, served):
    """Jina AI's, vLLM's, llama.cpp's, NVIDIA's, Infinity's and Mixedbread's; unknown fields are ignored."""
    refused = http.post("/v1/embeddings", json={"input": "the dog", name: asked})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert name in refused.json()["error"]["message"]
    assert embedding(http, **{name: served}) == embedding(http, user="somebody")


def test_an_openai_vector_is_the_gemini_vector(http):
    gemini = http.post(
        "/v1/models/gemini-embedding-001:embedContent", json={"content": {"parts": [{"text": "a"}]}}
    ).json()
    answer = http.post("/v1/embeddings", json={"input": "a", "model": "models/gemini-embedding-001"}).json()
    assert answer["data"][0]["embedding"] == gemini["embedding"]["values"]


def test_token_ids_are_cl100k_base(http):
    pytest.importorskip("bpe_openai")
    texts = http.post("/v1/embeddings", json={"input": ["Hello world", "world"]}).json()["data"]
    ids = http.post("/v1/embeddings", json={"input": [[9906, 1917], [14957]]}).json()["data"]
    alone = http.post("/v1/embeddings", json={"input": [9906, 1917]}).json()["data"]
    assert texts == ids
    assert alone == texts[:1]


def test_an_id_that_is_no_token_is_refused(http):
    pytest.importorskip("bpe_openai")
    error = http.post("/v1/embeddings", json={"input": [[9906], [2**40]]}).json()["error"]
    assert "input[1]" in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": "a", "dimensions": -1}, "dimensions"),
        ({"input": ["a", {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}, "input[1]"),
        ({}, "input"),
        ({"input": "a", "encoding_format": "int4"}, "encoding_format"),
        ({"input": "a", "encoding_format": "int8", "output_dtype": "uint8"}, "encoding_format"),
        ({"input": "a", "output_dtype": "int4"}, "output_dtype"),
        ({"input": "a", "embedding_type": "x"}, "embedding_type"),
        ({"input": "a", "output_dtype": "int8", "embedding_type": "binary"}, "embedding_type"),
        ({"input": "a", "dimensions": 8, "output_dimension": 9}, "output_dimension"),
        ({"input": "a", "truncation": True, "truncate": "NONE"}, "truncate"),
        ({"input": "a", "truncate": "START"}, "truncate"),
    ],
)
def test_bad_requests_are_answered_in_openais_shape(http, body, param):
    response = http.post("/v1/embeddings", json=body)
    assert response.status_code == 400
    assert response.json()["error"].items() >= {"type": "invalid_request_error", "param": param}.items()


def test_an_error_names_the_field_that_the_caller_sent(http):
    error = http.post("/v1/embeddings", json={"input": "a", "dimensions": 100_000}).json()["error"]
    assert error["message"].startswith("dimensions is 100000")


def test_an_unknown_model_is_not_found(http):
    response = http.post("/v1/embeddings", json={"input": "a", "model": "text-embedding-9"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "GET /v1/models" in response.json()["error"]["message"]


def test_a_bad_key_is_unauthenticated(running):
    with running(api_key=("secret",)) as http:
        assert http.post("/v1/embeddings", json={"input": "a"}).status_code == 401
        response = http.post("/v1/embeddings", json={"input": "a"}, headers={"authorization": "Bearer wrong"})
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
