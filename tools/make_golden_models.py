"""Write the tiny models of `tests/models/golden`, and the vectors that sentence-transformers gives for them.

    python -m venv golden && golden/bin/pip install torch==2.13.0 sentence-transformers==6.2.0 model2vec==0.10.0
    golden/bin/python tools/make_golden_models.py tests/models/golden

Each folder is a model with seeded random weights, saved by sentence-transformers, with `expected.safetensors` beside
it: the vectors of `texts.json`, one tensor for each prompt. `variations.json` lists models that differ from a folder by
a few files, so that a way of pooling does not need its own weights; their vectors are in `variations.safetensors`. The
folder `cross-encoders` has models that score the pairs of `pairs.json`. gemvec's environment has no torch, so this runs
in a separate one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from golden_networks import (
    CLS,
    DECODER,
    HEADS,
    INNER,
    LAYERS,
    PAD,
    PIECES,
    PROMPTS,
    ROBERTA,
    SEP,
    TEXTS,
    USUAL,
    WIDTH,
    WINDOW,
    compact,
    randomise,
    tokenizer,
)  # fmt: skip
from model2vec import StaticModel
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer import modules as st

ROTARY = {"rope_type": "default"}


def configs() -> dict[str, transformers.PretrainedConfig]:
    """Return the configuration of each family's tiny network."""
    c = transformers
    two_thetas = {
        "full_attention": ROTARY | {"rope_theta": 50_000.0},
        "sliding_attention": ROTARY | {"rope_theta": 5_000.0},
    }
    kinds = ["sliding_attention", "full_attention"]
    return {
        "bert": c.BertConfig(**USUAL),
        "roberta": c.RobertaConfig(**ROBERTA),
        "xlm-roberta": c.XLMRobertaConfig(**ROBERTA),
        "camembert": c.CamembertConfig(**ROBERTA),
        "electra": c.ElectraConfig(**USUAL, embedding_size=16),
        "ernie": c.ErnieConfig(**USUAL, use_task_id=True, task_type_vocab_size=3, hidden_act="relu"),
        "mpnet": c.MPNetConfig(**ROBERTA),
        "distilbert": c.DistilBertConfig(
            vocab_size=len(PIECES), dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER,
            max_position_embeddings=WINDOW
        ),
        "modernbert": c.ModernBertConfig(
            **USUAL, layer_types=kinds, local_attention=8, rope_parameters=two_thetas, cls_token_id=CLS,
            sep_token_id=SEP
        ),
        "nomic_bert": c.NomicBertConfig(**USUAL),
        "gte": c.GteConfig(**USUAL | {"pad_token_id": 1}),
        "jina_embeddings_v3": c.JinaEmbeddingsV3Config(**USUAL | {"pad_token_id": 1}),
        "gemma3_text": c.Gemma3TextConfig(
            **DECODER, layer_types=kinds, sliding_window=9, rope_parameters=two_thetas,
            use_bidirectional_attention=True, query_pre_attn_scalar=16,
        ),
        "embedding_gemma2_text": c.EmbeddingGemma2TextConfig(
            **DECODER, layer_types=kinds, sliding_window=5, global_head_dim=16, num_global_key_value_heads=1,
            hidden_size_per_layer_input=12, embedding_dim=24,
        ),
        "qwen3": c.Qwen3Config(**DECODER),
        "qwen2": c.Qwen2Config(**{k: v for k, v in DECODER.items() if k != "head_dim"}),
        "mistral": c.MistralConfig(**DECODER | {"sliding_window": 11}),
        "llama": c.LlamaConfig(**DECODER),
        "t5": c.T5Config(
            vocab_size=len(PIECES), d_model=WIDTH, d_kv=8, d_ff=INNER, num_layers=LAYERS, num_heads=HEADS,
            feed_forward_proj="gated-gelu", pad_token_id=PAD, eos_token_id=SEP, decoder_start_token_id=PAD,
        ),
    }  # fmt: skip


POOLING = dict.fromkeys(["modernbert", "gte"], "cls") | dict.fromkeys(["qwen3", "qwen2", "mistral"], "lasttoken")
STYLES = {"qwen3": "end", "qwen2": "end", "mistral": "both", "llama": "start", "t5": "end", "gemma3_text": "both"}
HALF = {"xlm-roberta": torch.float16, "gemma3_text": torch.bfloat16, "qwen3": torch.bfloat16}


def network(name: str, config: transformers.PretrainedConfig) -> transformers.PreTrainedModel:
    """Return the network with random weights."""
    torch.manual_seed(sum(map(ord, name)))
    return randomise(
        transformers.T5EncoderModel(config) if name == "t5" else transformers.AutoModel.from_config(config)
    )


