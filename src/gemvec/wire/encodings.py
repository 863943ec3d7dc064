"""Vectors in the encodings that other services offer besides lists of floats: integers, single bits, base64.

All are made from the float32 vector. Cohere, Voyage AI, Jina AI and Mistral document the same encodings, but none of
them documents the scale of int8. Here the largest value of each vector becomes 127, which keeps the cosines between
vectors but not their lengths.

Contract: Cohere's reference for `POST /v2/embed`; Voyage AI's page on flexible dimensions and quantization.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gemvec.embedding.embed import Float32Array

_MAX_VALUE = 127


def to_base64(values: npt.NDArray[Any]) -> str:
    """Return the bytes of an array as base64; those of float32 are little-endian."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()).decode()


def to_int8(vector: Float32Array) -> npt.NDArray[np.int8]:
    """Return int8[dim], from -127 to 127; the largest value is 127 or -127.

    >>> to_int8(np.float32([0.5, -0.25, 0])).tolist()
    [127, -64, 0]
    """
    largest = float(np.abs(vector).max(initial=0.0))
    return np.rint(vector * (_MAX_VALUE / largest if largest else 0.0)).astype(np.int8)


def to_uint8(vector: Float32Array) -> npt.NDArray[np.uint8]:
    """Return uint8[dim]: the numbers of `to_int8` plus 128."""
    return (to_int8(vector).astype(np.int16) + _MAX_VALUE + 1).astype(np.uint8)


def to_ubinary(vector: Float32Array) -> npt.NDArray[np.uint8]:
    """Return uint8[dim / 8]: a bit for each value, 1 if it is above zero; the first value's bit is the highest.

    >>> to_ubinary(np.float32([1, -1, 1, 1, -1, -1, -1, 0])).tolist()
    [176]
    """
    return np.packbits(vector > 0)


def to_binary(vector: Float32Array) -> npt.NDArray[np.int8]:
    """Return int8[dim / 8]: the numbers of `to_ubinary` minus 128.

    >>> to_binary(np.float32([1, -1, 1, 1, -1, -1, -1, 0])).tolist()
    [48]
    """
    return (to_ubinary(vector).astype(np.int16) - _MAX_VALUE - 1).astype(np.int8)


# None stands for the vector itself, which JSON has as a list of numbers.
NUMBERS: dict[str, Callable[[Float32Array], npt.NDArray[Any]] | None] = {
    "float": None,
    "int8": to_int8,
    "uint8": to_uint8,
    "binary": to_binary,
    "ubinary": to_ubinary,
}
ENCODINGS: dict[str, Callable[[Float32Array], Any] | None] = {**NUMBERS, "base64": to_base64}
