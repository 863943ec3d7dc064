"""Tiny models of every family have the vectors that sentence-transformers gave them.

`tools/make_golden_models.py` made the folders and the vectors of `golden`, `tools/make_golden_old_models.py` those of
`golden-5.3`.
"""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.task_type import TaskType
from gemvec.models.catalogue import find_record
from gemvec.models.local import open_embedder
from gemvec.models.networks import FAMILIES
from gemvec.models.openvino import multiply_in_bf16
from gemvec.models.pipeline import Pipeline
from gemvec.models.runtime import openvino
from gemvec.models.text_graph import build_text_graph
from gemvec.models.vectors import normalise
from gemvec.models.weights import load_model
from gemvec.settings import Settings

GOLDEN = Path(__file__).with_name("golden")
OLD = Path(__file__).with_name("golden-5.3")
TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
MODELS = sorted(path.parent.name for path in GOLDEN.glob("*/expected.safetensors"))
VARIATIONS = json.loads((GOLDEN / "variations.json").read_text(encoding="utf-8"))
VARIED = load_file(GOLDEN / "variations.safetensors")
# None of these models has a prompt of its own for classification.
TASKS = {"": TaskType.CLASSIFICATION, "query": TaskType.RETRIEVAL_QUERY, "document": TaskType.RETRIEVAL_DOCUMENT}


def embed(folder, tasks, *, precision="exact", texts=TEXTS, **options):
    """Return the vectors of the texts for each task, one call a task, cut where sentence-transformers cuts."""
    settings = Settings.load({}, model=(str(folder),), precision=precision, long_text="truncate", streams=1, **options)
    embedder = open_embedder(settings)
    served = embedder.list_models()[0]

    async def embed_all():
        calls = [[EmbedRequest(text=text, task_type=task) for text in texts] for task in tasks]
        try:
            return [await embedder.embed(served, call) for call in calls]
        finally:
            await embedder.close()

    return [np.stack([each.vector for each in answers]) for answers in asyncio.run(embed_all())]


def cosines(vectors, expected):
    assert vectors.shape == expected.shape
    return np.einsum("ij,ij->i", vectors, expected) / np.linalg.norm(expected, axis=1)


def make_variation(name, folder):
    """Make the folder of a variation."""
    base, files = VARIATIONS[name]["base"], VARIATIONS[name]["files"]
    shutil.copytree(GOLDEN / base, folder)
    if any(path.startswith("2_Dense") for path in files):
        shutil.copytree(GOLDEN / "layers", folder, dirs_exist_ok=True)
    for path, document in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).unlink(missing_ok=True)
        if document is not None:
            (folder / path).write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("precision", "least"), [("exact", 0.99999), ("fast", 0.999)])
@pytest.mark.parametrize("model", MODELS)
def test_vectors_are_those_of_sentence_transformers_with_and_without_a_prompt(model, precision, least):
    expected = load_file(GOLDEN / model / "expected.safetensors")
    answers = embed(GOLDEN / model, [TASKS[prompt] for prompt in expected], precision=precision)
    for vectors, each in zip(answers, expected.values(), strict=True):
        assert cosines(vectors, each).min() >= least


@pytest.mark.parametrize("model", sorted(path.name for path in OLD.iterdir()))
def test_models_saved_by_older_versions_have_the_same_vectors_as_there(model):
    expected = load_file(OLD / model / "expected.safetensors")
    answers = embed(OLD / model, [TASKS[prompt] for prompt in expected])
    for vectors, each in zip(answers, expected.values(), strict=True):
        assert cosines(vectors, each).min() >= 0.99999


@pytest.mark.parametrize("model", ["bert", "xlm-roberta", "modernbert", "gemma3_text", "qwen3", "t5", "static"])
def test_texts_of_all_lengths_in_one_micro_batch_have_the_vectors_that_they_have_alone(model):
    settings = Settings.load({}, precision="exact", long_text="truncate", streams=1)
    pipeline = Pipeline(load_model(str(GOLDEN / model), settings.cache_dir), settings)
    vectors = normalise(pipeline.encode_bare(TEXTS))
    asyncio.run(pipeline.close())
    assert cosines(vectors, load_file(GOLDEN / model / "expected.safetensors")[""]).min() >= 0.99999


@pytest.mark.parametrize("name", VARIATIONS)
def test_what_the_files_of_a_model_say_is_done(tmp_path, name):
    prompts = [key.partition("/")[2] for key in VARIED if key.partition("/")[0] == name]
    answers = embed(make_variation(name, tmp_path / "model"), [TASKS[prompt] for prompt in prompts])
    for prompt, vectors in zip(prompts, answers, strict=True):
        assert cosines(vectors, VARIED[f"{name}/{prompt}".rstrip("/")]).min() >= 0.99999


