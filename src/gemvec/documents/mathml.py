"""Formulas of web pages and books in MathML on one line, as people type them: `spell_formula`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import Tag

_UNREAD = frozenset({"annotation", "annotation-xml", "none", "mprescripts"})
_LEAVES = frozenset({"mi", "mn", "mo", "mtext", "ms"})
_BETWEEN = {
    "msub": "_",
    "munder": "_",
    "msup": "^",
    "mover": "^",
    "mfrac": "/",
    "mtable": "; ",
    "mtr": ", ",
    "mlabeledtr": ", ",
}
_ROWS = frozenset({"mtable", "mtr", "mlabeledtr"})
_BOTH = frozenset({"msubsup", "munderover"})


def spell_formula(formula: Tag) -> str:
    """Return a formula: `x_n^2`, `(a+b)/2`, `√(x)`, the rows of a matrix `1, 0; 0, 1`."""
    from bs4 import Tag

    name = formula.name.rpartition(":")[2]
    if name in _UNREAD:
        return ""
    if name in _LEAVES:
        return " ".join(formula.get_text().split())
    parts = [spell_formula(each) for each in formula.children if isinstance(each, Tag)]
    if name in _BOTH and len(parts) == len("_^") + 1:
        return f"{parts[0]}_{_group(parts[1])}^{_group(parts[2])}"
    if name in _BETWEEN:
        is_table = name in _ROWS
        return _BETWEEN[name].join(filter(None, parts) if is_table else map(_group, parts))
    if name in {"msqrt", "mroot"}:
        return f"√{_group(parts[0] if name == 'mroot' and parts else ''.join(parts))}"
    return "".join(parts)


def _group(part: str) -> str:
    return part if len(part) == 1 or part.isalnum() else f"({part})"
