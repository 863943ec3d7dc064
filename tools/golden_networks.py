"""What the golden models of all versions of sentence-transformers have in common: sizes, texts, tokenizer, weights."""

from __future__ import annotations

import json
from pathlib import Path

import make_tiny_model
import torch
import transformers
from tokenizers import Tokenizer, processors

WIDTH, LAYERS, HEADS, INNER, WINDOW = 32, 2, 4, 48, 64
TEXTS = [
    "dog",
    "The Dog runs.",
    "What is the meaning of life?",
    "Alan Turing was born in London; he founded a subject, and an academic discipline.",
    "¿Dónde está la biblioteca? 图书馆在哪里? Где библиотека?",
    "the cat and the dog and the horse and the bird and the fish " * 2,
    "a search query for documents in a vector database of machine learning " * 12,
    "x",
]
PROMPTS = {"query": "question: ", "document": "document: "}
PIECES = [
    *make_tiny_model.SPECIAL,
    *"abcdefghijklmnopqrstuvwxyz0123456789.,;:?!-_",
    *make_tiny_model.WORDS.split()[:90],
]
PIECES += ["##" + each for each in [*"abcdefghijklmnopqrstuvwxyz0123456789", *make_tiny_model.ENDINGS.split()[:40]]]
PIECES = list(dict.fromkeys(PIECES))
PAD, UNK, CLS, SEP = 0, 1, 2, 3


def tokenizer(
    style: str, *, lower: bool = True, padding_side: str = "right", has_types: bool = False
) -> transformers.PreTrainedTokenizerFast:
    """Return a WordPiece tokenizer.

    Args:
        style: which special tokens stand around a text: `both`, `end`, `start`, `none`. A pair has them as in BERT, or,
            with `roberta`, as in RoBERTa.
        lower: whether it lower-cases.
        padding_side: where padding goes.
        has_types: whether the network is told which of a pair's texts a token belongs to.
    """
    document = make_tiny_model.tokenizer()
    document["model"]["vocab"] = {piece: index for index, piece in enumerate(PIECES)}
    document["normalizer"]["lowercase"] = lower
    raw = Tokenizer.from_str(json.dumps(document))
    templates = {"end": "$A [SEP]", "start": "[CLS] $A", "none": "$A"}
    pairs = {"both": "[CLS] $A [SEP] $B:1 [SEP]:1", "roberta": "[CLS] $A [SEP] [SEP] $B [SEP]"}
    raw.post_processor = processors.TemplateProcessing(
        single=templates.get(style, "[CLS] $A [SEP]"),
        pair=pairs.get(style, "$A $B"),
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=WINDOW,
        padding_side=padding_side,
        model_input_names=["input_ids", *(["token_type_ids"] if has_types else []), "attention_mask"],
    )


USUAL = {
    "vocab_size": len(PIECES),
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": WINDOW,
    "pad_token_id": PAD,
    "bos_token_id": CLS,
    "eos_token_id": SEP,
}
ROBERTA = USUAL | {"max_position_embeddings": WINDOW + 2, "pad_token_id": 1, "type_vocab_size": 1}
DECODER = USUAL | {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True}


def randomise(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """Give a network random weights, large enough for attention to matter and no norm to be 1."""
    for parameter in model.parameters():
        scale = 0.2 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5
        noise = torch.randn(parameter.shape) * scale
        parameter.data = noise + (1.0 if parameter.dim() == 1 and bool((parameter.data == 1).all()) else 0.0)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith("layer_scalar"):
            buffer.fill_(0.7)
    return model.eval()


def compact(target: Path) -> None:
    """Write the JSON documents of a folder without white space."""
    for path in target.rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":"), ensure_ascii=False) + "\n")