def test_every_family_has_a_golden_model():
    configs = [GOLDEN / model / "config.json" for model in MODELS if model != "static"]
    types = {json.loads(path.read_text()).get("model_type") for path in configs}
    assert types >= {*FAMILIES} - {"embedding_gemma2"}  # it holds a text tower, which has a model of its own


@pytest.mark.parametrize("model", ["xlm-roberta", "gemma3_text"])
def test_weights_of_half_precision_stay_so_in_memory(model):
    graph = build_text_graph(find_record(str(GOLDEN / model)), GOLDEN / model)
    constants = [each for each in graph.model.get_ops() if each.get_type_name() == "Constant"]
    matrices = [each for each in constants if len(each.shape) == 2 and min(each.shape) > 16]
    stored = [each.get_element_type().get_type_name() for each in matrices]
    assert len(stored) - stored.count("f32") >= 11  # the token table and each layer's five matrices or more


@pytest.mark.parametrize("model", ["gemma3_text", "qwen3"])
def test_matrices_stored_in_bf16_are_multiplied_in_bf16_without_a_copy_in_fp32(model):
    graph = build_text_graph(find_record(str(GOLDEN / model)), GOLDEN / model)
    multiply_in_bf16(graph.model)
    products = [each for each in graph.model.get_ops() if each.get_type_name() == "MatMul"]
    matrices = [each.input_value(1).get_node() for each in products]
    assert "Convert" not in {each.get_type_name() for each in matrices}
    types = [each.get_element_type().get_type_name() for each in matrices if each.get_type_name() == "Constant"]
    assert types.count("bf16") == 14  # seven in each layer; dense layers after the network are stored in fp32


@pytest.mark.parametrize("model", ["embedding_gemma2_text", "gemma3_text", "gte", "modernbert", "qwen3"])
def test_rotary_positions_are_one_pass_and_shared_heads_are_not_copied(model):
    graph = build_text_graph(find_record(str(GOLDEN / model)), GOLDEN / model)
    compiled = openvino.Core().compile_model(graph.model, "CPU", {"SNIPPETS_MODE": "DISABLE"})
    kinds = [each.get_rt_info()["layerType"].astype(str) for each in compiled.get_runtime_model().get_ops()]
    assert kinds.count("RoPE") == 4  # of query and key, in each of two layers
    assert "Broadcast" not in kinds


def test_weights_in_several_files_are_read_by_their_index(tmp_path):
    folder = shutil.copytree(GOLDEN / "distilbert", tmp_path / "sharded")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, parts = sorted(tensors), {}
    for number in (1, 2, 3):
        file = f"model-0000{number}-of-00003.safetensors"
        own = names[number - 1 :: 3]
        save_file({name: tensors[name] for name in own}, folder / file)
        parts |= dict.fromkeys(own, file)
    index = {"metadata": {"total_size": 1}, "weight_map": parts}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    expected = load_file(folder / "expected.safetensors")
    assert cosines(*embed(folder, [TASKS[""]]), expected[""]).min() >= 0.99999


def test_a_network_in_a_folder_of_its_own_is_found_there(tmp_path):
    folder = shutil.copytree(GOLDEN / "roberta", tmp_path / "nested")
    (folder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).rename(folder / "0_Transformer" / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    expected = load_file(folder / "expected.safetensors")
    assert cosines(*embed(folder, [TASKS[""]]), expected[""]).min() >= 0.99999


def test_a_decoder_whose_config_leaves_out_its_window_has_the_usual_one(tmp_path):
    folder = shutil.copytree(GOLDEN / "qwen3", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"use_sliding_window": True, "sliding_window": 6}
    for field in ("layer_types", "max_window_layers"):  # 28, so that none of two layers has a window
        config.pop(field, None)
    (folder / "config.json").write_text(json.dumps(config))
    expected = load_file(folder / "expected.safetensors")
    assert cosines(*embed(folder, [TASKS[""]]), expected[""]).min() >= 0.99999


def test_the_encoder_of_t5_has_its_own_token_vectors_where_its_file_has_them(tmp_path):
    folder = shutil.copytree(GOLDEN / "t5", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    own, shared = "encoder.embed_tokens.weight", weights.pop("shared.weight")
    expected = load_file(folder / "expected.safetensors")
    for others in ({}, {"shared.weight": shared[::-1].copy()}):
        save_file(weights | others | {own: shared}, folder / "model.safetensors")
        assert cosines(*embed(folder, [TASKS[""]]), expected[""]).min() >= 0.99999


def test_the_text_tower_of_a_model_with_eyes_is_run(tmp_path):
    folder = shutil.copytree(GOLDEN / "embedding_gemma2_text", tmp_path / "tower")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "embedding_gemma2", "text_config": config}))
    tensors = load_file(folder / "model.safetensors")
    save_file({f"language_model.{name}": each for name, each in tensors.items()}, folder / "model.safetensors")
    expected = load_file(folder / "expected.safetensors")
    assert cosines(*embed(folder, [TASKS[""]]), expected[""]).min() >= 0.99999
