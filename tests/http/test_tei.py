"""text-embeddings-inference's routes, as Milvus' `tei` provider and Hugging Face's client call them."""

from contextlib import nullcontext

import huggingface_hub
import numpy as np
import pytest
import tokenizers

from gemvec.models.fake import FakeEmbedder
from gemvec.models.local import open_embedder
from gemvec.settings import Settings

TEIS_INFO = {
    "model_id": str,
    "model_sha": str,
    "model_dtype": str,
    "served_model_name": str,
    "model_type": dict,
    "max_concurrent_requests": int,
    "max_input_length": int,
    "max_batch_tokens": int,
    "max_client_batch_size": int,
    "auto_truncate": bool,
    "tokenization_workers": int,
    "version": str,
}


def test_inputs_are_embedded_in_order(http):
    vectors = http.post("/embed", json={"inputs": ["a", "b", "a"], "truncate": True}).json()
    assert vectors[0] == vectors[2] != vectors[1]
    assert http.post("/embed", json={"inputs": "a", "truncate": True}).json() == vectors[:1]


def test_hugging_faces_client_is_pointed_at_the_servers_address(server_url, http):
    """So do LangChain and Haystack, which use it."""
    client = huggingface_hub.InferenceClient(server_url)
    with client if hasattr(client, "__exit__") else nullcontext():  # versions before 1.0 need no closing
        vectors = client.feature_extraction(["a", "b"], truncate=True)
        with pytest.raises(huggingface_hub.errors.HfHubHTTPError, match="must not be empty"):
            client.feature_extraction("")
    huggingface_hub.close_session()
    np.testing.assert_array_equal(vectors, np.float32(http.post("/embed", json={"inputs": ["a", "b"]}).json()))


def test_the_default_model_answers_with_its_own_dimensionality(http):
    default = http.post("/v1/embeddings", json={"input": "a"}).json()["data"][0]["embedding"]
    assert http.post("/embed", json={"inputs": "a"}).json() == [default]


def test_token_ids_are_those_of_the_served_model(http, tiny_folder):
    tokenizer = tokenizers.Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    ids = [tokenizer.encode(text).ids for text in ("the dog", "a cat")]
    vectors = http.post("/embed", json={"inputs": ["the dog", "a cat"]}).json()
    assert http.post("/embed", json={"inputs": ids}).json() == vectors
    assert http.post("/embed", json={"inputs": ["the dog", ids[1]]}).json() == vectors
    assert http.post("/embed", json={"inputs": ids[0]}).json() == vectors[:1]


def test_an_id_that_is_no_token_of_the_served_model_is_refused_by_its_place(http):
    refused = http.post("/embed", json={"inputs": [[1, 2], [3, 100_000_000]]})
    assert refused.status_code == 400
    assert refused.json()["error"] == "inputs[1] has the id 100000000, which is not a token of tiny."


def test_a_text_that_is_refused_later_is_named_by_its_place(http):
    refused = http.post("/embed", json={"inputs": ["short", "the dog " * 9000], "truncate": False})
    assert refused.json()["error"].startswith("inputs[1]")


@pytest.mark.parametrize(
    "body", [{}, {"inputs": []}, {"inputs": "a", "normalize": False}, {"inputs": "a", "dimensions": 0}]
)
def test_bad_requests_are_answered_in_teis_shape(http, body):
    response = http.post("/embed", json=body)
    assert response.status_code == 400
    assert response.json()["error_type"] == "Validation"
    assert isinstance(response.json()["error"], str)


def test_info_has_every_field_of_teis(http):
    """`struct Info` of router/src/lib.rs; those that are not optional there are not null here."""
    info = http.get("/info").json()
    assert {name: type(info[name]) for name in TEIS_INFO} == TEIS_INFO
    assert info["sha"] is info["docker_label"] is info["max_batch_requests"] is None
    assert isinstance(info["model_type"]["embedding"], dict)


