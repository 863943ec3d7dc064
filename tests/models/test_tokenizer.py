"""Token ids are the text's own; special tokens are known apart, and nothing is cut or padded."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemvec.errors import UnsupportedModel
from gemvec.models.catalogue import find_record
from gemvec.models.tokenizer import Tokenizer, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(find_record(str(tiny_model)), tiny_model)


def test_special_tokens_are_known_apart(tokenizer):
    assert (tokenizer.prefix_ids, tokenizer.suffix_ids) == ((2,), (3,))
    assert not {2, 3} & set(tokenizer.encode(["the academic discipline"])[0])


def test_a_model_without_special_tokens_gets_none(tiny_model):
    tokenizer = Tokenizer(tiny_model / "tokenizer.json", special_tokens=False)
    assert (tokenizer.prefix_ids, tokenizer.suffix_ids) == ((), ())


def test_whole_words_are_whole_pieces(tokenizer):
    assert tokenizer.count_tokens(["The academic discipline of artificial intelligence."]) == [7]


@given(st.lists(st.text(), max_size=5))
def test_counts_are_the_lengths_of_the_ids(tokenizer, texts):
    assert tokenizer.count_tokens(texts) == [len(ids) for ids in tokenizer.encode(texts)]


@given(st.lists(st.text(max_size=20), min_size=2, max_size=5))
def test_a_text_has_the_same_ids_alone_and_among_others(tokenizer, texts):
    assert tokenizer.encode(texts) == [tokenizer.encode([text])[0] for text in texts]


def test_a_file_that_pads_and_cuts_does_neither_here(tiny_model, tmp_path):
    path = tmp_path / "tokenizer.json"
    document = json.loads((tiny_model / "tokenizer.json").read_text())
    document["truncation"] = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    document["padding"] = {
        "strategy": {"Fixed": 128},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    path.write_text(json.dumps(document))
    assert Tokenizer(path).count_tokens(["a " * 200, "a"]) == [200, 1]


def test_a_lone_surrogate_is_read_as_an_unknown_character(tokenizer):
    assert tokenizer.encode(["a \ud800 b", "a"]) == tokenizer.encode(["a \N{REPLACEMENT CHARACTER} b", "a"])


def test_no_texts_are_no_ids(tokenizer):
    assert tokenizer.encode([]) == []


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.json"):
        Tokenizer(tmp_path / "tokenizer.json")
