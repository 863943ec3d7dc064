"""OpenVINO, imported so that it neither phones home nor writes files; import it only from here.

`import openvino` reports each use to a remote service and keeps counters under ~/intel, unless the package
openvino-telemetry cannot be imported: then it uses a stub. So that package is hidden while OpenVINO is imported. So are
its tools, which convert models and take longer to import than the rest; `openvino.convert_model` imports them when it
is called. If the program imported OpenVINO before gemvec, nothing is changed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openvino
    from openvino import opset15 as opset

__all__ = ["openvino", "opset"]

_TELEMETRY, _TOOLS = "openvino_telemetry", "openvino.tools.ovc"


def _import_without(name: str, *hidden: str) -> ModuleType:
    """Import a module; for as long as that takes, other modules cannot be imported unless they are already."""
    missing = [each for each in hidden if each not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type] # None is Python's way to say so
    try:
        return import_module(name)
    finally:
        for each in missing:
            del sys.modules[each]


def _convert_model(*arguments: Any, **options: Any) -> Any:
    """Convert a model, as OpenVINO's own function of this name, which takes its place."""
    openvino.convert_model = _import_without(_TOOLS, _TELEMETRY).convert_model
    return openvino.convert_model(*arguments, **options)


if not TYPE_CHECKING:
    openvino = _import_without("openvino", _TELEMETRY, _TOOLS)
    if not hasattr(openvino, "convert_model"):
        openvino.convert_model = _convert_model
    opset = _import_without("openvino.opset15", _TELEMETRY)