def build(name: str, config: transformers.PretrainedConfig, folder: Path) -> SentenceTransformer:
    """Return the family's model as sentence-transformers loads it from `folder`, where its network is saved first."""
    model = network(name, config)
    model.to(HALF.get(name, torch.float32)).save_pretrained(folder)
    side = "left" if name in {"qwen3", "mistral"} else "right"
    tokenizer(STYLES.get(name, "both"), padding_side=side).save_pretrained(folder)
    transformer = st.Transformer(str(folder), model_kwargs={"dtype": torch.float32})
    size = transformer.get_embedding_dimension()
    parts: list[torch.nn.Module] = [transformer, st.Pooling(size, pooling_mode=POOLING.get(name, "mean"))]
    if name in {"gemma3_text", "t5"}:
        parts.append(st.Dense(size, 40, bias=False, activation_function=torch.nn.Identity()))
        parts.append(st.Dense(40, 24, bias=name == "t5", activation_function=torch.nn.Tanh()))
    parts.append(st.Normalize())
    return SentenceTransformer(modules=parts, device="cpu", prompts=PROMPTS)


def encode(model: SentenceTransformer, prompt: str | None = None) -> torch.Tensor:
    """Return float32[texts, values], each text alone, so that no padding is involved."""
    rows = [model.encode([text], prompt_name=prompt, normalize_embeddings=False)[0] for text in TEXTS]
    return torch.from_numpy(np.stack(rows)).float().contiguous()


def write_family(name: str, config: transformers.PretrainedConfig, target: Path) -> None:
    """Write a family's folder."""
    with tempfile.TemporaryDirectory() as scratch:
        model = build(name, config, Path(scratch))
        if name in HALF:
            model[0].model.to(HALF[name])
        save(model, target)
        if name in HALF:
            model[0].model.to(torch.float32)
        expect(model, target)


def save(model: SentenceTransformer, target: Path) -> None:
    """Save a model without its documentation."""
    shutil.rmtree(target, ignore_errors=True)
    model.save(str(target), create_model_card=False)
    compact(target)


def expect(model: SentenceTransformer, target: Path) -> None:
    """Write the vectors of the texts, without a prompt and with each."""
    save_file({"": encode(model)} | {name: encode(model, name) for name in PROMPTS}, target / "expected.safetensors")


