"""What Google would bill for tokens: one small table, with its date and source."""

from __future__ import annotations

from dataclasses import dataclass

PRICES_SOURCE = "https://ai.google.dev/gemini-api/docs/pricing"
PRICES_AS_OF = "April 2026"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million input tokens.

    Attributes:
        interactive: with `embedContent` and `batchEmbedContents`.
        batch: with a batch job, within a day.
    """

    interactive: float
    batch: float


PRICES = {
    "gemini-embedding-001": Price(interactive=0.15, batch=0.075),
    "gemini-embedding-2": Price(interactive=0.20, batch=0.10),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What `tokens` would cost at Google, in US dollars."""

    model: str
    interactive: float
    batch: float


def list_bills(tokens: int) -> list[Bill]:
    """Return what `tokens` input tokens would cost with each of Google's models."""
    return [
        Bill(model=model, interactive=tokens * price.interactive / 1e6, batch=tokens * price.batch / 1e6)
        for model, price in PRICES.items()
    ]
