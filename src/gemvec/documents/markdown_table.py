"""Rows of cells as a table of Markdown: `write_rows`."""

from __future__ import annotations


def write_rows(rows: list[list[str]]) -> str:
    """Return rows of cells as a table of Markdown; the first one is its header. Empty rows are left out."""
    lines: list[str] = []
    for row in rows:
        cells = [" ".join(cell.replace("|", "\\|").split()) for cell in row]
        if any(cells):
            lines.append("| " + " | ".join(cells) + " |")
            if len(lines) == 1:
                lines.append("|" + " --- |" * len(cells))
    return "\n".join(lines)
