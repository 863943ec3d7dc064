"""Models are loaded at their first use and unloaded when room is short; no call is lost or answered wrongly."""

import asyncio
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import BadSetting, ModelUnavailable
from gemvec.models.local import open_embedder
from gemvec.models.naming import find_named_record, load_named_model, split_name
from gemvec.settings import Settings

GOLDEN = Path(__file__).with_name("golden")
NAMES = ("bert", "roberta", "distilbert")
TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))


def open_models(*models, **settings):
    return open_embedder(Settings.load({}, model=tuple(map(str, models)), streams=1, precision="exact", **settings))


def room_for(*names):
    """Return the memory that these models are thought to take."""
    settings = Settings.load({}, streams=1)
    return sum(load_named_model(str(GOLDEN / name), Path()).count_memory(settings) for name in names)


def figures(embedder, name):
    return {each.labels["model"]: each.value for each in embedder.figures() if each.name == name}


async def embed(embedder, name, *texts):
    answers = await embedder.embed(embedder.get_model(name), [EmbedRequest(text=text) for text in texts])
    return np.stack([each.vector for each in answers])


async def vectors_alone(name):
    embedder = open_models(GOLDEN / name)
    try:
        return await embed(embedder, name, *TEXTS)
    finally:
        await embedder.close()


@pytest.fixture
def models():
    """Return an embedder with room for one of three models; it is closed in the end."""
    embedder = open_models(*(GOLDEN / name for name in NAMES), model_memory=1)
    yield embedder
    asyncio.run(embedder.close())


def test_only_the_first_model_is_loaded_at_the_start():
    embedder = open_models(*(GOLDEN / name for name in NAMES))
    assert figures(embedder, "model_in_memory") == {"bert": True, "roberta": False, "distilbert": False}
    assert [each.name for each in embedder.list_models() if each.name in NAMES] == list(NAMES)
    asyncio.run(embed(embedder, "roberta", "dog"))
    assert figures(embedder, "model_in_memory") == {"bert": True, "roberta": True, "distilbert": False}
    asyncio.run(embedder.close())


def test_what_a_model_is_served_as_is_known_before_it_is_loaded(models):
    alone = open_models(GOLDEN / "roberta")
    assert models.get_model("roberta") == alone.get_model("roberta")
    asyncio.run(alone.close())


def test_a_model_that_is_loaded_to_learn_of_it_goes_again_if_there_is_no_room():
    embedder = open_models(*(GOLDEN / name for name in NAMES), model_memory=room_for(*NAMES[:2]), long_text="truncate")
    assert figures(embedder, "model_in_memory") == {"bert": True, "roberta": True, "distilbert": False}
    assert asyncio.run(embed(embedder, "distilbert", "dog")).shape == (1, 32)
    assert figures(embedder, "model_loads") == {"bert": 1, "roberta": 1, "distilbert": 2}
    asyncio.run(embedder.close())


def test_a_model_that_nobody_uses_makes_room_for_the_next(models):
    for name in ("roberta", "distilbert", "roberta"):
        asyncio.run(embed(models, name, "dog"))
        in_memory = figures(models, "model_in_memory")
        assert [each for each in NAMES if in_memory[each]] == [name]
    assert figures(models, "model_loads") == {"bert": 1, "roberta": 2, "distilbert": 1}


def test_the_model_that_was_longest_unused_goes_first():
    embedder = open_models(*(GOLDEN / name for name in NAMES), model_memory=room_for(*NAMES) - 1)
    for name in ("roberta", "bert", "distilbert"):
        asyncio.run(embed(embedder, name, "dog"))
    assert figures(embedder, "model_in_memory") == {"bert": True, "roberta": False, "distilbert": True}
    asyncio.run(embedder.close())


