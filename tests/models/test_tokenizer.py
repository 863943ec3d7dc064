"""Token ids are the text's own; special tokens are known apart, and nothing is cut or padded."""

import json
import subprocess
import sys

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


def test_of_a_far_longer_text_no_more_is_tokenized_than_can_count(tokenizer):
    text = "the dog runs in the house. " * 40_000
    (ids,) = tokenizer.encode([text], 100)
    assert 100 <= len(ids) < 2000
    assert ids[:100] == tokenizer.encode([text[:3000]])[0][:100]


def test_blank_text_is_passed_over_until_enough_tokens_are_found(tokenizer):
    text = " " * 300_000 + "dog " * 90 + "\n" * 300_000 + "cat " * 500_000
    (ids,) = tokenizer.encode([text], 100)
    dog, cat = tokenizer.encode(["dog", "cat"])
    assert ids[:100] == dog * 90 + cat * 10
    assert len(ids) < 200_000


@given(st.lists(st.text(max_size=40), max_size=4), st.integers(1, 5))
def test_the_ids_that_count_are_those_of_the_whole_text(tokenizer, texts, max_tokens):
    whole = [ids[:max_tokens] for ids in tokenizer.encode(texts)]
    assert [ids[:max_tokens] for ids in tokenizer.encode(texts, max_tokens)] == whole


def test_a_word_that_is_too_long_to_be_known_stays_one_where_few_tokens_count(tokenizer):
    (unknown,) = tokenizer.encode(["a" * 150])[0]
    assert tokenizer.encode(["a" * 150], 1) == [[unknown]]


def test_tokens_of_a_text_that_is_counted_in_pieces_are_all_counted(tokenizer):
    assert tokenizer.count_tokens(["the dog runs " * 100_000]) == [300_000]


LONG_TEXT = """
import asyncio, resource, sys
from gemvec.embedding.embed import EmbedRequest
from gemvec.models.local import open_embedder
from gemvec.settings import Settings

embedder = open_embedder(Settings.load({}, model=(sys.argv[1],)))
served = embedder.list_models()[0]

def embed(text):
    asyncio.run(embedder.embed(served, [EmbedRequest(text=text)]))

text = "the dog runs in the house. " * 750_000
embed("dog " * 9000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
embed(text)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_text_of_twenty_megabytes_takes_no_more_memory_than_the_part_that_counts(tiny_model):
    command = [sys.executable, "-c", LONG_TEXT, str(tiny_model)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(outcome.stdout) < 100  # MiB
