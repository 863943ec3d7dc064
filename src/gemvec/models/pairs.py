"""A query and a text as one input of a network: which special tokens stand around them, and how they are cut.

Source: the rule `longest_first` of Hugging Face's tokenizers, by which sentence-transformers cuts pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTemplate:
    """The special tokens of a pair. An id whose token has type 1 is its bitwise complement, as the network takes it.

    Attributes:
        before: ids before the first text.
        between: ids between the two.
        after: ids after the second text.
        marks_second: whether the second text's tokens have type 1.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    marks_second: bool

    @property
    def tokens(self) -> int:
        """How many special tokens there are."""
        return len(self.before) + len(self.between) + len(self.after)

    def fill(self, first: Sequence[int], second: Sequence[int], window_tokens: int) -> list[int]:
        """Return the network's input for the ids of two texts, cut so that it is no longer than the window."""
        first_tokens, second_tokens = cut_pair(len(first), len(second), window_tokens - self.tokens)
        kept = second[:second_tokens]
        marked = [~each for each in kept] if self.marks_second else kept
        return [*self.before, *first[:first_tokens], *self.between, *marked, *self.after]


def cut_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens of each text are kept: the longer one loses first, then both share the room.

    >>> cut_pair(10, 90, 50), cut_pair(90, 80, 51), cut_pair(5, 6, 50)
    ((10, 40), (25, 26), (5, 6))
    """
    if first + second <= room:
        return first, second
    shorter, longer = sorted((first, second))
    longer = shorter if shorter > room else max(shorter, room - shorter)
    if shorter + longer > room:
        shorter, longer = room // 2, room // 2 + room % 2
    return (longer, shorter) if first > second else (shorter, longer)
