"""OpenVINO, imported so that it neither phones home nor writes files; import it only from here.

`import openvino` reports each use to a remote service and keeps counters under ~/intel, unless the package
openvino-telemetry cannot be imported: then it uses a stub. So that package is hidden while OpenVINO is imported. If the
program imported OpenVINO before gemvec, nothing is changed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino
    from openvino import opset15 as opset

__all__ = ["openvino", "opset"]

_TELEMETRY = "openvino_telemetry"


def _import_quietly(name: str) -> ModuleType:
    if _TELEMETRY in sys.modules:
        return import_module(name)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # Python's own way to say "cannot be imported"
    try:
        return import_module(name)
    finally:
        del sys.modules[_TELEMETRY]


if not TYPE_CHECKING:
    openvino = _import_quietly("openvino")
    opset = _import_quietly("openvino.opset15")
