"""BERT written down in numpy, one text at a time, for the graph to agree with."""

import json
import math

import numpy as np
from safetensors.numpy import load_file


def read_parts(folder):
    """Return the weights and the config of the model in `folder`."""
    return load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())


def reference_bert(weights, config, ids, first_position=0):
    """Return float64[tokens, dims]: the last layer for one text, computed as the papers write it."""
    weights = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    heads, dims = config["num_attention_heads"], config["hidden_size"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalise(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attend(x, name):
        query, key, value = (
            linear(x, f"{name}.{part}").reshape(len(ids), heads, dims // heads).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(dims // heads))
        shares = scores / scores.sum(-1, keepdims=True)
        return (shares @ value).transpose(1, 0, 2).reshape(len(ids), dims)

    positions = np.arange(len(ids)) + first_position
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][positions]
    x = normalise(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        attended = linear(attend(x, f"{name}.attention.self"), f"{name}.attention.output.dense")
        x = normalise(x + attended, f"{name}.attention.output.LayerNorm")
        inner = linear(x, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = normalise(x + linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x
