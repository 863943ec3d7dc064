"""What BM25 matches: words without accents and case, and pairs of characters where a script has no spaces.

Milvus Lite and servers cut text into words differently, and neither finds the words of Chinese, Japanese or Thai, which
are written without spaces. So the text is cut here, for rows (`index_words`) and queries (`query_words`), in a way that
both leave as it is: overlapping pairs of characters, which need no dictionary and no knowledge of the language.
"""

from __future__ import annotations

import re
import unicodedata

# Part of the hash of documents that are not plain ASCII: raise it when the same text gets other words.
WORDS_VERSION = "words 2"

_HAN = "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
_HANGUL = "\u1100-\u11ff\uac00-\ud7af"
_SOUTHEAST_ASIAN = "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_RUN = re.compile(f"[{_HAN}{_KANA}{_HANGUL}{_SOUTHEAST_ASIAN}]+")
_HAN_CHARACTER = re.compile(f"[{_HAN}]")


def index_words(*parts: str) -> str:
    """Return the text of a passage for BM25; each Chinese character is also a word by itself."""
    text = make_plain("\n".join(part for part in parts if part))
    return _RUN.sub(lambda run: f" {' '.join([*pair(run[0]), *_HAN_CHARACTER.findall(run[0])])} ", text)


def query_words(query: str) -> str:
    """Return a query for BM25.

    Its words as they were written come first, because rows that were written before `WORDS_VERSION` have such words.
    """
    words = _RUN.sub(lambda run: f" {' '.join(pair(run[0]))} ", make_plain(query))
    return query if query.isascii() else f"{query} {words}"


def split_words(query: str) -> tuple[list[str], list[str]]:
    """Return the plain words of a query, and its runs of characters in scripts without spaces."""
    text = make_plain(query)
    return re.findall(r"\w+", _RUN.sub(" ", text).lower()), _RUN.findall(text)


def make_plain(text: str) -> str:
    """Return a text without accents and, where it is not English, without case."""
    return text if text.isascii() else text.translate(_PLAIN)


def pair(run: str) -> list[str]:
    """Return the overlapping pairs of characters of a run without spaces; one character is returned as it is."""
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]


class _PlainCharacters(dict[int, str]):
    """What each character becomes; computed when it first occurs."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _find_plain(chr(code))
        return plain


def _find_plain(character: str) -> str:
    """Return a character without accents; marks that stand for themselves, such as Thai tones, are dropped.

    Accents go where a searcher leaves them out: in Latin and Greek letters, and in the Russian yo. In other scripts, a
    letter with a mark is another letter.
    """
    if unicodedata.category(character) in {"Mn", "Mc", "Me"}:
        return ""
    is_accented = unicodedata.name(character, "").startswith(("LATIN ", "GREEK ")) or character in "\u0401\u0451"
    base = unicodedata.normalize("NFD", character)[0] if is_accented else character
    return base.casefold()


_PLAIN = _PlainCharacters()
