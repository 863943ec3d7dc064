"""Code that comes with a model and must be run for its vectors: found by name here, and run by nobody unless asked to.

Only sentence-transformers can run it, and only where `--trust-remote-code` is given: such code can do anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gemvec.errors import UnsupportedModel
from gemvec.models.modules import list_modules, read_document

# What transformers makes of a model's files for us, by its names in `auto_map`.
_PARTS = ("AutoModel", "AutoTokenizer")


def find_code(folder: Path) -> tuple[str, ...]:
    """Return the classes of a model's own that must be run, as its files name them; empty as a rule.

    Args:
        folder: the model's folder.

    Raises:
        UnsupportedModel: a file cannot be read.
    """
    listed = list_modules(folder, takes_code=True) or [("Transformer", "")]
    here = folder / listed[0][1]
    modules = [kind for kind, _ in listed if "." in kind]
    documents = [read_document(here, name) or {} for name in ("config.json", "tokenizer_config.json")]
    return tuple(dict.fromkeys([*modules, *(name for each in documents for name in named_code(each))]))


def named_code(document: Mapping[str, Any]) -> list[str]:
    """Return the classes that a config.json or tokenizer_config.json names for a network or a tokenizer."""
    named = cast("dict[str, Any]", document.get("auto_map") or {})
    found = [named[part] for part in _PARTS if named.get(part)]
    flat = [name for each in found for name in (cast("list[Any]", each) if isinstance(each, list) else [each])]
    return [str(name) for name in flat if name]


def require_trust(where: str, code: tuple[str, ...], *, is_trusted: bool) -> None:
    """Refuse a model that needs its own code, unless that is trusted.

    Args:
        where: what to call the model in the error.
        code: what must be run.
        is_trusted: whether `--trust-remote-code` is given.

    Raises:
        UnsupportedModel: the code is not trusted, or it is in another repository.
    """
    if code and not is_trusted:
        raise UnsupportedModel(
            f"{where} needs its own code to be run ({', '.join(code)}). Such code can do anything on this machine: read"
            " it, and give --trust-remote-code if you trust it."
        )
    elsewhere = next((each for each in code if "--" in each), None)
    if elsewhere:
        raise UnsupportedModel(
            f"{where} needs the code {elsewhere}, which is in another repository and could change there. Copy its files"
            " into the model's folder, and write its name in auto_map without what is before '--'."
        )
