import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gemvec.client.embed import decode_answer, encode_request, join_requests, normalised
from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.errors import ApiError, BadAnswer, InvalidRequest
from gemvec.wire.embed import BatchEmbedContentsRequest
from gemvec.wire.message import read
from gemvec.wire.proto_json import parse_json

VECTORS = arrays(
    np.float32, st.integers(1, 40), elements=st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda x: abs(x) > 1e-15)
)


def test_a_request_says_all_it_was_given():
    request = EmbedRequest(
        text='a "text"\n中',
        task_type=TaskType.RETRIEVAL_DOCUMENT,
        title="T",
        output_dimensionality=10,
        auto_truncate=False,
    )
    assert json.loads(encode_request("gemini-embedding-001", request, 0)) == {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": 'a "text"\n中'}]},
        "taskType": "RETRIEVAL_DOCUMENT",
        "title": "T",
        "outputDimensionality": 10,
        "embedContentConfig": {"autoTruncate": False},
    }


def test_a_request_leaves_out_what_is_not_set():
    assert json.loads(encode_request("m", EmbedRequest(text="a"), 0)) == {
        "model": "models/m",
        "content": {"parts": [{"text": "a"}]},
    }


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_the_server_reads_what_the_client_writes(texts):
    body = join_requests([encode_request("m", EmbedRequest(text=text), 0) for text in texts])
    assert [each.text for each in read(BatchEmbedContentsRequest, parse_json(body)).requests] == texts


def test_half_a_surrogate_pair_is_refused_with_its_index():
    with pytest.raises(InvalidRequest, match="content is not Unicode") as caught:
        encode_request("m", EmbedRequest(text="a\ud800"), 7)
    assert caught.value.index == 7


@given(VECTORS)
def test_decoded_vectors_are_the_written_ones_at_length_one(vector):
    [decoded], _ = decode_answer(msgspec.json.encode({"embeddings": [{"values": vector.tolist()}]}), [None])
    assert decoded.dtype == np.float32
    assert decoded.shape == vector.shape
    np.testing.assert_allclose(decoded, vector / np.linalg.norm(vector.astype(np.float64)), rtol=1e-4, atol=1e-30)


def test_answers_may_be_indented_as_google_indents_them():
    answer = {"embeddings": [{"values": [0.6, 0.8]}, {"values": [1, -0]}], "usageMetadata": {"promptTokenCount": 4}}
    vectors, tokens = decode_answer(json.dumps(answer, indent=2).encode(), [None, None])
    np.testing.assert_array_equal(vectors, np.float32([[0.6, 0.8], [1, 0]]))
    assert tokens == 4


def test_other_fields_of_an_answer_do_not_matter_whatever_they_hold():
    answer = {
        "values": [7, 7],
        "note": 'the "values": [9, 9] of old',
        "kind": "values",
        "embeddings": [{"shape": [2], "values": [0.6, 0.8], "statistics": {"values": [[3]], "truncated": False}}],
        "more": {"values": "values"},
    }
    [vector], _ = decode_answer(msgspec.json.encode(answer), [None])
    np.testing.assert_array_equal(vector, np.float32([0.6, 0.8]))


def test_decoded_vectors_may_be_written_to_and_own_their_memory():
    [first, second], _ = decode_answer(b'{"embeddings": [{"values": [1, 0]}, {"values": [0, 1]}]}', [None, None])
    first[:] = 5
    assert second.tolist() == [0, 1]


def test_unit_vectors_come_back_to_the_bit():
    vector = np.random.default_rng(0).normal(size=3072).astype(np.float32)
    vector /= np.linalg.norm(vector)
    assert normalised(vector) is vector


def test_a_vector_of_zeros_stays():
    assert normalised(np.zeros(3, dtype=np.float32)).tolist() == [0, 0, 0]


def test_token_counts_are_read_and_may_be_missing():
    assert decode_answer(b'{"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": 5}}', [None])[1] == 5
    assert decode_answer(b'{"embeddings": [{"values": [1]}], "usageMetadata": {}}', [None])[1] == 0
    assert decode_answer(b'{"embeddings": [{"values": [1]}]}', [None])[1] == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>welcome</html>", "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{"values": ["a"]}]}', "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{"values": [null]}]}', "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{}]}', "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{"values": 0}]}', "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{"values": [1', "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{"values"', "not a BatchEmbedContentsResponse"),
        (b'{"values": [1, 2], "embeddings": [{"values": 0}]}', "not a BatchEmbedContentsResponse"),
        (b'{"values": [1, 2], "embeddings": [{"valu\\u0065s": 0}]}', "not a BatchEmbedContentsResponse"),
        (b'{"x": ' + b"[" * 100_000, "not a BatchEmbedContentsResponse"),
        (b'{"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": -1}}', "promptTokenCount is -1"),
        (b"\xff", "not a BatchEmbedContentsResponse"),
        (b"{}", "expected 1, got 0"),
        (b'{"embeddings": [{"values": [1]}, {"values": [1]}]}', "expected 1, got 2"),
        (b'{"embeddings": [{"values": []}]}', "no values"),
        (b'{"embeddings": [{"values": [1e300]}]}', "not finite"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_an_error(body, message):
    with pytest.raises(ApiError, match=message) as caught:
        decode_answer(body, [None])
    assert isinstance(caught.value, BadAnswer)
    assert (caught.value.code, caught.value.status) == (502, "INTERNAL")


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [([2, 3], [None, None]), ([2, 2], [2, 3]), ([2, 3], [None, 2]), ([3], [2])],
)
def test_vectors_of_another_length_than_was_asked_for_are_refused(sizes, wanted):
    body = msgspec.json.encode({"embeddings": [{"values": [1.0] * size} for size in sizes]})
    with pytest.raises(BadAnswer, match="values, expected"):
        decode_answer(body, wanted)


def test_texts_of_one_call_may_ask_for_different_lengths():
    body = msgspec.json.encode({"embeddings": [{"values": [1.0] * size} for size in (3, 2, 3)]})
    vectors, _ = decode_answer(body, [None, 2, None])
    assert [vector.size for vector in vectors] == [3, 2, 3]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["values", '"values"', "\\", "[", "embeddings"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["values", "embeddings", "more"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_an_answer_is_read_as_any_json_reader_reads_it(answer):
    body = msgspec.json.encode(answer)
    try:
        expected = msgspec.json.decode(body, type=Answer)
    except msgspec.MsgspecError:
        with pytest.raises(BadAnswer):
            decode_answer(body, [])
        return
    wanted = [len(each.values) for each in expected.embeddings]
    if all(any(each.values) for each in expected.embeddings):
        vectors, _ = decode_answer(body, wanted)
        expected_vectors = [normalised(np.array(each.values, dtype=np.float32)) for each in expected.embeddings]
        assert [each.tolist() for each in vectors] == [each.tolist() for each in expected_vectors]


class Embedding(msgspec.Struct):
    values: list[float]


class Answer(msgspec.Struct):
    embeddings: list[Embedding] = []


@pytest.mark.parametrize("piece", [b'"values"', b'"values":[', b'"values": ', b'{"values":[1', b'"values":[[', b"\\"])
def test_reading_takes_time_in_proportion_to_the_answer_whatever_it_holds(piece):
    """Sixteen megabytes that nobody wrote as an answer: anything quadratic would take hours, not the test's minutes."""
    with pytest.raises(BadAnswer):
        decode_answer(b'{"embeddings": [' + piece * (16 * 2**20 // len(piece)), [None])
