"""Cohere's embed route: every encoding is made of the same vector, and what is not served is refused by name."""

import base64

import numpy as np
import pytest

MODEL = "gemini-embedding-001"
TEXTS = ["the dog", "a cat"]


def post(http, **body):
    return http.post("/v2/embed", json={"model": MODEL, "input_type": "search_document", "texts": TEXTS, **body})


def vectors(http, encoding="float", **body):
    answer = post(http, embedding_types=[encoding], **body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()["embeddings"]) == [encoding]
    return answer.json()["embeddings"][encoding]


@pytest.fixture(scope="module")
def floats(http):
    return np.array(vectors(http, output_dimension=16), dtype=np.float32)


def test_an_answer_has_coheres_fields(http):
    answer = post(http).json()
    assert [len(each) for each in answer["embeddings"]["float"]] == [3072, 3072]
    assert answer["texts"] == TEXTS
    assert answer["response_type"] == "embeddings_by_type"
    assert answer["meta"] == {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}
    assert answer["id"]


def test_several_encodings_are_answered_side_by_side(http):
    answer = post(http, embedding_types=["int8", "float"]).json()
    assert set(answer["embeddings"]) == {"int8", "float"}


def test_base64_is_little_endian_float32(http, floats):
    decoded = [np.frombuffer(base64.b64decode(each), "<f4") for each in vectors(http, "base64", output_dimension=16)]
    np.testing.assert_array_equal(decoded, floats)


def test_int8_keeps_the_direction_and_uses_the_whole_range(http, floats):
    found = np.array(vectors(http, "int8", output_dimension=16))
    assert np.abs(found).max(axis=1).tolist() == [127, 127]
    cosines = np.sum(found * floats, axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() > 0.9999


def test_uint8_is_int8_plus_128(http):
    signed = np.array(vectors(http, "int8", output_dimension=16))
    np.testing.assert_array_equal(vectors(http, "uint8", output_dimension=16), signed + 128)


def test_a_bit_says_whether_a_value_is_above_zero(http, floats):
    packed = np.array(vectors(http, "ubinary", output_dimension=16))
    assert packed.shape == (2, 2)
    np.testing.assert_array_equal(np.unpackbits(packed.astype(np.uint8), axis=1), floats > 0)
    np.testing.assert_array_equal(vectors(http, "binary", output_dimension=16), packed - 128)


def test_a_dimensionality_that_fills_no_byte_is_filled_up_with_zeros(http):
    assert [len(each) for each in vectors(http, "ubinary", output_dimension=10)] == [2, 2]


def test_what_was_cut_is_a_warning(http):
    meta = post(http, texts=["a", "the dog " * 2000]).json()["meta"]
    (warning,) = meta["warnings"]
    assert warning.startswith("texts[1] was cut: it had ")
    assert meta["billed_units"]["input_tokens"] == 2049


def test_a_text_that_must_not_be_cut_is_refused(http):
    refused = post(http, texts=["a", "the dog " * 2000], truncate="NONE")
    assert refused.status_code == 400
    assert refused.json()["message"].startswith("texts[1] has")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": "none"}, 404, "model 'none' not found"),
        ({"model": None}, 400, "`model` is required"),
        ({"texts": None}, 400, "`texts` is required"),
        ({"texts": []}, 400, "texts"),
        ({"texts": ["a", ""]}, 400, "texts[1]"),
        ({"input_type": "image"}, 400, "input_type"),
        ({"embedding_types": ["int4"]}, 400, "embedding_types[0]"),
        ({"output_dimension": 100_000}, 400, "output_dimension is 100000"),
        ({"truncate": "START"}, 400, "truncate"),
        ({"images": ["data:"]}, 400, "images"),
        ({"inputs": [{"content": []}]}, 400, "inputs"),
        ({"max_tokens": 5}, 400, "max_tokens"),
    ],
)
def test_errors_have_coheres_shape_and_name_the_field(http, body, status, words):
    refused = post(http, **body)
    assert refused.status_code == status
    assert list(refused.json()) == ["message"]
    assert words in refused.json()["message"]


def test_a_bad_key_is_unauthenticated(running):
    with running(api_key=("secret",)) as http:
        assert post(http).status_code == 401


def post_to_v1(http, **body):
    return http.post("/v1/embed", json={"model": MODEL, "texts": TEXTS, **body})


def test_the_first_route_answers_with_floats_where_no_encoding_is_named(http):
    answer = post_to_v1(http, input_type="search_document").json()
    assert answer["response_type"] == "embeddings_floats"
    assert answer["embeddings"] == post(http).json()["embeddings"]["float"]
    assert answer["texts"] == TEXTS
    assert answer["meta"] == {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 4}}


def test_the_first_route_answers_by_encoding_where_one_is_named(http):
    answer = post_to_v1(http, embedding_types=["ubinary", "float"]).json()
    assert answer["response_type"] == "embeddings_by_type"
    assert answer["embeddings"] == post(http, embedding_types=["ubinary", "float"]).json()["embeddings"]


def test_the_first_route_needs_no_model(http):
    answer = post_to_v1(http, model=None)
    default = http.get("/v1/models").json()["models"][0]["name"].removeprefix("models/")
    assert answer.json()["embeddings"] == post_to_v1(http, model=default).json()["embeddings"]


def test_a_body_of_another_service_at_the_first_route_is_told_what_this_one_takes(http):
    """text-embeddings-inference has its route without a version."""
    refused = post_to_v1(http, texts=None, inputs=["a"])
    assert (refused.status_code, refused.json()) == (400, {"message": "`inputs`: give the texts in `texts`"})


@pytest.mark.parametrize("body", [{"texts": []}, {"model": "none"}, {"images": ["data:"]}, {"truncate": "START"}])
def test_the_first_route_refuses_what_the_second_does(http, body):
    first, second = post_to_v1(http, **body), post(http, **body)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.status_code in {400, 404}
