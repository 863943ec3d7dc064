"""Where torch computes, and what suits the place: `choose_device`, the number of streams, bf16."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gemvec.errors import BadSetting
from gemvec.models.runtime import openvino
from gemvec.settings import Precision

# One thread pads and sends a micro-batch while the card computes the other thread's.
_CARD_STREAMS = 2


def load_torch() -> Any:
    """Return the package torch, which no install of gemvec brings but the extra `torch`."""
    return import_module("torch")


def choose_device(wanted: str) -> str:
    """Return the device to compute on.

    Args:
        wanted: `cpu`, `mps`, `cuda` or `cuda:1`; empty for the best there is.

    Raises:
        BadSetting: there is no such device here.
    """
    torch = load_torch()
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not wanted:
        return "cuda" if has_cuda else "mps" if has_mps else "cpu"
    here = ["cpu"] + ["mps"] * has_mps
    if has_cuda:
        here += ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if wanted not in here:
        raise BadSetting(f"--device has value {wanted!r}; torch {torch.__version__} finds {', '.join(here)} here.")
    return wanted


def is_card(device: str) -> bool:
    """Whether a device is a GPU of NVIDIA or AMD."""
    return device.startswith("cuda")


def count_streams(wanted: str) -> int:
    """Return how many micro-batches to compute at the same time; on a processor, one uses all its cores."""
    return _CARD_STREAMS if is_card(choose_device(wanted)) else 1


def computes_in_bf16(device: str, precision: Precision) -> bool:
    """Whether a network is run in bf16: if that is allowed, and the device is faster with it."""
    if precision == "exact":
        return False
    if is_card(device):
        return bool(load_torch().cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
