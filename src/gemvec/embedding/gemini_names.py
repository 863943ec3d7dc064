"""The Gemini names that gemvec serves, with Google's limits and defaults.

The names are aliases of the default model; every answer says which weights really serve them. Source: Google's API
reference, models page and deprecation notes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiName:
    """One name of Google's embedding models.

    Attributes:
        name: the id after `models/`.
        display_name: a human-readable name.
        input_token_limit: texts beyond it are cut or refused.
        default_dimensionality: values in a vector when the caller does not say.
        takes_options: whether task type, title and output dimensionality may be given.
        retired_at: the day Google ended it, None if it has not.
    """

    name: str
    display_name: str
    input_token_limit: int
    default_dimensionality: int
    takes_options: bool = True
    retired_at: date | None = None


GEMINI_NAMES = (
    GeminiName(
        name="gemini-embedding-001",
        display_name="Gemini Embedding 001",
        input_token_limit=2048,
        default_dimensionality=3072,
    ),
    GeminiName(
        name="gemini-embedding-2",
        display_name="Gemini Embedding 2",
        input_token_limit=8192,
        default_dimensionality=3072,
    ),
    GeminiName(
        name="gemini-embedding-2-preview",
        display_name="Gemini Embedding 2 Preview",
        input_token_limit=8192,
        default_dimensionality=3072,
    ),
    GeminiName(
        name="gemini-embedding-exp-03-07",
        display_name="Gemini Embedding Experimental 03-07",
        input_token_limit=8192,
        default_dimensionality=3072,
        retired_at=date(2025, 10, 30),
    ),
    GeminiName(
        name="text-embedding-004",
        display_name="Text Embedding 004",
        input_token_limit=2048,
        default_dimensionality=768,
        retired_at=date(2026, 1, 14),
    ),
    GeminiName(
        name="embedding-001",
        display_name="Embedding 001",
        input_token_limit=2048,
        default_dimensionality=768,
        takes_options=False,
        retired_at=date(2025, 10, 30),
    ),
)


def find_gemini_name(name: str) -> GeminiName | None:
    """Return the row of `name` (without `models/`), or None if it is not one of Google's."""
    return next((each for each in GEMINI_NAMES if each.name == name), None)
