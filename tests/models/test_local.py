"""From texts to vectors: names, prompts, windows, lengths and errors, over a real tiny BERT."""

import asyncio
import random
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

import sts
from gemvec.embedding.embed import EmbedRequest, Priority
from gemvec.embedding.task_type import TaskType
from gemvec.errors import (
    BadDimensionality,
    BadSetting,
    EmptyText,
    InputTooLong,
    ModelNotFound,
    ModelUnavailable,
    TitleNotAllowed,
    UnsupportedModel,
    UnsupportedTaskType,
)
from gemvec.models.catalogue import find_record
from gemvec.models.local import open_embedder
from gemvec.models.openvino import OpenVinoEncoder
from gemvec.models.runtime import openvino
from gemvec.models.text_graph import build_text_graph
from gemvec.models.tokenizer import Tokenizer
from gemvec.settings import Settings
from reference_bert import read_parts, reference_bert

CLS, SEP = 2, 3
ROOM = 62  # tokens of a text in the tiny model's window


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    """The tiny model under a name of its own."""
    return shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def open_tiny(folder):
    """Open embedders over the tiny model, in fp32; all are closed in the end."""
    opened = []

    def open_one(*models, **options):
        settings = Settings.load({}, model=tuple(map(str, models or [folder])), **({"precision": "exact"} | options))
        opened.append(open_embedder(settings))
        return opened[-1]

    yield open_one
    for embedder in opened:
        asyncio.run(embedder.close())


@pytest.fixture(scope="module")
def embedder(open_tiny):
    return open_tiny()


@pytest.fixture(scope="module")
def tokenizer(folder):
    return Tokenizer(folder / "tokenizer.json")


def embed(embedder, *texts, model="tiny", **options):
    """Return the embeddings of texts that share their options."""
    return asyncio.run(
        embedder.embed(embedder.get_model(model), [EmbedRequest(text=text, **options) for text in texts])
    )


def vector(embedder, text, **options):
    return embed(embedder, text, **options)[0].vector


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_the_models_own_name_is_listed_first_and_answers_to_the_gemini_names(embedder):
    served = embedder.list_models()
    assert [each.name for each in served] == [
        "tiny",
        "gemini-embedding-001",
        "gemini-embedding-2",
        "gemini-embedding-2-preview",
        "gemini-embedding-exp-03-07",
        "text-embedding-004",
        "embedding-001",
    ]
    assert {each.model_id for each in served} == {"tiny"}
    assert {each.native_dim for each in served} == {32}


def test_every_name_says_which_weights_serve(embedder, folder):
    import hashlib

    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert {each.weights for each in embedder.list_models()} == {f"tiny@{digest[:8]}"}


def test_an_unknown_name_is_not_found(embedder):
    with pytest.raises(ModelNotFound) as error:
        embedder.get_model("gpt-5")
    assert error.value.name == "gpt-5"
    with pytest.raises(ModelNotFound):
        embed(embedder, "text", model="gpt-5")


def test_vectors_are_those_of_the_network_normalised(embedder, folder, tokenizer):
    texts = ["the dog runs", "a long short history of the city", "why?"]
    expected = [
        reference_bert(*read_parts(folder), [CLS, *ids, SEP]).mean(0) for ids in tokenizer.encode(texts)
    ]  # ids of the special tokens: make_tiny_model.SPECIAL
    np.testing.assert_allclose([each.vector for each in embed(embedder, *texts)], unit(np.array(expected)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "dimensionality"),
    [("tiny", 32), ("gemini-embedding-001", 3072), ("text-embedding-004", 768), ("embedding-001", 768)],
)
def test_the_served_name_decides_the_length_of_vectors(embedder, name, dimensionality):
    answer = vector(embedder, "the dog", model=name)
    assert answer.shape == (dimensionality,)
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(answer[:32], vector(embedder, "the dog"))
    assert not answer[32:].any()


def test_each_request_has_its_own_length_in_one_call(embedder):
    whole = vector(embedder, "the dog")
    lengths = [8, None, 40, 8, 3072]
    requests = [EmbedRequest(text="the dog", output_dimensionality=each) for each in lengths]
    answers = [each.vector for each in asyncio.run(embedder.embed(embedder.get_model("tiny"), requests))]
    assert [len(each) for each in answers] == [8, 32, 40, 8, 3072]
    np.testing.assert_allclose(answers[0], unit(whole[:8]), atol=1e-6)
    np.testing.assert_array_equal(answers[2][:32], whole)