def write_static(target: Path) -> None:
    """Write a StaticEmbedding model and a model2vec model whose rows are shared and weighted."""
    torch.manual_seed(7)
    raw = tokenizer("both").backend_tokenizer
    static = st.StaticEmbedding(raw, embedding_weights=torch.randn(len(PIECES), 24))
    model = SentenceTransformer(modules=[static], device="cpu", prompts=PROMPTS)
    save(model, target / "static")
    expect(model, target / "static")
    folder = target / "model2vec"
    shutil.rmtree(folder, ignore_errors=True)
    chance = np.random.default_rng(7)
    model2vec = StaticModel(
        chance.standard_normal((len(PIECES) // 2, 24)).astype(np.float32),
        raw,
        {"normalize": True},
        weights=chance.uniform(0.1, 2, len(PIECES)),
        token_mapping=np.arange(len(PIECES)) // 2 % (len(PIECES) // 2),
    )
    model2vec.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    save_file({"": encode(SentenceTransformer(str(folder), device="cpu"))}, folder / "expected.safetensors")


# A query that is short, as long as the text, or alone too long; and texts of every length.
QUERIES = ["What is the meaning of life?", TEXTS[5], TEXTS[6]]
PAIRS = [(query, text) for query in QUERIES for text in TEXTS]
# Families that score pairs, with the layout of their special tokens. The first two are saved by sentence-transformers,
# the others as the hub's older ones are, by transformers alone.
CROSS_ENCODERS = {
    "bert": "both",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "distilbert": "both",
    "electra": "both",
    "ernie": "both",
    "mpnet": "roberta",
    "roberta": "roberta",
}
SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_labels": 1}
WITH_TYPES = {"bert", "electra", "ernie"}


def write_cross_encoder(name: str, target: Path) -> None:
    """Write a network with a head that scores pairs, and the logits of the pairs."""
    config = configs()[name]
    for field, value in (SMALL | {"dim": 16, "hidden_dim": 24, "n_heads": 2}).items():
        if hasattr(config, field):
            setattr(config, field, value)
    torch.manual_seed(sum(map(ord, name)) + 1)
    model = randomise(transformers.AutoModelForSequenceClassification.from_config(config))
    last = next(layer for layer in reversed(list(model.modules())) if isinstance(layer, torch.nn.Linear))
    last.weight.data *= 10  # so that the scores of the pairs lie apart
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    tokenizer(CROSS_ENCODERS[name], has_types=name in WITH_TYPES).save_pretrained(target)
    scorer = CrossEncoder(str(target), device="cpu")
    if name in {"bert", "xlm-roberta"}:
        shutil.rmtree(target)
        scorer.save_pretrained(str(target))
        (target / "README.md").unlink(missing_ok=True)
    compact(target)
    logits = [scorer.predict([pair], activation_fn=torch.nn.Identity())[0] for pair in PAIRS]
    save_file({"": torch.tensor(np.array(logits, np.float32))}, target / "expected.safetensors")


def pooled(**config: Any) -> Mapping[str, Any]:
    """Return the change that gives the folder another pooling file."""
    return {"1_Pooling/config.json": {"embedding_dimension": WIDTH} | config}


def old_pooling(*modes: str) -> Mapping[str, Any]:
    """Return the change that writes the pooling file as before sentence-transformers 5.4."""
    names = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    flags = {f"pooling_mode_{name}": name in modes for name in names}
    return {"1_Pooling/config.json": {"word_embedding_dimension": WIDTH} | flags}


def modules(*kinds_and_paths: tuple[str, str]) -> list[dict[str, Any]]:
    """Return a modules.json of the old layout."""
    return [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(kinds_and_paths)
    ]


BASE = [("Transformer", ""), ("Pooling", "1_Pooling")]
# A variation: the folder it starts from, and files by path. A file that is None is deleted.
VARIATIONS: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{f"pools-{mode}": ("bert", pooled(pooling_mode=mode)) for mode in st.Pooling.POOLING_MODES},
    "pools-a-list": ("bert", pooled(pooling_mode=["max", "cls", "lasttoken"])),
    "pools-as-before-5.4": ("bert", old_pooling("max_tokens")),
    "pools-cls-as-before-5.4": ("bert", old_pooling("cls_token")),
    "pools-several-as-before-5.4": ("bert", old_pooling("cls_token", "mean_tokens", "lasttoken")),
    "pools-without-the-prompt": ("bert", pooled(pooling_mode="mean", include_prompt=False)),
    "pools-weighted-without-the-prompt": ("bert", pooled(pooling_mode="weightedmean", include_prompt=False)),
    "pools-cls-and-last-without-the-prompt": (
        "bert",
        pooled(pooling_mode=["cls", "lasttoken", "max"], include_prompt=False),
    ),
    "pools-at-another-path": (
        "bert",
        {
            "modules.json": modules(("Transformer", ""), ("Pooling", "my_pooling")),
            "my_pooling/config.json": {"embedding_dimension": WIDTH, "pooling_mode": "cls"},
        },
    ),
    "does-not-normalise": ("bert", {"modules.json": modules(*BASE)}),
    "has-no-modules": ("bert", {"modules.json": None, "config_sentence_transformers.json": None}),
    "causal-without-modules": ("qwen3", {"modules.json": None, "config_sentence_transformers.json": None}),
    "lower-cases-in-the-tokenizers-config": (
        "bert",
        {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": True}},
    ),
    "keeps-case-in-the-tokenizers-config": (
        "bert",
        {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False}},
    ),
    "lower-cases-in-the-sentence-config": ("bert", {"sentence_bert_config.json": {"do_lower_case": True}}),
    "window-of-the-sentence-config": ("bert", {"sentence_bert_config.json": {"max_seq_length": 16}}),
    "window-of-an-older-file": ("roberta", {"sentence_roberta_config.json": {"max_seq_length": 16}}),
    "window-in-the-tokenizers-arguments": (
        "bert",
        {"sentence_bert_config.json": {"max_seq_length": 32, "processor_kwargs": {"model_max_length": 12}}},
    ),
    "lower-cases-by-its-class": ("bert", {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}}),
    "keeps-case-by-another-class": (
        "electra",
        {"tokenizer_config.json": {"tokenizer_class": "ElectraTokenizer", "do_lower_case": False}},
    ),
    "lower-cases-by-its-network": ("mpnet", {"tokenizer_config.json": {"tokenizer_class": None}}),
    "pools-without-the-prompt-by-null": ("bert", pooled(pooling_mode="mean", include_prompt=None)),
    "mpnet-with-another-pad": ("mpnet", {"config.json": {"pad_token_id": 3}}),
    "is-a-decoder": ("bert", {"config.json": {"is_decoder": True}}),
    "roberta-with-another-pad": ("roberta", {"config.json": {"pad_token_id": 0}}),
    "truncates": ("bert", {"config_sentence_transformers.json": {"truncate_dim": 8}}),
    "gelu-by-tanh": ("bert", {"config.json": {"hidden_act": "gelu_new"}}),
    "every-kind-of-layer": (
        "bert",
        {
            "modules.json": modules(
                *BASE,
                ("Dense", "2_Dense"),
                ("Dropout", "3_Dropout"),
                ("LayerNorm", "4_LayerNorm"),
                ("Dense", "5_Dense"),
            ),
            "3_Dropout/config.json": {"dropout": 0.5},
        },
    ),
}  # fmt: skip


