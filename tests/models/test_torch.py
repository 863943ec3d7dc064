"""sentence-transformers behind gemvec gives the vectors that it gives by itself.

Needs the extra `torch`, several GB that CI does not fetch; `just torch` runs this file where it is installed.
"""

import asyncio
import json
import logging
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import BadSetting, InvalidRequest, UnsupportedModel
from gemvec.models.engine_choice import EngineChoice, is_torch_installed
from gemvec.models.local import open_embedder
from gemvec.models.verification import verify_model
from gemvec.models.weights import load_model
from gemvec.settings import Settings, cache_home
from models.test_golden import (
    GOLDEN,
    MODELS,
    OLD,
    TASKS,
    TEXTS,
    VARIATIONS,
    VARIED,
    cosines,
    embed,
    make_variation,
)

pytestmark = pytest.mark.skipif(
    not is_torch_installed(), reason="sentence-transformers is not installed: pip install '.[torch]', several GB"
)


@pytest.mark.parametrize(("precision", "least"), [("exact", 0.99999), ("fast", 0.999)])
@pytest.mark.parametrize("model", MODELS)
def test_vectors_are_those_of_sentence_transformers_with_and_without_a_prompt(model, precision, least):
    expected = load_file(GOLDEN / model / "expected.safetensors")
    tasks = [TASKS[prompt] for prompt in expected]
    answers = embed(GOLDEN / model, tasks, precision=precision, engine="torch")
    for vectors, each in zip(answers, expected.values(), strict=True):
        assert cosines(vectors, each).min() >= least


@pytest.mark.parametrize("model", sorted(path.name for path in OLD.iterdir()))
def test_models_saved_by_older_versions_have_the_same_vectors_as_there(model):
    expected = load_file(OLD / model / "expected.safetensors")
    answers = embed(OLD / model, [TASKS[prompt] for prompt in expected], engine="torch")
    for vectors, each in zip(answers, expected.values(), strict=True):
        assert cosines(vectors, each).min() >= 0.99999


@pytest.mark.parametrize("name", VARIATIONS)
def test_what_the_files_of_a_model_say_is_done(tmp_path, name):
    prompts = [key.partition("/")[2] for key in VARIED if key.partition("/")[0] == name]
    folder = make_variation(name, tmp_path / "model")
    answers = embed(folder, [TASKS[prompt] for prompt in prompts], engine="torch")
    for prompt, vectors in zip(prompts, answers, strict=True):
        assert cosines(vectors, VARIED[f"{name}/{prompt}".rstrip("/")]).min() >= 0.99999


SCALE = """
import pathlib

import torch

pathlib.Path({marker!r}).touch()


class Scale(torch.nn.Module):
    config_keys = []

    def forward(self, features):
        features["sentence_embedding"] = features["sentence_embedding"] * torch.arange(1, 33)
        return features

    @classmethod
    def load(cls, *args, **kwargs):
        return cls()
"""

BACKWARDS = """
from sentence_transformers.base.modules import Transformer


class Backwards(Transformer):
    def preprocess(self, inputs, *args, **kwargs):
        return super().preprocess([each[::-1] for each in inputs], *args, **kwargs)
"""


@pytest.fixture
def folder(tmp_path):
    """Return a copy of a golden BERT to change."""
    return shutil.copytree(GOLDEN / "bert", tmp_path / "model")


@pytest.fixture
def albert(folder):
    """Return a folder with a small ALBERT, which no engine of gemvec runs, and its vectors in sentence-transformers."""
    import sentence_transformers
    import torch
    import transformers

    torch.manual_seed(7)
    config = json.loads((folder / "config.json").read_text())
    sizes = {name: config[name] for name in ("hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")}
    network = transformers.AlbertModel(transformers.AlbertConfig(**sizes, embedding_size=16))
    (folder / "config.json").unlink()
    network.save_pretrained(folder)
    peer = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return folder, peer.encode(TEXTS)


@pytest.fixture
def own_code(folder, tmp_path):
    """Return a folder with a module of its own, and the file that its code makes when it is run."""
    marker = tmp_path / "run"
    (folder / "own_scale.py").write_text(SCALE.format(marker=str(marker)))
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Scale", "type": "own_scale.Scale"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "3_Scale").mkdir()
    return folder, marker