def test_a_call_of_any_size_comes_back_in_order(embedder):
    words = ["dog", "cat", "horse", "bird", "fish", "king", "queen"]
    texts = [f"{words[n % 7]} {words[n % 5]} {n}" * (1 + n % 4) for n in range(1500)]
    whole = [each.vector for each in embed(embedder, *texts)]
    for place in (0, 1, 700, 1499):
        np.testing.assert_allclose(whole[place], vector(embedder, texts[place]), atol=1e-5)


def test_callers_at_the_same_time_get_their_own_answers(embedder):
    texts = [f"the {word} number {n}" for n in range(20) for word in ("dog", "cat", "bird")]

    async def main():
        calls = (
            embedder.embed(embedder.get_model("tiny"), [EmbedRequest(text=text)], priority=list(Priority)[n % 2])
            for n, text in enumerate(texts)
        )
        return await asyncio.gather(*calls)

    together = [answer[0].vector for answer in asyncio.run(main())]
    np.testing.assert_allclose(together, [each.vector for each in embed(embedder, *texts)], atol=1e-5)


def test_no_requests_are_no_embeddings(embedder):
    assert embed(embedder) == []


def test_a_title_is_put_before_the_text_of_a_model_without_prompts(embedder):
    titled = embed(embedder, "he was born in london", title="turing", task_type=TaskType.RETRIEVAL_DOCUMENT)[0]
    plain = embed(embedder, "turing\nhe was born in london")[0]
    np.testing.assert_array_equal(titled.vector, plain.vector)
    assert titled.token_count == plain.token_count


def test_a_text_that_has_its_tokens_is_not_tokenized_again(embedder):
    served = embedder.get_model("tiny")
    dog, cat = asyncio.run(embedder.tokenize(served, [EmbedRequest(text="the dog"), EmbedRequest(text="a cat")]))
    assert dog.tokens.count == len(dog.tokens.ids) == 2
    [embedding] = asyncio.run(embedder.embed(served, [structs.replace(dog, tokens=cat.tokens)]))
    [expected] = embed(embedder, "a cat")
    np.testing.assert_array_equal(embedding.vector, expected.vector)
    assert embedding.token_count == cat.tokens.count


def test_tokens_are_counted_without_the_special_ones_before_and_after_a_cut(embedder, tokenizer):
    texts = ["the dog", "the dog " * 2000]
    counts = tokenizer.count_tokens(texts)
    assert counts == [2, 4000]
    short, long = embed(embedder, *texts, model="gemini-embedding-001")
    assert (short.token_count, short.truncated_from) == (2, None)
    assert (long.token_count, long.truncated_from) == (2048, 4000)
    assert asyncio.run(embedder.count_tokens(embedder.get_model("tiny"), texts)) == counts


def test_a_text_beyond_the_window_is_the_average_of_its_windows(embedder):
    first, second = "the dog " * 20, "a cat " * 20  # 40 tokens each, so the text is cut between them
    averaged = unit(vector(embedder, first) + vector(embedder, second))
    np.testing.assert_allclose(vector(embedder, first + second), averaged, atol=1e-5)


def test_a_title_is_before_every_window(embedder):
    first, second = "the dog " * 20, "a cat " * 20
    document = {"title": "king", "task_type": TaskType.RETRIEVAL_DOCUMENT}
    averaged = unit(vector(embedder, first, **document) + vector(embedder, second, **document))
    np.testing.assert_allclose(vector(embedder, first + second, **document), averaged, atol=1e-5)


def test_a_text_beyond_the_names_limit_is_cut_there(embedder):
    within = "the dog " * 1024  # 2048 tokens
    cut = vector(embedder, within + "a cat", model="gemini-embedding-001")
    np.testing.assert_array_equal(cut, vector(embedder, within, model="gemini-embedding-001"))
    uncut = vector(embedder, within + "a cat", model="gemini-embedding-2")
    assert not np.array_equal(uncut, vector(embedder, within, model="gemini-embedding-2"))


def test_a_text_beyond_the_limit_is_refused_when_it_must_not_be_cut(embedder):
    requests = [EmbedRequest(text="the dog " * count, auto_truncate=False) for count in (1024, 1025)]
    with pytest.raises(InputTooLong, match="2050 tokens or more; gemini-embedding-001 takes up to 2048") as error:
        asyncio.run(embedder.embed(embedder.get_model("gemini-embedding-001"), requests))
    assert error.value.index == 1


