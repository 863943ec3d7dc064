"""Titles in the properties of files that a program has written and nobody has chosen: `choose_title`."""

from __future__ import annotations

import re

# What Word and Acrobat put before the name of the file that they print or save.
_PROGRAM = re.compile(r"^Microsoft (?:Office )?(?:Word|PowerPoint|Excel) - ")
_SLIDE = r"(?:slide|diapositive|diapositiva|folie|slajd|dia|слайд|幻灯片|スライド|슬라이드)\s*\d+"
_KIND = (
    r"(?:(?:microsoft )?(?:power\s?point|word|excel)[ -]?)?(?:presentation|présentation|präsentation|presentación|"
    r"presentazione|apresentação|презентация|do[ck]umento?|book|workbook)"
    r"(?: (?:de |do |di )?powerpoint)?\s*\d*"
)
_MADE = re.compile(rf"(?:{_SLIDE}|{_KIND}|untitled|(?:no|enter) title|title|normal(?:\.dotm?)?)", re.IGNORECASE)


def choose_title(written: str) -> str:
    """Return a title of a file's properties; empty for one such as `PowerPoint Presentation` or `Slide 1`."""
    title = _PROGRAM.sub("", " ".join(written.split()))
    return "" if _MADE.fullmatch(title) else title
