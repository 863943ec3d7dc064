"""Finds what Milvus' own `pymilvus.model` has: `find_theirs`."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def find_theirs(module: str, name: str) -> Any:
    """Return an attribute of Milvus' own module, or its submodule of that name.

    Raises:
        AttributeError: it has no such name, or is not installed.
    """
    if name.startswith("__"):  # Python asks for these itself
        raise AttributeError(name)
    try:
        theirs = import_module(module)
    except ImportError as error:
        raise AttributeError(
            f"gemvec has no {name!r} of its own, and Milvus' {module} is not installed: pip install 'pymilvus[model]'"
        ) from error
    if hasattr(theirs, name):
        return getattr(theirs, name)
    try:
        return import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{module}.{name}":
            raise
        raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
