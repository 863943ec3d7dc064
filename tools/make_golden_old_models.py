"""Write tiny models as sentence-transformers 5.3 saves them, and the vectors that it gives for them.

    python -m venv golden && golden/bin/pip install torch==2.13.0 sentence-transformers==5.3.0 'transformers<5'
    golden/bin/python tools/make_golden_old_models.py tests/models/golden-5.3

Most models of the hub have this layout: one flag for each way of pooling, and texts' length and case in
sentence_bert_config.json. Each folder is like those of `make_golden_models.py`, which writes the newer layout.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping
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
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers import models as st


def configs() -> dict[str, transformers.PretrainedConfig]:
    """Return the configuration of each tiny network, by the folder's name."""
    c = transformers
    kinds = ["sliding_attention", "full_attention"]
    return {
        "bert-cls": c.BertConfig(**USUAL),
        "bert-cased-input": c.BertConfig(**USUAL),
        "roberta-max-and-mean": c.RobertaConfig(**ROBERTA),
        "xlm-roberta-half": c.XLMRobertaConfig(**ROBERTA),
        "mpnet": c.MPNetConfig(**ROBERTA),
        "distilbert-dense": c.DistilBertConfig(
            vocab_size=len(PIECES), dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER,
            max_position_embeddings=WINDOW
        ),
        "modernbert": c.ModernBertConfig(
            **USUAL, local_attention=8, global_attn_every_n_layers=2, global_rope_theta=50_000.0,
            local_rope_theta=5_000.0, cls_token_id=CLS, sep_token_id=SEP
        ),
        "gemma3_text-dense": c.Gemma3TextConfig(
            **DECODER, layer_types=kinds, sliding_window=9, rope_theta=50_000.0, rope_local_base_freq=5_000.0,
            use_bidirectional_attention=True, query_pre_attn_scalar=16
        ),
        "qwen3-last": c.Qwen3Config(**DECODER, rope_theta=70_000.0),
        "mistral-weighted": c.MistralConfig(**DECODER | {"sliding_window": 11}, rope_theta=70_000.0),
        "t5": c.T5Config(
            vocab_size=len(PIECES), d_model=WIDTH, d_kv=8, d_ff=INNER, num_layers=LAYERS, num_heads=HEADS,
            feed_forward_proj="gated-gelu", pad_token_id=PAD, eos_token_id=SEP, decoder_start_token_id=PAD
        ),
    }  # fmt: skip


POOLING = {
    "bert-cls": ["cls_token"],
    "roberta-max-and-mean": ["max_tokens", "mean_tokens"],
    "modernbert": ["cls_token"],
    "qwen3-last": ["lasttoken"],
    "mistral-weighted": ["weightedmean_tokens"],
}
STYLES = {"qwen3-last": "end", "t5": "end"}
HALF = {"xlm-roberta-half": torch.float16, "gemma3_text-dense": torch.bfloat16}
# What a model's user sets on the first module before saving.
LIMITS: Mapping[str, Mapping[str, Any]] = {
    "bert-cased-input": {"do_lower_case": True, "max_seq_length": 48},
    "mpnet": {"max_seq_length": 32},
}


def build(name: str, config: transformers.PretrainedConfig, folder: Path) -> SentenceTransformer:
    """Return the model as sentence-transformers loads it from `folder`, where its network is saved first."""
    torch.manual_seed(sum(map(ord, name)))
    model = randomise(
        transformers.T5EncoderModel(config) if name == "t5" else transformers.AutoModel.from_config(config)
    )
    model.to(HALF.get(name, torch.float32)).save_pretrained(folder)
    tokenizer(
        STYLES.get(name, "both"),
        lower=name != "bert-cased-input",
        padding_side="left" if name == "qwen3-last" else "right",
    ).save_pretrained(folder)
    transformer = st.Transformer(str(folder), model_args={"dtype": torch.float32}, **LIMITS.get(name, {}))
    flags = {"pooling_mode_mean_tokens": False} | {
        f"pooling_mode_{mode}": True for mode in POOLING.get(name, ["mean_tokens"])
    }
    parts: list[torch.nn.Module] = [transformer, st.Pooling(WIDTH, **flags)]
    if name.endswith("-dense"):
        parts.append(st.Dense(WIDTH, 40, bias=False, activation_function=torch.nn.Identity()))
        parts.append(st.Dense(40, 24, activation_function=torch.nn.Tanh()))
    if name != "t5":
        parts.append(st.Normalize())
    return SentenceTransformer(modules=parts, device="cpu", prompts=PROMPTS)


def encode(model: SentenceTransformer, prompt: str | None = None) -> torch.Tensor:
    """Return float32[texts, values], each text alone, so that no padding is involved."""
    rows = [model.encode([text], prompt_name=prompt, normalize_embeddings=False)[0] for text in TEXTS]
    return torch.from_numpy(np.stack(rows)).float().contiguous()


def write(name: str, config: transformers.PretrainedConfig, target: Path) -> None:
    """Write a model's folder with its vectors, without a prompt and with each."""
    with tempfile.TemporaryDirectory() as scratch:
        model = build(name, config, Path(scratch))
        model[0].auto_model.to(HALF.get(name, torch.float32))
        shutil.rmtree(target, ignore_errors=True)
        model.save(str(target), create_model_card=False)
    compact(target)
    # Read again, because a network's config may change whenever it is read and written.
    saved = SentenceTransformer(str(target), device="cpu", model_kwargs={"dtype": torch.float32})
    expected = {"": encode(saved)} | {each: encode(saved, each) for each in PROMPTS}
    save_file(expected, target / "expected.safetensors")


def main(target: Path) -> None:
    """Write everything."""
    torch.set_num_threads(1)
    target.mkdir(parents=True, exist_ok=True)
    for name, config in configs().items():
        print(name)
        write(name, config, target / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write tiny models as sentence-transformers 5.3 saves them.")
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
