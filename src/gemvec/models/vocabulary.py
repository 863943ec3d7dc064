"""Which tokens of a vocabulary stand for text that the model was not made for: `find_unfamiliar`.

No tokenizer refuses a text. What its vocabulary lacks becomes the unknown token, single letters or single bytes, and
the vector of such a text means little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import tokenizers
from tokenizers import decoders, models

_UNKNOWN = ("[UNK]", "<unk>")
_FIRST_LONG_BYTE = 0x80
# A vocabulary with fewer ideographs than this is of a model that does not read Chinese or Japanese; such a model for
# Chinese has several thousand.
_FEWEST_IDEOGRAPHS = 2000
_IDEOGRAPHS = range(0x4E00, 0xA000)
# The others, such as Unigram, have the unknown token for what they lack; their vocabularies are large and not read.
_BY_LETTERS = (models.WordPiece, models.BPE)


def find_unfamiliar(tokenizer: tokenizers.Tokenizer) -> frozenset[int]:
    """Return the ids of tokens that a text has many of only if the model was not made for it.

    They are the unknown token; letters inside a word (WordPiece); bytes of a letter that has no token (BPE); ideographs
    where the vocabulary has only some.
    """
    model = tokenizer.model
    found = {tokenizer.token_to_id(name) for name in _UNKNOWN}
    vocabulary = tokenizer.get_vocab(with_added_tokens=False) if isinstance(model, _BY_LETTERS) else {}
    if isinstance(model, models.WordPiece):
        found |= set(_inner_letters(vocabulary, model.continuing_subword_prefix))
    if isinstance(model, models.BPE):
        found |= set(_bytes(vocabulary, is_byte_level=isinstance(tokenizer.decoder, decoders.ByteLevel)))
    if vocabulary:
        ideographs = {vocabulary[piece] for piece in vocabulary if len(piece) == 1 and ord(piece) in _IDEOGRAPHS}
        found |= ideographs if len(ideographs) < _FEWEST_IDEOGRAPHS else set()
    return frozenset(each for each in found if each is not None)


def _inner_letters(vocabulary: Mapping[str, int], prefix: str) -> Iterator[int]:
    for piece, token_id in vocabulary.items():
        if len(piece) == len(prefix) + 1 and piece.startswith(prefix) and piece[-1].isalpha():
            yield token_id


def _bytes(vocabulary: Mapping[str, int], *, is_byte_level: bool) -> Iterator[int]:
    """Yield the tokens that are bytes and no letters: `<0xE5>`, or a piece of bytes that is no UTF-8."""
    if not is_byte_level:
        names = (f"<0x{number:02X}>" for number in range(_FIRST_LONG_BYTE, 256))
        yield from (vocabulary[name] for name in names if name in vocabulary)
        return
    numbers = _byte_numbers()
    for piece, token_id in vocabulary.items():
        if not piece.isascii() and all(each in numbers for each in piece):
            try:
                bytes(numbers[each] for each in piece).decode()
            except UnicodeDecodeError:
                yield token_id


def _byte_numbers() -> dict[str, int]:
    """Return the byte that each letter of a byte-level vocabulary stands for, as GPT-2's tokenizer has it."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [number for number in range(256) if number not in shown]
    return {chr(number): number for number in shown} | {chr(256 + place): each for place, each in enumerate(hidden)}
