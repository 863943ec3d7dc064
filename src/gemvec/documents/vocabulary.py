"""What a model does not know: `Vocabulary`, so that a text in an unknown script is not indexed in silence."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gemvec.documents.token_counter import open_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from gemvec.models.vocabulary import UnfamiliarTokens

# Enough of a text to tell; a title or a quotation in another script does not count.
_SAMPLE_CHARACTERS = 2_000
_UNKNOWN_SHARE = 0.5
_NAMES = {"Cjk": "Chinese", "Hiragana": "Japanese", "Katakana": "Japanese", "Hangul": "Korean"}


class Vocabulary:
    """The tokens that a model knows.

    Args:
        tokenizer_file: its `tokenizer.json`, read when it is first needed; None when it is not known.
    """

    def __init__(self, tokenizer_file: Path | None) -> None:
        self._file = tokenizer_file

    def find_unknown_script(self, text: str) -> str:
        """Return the script of a text most of which the model does not know; empty when it knows it."""
        if self._file is None or text.isascii():
            return ""
        sample = text[:_SAMPLE_CHARACTERS]
        ids = self._tokenizer.encode(sample, add_special_tokens=False).ids
        return _name_script(sample) if self._unfamiliar.count(ids) > _UNKNOWN_SHARE * len(ids) else ""

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        assert self._file is not None  # without one, every text is known
        return open_tokenizer(self._file)

    @cached_property
    def _unfamiliar(self) -> UnfamiliarTokens:
        from gemvec.models.vocabulary import UnfamiliarTokens

        return UnfamiliarTokens(self._tokenizer)


def describe_unknown(script: str, what: str, *, by_words: bool = False) -> str:
    """Return what is said about a text in a script that the model does not know.

    Args:
        script: its name.
        what: the text.
        by_words: whether it is a query whose passages are ordered by its words.
    """
    order = "; the passages are ordered by the words of the query" if by_words else ""
    return (
        f"the model does not know most characters of {what} ({script}), so it can hardly compare their meaning; a "
        f"multilingual model such as multilingual-e5-small-q4 knows them{order}"
    )


def _name_script(text: str) -> str:
    """Return the script of most letters that are not Latin, by their names in Unicode."""
    names = (unicodedata.name(each, "").partition(" ")[0].capitalize() for each in text if each.isalpha())
    scripts = Counter(_NAMES.get(name, name) for name in names if name != "Latin")
    return max(scripts, key=lambda name: (name == "Japanese", scripts[name])) if scripts else "unknown letters"
