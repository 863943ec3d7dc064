"""Reads sentence pairs with scores (tab-separated, or in SemEval's two files) and translations (a file a language)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import SentencePairs, Translations
from gemvec.evaluation.lines import bad_line, read_lines

_Row = tuple[float, str, str]


def load_pairs(paths: Iterable[Path], *, name: str) -> SentencePairs:
    """Read tab-separated files of three columns: gold score, sentence, sentence; UTF-8, no header, no quoting.

    Raises:
        InvalidRequest: a line is something else.
    """
    return _pairs_of([row for path in paths for row in _read_pairs(path)], name)


def load_scored_pairs(sentences: Path, scores: Path, *, name: str) -> SentencePairs:
    """Read a test set as SemEval published it: a file of two sentences a line, and a file of a score a line.

    Lines without a score were not judged and are left out: empty ones, and those after the last score.

    Raises:
        InvalidRequest: a line is something else, or a score has no pair.
    """
    gold = {number: _score(scores, number, line) for number, line in read_lines(scores)}
    rows: list[_Row] = []
    for number, line in read_lines(sentences):
        if number in gold:
            # Some years have columns with the sources of the sentences after them.
            first, tab, rest = line.partition("\t")
            if not tab:
                raise bad_line(sentences, number, "expected a sentence, a tab, a sentence")
            rows.append((gold.pop(number), first, rest.partition("\t")[0]))
    if gold:
        raise bad_line(scores, min(gold), f"{sentences.name} has no pair on this line")
    return _pairs_of(rows, name)


def load_translations(first: Path, second: Path, *, name: str) -> Translations:
    """Read two files with one sentence a line; a line of one translates the same line of the other.

    Raises:
        InvalidRequest: a line has no translation, or there are fewer than two.
    """
    sentences, translations = dict(read_lines(first)), dict(read_lines(second))
    for path, other, lines in (
        (first, second, sentences.keys() - translations.keys()),
        (second, first, translations.keys() - sentences.keys()),
    ):
        if lines:
            raise bad_line(path, min(lines), f"{other.name} has no translation on this line")
    if len(sentences) < 2:  # noqa: PLR2004 # one translation is always found
        raise InvalidRequest(f"{name} has fewer than two sentences.", field=name)
    return Translations(name=name, first=tuple(sentences.values()), second=tuple(translations.values()))


def _pairs_of(rows: list[_Row], name: str) -> SentencePairs:
    if len({gold for gold, _, _ in rows}) < 2:  # noqa: PLR2004 # an order needs two
        raise InvalidRequest(f"{name} has no pairs with different scores.", field=name)
    gold, first, second = zip(*rows, strict=True)
    return SentencePairs(name=name, first=first, second=second, gold=gold)


def _read_pairs(path: Path) -> Iterator[_Row]:
    for number, line in read_lines(path):
        try:
            gold, first, second = line.split("\t")
            yield float(gold), first, second
        except ValueError as error:
            raise bad_line(path, number, "expected a score, a tab, a sentence, a tab, a sentence") from error


def _score(path: Path, number: int, line: str) -> float:
    try:
        return float(line)
    except ValueError as error:
        raise bad_line(path, number, "expected a score") from error
