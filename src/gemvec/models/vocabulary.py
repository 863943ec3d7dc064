"""Which tokens of a vocabulary stand for text that the model was not made for: `UnfamiliarTokens`.

No tokenizer refuses a text. What its vocabulary lacks becomes the unknown token, single letters or single bytes, and
the vector of such a text means little.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import tokenizers
from tokenizers import decoders, models

_UNKNOWN = ("[UNK]", "<unk>")
_BYTES = frozenset(f"<0x{number:02X}>" for number in range(0x80, 0x100))  # those below are letters
# A vocabulary with fewer ideographs than this is of a model that does not read Chinese or Japanese; such a model for
# Chinese has several thousand.
_MIN_IDEOGRAPHS = 2000
_IDEOGRAPHS = range(0x4E00, 0xA000)


class UnfamiliarTokens:
    """The tokens that a text has many of only if the model was not made for it.

    They are the unknown token; letters inside a word (WordPiece); bytes of a letter that has no token (BPE); ideographs
    where the vocabulary has only some. Other kinds of vocabularies, such as Unigram, have the unknown token for what
    they lack.

    Tokens of WordPiece and BPE are judged when they are first met: to read a whole vocabulary takes up to half as long
    as to load it.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        """Take over a tokenizer that will not change."""
        self._model = tokenizer.model
        self._is_by_letters = isinstance(self._model, models.WordPiece | models.BPE)
        self._is_byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
        self._unfamiliar = {found for name in _UNKNOWN if (found := tokenizer.token_to_id(name)) is not None}
        self._familiar: set[int] = set()

    def count(self, ids: Sequence[int]) -> int:
        """Return how many of the ids are of such tokens."""
        if not self._is_by_letters:
            return 0 if self._unfamiliar.isdisjoint(ids) else self._count(ids)
        if self._familiar.issuperset(ids):  # as a rule, and found out in half the time
            return 0
        for each in set(ids) - self._familiar - self._unfamiliar:
            (self._unfamiliar if self._is_unfamiliar(each) else self._familiar).add(each)
        return self._count(ids)

    def _count(self, ids: Sequence[int]) -> int:
        return sum(map(self._unfamiliar.__contains__, ids))

    def _is_unfamiliar(self, token_id: int) -> bool:
        model = self._model
        piece = model.id_to_token(token_id)
        if piece is None:  # a token that was added to the vocabulary
            return False
        if len(piece) == 1 and ord(piece) in _IDEOGRAPHS:
            return self._has_few_ideographs
        if isinstance(model, models.WordPiece):
            return _is_inner_letter(piece, model.continuing_subword_prefix)
        return _is_broken_letter(piece) if self._is_byte_level else piece in _BYTES

    @cached_property
    def _has_few_ideographs(self) -> bool:
        found = sum(self._model.token_to_id(chr(each)) is not None for each in _IDEOGRAPHS)
        return found < _MIN_IDEOGRAPHS


def _is_inner_letter(piece: str, prefix: str) -> bool:
    return len(piece) == len(prefix) + 1 and piece.startswith(prefix) and piece[-1].isalpha()


def _is_broken_letter(piece: str) -> bool:
    """Say whether a piece of a byte-level vocabulary is bytes that are no letters."""
    if piece.isascii() or not all(each in _BYTE_NUMBERS for each in piece):
        return False
    try:
        bytes(_BYTE_NUMBERS[each] for each in piece).decode()
    except UnicodeDecodeError:
        return True
    return False


def _byte_numbers() -> dict[str, int]:
    """Return the byte that each letter of a byte-level vocabulary stands for, as GPT-2's tokenizer has it."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [number for number in range(256) if number not in shown]
    return {chr(number): number for number in shown} | {chr(256 + place): each for place, each in enumerate(hidden)}


_BYTE_NUMBERS = _byte_numbers()
