"""Known vectors of some models, compared at every load: `check_pinned_vectors`.

They were computed by sentence-transformers in fp32, without a prompt, and are stored as float16 in
`pinned_vectors.json`, by the SHA-256 of the weights. So a kernel that computes wrongly on some machine is an error at
the start and never a wrong vector.
"""

from __future__ import annotations

import base64
from importlib.resources import files

import msgspec
import numpy as np

from gemvec.embedding.embed import Float32Array
from gemvec.errors import UnsupportedModel
from gemvec.models.vectors import normalise
from gemvec.settings import Precision

PINNED_TEXTS = (
    "What is the capital of France?",
    "A dog runs through the snow.",
    "Die Katze schläft auf dem Sofa; el gato duerme en el sofá. 猫在沙发上睡觉。 Кошка спит на диване.",
)

# Rounding alone cannot cause lower cosines: exact gives 1.000000, fast 0.9999 and more.
MIN_COSINE: dict[Precision, float] = {"exact": 0.9999, "fast": 0.999}


def pinned_vectors(weights_sha256: str) -> Float32Array | None:
    """Return the vectors of `PINNED_TEXTS`, float32[texts, native_dim]; None for weights without pinned vectors."""
    content = files("gemvec.models").joinpath("pinned_vectors.json").read_bytes()
    packed = msgspec.json.decode(content, type=dict[str, str]).get(weights_sha256)
    if packed is None:
        return None
    numbers = np.frombuffer(base64.b64decode(packed), "<f2").astype(np.float32)
    return normalise(numbers.reshape(len(PINNED_TEXTS), -1))


def check_pinned_vectors(weights_sha256: str, vectors: Float32Array, precision: Precision) -> None:
    """Compare vectors with the pinned ones.

    Args:
        weights_sha256: weights with pinned vectors.
        vectors: float32[texts, native_dim], of `PINNED_TEXTS`.
        precision: the precision of `vectors`.

    Raises:
        UnsupportedModel: they differ.
    """
    pinned = pinned_vectors(weights_sha256)
    if pinned is None:
        return
    cosine = float(np.einsum("ij,ij->i", normalise(vectors), pinned).min())
    if not cosine >= MIN_COSINE[precision]:
        raise UnsupportedModel(
            f"The weights {weights_sha256[:8]} give wrong vectors on this machine: the cosine is"
            f" {cosine:.4f}, expected {MIN_COSINE[precision]} or more. Please report this, with your processor and"
            " the version of openvino. --precision exact, or another version of openvino, may help."
        )