def settings_for(folder, **options):
    return Settings.load({}, model=(str(folder),), precision="exact", **options)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_network_that_no_engine_of_gemvec_runs_is_run_by_it_and_the_log_says_why(albert, caplog):
    folder, expected = albert
    with caplog.at_level(logging.INFO, "gemvec.models"):
        [vectors] = embed(folder, [TASKS[""]])
    assert cosines(vectors, unit(expected)).min() >= 0.99999
    assert "is run by sentence-transformers" in caplog.text
    assert "'albert'" in caplog.text


def test_a_network_that_an_engine_of_gemvec_runs_is_not_given_to_it_unless_asked(folder):
    assert load_model(str(folder), cache_home()).record.engine == "network"
    assert load_model(str(folder), cache_home(), choice=EngineChoice(prefers_torch=True)).record.engine == "torch"


def test_a_device_that_is_not_here_is_refused_with_those_that_are(folder):
    with pytest.raises(BadSetting, match=r"--device has value 'cuda:77'; torch .* finds cpu"):
        open_embedder(settings_for(folder, engine="torch", device="cuda:77"))


def test_code_that_comes_with_a_model_is_not_run_but_refused_by_name(own_code):
    folder, marker = own_code
    for engine in ("auto", "torch"):
        with pytest.raises(UnsupportedModel, match=r"own_scale\.Scale.*--trust-remote-code"):
            open_embedder(settings_for(folder, engine=engine))
    assert not marker.exists()


def test_code_is_run_where_it_is_trusted(own_code):
    folder, marker = own_code
    [plain], [scaled] = (embed(each, [TASKS[""]], trust_remote_code=True) for each in (GOLDEN / "bert", folder))
    assert marker.exists()
    assert cosines(scaled, unit(plain * np.arange(1, 33))).min() >= 0.99999


def test_changed_code_means_another_revision_of_the_model(own_code):
    folder, _ = own_code
    choice = EngineChoice(trusts_code=True)
    before = load_model(str(folder), cache_home(), choice=choice).revision
    with (folder / "own_scale.py").open("a") as code:
        code.write("# changed\n")
    assert load_model(str(folder), cache_home(), choice=choice).revision != before


def test_a_model_that_changes_texts_in_its_own_way_is_refused_instead_of_served_wrong(folder):
    (folder / "own_network.py").write_text(BACKWARDS)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "own_network.Backwards"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match=r"does more with a text than gemvec knows"):
        open_embedder(settings_for(folder, trust_remote_code=True))


@pytest.mark.parametrize("kind", ["Router", "Asym"])
def test_a_model_that_treats_queries_in_another_way_is_refused_by_its_module(folder, kind):
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Router", "type": f"sentence_transformers.models.{kind}"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match=f"'{kind}', which gemvec does not run"):
        open_embedder(settings_for(folder))


@pytest.mark.parametrize("changes", [{"query_length": 8}, {"query_expansion": {"strategy": "fixed", "length": 8}}])
def test_a_field_that_counts_before_there_are_tokens_is_refused_by_its_name(folder, changes):
    document = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").write_text(json.dumps(document | changes))
    with pytest.raises(UnsupportedModel, match=next(iter(changes))):
        open_embedder(settings_for(folder))


def test_weights_that_a_file_lacks_are_not_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    lacking = next(name for name in weights if name.endswith("attention.self.query.weight"))
    save_file({name: each for name, each in weights.items() if name != lacking}, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"lacks weights .*attention\.self\.query\.weight"):
        open_embedder(settings_for(folder, engine="torch"))


def test_weights_that_no_vector_needs_may_be_lacking(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: each for name, each in weights.items() if "pooler" not in name}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors")
    expected = load_file(GOLDEN / "bert" / "expected.safetensors")[""]
    [vectors] = embed(folder, [TASKS[""]], engine="torch")
    assert cosines(vectors, expected).min() >= 0.99999


def test_vectors_of_single_tokens_are_refused_by_name(folder):
    embedder = open_embedder(settings_for(folder, engine="torch"))
    with pytest.raises(InvalidRequest, match=r"no vectors of single tokens.*--engine torch"):
        asyncio.run(embedder.embed_tokens(embedder.list_models()[0], [EmbedRequest(text="dog")]))
    asyncio.run(embedder.close())


def test_verify_compares_it_with_sentence_transformers(albert):
    folder, _ = albert
    settings = settings_for(folder)
    found = verify_model(load_model(str(folder), cache_home()), settings)
    assert found.is_right
