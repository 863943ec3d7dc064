"""A tokenizer's class has its say as in transformers; where its versions differ, the model is refused."""

import json

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from gemvec.errors import UnsupportedModel
from gemvec.models.tokenizer_class import apply_class


@pytest.fixture
def word_pieces(tiny_model):
    """Return a function that reads the tiny model's tokenizer with another normalizer."""

    def read(**normalizer):
        document = json.loads((tiny_model / "tokenizer.json").read_text())
        document["normalizer"] |= normalizer
        return tokenizers.Tokenizer.from_str(json.dumps(document))

    return read


def by_bytes(*, prefix_space):
    """Return a tokenizer of bytes that knows a word with and without a space before it."""
    tokenizer = tokenizers.Tokenizer(models.BPE({"d": 0, "Ġ": 1, "Ġd": 2}, [("Ġ", "d")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    return tokenizer


def framed(template):
    """Return a tokenizer whose special tokens stand as the template says."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({"a": 0, "<s>": 1, "</s>": 2}, "a"))
    ids = [("<s>", 1), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, pair="$A $B", special_tokens=ids)
    return tokenizer


@pytest.mark.parametrize("kind", ["BertTokenizer", "DistilBertTokenizerFast", "ElectraTokenizer", "MPNetTokenizerFast"])
@pytest.mark.parametrize(("asked", "lower_cases"), [(True, True), (False, False), (None, True)])
def test_case_is_as_the_class_has_it_whatever_the_file_says(word_pieces, kind, asked, lower_cases):
    settings = {"tokenizer_class": kind} | ({} if asked is None else {"do_lower_case": asked})
    for in_file in (True, False):
        tokenizer = word_pieces(lowercase=in_file)
        apply_class(tokenizer, settings)
        assert tokenizer.normalizer.lowercase is lower_cases


def test_accents_and_chinese_characters_are_as_the_class_has_them(word_pieces):
    tokenizer = word_pieces(strip_accents=True, handle_chinese_chars=False)
    apply_class(tokenizer, {"tokenizer_class": "BertTokenizer"})
    assert tokenizer.normalizer.strip_accents is None
    assert tokenizer.normalizer.handle_chinese_chars is True


@pytest.mark.parametrize("network", ["bert", "distilbert", "electra", "ernie", "mpnet", "nomic_bert"])
def test_without_a_class_it_is_the_networks(word_pieces, network):
    tokenizer = word_pieces(lowercase=False)
    apply_class(tokenizer, {}, {"model_type": network})
    assert tokenizer.normalizer.lowercase is True


@pytest.mark.parametrize("settings", [{"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}, {}])
def test_a_class_of_no_kind_leaves_the_file_as_it_is(word_pieces, settings):
    tokenizer = word_pieces(lowercase=False)
    apply_class(tokenizer, settings, {"model_type": "modernbert"})
    assert tokenizer.normalizer.lowercase is False


@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}, [2]),
        ({"tokenizer_class": "RobertaTokenizerFast"}, [0]),
        ({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}, [0]),
        ({}, [0]),
    ],
)
def test_a_space_before_a_text_is_as_the_class_has_it(in_file, settings, ids):
    tokenizer = by_bytes(prefix_space=in_file)
    apply_class(tokenizer, settings, {"model_type": "roberta"})
    assert tokenizer.encode("d").ids == ids


@pytest.mark.parametrize("kind", ["LlamaTokenizer", "GemmaTokenizerFast"])
@pytest.mark.parametrize(
    ("template", "settings", "said"),
    [
        ("<s> $A", {"add_eos_token": True}, "add_eos_token True, but tokenizer.json does not add </s>"),
        ("<s> $A </s>", {"add_bos_token": False}, "add_bos_token False, but tokenizer.json adds <s>"),
    ],
)
def test_files_that_differ_in_special_tokens_are_refused(kind, template, settings, said):
    named = {"tokenizer_class": kind, "bos_token": {"content": "<s>"}, "eos_token": "</s>"}
    with pytest.raises(UnsupportedModel, match=said):
        apply_class(framed(template), named | settings)


def test_files_that_agree_in_special_tokens_are_taken():
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    apply_class(framed("<s> $A </s>"), settings | {"add_bos_token": True, "add_eos_token": True})
    apply_class(framed("<s> $A"), settings | {"add_eos_token": False})


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"split_special_tokens": True}, "split_special_tokens"), ({"unk_token": "[MASK]"}, r"unk_token '\[MASK\]'")],
)
def test_what_a_class_would_replace_is_refused_by_its_name(word_pieces, changes, named):
    with pytest.raises(UnsupportedModel, match=named):
        apply_class(word_pieces(), {"tokenizer_class": "BertTokenizer"} | changes)


@pytest.mark.parametrize("name", ["cls_token", "sep_token"])
def test_files_that_differ_in_the_tokens_around_a_text_are_refused(word_pieces, name):
    settings = {"tokenizer_class": "BertTokenizer", name: "[MASK]"}
    with pytest.raises(UnsupportedModel, match=rf"{name} '\[MASK\]', which tokenizer\.json does not put around a text"):
        apply_class(word_pieces(), settings)
    apply_class(word_pieces(), settings | {"tokenizer_class": "PreTrainedTokenizerFast"})


@pytest.mark.parametrize(
    "settings",
    [
        {"extra_special_tokens": {"place": "London"}},
        {"extra_special_tokens": ["London"]},
        {"additional_special_tokens": ["[MASK]", {"content": "London"}]},
        {"added_tokens_decoder": {"7": {"content": "London"}}},
    ],
)
def test_a_token_that_transformers_would_add_is_refused_by_its_name(word_pieces, settings):
    with pytest.raises(UnsupportedModel, match=r"the token 'London', which tokenizer\.json lacks"):
        apply_class(word_pieces(), settings)


def test_another_normalizer_than_the_classes_is_refused(word_pieces):
    for normalizer in (None, normalizers.NFKC()):
        tokenizer = word_pieces()
        tokenizer.normalizer = normalizer
        with pytest.raises(UnsupportedModel, match=r"the normalizer (None|NFKC).*PreTrainedTokenizerFast"):
            apply_class(tokenizer, {"tokenizer_class": "BertTokenizer"})
        apply_class(tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast"})
        assert type(tokenizer.normalizer) is type(normalizer)


def test_word_pieces_without_special_tokens_are_refused(word_pieces):
    whole = word_pieces()
    bare = tokenizers.Tokenizer(whole.model)
    bare.normalizer = whole.normalizer
    with pytest.raises(UnsupportedModel, match="no post_processor"):
        apply_class(bare, {"tokenizer_class": "BertTokenizer"})
