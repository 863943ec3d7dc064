"""Finds what Milvus' own `pymilvus.model` has: names by `find_theirs`, modules by `TheirModules`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_OURS = "gemvec."
_THEIRS = "pymilvus.model"
_OUR_MODULES = {"gemvec.pymilvus.model.dense"}
_HINT = f"and Milvus' {_THEIRS} is not installed: pip install 'pymilvus[model]'"


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
        raise AttributeError(f"gemvec has no {name!r} of its own, {_HINT}") from error
    if hasattr(theirs, name):
        return getattr(theirs, name)
    try:
        return import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{module}.{name}":
            raise
        raise AttributeError(f"module {module!r} has no attribute {name!r}") from None


class TheirModules(MetaPathFinder, Loader):
    """Imports `gemvec.pymilvus.model.reranker` and the like as Milvus' own module of that name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import Milvus' module; None for another module, and where Milvus has none of the name.

        Raises:
            ModuleNotFoundError: Milvus' own package is not installed.
        """
        del path, target
        theirs = fullname.removeprefix(_OURS)
        if not theirs.startswith(f"{_THEIRS}.") or theirs == fullname or _is_ours(fullname):
            return None
        if not _is_installed():
            raise ModuleNotFoundError(f"gemvec has no module {fullname!r} of its own, {_HINT}", name=fullname)
        return ModuleSpec(fullname, self) if find_spec(theirs) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return Milvus' module, without the new name that Python is about to give it."""
        theirs = import_module(spec.name.removeprefix(_OURS))
        spec.loader_state = theirs.__spec__
        return theirs

    def exec_module(self, module: ModuleType) -> None:
        """Give the module, which has run already, its own name back."""
        spec = module.__spec__
        module.__spec__ = spec.loader_state if spec else None


def _is_ours(module: str) -> bool:
    return module in _OUR_MODULES or module.rpartition(".")[2].startswith("__")


def _is_installed() -> bool:
    try:
        return find_spec(_THEIRS) is not None
    except ModuleNotFoundError:  # nor is the package around it
        return False


def install_their_modules() -> None:
    """Let Python find Milvus' modules below `gemvec.pymilvus.model`.

    Before its other finders: they would find a module of one of Milvus' packages by its file, and run it a second time.
    """
    if not any(isinstance(each, TheirModules) for each in sys.meta_path):
        sys.meta_path.insert(0, TheirModules())