def test_what_a_model_has_counted_goes_on_when_it_comes_back(models):
    asyncio.run(embed(models, "bert", "dog"))
    counted = figures(models, "computed_tokens")["bert"]
    asyncio.run(embed(models, "roberta", "dog"))
    assert figures(models, "computed_tokens")["bert"] == counted > 0
    asyncio.run(embed(models, "bert", "dog"))
    assert figures(models, "computed_tokens")["bert"] == 2 * counted


def test_mixed_calls_in_one_models_room_get_their_own_models_vectors(models):
    chance = random.Random(5)
    calls = [(chance.choice(NAMES), chance.randrange(len(TEXTS))) for _ in range(150)]

    async def run():
        expected = {name: await vectors_alone(name) for name in NAMES}
        answers = await asyncio.gather(*(embed(models, name, TEXTS[text]) for name, text in calls))
        for (name, text), answer in zip(calls, answers, strict=True):
            np.testing.assert_allclose(answer[0], expected[name][text], atol=1e-5)

    asyncio.run(run())
    assert sum(figures(models, "model_loads").values()) <= len(NAMES) + 1  # waiting calls of a model go together


def test_a_call_that_is_given_up_leaves_the_others_their_turn(models):
    async def run():
        busy = asyncio.create_task(embed(models, "bert", *TEXTS * 4))
        await asyncio.sleep(0)
        given_up = [asyncio.create_task(embed(models, "roberta", "dog")) for _ in range(3)]
        waiting = asyncio.create_task(embed(models, "distilbert", "dog"))
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert (await waiting).shape == (1, 32)
        assert len(await busy) == len(TEXTS) * 4
        assert (await embed(models, "roberta", "dog")).shape == (1, 32)

    asyncio.run(run())


def test_a_model_that_cannot_be_loaded_fails_its_own_calls_only(tmp_path):
    broken = shutil.copytree(GOLDEN / "roberta", tmp_path / "broken")
    embedder = open_models(GOLDEN / "bert", broken, model_memory=1)
    (broken / "model.safetensors").write_bytes(b"")

    async def run():
        failed, well = await asyncio.gather(
            embed(embedder, "broken", "dog"), embed(embedder, "bert", "dog"), return_exceptions=True
        )
        assert isinstance(failed, ModelUnavailable)
        assert well.shape == (1, 32)

    asyncio.run(run())
    asyncio.run(embedder.close())


def test_a_closed_shelf_says_so(tmp_path):
    embedder = open_models(GOLDEN / "bert", GOLDEN / "roberta")
    asyncio.run(embedder.close())
    with pytest.raises(ModelUnavailable, match="closed"):
        asyncio.run(embed(embedder, "roberta", "dog"))


def test_a_variant_that_cannot_be_built_is_refused_at_the_start(tmp_path):
    folder = shutil.copytree(GOLDEN / "roberta", tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "quick_gelu"}))
    with pytest.raises(ModelUnavailable, match="quick_gelu"):
        open_models(GOLDEN / "bert", folder)


def test_a_model_is_served_under_the_name_that_its_operator_gives_it():
    embedder = open_models(f"ours={GOLDEN / 'bert'}", f"fast.1={GOLDEN / 'static'}")
    assert [each.name for each in embedder.list_models() if each.name == each.model_id] == ["ours", "fast.1"]
    assert asyncio.run(embed(embedder, "ours", "dog")).shape == (1, 32)
    asyncio.run(embedder.close())


@pytest.mark.parametrize("model", ["Ours=x", "my gemini=x", "gemini-1=x", "=x", "ours="])
def test_a_name_that_no_model_can_have_is_refused(model):
    with pytest.raises(BadSetting, match="expected NAME=MODEL"):
        split_name(model)


def test_a_folder_may_have_an_equals_sign_in_its_own_name(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "a=b")
    assert split_name(str(folder)) == ("", str(folder))


def test_a_given_name_replaces_the_id_and_keeps_the_hub_id(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "models--acme--tiny" / "snapshots" / "0123")
    record = find_named_record(f"ours={folder}")
    assert (record.id, record.aliases) == ("ours", ("acme/tiny",))
