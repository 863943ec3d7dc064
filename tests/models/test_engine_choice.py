"""Which engine runs a model, and what is refused by name: sentence-transformers missing, code that nobody trusts."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from gemvec.errors import BadSetting, MissingDependency, UnsupportedModel, how_to_install
from gemvec.models.engine_choice import EngineChoice
from gemvec.models.local import open_embedder
from gemvec.models.own_code import find_code, require_trust
from gemvec.models.verification import verify_model
from gemvec.models.weights import load_model
from gemvec.ray.node import portable
from gemvec.settings import Settings, cache_home
from hub_server import serving

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def no_torch(monkeypatch):
    """Keep sentence-transformers from being found, whether or not it is installed here."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)


@pytest.fixture
def folder(tiny_model, tmp_path):
    """Return a copy of the tiny model to change."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def edit(path, **changes):
    document = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(document | changes))


def settings_for(folder, **options):
    return Settings.load({}, model=(str(folder),), **options)


def test_the_engine_torch_is_refused_with_the_command_that_installs_it(no_torch, folder):
    with pytest.raises(MissingDependency) as refused:
        open_embedder(settings_for(folder, engine="torch"))
    assert str(refused.value) == f"--engine torch needs sentence-transformers and torch. {how_to_install('torch')}"


def test_a_network_that_no_engine_runs_is_refused_with_what_may_run_it(no_torch, folder):
    edit(folder / "config.json", model_type="albert")
    with pytest.raises(UnsupportedModel) as refused:
        open_embedder(settings_for(folder))
    assert "'albert'" in str(refused.value)
    assert str(refused.value).endswith(how_to_install("torch")[1:])
    assert "sentence-transformers may run it: " in str(refused.value)


def test_a_repository_that_no_engine_runs_is_refused_before_its_weights_are_fetched(
    no_torch, folder, tmp_path, monkeypatch
):
    edit(folder / "config.json", model_type="albert")
    with serving(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(UnsupportedModel, match=r"sentence-transformers may run it"):
            load_model("acme/tiny", tmp_path / "cache")
        with pytest.raises(MissingDependency, match=r"--engine torch needs sentence-transformers"):
            load_model("acme/tiny", tmp_path / "cache", choice=EngineChoice(prefers_torch=True))
        assert not [path for path in hub.downloads if path.endswith(".safetensors")]


@pytest.mark.parametrize("open_model", [open_embedder, lambda settings: verify_model(load(settings), settings)])
def test_a_device_that_no_engine_would_use_is_refused(folder, open_model):
    with pytest.raises(BadSetting, match=r"--device has value 'cuda', .* add --engine torch"):
        open_model(settings_for(folder, device="cuda"))


def load(settings):
    return load_model(settings.model[0], settings.cache_dir)


def test_an_unknown_engine_is_refused_with_those_there_are(folder):
    with pytest.raises(BadSetting, match=r"(?s)engine.*'tensorrt'.*auto.*torch"):
        settings_for(folder, engine="tensorrt")


def test_actors_of_a_cluster_run_models_with_the_engine_that_was_asked_for():
    asked = {"engine": "torch", "device": "cuda", "trust_remote_code": True}
    kept = portable(Settings.load({}, **asked), cpus=2)
    assert {name: getattr(kept, name) for name in asked} == asked


def test_code_that_comes_with_a_model_is_found_where_its_files_name_it(folder):
    assert find_code(folder) == ()
    edit(folder / "config.json", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Network"})
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Slow", None]})
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 9, "name": "9", "path": "9_Own", "type": "own_modules.Scale"})
    (folder / "modules.json").write_text(json.dumps(modules))
    assert find_code(folder) == ("own_modules.Scale", "own.Network", "own.Slow")


def test_code_is_refused_by_name_until_it_is_trusted():
    with pytest.raises(UnsupportedModel, match=r"needs its own code to be run \(own\.Network\).*--trust-remote-code"):
        require_trust("./model", ("own.Network",), is_trusted=False)
    require_trust("./model", ("own.Network",), is_trusted=True)


def test_code_of_another_repository_is_refused_even_if_it_is_trusted():
    with pytest.raises(UnsupportedModel, match=r"acme/code--own\.Network, which is in another repository"):
        require_trust("./model", ("acme/code--own.Network",), is_trusted=True)


def test_the_engines_of_gemvec_never_run_code_that_is_trusted(no_torch, folder):
    (folder / "own.py").write_text("raise SystemExit('run')")
    edit(folder / "config.json", auto_map={"AutoModel": "own.Network"})
    with pytest.raises(UnsupportedModel, match=r"own\.Network"):
        open_embedder(settings_for(folder, trust_remote_code=True))


def test_a_table_of_vectors_stays_one_whatever_the_engine(no_torch):
    loaded = load_model(str(GOLDEN / "static"), cache_home(), choice=EngineChoice(prefers_torch=True))
    assert loaded.record.engine == "static"


def test_the_device_of_a_table_is_refused_though_the_engine_is_wanted(no_torch):
    with pytest.raises(BadSetting, match=r"leave it out: a table of vectors needs none"):
        open_embedder(settings_for(GOLDEN / "static", engine="torch", device="cpu"))