def write_variations(target: Path) -> None:
    """Write what each variation changes and the vectors it has."""
    expected: dict[str, torch.Tensor] = {}
    listed: dict[str, Any] = {}
    for name, (base, changes) in VARIATIONS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = shutil.copytree(target / base, Path(scratch) / "model")
            apply(folder, changes)
            special = SPECIAL.get(name)
            if special:
                special(folder)
            model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
            changed = changed_files(folder, target / base, target / "layers")
            listed[name] = {"base": base, "files": changed}
            expected[name] = encode(model)
            if "query" in model.prompts:
                expected[f"{name}/query"] = encode(model, "query")
    (target / "variations.json").write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
    save_file(expected, target / "variations.safetensors")


def apply(folder: Path, changes: Mapping[str, Any]) -> None:
    """Write changed files; a document is merged into the one that is there unless it is a list."""
    for path, change in changes.items():
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        if change is None:
            file.unlink()
            continue
        merges = file.is_file() and isinstance(change, dict) and not path.startswith("1_Pooling")
        file.write_text(json.dumps(json.loads(file.read_text()) | change if merges else change))


def keep_case(folder: Path) -> None:
    """Turn the tokenizer's own lower-casing off."""
    file = folder / "tokenizer.json"
    document = json.loads(file.read_text())
    document["normalizer"]["lowercase"] = False
    file.write_text(json.dumps(document))


def add_layers(folder: Path) -> None:
    """Write the weights of two dense layers and a layer norm."""
    torch.manual_seed(11)
    first = st.Dense(WIDTH, 20, activation_function=torch.nn.GELU())
    norm = st.LayerNorm(20)
    norm.norm.weight.data, norm.norm.bias.data = torch.rand(20) + 0.5, torch.randn(20)
    last = st.Dense(20, 12, bias=False, activation_function=torch.nn.SiLU())
    for path, module in {"2_Dense": first, "4_LayerNorm": norm, "5_Dense": last}.items():
        (folder / path).mkdir()
        module.save(str(folder / path))


def read_window_elsewhere(folder: Path) -> None:
    """Leave the window to a file of another name."""
    (folder / "sentence_bert_config.json").unlink()


SPECIAL: dict[str, Callable[[Path], None]] = {
    "window-of-an-older-file": read_window_elsewhere,
    "lower-cases-by-its-class": keep_case,
    "lower-cases-by-its-network": keep_case,
    "lower-cases-in-the-tokenizers-config": keep_case,
    "lower-cases-in-the-sentence-config": keep_case,
    "every-kind-of-layer": add_layers,
}


def changed_files(folder: Path, base: Path, binaries: Path) -> dict[str, Any]:
    """Return the JSON documents of `folder` that differ from `base`'s, None for one that is gone.

    Weights that differ are kept in `binaries`.
    """
    changed: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder).as_posix()
        if not file.is_file() or ((base / path).is_file() and (base / path).read_bytes() == file.read_bytes()):
            continue
        if file.suffix == ".json":
            changed[path] = json.loads(file.read_text())
        else:
            (binaries / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, binaries / path)
    return changed | {
        file.relative_to(base).as_posix(): None
        for file in base.rglob("*.json")
        if not (folder / file.relative_to(base)).is_file()
    }


def main(target: Path, names: list[str]) -> None:
    """Write everything, or the named families only."""
    torch.set_num_threads(1)
    target.mkdir(parents=True, exist_ok=True)
    for name, config in configs().items():
        if not names or name in names:
            print(name)
            write_family(name, config, target / name)
    for name in CROSS_ENCODERS:
        if not names or f"cross-encoders/{name}" in names:
            print("cross-encoders", name)
            write_cross_encoder(name, target / "cross-encoders" / name)
    if not names:
        (target / "texts.json").write_text(json.dumps(TEXTS, indent=1, ensure_ascii=False) + "\n")
        (target / "cross-encoders" / "pairs.json").write_text(json.dumps(PAIRS, indent=1, ensure_ascii=False) + "\n")
        write_static(target)
    if not names or {base for base, _ in VARIATIONS.values()} & set(names):
        write_variations(target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write tiny models with the vectors sentence-transformers gives them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("families", nargs="*", help="only these")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.families)
