"""How many tokens texts have, by the measure that sizes passages: `TokenCounter`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from sys import getsizeof
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A character of Chinese, Japanese or Korean is about one token; in other languages about five characters are.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\w\s]")
_CHARACTERS_PER_TOKEN = 5

# Texts whose tokens are counted at once: each token takes about 70 bytes meanwhile.
_TEXTS_PER_COUNT = 1_000
# A longer text is counted in slices: it is cut anyway, so a few tokens more do not matter.
_MAX_COUNTED_AT_ONCE = 200_000
# Bytes of the words whose tokens are remembered.
_REMEMBERED_BYTES = 4 * 2**20


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens in `text`, for models whose tokenizer is not here."""
    return sum(-(-len(word) // _CHARACTERS_PER_TOKEN) for word in _WORD.findall(text))


def open_tokenizer(file: Path) -> Tokenizer:
    """Return the tokenizer in a `tokenizer.json`, without the cuts and the padding that the file may ask for."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    # They would hide the length of a text.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class TokenCounter:
    """Counts tokens; safe to use from several threads at once.

    Args:
        tokenizer_file: the model's `tokenizer.json`, which is not read before something is counted; None to estimate.
    """

    def __init__(self, tokenizer_file: Path | None) -> None:
        self._file = tokenizer_file
        self._words: dict[str, int] = {}  # the tokens of each
        self._bytes = 0

    def count(self, text: str) -> int:
        """Return the tokens of a text, without special ones."""
        return self.count_all([text])[0]

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text."""
        if self._file is None:
            return [estimate_tokens(text) for text in texts]
        sizes: list[int] = []
        for start in range(0, len(texts), _TEXTS_PER_COUNT):
            slices = [_slice(text) for text in texts[start : start + _TEXTS_PER_COUNT]]
            if max(map(len, slices)) == 1:
                sizes += self._count([text for (text,) in slices])
            else:
                sizes += [sum(self._count([each])[0] for each in text) for text in slices]
        return sizes

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        assert self._file is not None  # without one, tokens are estimated
        return open_tokenizer(self._file)

    @cached_property
    def _counts_by_words(self) -> bool:
        """Whether the tokens of a text are those of its words, one after the other, as BERT's are."""
        from tokenizers.models import WordPiece
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        tokenizer = self._tokenizer
        added = (token.content for token in tokenizer.get_added_tokens_decoder().values())
        return (
            isinstance(tokenizer.model, WordPiece)
            and isinstance(tokenizer.normalizer, BertNormalizer | None)
            and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
            and not any(character.isspace() for content in added for character in content)
        )

    def _count(self, texts: Sequence[str]) -> list[int]:
        if not self._counts_by_words:
            return self._tokenize(texts)
        # Most words of a text were there before, and to look them up takes a fifth of the time of the tokenizer.
        words = [_split(text) for text in texts]
        known = self._words
        if unknown := list({word for some in words for word in some if word not in known}):
            known.update(zip(unknown, self._tokenize(unknown), strict=True))
            self._bytes += sum(map(getsizeof, unknown))
            if self._bytes > _REMEMBERED_BYTES:
                self._words, self._bytes = {}, 0
        return [sum(map(known.__getitem__, some)) for some in words]

    def _tokenize(self, texts: Sequence[str]) -> list[int]:
        # The fast method does not compute the tokens' positions in the text, which is half of the work.
        return list(map(len, self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)))


def _slice(text: str) -> list[str]:
    size = _MAX_COUNTED_AT_ONCE
    return [text[start : start + size] for start in range(0, max(len(text), 1), size)]


def _split(text: str) -> list[str]:
    """Return what is between spaces. Of other characters, Python and tokenizers disagree which ones are such."""
    return text.replace("\n", " ").replace("\t", " ").replace("\r", " ").split(" ")