def test_long_text_truncate_cuts_at_the_window(open_tiny, embedder):
    cutting = open_tiny(long_text="truncate")
    within = "the dog " * 31
    assert {each.input_token_limit for each in cutting.list_models()} == {ROOM}
    np.testing.assert_array_equal(vector(cutting, within + "a cat " * 50), vector(embedder, within))
    with pytest.raises(InputTooLong):
        embed(cutting, within + "a cat", auto_truncate=False)


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"text": ""}, EmptyText, "content"),
        ({"title": "t"}, TitleNotAllowed, "title"),
        ({"title": "t", "task_type": TaskType.RETRIEVAL_QUERY}, TitleNotAllowed, "title"),
        ({"output_dimensionality": 0}, BadDimensionality, "output_dimensionality"),
        ({"output_dimensionality": -1}, BadDimensionality, "output_dimensionality"),
        ({"output_dimensionality": 3073}, BadDimensionality, "output_dimensionality"),
    ],
)
def test_a_bad_request_is_named_by_its_place_and_field(embedder, options, error, field):
    requests = [EmbedRequest(text="good"), EmbedRequest(**{"text": "bad"} | options)]
    with pytest.raises(error) as raised:
        asyncio.run(embedder.embed(embedder.get_model("gemini-embedding-001"), requests))
    assert (raised.value.index, raised.value.field) == (1, field)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"task_type": TaskType.RETRIEVAL_QUERY}, UnsupportedTaskType),
        ({"title": "t"}, TitleNotAllowed),
        ({"output_dimensionality": 768}, BadDimensionality),
    ],
)
def test_embedding_001_takes_no_options(embedder, options, error):
    with pytest.raises(error, match="embedding-001") as raised:
        embed(embedder, "text", model="embedding-001", **options)
    assert raised.value.index == 0


def test_errors_do_not_repeat_the_text(embedder):
    with pytest.raises(InputTooLong) as error:
        embed(embedder, "secret " * 9000, auto_truncate=False)
    assert "secret" not in str(error.value)


def test_several_models_are_served_under_their_own_names(open_tiny, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true, "word_embedding_dimension": 32}')
    both = open_tiny(folder, other)
    assert [each.name for each in both.list_models()][:2] == ["tiny", "other"]
    mean, first = (vector(both, "the dog runs", model=name) for name in ("tiny", "other"))
    assert not np.allclose(mean, first)
    np.testing.assert_array_equal(vector(both, "the dog runs", model="text-embedding-004")[:32], mean)


def test_two_models_of_one_name_are_refused(open_tiny, folder, tmp_path):
    with pytest.raises(BadSetting, match="'tiny'"):
        open_tiny(folder, shutil.copytree(folder, tmp_path / "tiny"))


def test_a_model_named_twice_is_served_once(open_tiny, folder):
    assert len(open_tiny(folder, folder).list_models()) == 7


def test_a_window_that_fits_no_text_is_refused(open_tiny, folder, tmp_path):
    narrow = shutil.copytree(folder, tmp_path / "narrow")
    (narrow / "sentence_bert_config.json").write_text('{"max_seq_length": 2}')
    with pytest.raises(UnsupportedModel, match=r"2 tokens.* has no room for a text"):
        open_tiny(narrow)


@pytest.mark.parametrize("fault", [("tokenizer.json", "{}"), ("sentence_bert_config.json", '{"max_seq_length": 2}')])
def test_the_network_of_a_model_that_is_refused_is_closed(open_tiny, folder, tmp_path, monkeypatch, fault):
    file, content = fault
    closed, close = [], OpenVinoEncoder.close
    monkeypatch.setattr(OpenVinoEncoder, "close", lambda encoder: (closed.append(encoder), close(encoder)))
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / file).write_text(content)
    with pytest.raises(UnsupportedModel):
        open_tiny(broken)
    assert len(closed) == 1


def test_no_model_is_a_bad_setting():
    with pytest.raises(BadSetting, match="no model"):
        open_embedder(Settings.load({}, model=()))


def test_an_openvino_graph_gives_the_same_vectors(open_tiny, embedder, folder, tmp_path):
    ready = shutil.copytree(folder, tmp_path / "ready")
    graph = build_text_graph(find_record(str(folder)), folder)
    (ready / "model.safetensors").unlink()
    openvino.save_model(with_usual_inputs(graph.model), ready / "openvino_model.xml", compress_to_fp16=False)
    texts = ["the dog", "why not run away from the old house"]
    answers = embed(open_tiny(ready), *texts, model="ready")
    np.testing.assert_allclose(
        [each.vector for each in answers], [each.vector for each in embed(embedder, *texts)], atol=1e-5
    )


