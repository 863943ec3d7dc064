"""Write a tiny BERT for tests: real architecture, real tokenizer, meaningless weights.

python tools/make_tiny_model.py FOLDER

Two layers, 32 dimensions, 4 heads, a window of 64 tokens, about 400 WordPiece pieces, under 200 kB. The files are the
same bytes on every machine: the weights come from SHAKE-256, and the files do not depend on a serialiser.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import string
from pathlib import Path

import numpy as np

DIMS, LAYERS, HEADS, INTERMEDIATE, WINDOW = 32, 2, 4, 64, 64

# SHA-256 over every file's name and bytes, in order of name.
DIGEST = "c8be0915210002209cb0d221e93b6bd5330ac25c5b4ec8ffefffeeaf27e6e89a"

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENDINGS = """
able age al an ance ar ary at ate ation ated ble ce ch ck ct d ding e ed el en ence ent er ere ers es ess est et ful ge
gh ght ial ic ical ied ies il in ing ion ions is ish ism ity ive ize le led les less ll ly man ness ng
ning on or ous out ow pe ple re red ry s se sh son st t ted ter th tic tion tions to tor ty um un up us ve
ver vers ward way wing y
"""
WORDS = """
the of and a in to is was for on as with by he she it that at from his her are be this which or had has have not were
but an they one all their who been more when would there what out if up no can will than other some two new into
first after also only time people year years day days world life way man woman child city country state house water
work school music film book art war law art science data model text word words search query document documents vector
vectors database embedding embeddings machine learning intelligence artificial computer network system open source
meaning language london born research turing alan founded subject academic discipline question answer how why where
long short high low large small good bad red blue green black white old young king queen dog cat horse bird fish food
eat drink play plays playing run runs running walk sleep read write say said see know think make made use used find
get give take come go went number part place group game team million percent government president market company money
price news report police court home family friend north south east west sea river mountain air fire light sun moon star
"""


def vocabulary() -> list[str]:
    """Return the pieces, each once, in order of id."""
    letters = [*string.punctuation, *string.digits, *string.ascii_lowercase]
    inner = ["##" + each for each in [*string.digits, *string.ascii_lowercase, *ENDINGS.split()]]
    return list(dict.fromkeys([*SPECIAL, *letters, *inner, *WORDS.split()]))


def tokenizer() -> dict[str, object]:
    """Return tokenizer.json: lower-casing BERT WordPiece."""
    pieces = vocabulary()
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": pieces.index(each), "content": each, "single_word": False, "lstrip": False, "rstrip": False}
            | {"normalized": False, "special": True}
            for each in SPECIAL
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", pieces.index("[SEP]")],
            "cls": ["[CLS]", pieces.index("[CLS]")],
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: index for index, piece in enumerate(pieces)},
        },
    }


def config() -> dict[str, object]:
    """Return config.json."""
    return {
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": DIMS,
        "intermediate_size": INTERMEDIATE,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": WINDOW,
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": len(vocabulary()),
    }


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor, by the names that BERT checkpoints use."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(vocabulary()), DIMS),
        "embeddings.position_embeddings.weight": (WINDOW, DIMS),
        "embeddings.token_type_embeddings.weight": (2, DIMS),
        "embeddings.LayerNorm.weight": (DIMS,),
        "embeddings.LayerNorm.bias": (DIMS,),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        linear = {f"attention.self.{each}": (DIMS, DIMS) for each in ("query", "key", "value")}
        linear["attention.output.dense"] = (DIMS, DIMS)
        linear["intermediate.dense"] = (INTERMEDIATE, DIMS)
        linear["output.dense"] = (DIMS, INTERMEDIATE)
        for part, shape in linear.items():
            shapes |= {f"{name}{part}.weight": shape, f"{name}{part}.bias": shape[:1]}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}{part}.weight": (DIMS,), f"{name}{part}.bias": (DIMS,)}
    return shapes


def make_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return float32[shape]: uniform numbers that depend on the name alone, about as large as trained ones."""
    count = int(np.prod(shape))
    numbers = np.frombuffer(hashlib.shake_256(name.encode()).digest(4 * count), "<u4").reshape(shape)
    uniform = numbers.astype(np.float64) / 2**31 - 1
    if name.endswith("LayerNorm.weight"):
        return (1 + 0.1 * uniform).astype("<f4")
    if name.endswith("bias"):
        return (0.1 * uniform).astype("<f4")
    if name.startswith("embeddings."):
        return (uniform if "word" in name else 0.2 * uniform).astype("<f4")
    return (uniform * np.sqrt(3 / shape[-1])).astype("<f4")


def safetensors_file() -> bytes:
    """Return model.safetensors: the header's length, the header, the tensors one after another."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = bytearray()
    for name, shape in tensor_shapes().items():
        tensor = make_tensor(name, shape).tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(body), len(body) + len(tensor)]}
        body += tensor
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def model_files() -> dict[str, bytes]:
    """Return the folder's files by their path inside it."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    documents: dict[str, object] = {
        "config.json": config(),
        "tokenizer.json": tokenizer(),
        "sentence_bert_config.json": {"max_seq_length": WINDOW, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": DIMS,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (path, kind) in enumerate(modules)
        ],
    }
    files = {path: json.dumps(document, indent=1).encode() for path, document in documents.items()}
    return {**files, "model.safetensors": safetensors_file()}


def digest(files: dict[str, bytes]) -> str:
    """Return the SHA-256 over every file's name and bytes, in order of name."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(path.encode() + b"\0" + files[path])
    return whole.hexdigest()


def write_tiny_model(folder: Path) -> Path:
    """Write the model into `folder` and return it.

    Raises:
        RuntimeError: the files differ from those of other machines.
    """
    files = model_files()
    if digest(files) != DIGEST:
        raise RuntimeError(f"the tiny model's digest is {digest(files)}, expected {DIGEST}")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the tiny model that tests embed with.")
    parser.add_argument("folder", type=Path)
    print(write_tiny_model(parser.parse_args().folder))
