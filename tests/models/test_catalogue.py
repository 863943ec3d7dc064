"""The catalogue holds facts: ids, sources, pins, limits; a folder tells its own."""

import json
import pickle
import re
import shutil

import pytest

from gemvec.embedding.gemini_names import GEMINI_NAMES, find_gemini_name
from gemvec.errors import ModelNotFound, UnsupportedModel
from gemvec.models.catalogue import ALL_MINILM_L6_V2, RECORDS, find_record
from gemvec.models.folder import Manifest, id_of, write_manifest
from gemvec.models.prompts import BGE, E5, NO_PROMPTS
from gemvec.models.record import FolderSource, HubSource, ModelFile
from gemvec.settings import Settings


@pytest.fixture
def folder(tiny_model, tmp_path):
    """Return a copy of the tiny model to spoil."""
    return shutil.copytree(tiny_model, tmp_path / "My Model")


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_name_belongs_to_one_record():
    names = [name.lower() for record in RECORDS for name in (record.id, *record.aliases)]
    assert len(names) == len(set(names))


def test_no_id_contains_gemini_which_sdks_treat_specially():
    assert not [record.id for record in RECORDS if "gemini" in record.id]
    assert id_of("acme/Gemini-Tune_2") == "model-tune_2"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_a_record_says_what_is_needed_to_serve_it(record):
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", record.id)
    assert record.is_read
    assert record.sources
    assert record.licence != "unknown"
    assert record.summary.endswith(".")
    assert all(re.fullmatch(r"[0-9a-f]{64}", each.sha256) and each.size_bytes > 0 for each in record.files)


def test_the_default_model_is_pinned_to_the_weights_of_the_hub():
    record = find_record(Settings().model[0])
    assert record is ALL_MINILM_L6_V2
    assert record.weights_sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (record.native_dim, record.window_tokens, record.pooling, record.prompts) == (384, 256, "mean", NO_PROMPTS)


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "All-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_record_is_found_by_id_and_by_hub_id_whatever_the_capitals(name):
    assert find_record(name) is ALL_MINILM_L6_V2


def test_bge_pools_the_first_token_and_e5_the_mean():
    bge, e5 = find_record("BAAI/bge-base-en-v1.5"), find_record("intfloat/multilingual-e5-large")
    assert (bge.pooling, bge.native_dim, bge.prompts) == ("cls", 768, BGE)
    assert (e5.pooling, e5.native_dim, e5.prompts) == ("mean", 1024, E5)


def test_another_hub_id_is_not_known_before_it_is_fetched():
    record = find_record("acme/Tune.2")
    assert record.id == "tune.2"
    assert record.sources == (HubSource(repository="acme/Tune.2"),)
    assert not record.is_read


@pytest.mark.parametrize("name", ["all-minilm-l6", "./no-such-folder", "a/b/c", ""])
def test_a_name_that_is_nothing_is_refused_with_the_three_things_it_could_be(name):
    with pytest.raises(ModelNotFound, match=r"catalogue.*hub id.*folder") as caught:
        find_record(name)
    assert caught.value.name == name


def test_a_misspelt_id_is_answered_with_the_one_that_is_near():
    with pytest.raises(ModelNotFound, match=r"did you mean all-minilm-l6-v2\?"):
        find_record("all-minilm-l6v2")


def test_a_folder_tells_its_own_facts(folder):
    record = find_record(str(folder))
    assert (record.id, record.sources) == ("my-model", (FolderSource(folder=folder),))
    assert (record.native_dim, record.window_tokens, record.pooling, record.engine) == (32, 64, "mean", "network")
    assert record.prompts == NO_PROMPTS
    assert record.files == ()


def test_a_folder_that_pools_the_first_token_is_followed(folder):
    edit(folder / "1_Pooling/config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    assert find_record(str(folder)).pooling == "cls"


def test_a_folder_with_prompts_keeps_them(folder):
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "query: "}}')
    assert "query: " in find_record(str(folder)).prompts.by_task.values()


def test_a_roberta_window_leaves_out_the_positions_that_serve_no_token(folder):
    edit(folder / "config.json", model_type="xlm-roberta", pad_token_id=1)
    assert find_record(str(folder)).window_tokens == 62
    edit(folder / "config.json", pad_token_id=0)
    assert find_record(str(folder)).window_tokens == 63


@pytest.mark.parametrize(
    ("path", "engine"),
    [("openvino/openvino_model.xml", "openvino"), ("onnx/model.onnx", "onnx"), ("model.onnx", "onnx")],
)
def test_a_folder_with_a_ready_graph_names_its_engine(folder, path, engine):
    (folder / "model.safetensors").unlink()
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).touch()
    record = find_record(str(folder))
    assert (record.engine, record.weights_path) == (engine, path)


def test_another_architecture_runs_from_its_graph_and_not_from_its_safetensors(folder):
    edit(folder / "config.json", model_type="deberta-v2")
    with pytest.raises(UnsupportedModel, match=r"deberta-v2.*ONNX"):
        find_record(str(folder))
    (folder / "model.onnx").touch()
    assert find_record(str(folder)).engine == "onnx"


@pytest.mark.parametrize("path", ["tokenizer.json", "model.safetensors"])
def test_a_folder_without_a_needed_file_is_refused_by_its_name(folder, path):
    (folder / path).unlink()
    with pytest.raises(UnsupportedModel, match=path.replace(".", r"\.")):
        find_record(str(folder))


@pytest.mark.parametrize("path", ["config.json", "1_Pooling/config.json", "modules.json", "sentence_bert_config.json"])
def test_a_file_that_is_not_json_is_named(folder, path):
    (folder / path).write_text("{")
    with pytest.raises(UnsupportedModel, match=path):
        find_record(str(folder))


def test_a_copied_cache_folder_is_still_the_model_it_was(tmp_path):
    files = (ModelFile(path="model.safetensors", sha256="0" * 64, size_bytes=1),)
    write_manifest(tmp_path, Manifest(id="wordllama-256", source="somewhere", files=files))
    record = find_record(str(tmp_path))
    assert (record.id, record.engine, record.native_dim) == ("wordllama-256", "static", 256)
    assert record.files == find_record("wordllama-256").files


def test_records_travel_between_processes():
    assert pickle.loads(pickle.dumps(RECORDS)) == RECORDS


def test_gemini_names_have_googles_limits():
    table = {
        each.name: (each.input_token_limit, each.default_dimensionality, each.takes_options) for each in GEMINI_NAMES
    }
    assert table == {
        "gemini-embedding-001": (2048, 3072, True),
        "gemini-embedding-2": (8192, 3072, True),
        "gemini-embedding-2-preview": (8192, 3072, True),
        "gemini-embedding-exp-03-07": (8192, 3072, True),
        "text-embedding-004": (2048, 768, True),
        "embedding-001": (2048, 768, False),
    }
    assert find_gemini_name("gemini-embedding-001") is GEMINI_NAMES[0]
    assert find_gemini_name("all-minilm-l6-v2") is None