def test_info_says_what_is_served(http):
    info = http.get("/info").json()
    assert f"{info['model_id']}@{info['model_sha']}" == http.get("/").json()["weights"]
    assert info["served_model_name"] == info["models"][0]
    assert "gemini-embedding-001" in info["models"]
    assert info["limits"] == {"texts_per_call": None, "body_bytes": 20 * 2**20}


@pytest.mark.parametrize(("limits", "most"), [("off", 2048), ("google", 100)])
def test_info_tells_clients_how_many_inputs_to_send_at_once(running, limits, most):
    with running(limits=limits) as http:
        assert http.get("/info").json()["max_client_batch_size"] == most
        assert http.post("/embed", json={"inputs": ["a"] * most}).status_code == 200


def test_info_says_how_many_tokens_are_computed_at_once(running, tiny_folder):
    with running(open_embedder(Settings(model=(str(tiny_folder),), streams=1, token_budget=256))) as http:
        assert http.get("/info").json()["max_batch_tokens"] == 256
    with running(FakeEmbedder(), max_waiting_tokens=5000) as http:
        assert http.get("/info").json()["max_batch_tokens"] == 5000


def test_info_needs_a_key_where_the_api_does(running):
    with running(api_key=("secret",)) as http:
        refused = http.get("/info")
        assert (refused.status_code, refused.json()["error_type"]) == (401, "Validation")
        assert http.get("/info", headers={"authorization": "Bearer secret"}).status_code == 200


def test_health_answers(http):
    assert http.get("/health").status_code == 200


def test_the_tokens_of_inputs_are_embedded_one_by_one(http):
    """Pooled and normalised they are the text's vector: the tiny model averages its tokens."""
    texts = ["the dog", "a cat"]
    tokens = http.post("/tokenize", json={"inputs": texts}).json()
    found = http.post("/embed_all", json={"inputs": texts}).json()
    assert [len(each) for each in found] == [len(each) for each in tokens]
    means = np.array([np.mean(each, axis=0) for each in found])
    vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, http.post("/embed", json={"inputs": texts}).json(), atol=2e-3)
    np.testing.assert_allclose(http.post("/embed_all", json={"inputs": "the dog"}).json(), found[:1], atol=1e-5)


def test_token_ids_are_embedded_one_by_one_too(http, tiny_folder):
    ids = tokenizers.Tokenizer.from_file(str(tiny_folder / "tokenizer.json")).encode("the dog").ids
    found = http.post("/embed_all", json={"inputs": "the dog"}).json()
    assert http.post("/embed_all", json={"inputs": ids}).json() == found


def test_a_text_beyond_the_window_is_cut_or_refused(http):
    texts = ["the dog", "the dog " * 40]
    cut = http.post("/embed_all", json={"inputs": texts, "truncate": True})
    assert [len(each) for each in cut.json()] == [4, 64]
    assert cut.headers["x-gemvec-truncated"] == "1=80"
    refused = http.post("/embed_all", json={"inputs": texts})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "Validation")
    assert refused.json()["error"] == "inputs[1] has 80 tokens or more; tiny has vectors of up to 62 tokens."


def test_an_answer_with_more_vectors_than_memory_allows_is_refused_before_it_is_computed(running):
    with running(memory_budget=2**20) as http:
        refused = http.post("/embed_all", json={"inputs": ["the dog " * 30] * 60})
        assert refused.status_code == 400
        assert "answer" in refused.json()["error"]
        assert http.post("/embed_all", json={"inputs": "the dog"}).status_code == 200


def test_a_sentence_is_compared_with_others(http):
    sentences = ["the dog", "a cat", "the dog"]
    found = http.post("/similarity", json={"inputs": {"source_sentence": "the dog", "sentences": sentences}}).json()
    vectors = np.array(http.post("/embed", json={"inputs": sentences}).json())
    np.testing.assert_allclose(found, vectors @ vectors[0], atol=1e-5)


