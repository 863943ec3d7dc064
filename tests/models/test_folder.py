"""A folder is taken at its word; what gemvec does not run is refused as what it is, with the way on."""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gemvec.embedding.embed import EmbedRequest
from gemvec.errors import InvalidRequest, UnsupportedModel
from gemvec.models.catalogue import find_record
from gemvec.models.local import open_embedder
from gemvec.models.modules import Dense, LayerNorm, Normalize, Pooling, Truncate
from gemvec.models.prompts import BGE, E5, NOMIC
from gemvec.settings import Settings

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def folder(tiny_model, tmp_path):
    """Return a copy of the tiny model to change."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def edit(path, **changes):
    document = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document | changes))


def add_module(folder, kind, **config):
    """Append a module with its config; its weights are those of the golden layers."""
    modules = json.loads((folder / "modules.json").read_text())
    place = len(modules)
    path, named = f"{place}_{kind}", f"sentence_transformers.models.{kind}"
    modules.append({"idx": place, "name": str(place), "path": path, "type": named})
    (folder / "modules.json").write_text(json.dumps(modules))
    edit(folder / path / "config.json", **config)
    shutil.copy(GOLDEN / "layers" / "2_Dense" / "model.safetensors", folder / path)
    return folder / path


def test_modules_are_listed_in_their_order(folder):
    add_module(folder, "Dense", in_features=32, out_features=20, activation_function="torch.nn.modules.activation.GELU")
    add_module(folder, "Dropout", dropout=0.1)
    add_module(folder, "LayerNorm", dimension=20)
    edit(folder / "config_sentence_transformers.json", truncate_dim=16)
    record = find_record(str(folder))
    assert record.modules == (
        Pooling(modes=("mean",)),
        Normalize(),
        Dense(path="3_Dense", size=20, activation="GELU"),
        LayerNorm(path="5_LayerNorm"),
        Truncate(size=16),
    )
    assert record.native_dim == 16


@pytest.mark.parametrize("kind", ["CNN", "LSTM", "WeightedLayerPooling", "WordWeights", "Router", "Asym", "MyModule"])
def test_a_module_that_is_not_run_is_refused_by_its_name(folder, kind):
    add_module(folder, kind)
    with pytest.raises(UnsupportedModel, match=f"'{kind}', which gemvec does not run"):
        find_record(str(folder))


@pytest.mark.parametrize("kind", ["CLIPModel", "WordEmbeddings", "BoW"])
def test_a_first_module_that_is_not_run_is_refused_by_its_name(folder, kind):
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "path": "", "type": f"sentence_transformers.{kind}"}]))
    with pytest.raises(UnsupportedModel, match=kind):
        find_record(str(folder))


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "my_code.Pooling", "Pooling"])
def test_a_module_from_outside_sentence_transformers_is_refused_by_its_name(folder, kind):
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match=f"'{kind}', code outside sentence-transformers"):
        find_record(str(folder))


def test_two_modules_of_one_name_are_refused(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["name"] = modules[1]["name"]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match="to two modules"):
        find_record(str(folder))


def test_a_transformer_that_is_never_pooled_is_refused(folder):
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0], modules[2]]))
    with pytest.raises(UnsupportedModel, match="no Pooling module"):
        find_record(str(folder))


def test_pooling_is_not_done_twice(folder):
    add_module(folder, "Pooling", pooling_mode="cls")
    with pytest.raises(UnsupportedModel, match="pools once"):
        find_record(str(folder))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"pooling_mode": "median"}, "median"),
        ({"pooling_mode": ["mean", "splade"]}, "splade"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_min_tokens": True}, "pooling_mode_min_tokens"),
        ({"pooling_mode": "mean", "skips_stop_words": True}, "skips_stop_words"),
        ({"pooling_mode": []}, "no pooling"),
        ({"pooling_mode": None}, "None"),
    ],
)
def test_a_way_of_pooling_that_is_not_known_is_refused_by_its_name(folder, config, named):
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModel, match=named):
        find_record(str(folder))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"out_features": 20, "activation_function": "torch.nn.modules.activation.Hardswish"}, "Hardswish"),
        ({"out_features": 20, "activation_function": "my_code.Tanh"}, "my_code"),
        ({"out_features": 20, "use_residual": True}, "use_residual"),
        ({"out_features": 20, "module_input_name": "token_embeddings"}, "token_embeddings"),
        ({}, "out_features"),
    ],
)
def test_a_dense_layer_of_another_kind_is_refused_by_what_differs(folder, config, named):
    add_module(folder, "Dense", **config)
    with pytest.raises(UnsupportedModel, match=named):
        find_record(str(folder))


def test_a_dense_layer_kept_as_a_pickle_is_refused_with_the_way_on(folder):
    here = add_module(folder, "Dense", out_features=20)
    (here / "model.safetensors").rename(here / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match=r"only as pytorch_model\.bin, a pickle.*\.save\('converted'\)"):
        find_record(str(folder))


def test_a_module_outside_the_folder_is_refused(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "../1_Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModel, match="not in the model's folder"):
        find_record(str(folder))


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("BertForSequenceClassification", "cross-encoder or classifier"),
        ("BertForTokenClassification", "token classifier"),
        ("LlamaForCausalLM", "language model"),
        ("T5ForConditionalGeneration", "language model"),
        ("BertForMaskedLM", "fills gaps"),
    ],
)
def test_a_model_that_embeds_nothing_is_refused_as_what_it_is(folder, architecture, kind):
    (folder / "modules.json").unlink()
    edit(folder / "config.json", architectures=[architecture])
    with pytest.raises(UnsupportedModel, match=f"{architecture}, .*{kind}"):
        find_record(str(folder))


def test_a_language_model_with_modules_is_an_embedding_model(folder):
    edit(folder / "config.json", architectures=["Qwen3ForCausalLM"])
    assert find_record(str(folder)).is_read


@pytest.mark.parametrize(
    ("kind", "said"),
    [("CrossEncoder", "reranker"), ("SparseEncoder", "sparse"), ("MultiVectorEncoder", "a vector for each token")],
)
def test_other_models_of_sentence_transformers_are_refused_as_what_they_are(folder, kind, said):
    edit(folder / "config_sentence_transformers.json", model_type=kind)
    with pytest.raises(UnsupportedModel, match=said):
        find_record(str(folder))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pytorch_model.bin", r"pytorch_model\.bin, a pickle.*\.save\('converted'\)"),
        ("model-q4_k_m.gguf", r"model-q4_k_m\.gguf, llama\.cpp's format"),
        ("onnx/model_quantized.onnx", r"onnx/model_quantized\.onnx, .*other vectors.*cp "),
        ("notes.txt", r"has none of model\.safetensors"),
    ],
)
def test_weights_in_another_form_are_refused_by_name_with_the_way_on(folder, path, said):
    (folder / "model.safetensors").unlink()
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).touch()
    with pytest.raises(UnsupportedModel, match=said):
        find_record(str(folder))


def test_an_adapter_is_refused_as_one_with_the_way_to_merge_it(folder):
    edit(folder / "adapter_config.json", peft_type="LORA")
    with pytest.raises(UnsupportedModel, match=r"adapter.*merge_and_unload"):
        find_record(str(folder))


def test_a_folder_with_only_a_vocabulary_is_refused_with_the_command_that_writes_the_tokenizer(folder):
    (folder / "tokenizer.json").rename(folder / "vocab.txt")
    with pytest.raises(UnsupportedModel, match=r"no tokenizer\.json, only vocab\.txt.*AutoTokenizer.*save_pretrained"):
        find_record(str(folder))


def test_a_model_that_needs_its_own_code_is_refused(folder):
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_mine.Mine"})
    with pytest.raises(UnsupportedModel, match=r"modeling_mine\.Mine"):
        find_record(str(folder))


def test_a_graph_is_taken_where_the_variant_beside_it_cannot_be_built(folder):
    edit(folder / "config.json", hidden_act="quick_gelu")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").touch()
    assert (find_record(str(folder)).engine, find_record(str(folder)).weights_path) == ("onnx", "onnx/model.onnx")


@pytest.mark.parametrize(
    ("model", "changes", "named"),
    [
        ("llama", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "llama3"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": None}, "linear"),
        ("gte", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ("gemma3_text", {"attn_logit_softcapping": 30.0}, "attn_logit_softcapping"),
        ("t5", {"feed_forward_proj": "gated-swish"}, "gated-swish"),
        ("modernbert", {"layer_types": ["chunked_attention", "full_attention"]}, "chunked_attention"),
        ("llama", {"is_causal": False}, "is_causal False"),
        ("gemma3_text", {"is_causal": False}, "is_causal False"),
        ("mistral", {"layer_types": ["full_attention", "sliding_attention"]}, "full_attention"),
        ("bert", {"is_causal": True}, "is_causal True, expected false"),
        ("gte", {"is_causal": True}, "is_causal True, expected false"),
        ("t5", {"is_decoder": True}, "is_decoder true"),
        ("t5", {"dense_act_fn": "relu"}, "dense_act_fn 'relu'"),
        ("t5", {"is_gated_act": False}, "is_gated_act False"),
        ("t5", {"relative_attention_max_distance": 8}, "relative_attention_max_distance 8"),
        ("bert", {"quantization_config": {"quant_method": "bitsandbytes"}}, r"quantization_config \(bitsandbytes\)"),
        ("qwen3", {"layer_types": ["full_attention"]}, "layer_types for 1 layers, but num_hidden_layers 2"),
        ("gemma3_text", {"layer_types": ["full_attention"]}, "layer_types for 1 layers"),
        ("embedding_gemma2_text", {"layer_types": ["full_attention"] * 3}, "layer_types for 3 layers"),
        ("gemma3_text", {"rope_parameters": {"rope_theta": 100.0}}, "expected an object for each kind of layer"),
        ("llama", {"rope_parameters": {"full_attention": {}}}, "expected one object for all layers"),
        ("llama", {"rope_scaling": "linear"}, "rope_scaling 'linear', expected an object"),
        ("llama", {"rope_scaling": {"type": "default", "rope_theta": 7.0}}, "another one for rope_scaling"),
        ("modernbert", {"sliding_window": 20}, "sliding_window 20, but local_attention 8"),
        ("nomic_bert", {"head_dim": 16}, "head_dim 16, expected 8"),
        ("bert", {"vocab_size": 300}, "vocab_size 300"),
        ("modernbert", {"vocab_size": 200}, "vocab_size 200"),
        ("bert", {"max_position_embeddings": 128}, "max_position_embeddings 128"),
        ("distilbert", {"max_position_embeddings": 128}, "max_position_embeddings 128"),
    ],
)
def test_a_variant_without_a_graph_is_refused_by_what_differs(tmp_path, model, changes, named):
    folder = shutil.copytree(GOLDEN / model, tmp_path / "model")
    edit(folder / "config.json", **changes)
    with pytest.raises(UnsupportedModel, match=named):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


@pytest.mark.parametrize(
    ("model", "tensor", "shape"),
    [
        ("bert", "embeddings.LayerNorm.weight", (1,)),
        ("bert", "encoder.layer.0.attention.self.query.bias", (1,)),
        ("bert", "embeddings.position_embeddings.weight", (64, 1)),
        ("bert", "embeddings.token_type_embeddings.weight", (2, 1)),
        ("llama", "layers.0.input_layernorm.weight", (1,)),
    ],
)
def test_a_tensor_that_would_be_stretched_is_refused_by_its_name(tmp_path, model, tensor, shape):
    folder = shutil.copytree(GOLDEN / model, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    cut = tuple(slice(size) for size in shape)
    save_file(weights | {tensor: weights[tensor][cut].copy()}, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=tensor):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


def add_token(folder, content, *, special):
    """Add a token beside the usual words, for which the tiny network has no vector."""
    document = json.loads((folder / "tokenizer.json").read_text())
    token = {"id": 211, "content": content, "single_word": False, "lstrip": False, "rstrip": False}
    document["added_tokens"].append(token | {"normalized": False, "special": special})
    (folder / "tokenizer.json").write_text(json.dumps(document))


def test_a_text_whose_tokens_are_of_another_type_is_no_single_text(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    document = json.loads((folder / "tokenizer.json").read_text())
    for piece in document["post_processor"]["single"]:
        next(iter(piece.values()))["type_id"] = 1
    (folder / "tokenizer.json").write_text(json.dumps(document))
    open_embedder(Settings.load({}, model=(str(folder),), streams=1))  # the network is told nothing of types
    edit(folder / "tokenizer_config.json", model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    with pytest.raises(UnsupportedModel, match="another type than 0"):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


def test_words_without_a_vector_are_a_reason_to_refuse(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["vocab"]["london"] = 211
    (folder / "tokenizer.json").write_text(json.dumps(document))
    add_token(folder, "<picture>", special=True)
    with pytest.raises(UnsupportedModel, match="token 'london' and 212 tokens in all, but the network has vectors for"):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


def test_a_token_without_a_vector_around_each_text_is_a_reason_to_refuse(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    add_token(folder, "<end>", special=True)
    document = json.loads((folder / "tokenizer.json").read_text())
    document["post_processor"]["single"].append({"SpecialToken": {"id": "<end>", "type_id": 0}})
    document["post_processor"]["special_tokens"]["<end>"] = {"id": "<end>", "ids": [211], "tokens": ["<end>"]}
    (folder / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(UnsupportedModel, match="puts the token '<end>' around a text"):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("is_in_vocabulary", [True, False])
def test_a_text_with_a_token_that_has_no_vector_is_refused_and_its_model_is_not(tmp_path, special, is_in_vocabulary):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    add_token(folder, "<picture>", special=special)
    if is_in_vocabulary:
        document = json.loads((folder / "tokenizer.json").read_text())
        document["model"]["vocab"]["<picture>"] = 211
        (folder / "tokenizer.json").write_text(json.dumps(document))
    embedder = open_embedder(Settings.load({}, model=(str(folder),), streams=1))
    texts = [EmbedRequest(text="dog"), EmbedRequest(text="a <picture> of it")]
    with pytest.raises(InvalidRequest, match=r"'<picture>', for which model has no vector") as refused:
        asyncio.run(embedder.embed(embedder.list_models()[0], texts))
    assert refused.value.index == 1
    asyncio.run(embedder.embed(embedder.list_models()[0], texts[:1]))
    asyncio.run(embedder.close())


def test_weights_that_give_no_finite_vectors_are_refused_when_they_are_opened(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    bias = "encoder.layer.0.output.dense.bias"
    save_file(weights | {bias: np.full_like(weights[bias], np.nan)}, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match="not finite"):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


def test_an_adapter_beside_the_network_is_refused_too(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    edit(folder / "0_Transformer" / "adapter_config.json", peft_type="LORA")
    with pytest.raises(UnsupportedModel, match=r"adapter.*merge_and_unload"):
        find_record(str(folder))


def test_weights_of_two_networks_are_refused_by_the_tensors_that_say_so(tmp_path):
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {f"bert.{name}": 2 * each for name, each in weights.items()}, folder / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"several networks: .*bert\.embeddings\.word_embeddings\.weight"):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"config_kwargs": {"hidden_act": "relu"}}, "hidden_act 'relu' in config_kwargs"),
        ({"config_args": {"num_hidden_layers": 1}}, "num_hidden_layers 1 in config_args"),
        ({"processor_kwargs": {"truncation_side": "left"}}, "truncation_side 'left' in processor_kwargs"),
        ({"model_args": {"model_max_length": 8}}, "model_max_length 8 in model_args"),
        ({"processing_kwargs": {"text": {"max_length": 10}}}, "processing_kwargs"),
        ({"query_length": 8}, "query_length"),
        ({"transformer_task": "fill-mask"}, "transformer_task 'fill-mask', expected 'feature-extraction'"),
        ({"module_output_name": "sentence_embedding"}, "module_output_name"),
        ({"modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}}}, "pooler_output"),
        ({"modality_config": {"image": {}}}, "modality_config"),
        ({"max_seq_length": "16"}, "max_seq_length '16'"),
        ({"max_seq_length": 0}, "max_seq_length 0"),
    ],
)
def test_a_field_of_the_sentence_config_that_may_change_vectors_is_refused_by_its_name(folder, changes, named):
    edit(folder / "sentence_bert_config.json", **changes)
    with pytest.raises(UnsupportedModel, match=named):
        find_record(str(folder))


def test_arguments_that_leave_vectors_alone_are_no_reason_to_refuse(folder):
    harmless = {"torch_dtype": "float16", "attn_implementation": "sdpa"}
    edit(folder / "sentence_bert_config.json", model_args=harmless, config_kwargs={}, unpad_inputs=True)
    assert find_record(str(folder)).is_read


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tokenizer_config.json", {"truncation_side": "left"}),
        ("tokenizer.json", {"truncation": {"direction": "Left", "max_length": 8}}),
    ],
)
@pytest.mark.parametrize("model", ["bert", "static"])
def test_a_tokenizer_that_keeps_the_end_of_long_texts_is_refused(tmp_path, model, file, changes):
    folder = shutil.copytree(GOLDEN / model, tmp_path / "model")
    edit(folder / file, **changes)
    with pytest.raises(UnsupportedModel, match="truncation_side 'left'"):
        find_record(str(folder))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"truncate_dim": -4}, "truncate_dim -4"),
        ({"truncate_dim": "8"}, "truncate_dim '8'"),
        ({"default_prompt_name": "nothing"}, "default_prompt_name 'nothing'"),
        ({"prompts": ["query: "]}, "prompts"),
    ],
)
def test_a_field_of_the_models_config_that_makes_no_sense_is_named(folder, changes, named):
    edit(folder / "config_sentence_transformers.json", **changes)
    with pytest.raises(UnsupportedModel, match=named):
        find_record(str(folder))


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_dense_layer_has_a_bias_just_when_its_config_says_so(folder, has_bias):
    config = {"in_features": 32, "out_features": 20, "activation_function": "torch.nn.modules.activation.Tanh"}
    here = add_module(folder, "Dense", bias=has_bias, **config)
    if has_bias:
        weights = load_file(here / "model.safetensors")
        save_file({"linear.weight": weights["linear.weight"]}, here / "model.safetensors")
    with pytest.raises(UnsupportedModel, match=r"linear\.bias"):
        open_embedder(Settings.load({}, model=(str(folder),), streams=1))


@pytest.mark.parametrize(
    ("asked", "named", "window"),
    [(48, 32, 48), (None, 32, 32), (None, 1e30, 64), (128, None, 64), (None, None, 64)],
)
def test_the_window_is_max_seq_length_or_else_the_tokenizers_within_the_positions(folder, asked, named, window):
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": asked} if asked else {}))
    edit(folder / "tokenizer_config.json", **({"model_max_length": named} if named else {}))
    assert find_record(str(folder)).window_tokens == window


def test_rotary_positions_set_no_limit_to_max_seq_length(tmp_path):
    folder = shutil.copytree(GOLDEN / "modernbert", tmp_path / "model")
    edit(folder / "sentence_bert_config.json", max_seq_length=512)
    assert find_record(str(folder)).window_tokens == 512


@pytest.mark.parametrize("name", ["multilingual-e5-small", "models--intfloat--e5-base-v2", "E5-large-v2"])
def test_a_folder_named_as_its_family_has_the_familys_prompts(folder, tmp_path, name):
    assert find_record(str(folder.rename(tmp_path / name))).prompts == E5


def test_the_name_in_the_config_or_on_the_card_gives_a_folder_its_familys_prompts(folder):
    edit(folder / "config.json", _name_or_path="/root/.cache/BAAI_x/BAAI/bge-small-en-v1.5")
    assert find_record(str(folder)).prompts == BGE
    edit(folder / "config.json", _name_or_path="")
    (folder / "README.md").write_text("---\ntags:\n- mteb\nmodel-index:\n- name: nomic-embed-text-v1.5\n---\n# Card\n")
    assert find_record(str(folder)).prompts == NOMIC


def test_prompts_in_the_files_win_over_those_of_the_family(folder, tmp_path):
    edit(folder / "config_sentence_transformers.json", prompts={"query": "ask: ", "document": ""})
    record = find_record(str(folder.rename(tmp_path / "e5-small-v2")))
    assert set(record.prompts.by_task.values()) == {"ask: ", ""}


@pytest.mark.parametrize(
    ("card", "languages"),
    [
        ("language: en", "en"),
        ("language:\n- zh\n- en\ntags:\n- mteb", "zh, en"),
        ("language: [de, fr]", "de, fr"),
        ("language:\n  - multilingual\n  - af", "multilingual, af"),
        ("language:\n" + "\n".join(f"- {chr(97 + each)}x" for each in range(20)), "20 languages"),
        ("tags:\n- mteb", ""),
    ],
)
def test_the_languages_of_a_folder_are_those_of_its_card(folder, card, languages):
    (folder / "README.md").write_text(f"---\n{card}\n---\n# Card\nlanguage: xx\n")
    assert find_record(str(folder)).languages == languages
