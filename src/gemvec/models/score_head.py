"""The head of a cross-encoder: from the vector of a pair's first token to one score, `ScoreHead`.

It is two small layers, computed in fp32 whatever the network's precision is, so that texts that are almost equally
relevant keep their order. Source: the *ForSequenceClassification networks of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel
from gemvec.models.tensors import Tensors

_erf = np.vectorize(math.erf, otypes=[np.float32])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where a family has its head.

    Attributes:
        first: the end of the first layer's name.
        last: the last layer's name.
        activate: what is between the two.
    """

    first: str
    last: str
    activate: Callable[[Float32Array], Float32Array]


def _tanh(values: Float32Array) -> Float32Array:
    return np.tanh(values)


def _relu(values: Float32Array) -> Float32Array:
    return np.maximum(values, np.float32(0))


def _gelu(values: Float32Array) -> Float32Array:
    return values * (1 + _erf(values / np.float32(math.sqrt(2)))) / 2


_POOLER = _Layout(first="pooler.dense", last="classifier", activate=_tanh)
_ROBERTA = _Layout(first="classifier.dense", last="classifier.out_proj", activate=_tanh)

# By the `model_type` that config.json states.
_LAYOUTS: Mapping[str, _Layout] = {
    "bert": _POOLER,
    "camembert": _ROBERTA,
    "distilbert": _Layout(first="pre_classifier", last="classifier", activate=_relu),
    "electra": _Layout(first="classifier.dense", last="classifier.out_proj", activate=_gelu),
    "ernie": _POOLER,
    "mpnet": _ROBERTA,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
SCORING_FAMILIES = tuple(sorted(_LAYOUTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreHead:
    """The two layers.

    Attributes:
        activate: what is between them.
        first: float32[size, size] and float32[size].
        last: float32[1, size] and float32[1].
    """

    activate: Callable[[Float32Array], Float32Array]
    first: tuple[Float32Array, Float32Array]
    last: tuple[Float32Array, Float32Array]

    @classmethod
    def load(cls, config: Mapping[str, Any], path: Path) -> ScoreHead:
        """Read the head's tensors.

        Args:
            config: the model's config.json; its `model_type` is one of `SCORING_FAMILIES`.
            path: the weights.

        Raises:
            UnsupportedModel: a tensor is missing, or the head gives several scores.
        """
        layout = _LAYOUTS[str(config.get("model_type"))]
        tensors = Tensors(path)
        last = _read_layer(tensors, layout.last, path)
        if len(last[0]) != 1:
            raise UnsupportedModel(f"{path} gives {len(last[0])} scores for a pair; a reranker gives one.")
        return cls(activate=layout.activate, first=_read_layer(tensors, layout.first, path), last=last)

    def score(self, vectors: Float32Array) -> Float32Array:
        """Return a score for each pair: the logit, float32[pairs], of float32[pairs, size]."""
        weight, bias = self.first
        inner = self.activate(vectors @ weight.T + bias)
        weight, bias = self.last
        return (inner @ weight.T + bias)[:, 0]


def _read_layer(tensors: Tensors, name: str, path: Path) -> tuple[Float32Array, Float32Array]:
    found: list[Float32Array] = []
    for part in ("weight", "bias"):
        ending = f"{name}.{part}"
        full = next((each for each in tensors if each == ending or each.endswith(f".{ending}")), None)
        if full is None:
            raise UnsupportedModel(f"{path} lacks the tensor {ending} of a head that scores pairs.")
        found.append(np.array(tensors[full]))
    return found[0], found[1]