def test_tokens_of_texts_have_their_places(http, tiny_folder):
    tokenizer = tokenizers.Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    (tokens,) = http.post("/tokenize", json={"inputs": "The dog"}).json()
    assert [each["id"] for each in tokens] == tokenizer.encode("The dog").ids
    assert [each["text"] for each in tokens] == ["[CLS]", "The", "dog", "[SEP]"]
    assert [each["special"] for each in tokens] == [True, False, False, True]
    assert [(each["start"], each["stop"]) for each in tokens] == [(None, None), (0, 3), (4, 7), (None, None)]
    bare = http.post("/tokenize", json={"inputs": ["The dog", "cat"], "add_special_tokens": False}).json()
    assert [[each["text"] for each in text] for text in bare] == [["The", "dog"], ["cat"]]


def test_tokens_are_put_back_into_texts(http):
    tokens = http.post("/tokenize", json={"inputs": ["the dog", "a cat"]}).json()
    ids = [[each["id"] for each in text] for text in tokens]
    assert http.post("/decode", json={"ids": ids}).json() == ["the dog", "a cat"]
    assert http.post("/decode", json={"ids": ids[1]}).json() == ["a cat"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, "inputs.sentences"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b", ""]}}, "inputs.sentences[1]"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["the dog " * 9000]}}, "inputs.sentences[0]"),
        ("/similarity", {"inputs": {"source_sentence": "", "sentences": ["b"]}}, "inputs.source_sentence"),
        ("/similarity", {"inputs": "a"}, "inputs"),
        ("/embed_all", {"inputs": []}, "inputs"),
        ("/embed_all", {"inputs": ["a", ""]}, "inputs[1]"),
        ("/embed_all", {"inputs": "a", "dimensions": 8}, "dimensions"),
        ("/embed_all", {"inputs": "a", "normalize": True}, "normalize"),
        ("/embed_all", {"inputs": "a", "truncation_direction": "Left"}, "truncation_direction"),
        ("/embed_all", {"inputs": "a", "prompt_name": "nonsense"}, "prompt_name"),
        ("/embed_all", {"inputs": [[1, 2], [3, 100_000_000]]}, "inputs[1] has the id 100000000"),
        ("/tokenize", {"inputs": []}, "inputs"),
        ("/tokenize", {"inputs": "a", "prompt_name": "query"}, "prompt_name"),
        ("/tokenize", {"inputs": ["a" * 150_000, "b" * 150_000]}, "300000 characters"),
        ("/tokenize", {"inputs": ["a"] * 3000}, "3000 texts"),
        ("/decode", {"ids": [[1]] * 3000}, "3000 texts"),
        ("/decode", {"ids": [1] * 200_001}, "200001 token ids"),
        ("/decode", {"ids": []}, "ids"),
        ("/decode", {"ids": [[1], ["a"]]}, "ids[1]"),
        ("/decode", {"ids": [[1], [100_000_000]]}, "ids[1] has the id 100000000"),
        ("/decode", {"ids": [1], "skip_special_tokens": False}, "skip_special_tokens"),
    ],
)
def test_what_these_routes_do_not_take_is_refused_by_name(http, path, body, words):
    refused = http.post(path, json=body)
    assert (refused.status_code, refused.json()["error_type"]) == (400, "Validation")
    assert words in refused.json()["error"]


def test_a_server_without_the_vocabulary_says_so(running):
    with running(FakeEmbedder()) as http:
        for path, body in (("/tokenize", {"inputs": "a"}), ("/decode", {"ids": [1]})):
            refused = http.post(path, json=body)
            assert refused.status_code == 400
            assert "model's vocabulary is not available" in refused.json()["error"]


def test_a_server_without_a_network_says_so(running):
    with running(FakeEmbedder()) as http:
        refused = http.post("/embed_all", json={"inputs": "a"})
        assert (refused.status_code, refused.json()["error_type"]) == (400, "Validation")
        assert refused.json()["error"].startswith("This model has no vectors of single tokens.")
