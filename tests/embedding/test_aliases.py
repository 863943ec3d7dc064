"""More names for served models: `--alias NAME=MODEL`."""

import asyncio

import pytest

from gemvec.cache import CachedEmbedder, EmbeddingCache
from gemvec.embedding.aliases import AliasEmbedder, parse_aliases
from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import BadDimensionality, BadSetting, ModelNotFound
from gemvec.models.fake import FakeEmbedder
from word_embedder import WordEmbedder


def vector_of(embedder, model, **options):
    request = EmbedRequest(text="some words", **options)
    [found] = asyncio.run(embedder.embed(embedder.get_model(model), [request]))
    return found.vector


def test_an_alias_is_answered_by_the_weights_it_means():
    embedder = AliasEmbedder(WordEmbedder("one", "two"), {"text-embedding-3-small": "two"})
    served = embedder.get_model("text-embedding-3-small")
    assert (served.name, served.weights) == ("text-embedding-3-small", "two@00000001")
    assert (vector_of(embedder, "text-embedding-3-small") == vector_of(embedder, "two")).all()
    assert asyncio.run(embedder.count_tokens(served, ["some words"])) == [2]
    assert [each.name for each in embedder.list_models()] == ["one", "two", "text-embedding-3-small"]


def test_a_name_of_googles_keeps_googles_dimensionality_and_options():
    embedder = AliasEmbedder(
        WordEmbedder("one", "two"), {"gemini-embedding-001": "two", "embedding-001": "one", "plain": "one"}
    )
    assert embedder.get_model("gemini-embedding-001").weights == "two@00000001"
    assert vector_of(embedder, "gemini-embedding-001").shape == (3072,)
    assert vector_of(embedder, "plain").shape == (64,)
    assert not embedder.get_model("embedding-001").takes_options


def test_a_name_of_googles_may_move_from_one_model_to_another():
    names = [each.name for each in FakeEmbedder().list_models()]
    embedder = AliasEmbedder(FakeEmbedder(), {"gemini-embedding-2": "fake"})
    assert sorted(each.name for each in embedder.list_models()) == sorted(names)
    assert vector_of(embedder, "gemini-embedding-2").shape == (3072,)
    with pytest.raises(BadDimensionality):
        vector_of(AliasEmbedder(FakeEmbedder(), {"embedding-001": "fake"}), "embedding-001", output_dimensionality=5)


def test_hub_ids_are_answered_and_not_listed():
    embedder = AliasEmbedder(WordEmbedder("one"), {"short": "org/one"}, hidden={"org/one": "one"})
    assert embedder.get_model("org/one").weights == "one@00000001"
    assert (vector_of(embedder, "org/one") == vector_of(embedder, "one")).all()
    assert (vector_of(embedder, "short") == vector_of(embedder, "one")).all()
    assert [each.name for each in embedder.list_models()] == ["one", "short"]


def test_other_names_are_still_not_served():
    with pytest.raises(ModelNotFound):
        AliasEmbedder(WordEmbedder("one"), {"short": "one"}).get_model("other")


@pytest.mark.parametrize(
    ("aliases", "said"),
    [
        ({"one": "two"}, "--alias has 'one', which is a served model's own name"),
        ({"short": "three"}, "--alias short=three names a model that is not served. Served are one, two"),
    ],
)
def test_an_alias_that_means_nothing_or_takes_a_models_name_is_refused(aliases, said):
    with pytest.raises(BadSetting, match=said):
        AliasEmbedder(WordEmbedder("one", "two"), aliases)


@pytest.mark.parametrize("pair", ["short", "=one", "short=", "a b=one", "../x=one"])
def test_an_alias_of_another_form_is_refused(pair):
    with pytest.raises(BadSetting, match="expected NAME=MODEL"):
        parse_aliases([pair])


def test_a_name_with_two_meanings_is_refused():
    assert parse_aliases(["a=b", "a=b", "c = d"]) == {"a": "b", "c": "d"}
    with pytest.raises(BadSetting, match="two meanings"):
        parse_aliases(["a=b", "a=c"])


def test_an_alias_without_options_has_vectors_of_its_own_length_also_from_another_server_and_a_cache(tmp_path):
    """An upstream server knows its own names only, and a cache keeps vectors by the length that was asked for."""
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite3", max_bytes=2**20)
    embedder = AliasEmbedder(CachedEmbedder(WordEmbedder("one"), cache, source="there"), {"embedding-001": "one"})
    assert vector_of(embedder, "embedding-001").shape == (768,)
    assert vector_of(embedder, "one", output_dimensionality=768).shape == (768,)
    assert vector_of(embedder, "one").shape == (64,)
    with pytest.raises(BadDimensionality):
        vector_of(embedder, "embedding-001", output_dimensionality=768)
    asyncio.run(embedder.close())


def test_the_word_models_before_a_name_is_no_part_of_it():
    assert parse_aliases(["models/short=models/one"]) == {"short": "one"}