def with_usual_inputs(model):
    """Return the graph fed by an attention mask, as exported models are, in place of token counts."""
    from gemvec.models.runtime import opset

    counts = next(each for each in model.get_parameters() if each.get_friendly_name() == "token_counts")
    ids = next(each for each in model.get_parameters() if each.get_friendly_name() == "input_ids")
    ids.output(0).set_names({"input_ids"})
    mask = opset.parameter([-1, -1], np.int64, name="attention_mask")
    mask.output(0).set_names({"attention_mask"})
    counts.output(0).replace(opset.convert(opset.reduce_sum(mask, np.int64(1)), "i32").output(0))
    return openvino.Model([model.get_results()[0].input_value(0)], [ids, mask], "usual")


def test_the_load_of_each_model_is_reported(embedder):
    def figures():
        return {each.name: each.value for each in embedder.figures() if each.labels == {"model": "tiny"}}

    before = figures()
    embed(embedder, "the dog")
    after = figures()
    assert after["computed_tokens"] - before["computed_tokens"] == 4
    assert after["waiting_tokens"] == 0


def test_a_closed_embedder_says_so(open_tiny):
    embedder = open_tiny()
    asyncio.run(embedder.close())
    with pytest.raises(ModelUnavailable):
        embed(embedder, "text")


UNFINISHED = """
import asyncio, sys
from gemvec.embedding.embed import EmbedRequest
from gemvec.models.local import open_embedder
from gemvec.settings import Settings

embedder = open_embedder(Settings.load({}, model=(sys.argv[1],)))

async def main():
    requests = [EmbedRequest(text="the dog " * 31)] * 20_000
    asyncio.ensure_future(embedder.embed(embedder.get_model("tiny"), requests))
    while not any(each.name == "micro_batches" and each.value >= 3 for each in embedder.figures()):
        await asyncio.sleep(0.01)
    print("computing")

asyncio.run(main())
"""


def test_a_program_that_ends_while_texts_are_computed_ends_well(folder):
    command = [sys.executable, "-c", UNFINISHED, str(folder)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (outcome.returncode, outcome.stdout) == (0, "computing\n"), outcome.stderr


@pytest.fixture(scope="module", params=["exact", "fast"])
def minilm(request):
    embedder = open_embedder(Settings.load({}, precision=request.param))
    yield embedder
    asyncio.run(embedder.close())


@pytest.mark.weights
@pytest.mark.parametrize(("year", "published"), [(2013, 80.60), (2014, 75.59)])
def test_all_minilm_l6_v2_reaches_its_published_scores(minilm, year, published):
    def score(texts):
        return [each.vector for each in embed(minilm, *texts, model="all-minilm-l6-v2")]

    assert sts.score(score, year) == pytest.approx(published, abs=0.05)


@pytest.mark.weights
def test_a_text_has_the_same_vector_in_any_company_and_order(minilm):
    words = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split()
    texts = [" ".join(words[start : start + 1 + start % 60]) for start in range(0, len(words), 3)]
    chance = random.Random(1)

    async def embed_shuffled():
        order = chance.sample(range(len(texts)), len(texts))
        calls = [order[start : start + 128] for start in range(0, len(order), 128)]
        served = minilm.get_model("all-minilm-l6-v2")
        answers = await asyncio.gather(
            *(minilm.embed(served, [EmbedRequest(text=texts[row]) for row in call]) for call in calls)
        )
        pairs = zip(chain.from_iterable(calls), chain.from_iterable(answers), strict=True)
        return np.stack([answer.vector for _, answer in sorted(pairs, key=lambda pair: pair[0])])

    first, *others = (asyncio.run(embed_shuffled()) for _ in range(3))
    for other in others:
        assert np.einsum("ij,ij->i", first, other).min() >= 0.9999


@pytest.mark.weights
def test_fast_vectors_of_all_minilm_l6_v2_point_where_exact_ones_do():
    texts = ["The dog runs.", "What is the meaning of life?", "Alan Turing was born in London in 1912. " * 20]
    exact, fast = (open_embedder(Settings.load({}, precision=precision)) for precision in ("exact", "fast"))
    for text in texts:
        pair = (vector(each, text, model="all-minilm-l6-v2") for each in (exact, fast))
        assert np.dot(*pair) >= 0.9998
    for each in (exact, fast):
        asyncio.run(each.close())
