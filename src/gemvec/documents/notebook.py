"""Jupyter notebooks as Markdown: `read_cells`, text and code in order, without what the code has printed."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from gemvec.documents.site_markup import follow_fence
from gemvec.documents.text import UnreadableDocument


def read_cells(text: str) -> str:
    """Return the cells of a notebook as Markdown, with front matter where the first one is that.

    Raises:
        UnreadableDocument: it is not a notebook of format 3 or later.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument("it is not a notebook: it is not JSON") from error
    if not isinstance(notebook, dict):
        raise UnreadableDocument("it is not a notebook: it is not a JSON object")
    found = cast("dict[str, Any]", notebook)
    cells = found.get("cells")
    if cells is None:  # format 3 kept cells in worksheets
        cells = [cell for sheet in _list(found.get("worksheets")) for cell in _list(sheet.get("cells"))]
        if "worksheets" not in found:
            raise UnreadableDocument("it is not a notebook: it has no cells")
    language = _find_language(found)
    return "\n\n".join(part for cell in _list(cells) if (part := _to_markdown(cell, language)))


def _list(value: Any) -> list[dict[str, Any]]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []


def _find_language(notebook: dict[str, Any]) -> str:
    metadata = _dict(notebook.get("metadata"))
    found = _dict(metadata.get("language_info")).get("name") or _dict(metadata.get("kernelspec")).get("language")
    return found if isinstance(found, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _to_markdown(cell: dict[str, Any], language: str) -> str:
    source = _join(cell.get("source", cell.get("input", ""))).strip("\n")
    kind = cell.get("cell_type")
    if not source.strip():
        return ""
    if kind == "code":
        fence = "`" * max((len(ticks) + 1 for ticks in re.findall("`{3,}", source)), default=3)
        return f"{fence}{language}\n{source}\n{fence}"
    if kind == "heading":  # format 3
        level = cell.get("level", 1)
        return f"{'#' * (level if isinstance(level, int) and 1 <= level <= 6 else 1)} {source}"  # noqa: PLR2004 # levels
    return _close_code(source)


def _close_code(source: str) -> str:
    """Return Markdown in which no code goes on after its end, as it would in the cells that follow."""
    fence = ""
    for line in source.split("\n"):
        fence = follow_fence(fence, line)
    return f"{source}\n{fence}" if fence else source


def _join(source: Any) -> str:
    if isinstance(source, list):
        return "".join(each for each in cast("list[Any]", source) if isinstance(each, str))
    return source if isinstance(source, str) else ""
