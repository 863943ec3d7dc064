"""A cross-encoder gives the scores that sentence-transformers gives for it.

`tools/make_golden_models.py` made the folders and the scores.
"""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gemvec.errors import EmptyText, InputTooLong, InvalidRequest, UnsupportedModel
from gemvec.models.local import open_embedder
from gemvec.models.pairs import cut_pair
from gemvec.models.reranker import open_reranker
from gemvec.models.score_head import SCORING_FAMILIES
from gemvec.settings import Settings

GOLDEN = Path(__file__).with_name("golden") / "cross-encoders"
PAIRS = json.loads((GOLDEN / "pairs.json").read_text(encoding="utf-8"))
MODELS = sorted(path.parent.name for path in GOLDEN.glob("*/expected.safetensors"))


def score(folder, pairs, *, precision="exact", **options):
    """Return the logits of the pairs, all texts of one query in one call."""
    reranker = open_reranker(Settings.load({}, rerank_model=str(folder), precision=precision, streams=1))
    by_query = {}
    for place, (query, _) in enumerate(pairs):
        by_query.setdefault(query, []).append(place)

    async def score_all():
        logits = np.empty(len(pairs), np.float32)
        try:
            for query, places in by_query.items():
                prepared = await reranker.prepare(query, [pairs[place][1] for place in places], **options)
                logits[places] = await reranker.score(prepared)
        finally:
            await reranker.close()
        return logits

    return asyncio.run(score_all())


@pytest.mark.parametrize(("precision", "tolerance"), [("exact", 1e-5), ("fast", 0.05)])
@pytest.mark.parametrize("model", MODELS)
def test_scores_are_those_of_sentence_transformers(model, precision, tolerance):
    expected = load_file(GOLDEN / model / "expected.safetensors")[""]
    found = score(GOLDEN / model, PAIRS, precision=precision)
    np.testing.assert_allclose(found, expected, atol=tolerance * np.ptp(expected))


def test_every_family_with_a_head_has_a_golden_model():
    assert set(MODELS) == set(SCORING_FAMILIES)


@pytest.mark.parametrize(
    ("first", "second", "room", "kept"),
    [
        (5, 6, 50, (5, 6)),
        (10, 90, 50, (10, 40)),
        (90, 10, 50, (40, 10)),
        (80, 90, 51, (25, 26)),
        (90, 80, 51, (26, 25)),
        (60, 60, 51, (25, 26)),
        (30, 31, 50, (25, 25)),
    ],
)
def test_a_pair_that_is_too_long_loses_tokens_of_its_longer_text_first(first, second, room, kept):
    assert cut_pair(first, second, room) == kept


def test_a_pair_is_cut_as_the_tokenizers_library_cuts_it():
    import tokenizers

    library = tokenizers.Tokenizer.from_file(str(GOLDEN / "bert" / "tokenizer.json"))
    for room in (1, 2, 9, 16, 31):
        library.enable_truncation(room + 3, strategy="longest_first")
        for first in range(1, 40, 3):
            for second in range(1, 40, 4):
                whole = library.encode("a " * first, "a " * second).sequence_ids
                assert cut_pair(first, second, room) == (whole.count(0), whole.count(1)), (first, second, room)


def test_a_pair_that_must_not_be_cut_is_refused_by_its_place():
    pairs = [("dog", "short"), ("dog", "the dog " * 100)]
    with pytest.raises(InputTooLong) as refused:
        score(GOLDEN / "bert", pairs, truncates=False)
    assert (refused.value.index, refused.value.field) == (1, "texts")


@pytest.mark.parametrize(("pair", "field"), [(("", "dog"), "query"), (("dog", ""), "texts")])
def test_empty_texts_are_refused(pair, field):
    with pytest.raises(EmptyText) as refused:
        score(GOLDEN / "bert", [pair])
    assert refused.value.field == field


def test_only_the_first_tokens_of_a_text_count_where_that_is_asked():
    cut, whole = (
        score(GOLDEN / "bert", [("dog", "the of and")], max_text_tokens=2),
        score(GOLDEN / "bert", [("dog", "the of")]),
    )
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def test_a_model_that_embeds_is_no_reranker(tiny_model):
    with pytest.raises(UnsupportedModel, match="makes vectors and scores no pairs"):
        score(tiny_model, [("a", "b")])


def test_a_reranker_does_not_embed():
    with pytest.raises(UnsupportedModel, match=r"cross-encoder.*--rerank-model"):
        open_embedder(Settings.load({}, model=(str(GOLDEN / "bert"),), streams=1))


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(GOLDEN / "bert", tmp_path / "model")


def test_a_classifier_of_several_labels_is_refused_as_one(folder):
    change_config(folder, id2label={"0": "no", "1": "yes"})
    with pytest.raises(UnsupportedModel, match="one score"):
        score(folder, [("a", "b")])


def test_a_head_of_several_scores_is_refused_whatever_the_config_says(folder):
    tensors = load_file(folder / "model.safetensors")
    for part in ("weight", "bias"):
        tensors[f"classifier.{part}"] = np.concatenate([tensors[f"classifier.{part}"]] * 2)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match="gives 2 scores"):
        score(folder, [("a", "b")])


def test_a_missing_head_is_refused_by_its_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"classifier\.bias"):
        score(folder, [("a", "b")])


def test_a_reranker_with_modules_of_its_own_is_refused(folder):
    modules = [
        {"idx": place, "path": f"{place}_{kind}" if place else "", "type": f"sentence_transformers.{kind}"}
        for place, kind in enumerate(["Transformer", "LogitScore"])
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match="cross-encoder"):
        score(folder, [("a", "b")])


@pytest.mark.parametrize(
    ("pair", "field", "index"), [(("<picture>?", "A dog."), "query", None), (("dog", "A <picture> of it."), "texts", 1)]
)
def test_a_token_without_a_vector_is_refused_by_its_field(tmp_path, pair, field, index):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    token = {"id": rows, "content": "<picture>", "single_word": False, "lstrip": False, "rstrip": False}
    tokenizer["added_tokens"].append(token | {"normalized": False, "special": True})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    query, text = pair
    with pytest.raises(InvalidRequest, match="'<picture>', for which model has no vector") as refused:
        score(folder, [(query, "A cat."), (query, text)])
    assert (refused.value.field, refused.value.index) == (field, index)
