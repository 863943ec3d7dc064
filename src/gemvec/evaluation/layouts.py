"""Finds out how data on disk is laid out, and reads it: the layouts in which public test sets come."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import Dataset
from gemvec.evaluation.retrieval_files import load_reading, load_retrieval
from gemvec.evaluation.sentence_files import load_pairs, load_scored_pairs, load_translations

_YEAR = re.compile(r"20(\d\d)\b")
# A year's file for a pair of languages, such as `2017.ar-en.tsv`; each is a task of its own.
_PAIR_OF_LANGUAGES = re.compile(r"20\d\d\.[a-z]{2}-[a-z]{2}(?=\.)")
# One of SemEval's two files, such as `STS.input.track1.ar-ar.txt`, in a folder such as `STS2017.eval.v1.1`.
_SEMEVAL = re.compile(r"STS\.(input|gs)\.(.+)\.txt")
_SEMEVAL_FOLDER = re.compile(r"STS20(\d\d)")
# One of the two files of translations, such as `tatoeba.deu-eng.deu`.
_TRANSLATIONS = re.compile(r"(?P<stem>(?:.+\.)?(?P<first>\w+)-(?P<second>\w+))\.(?:(?P=first)|(?P=second))")


def load_datasets(paths: Sequence[Path], *, split: str = "test") -> list[Dataset]:
    """Read the data in `paths`.

    - A folder with `corpus.jsonl`: one retrieval set, as in BEIR.
    - `.tsv` files: pairs of sentences with a score. Files with the same name up to the first dot are one set, like the
      files of one year of the STS tasks. A file for a pair of languages, such as `2017.ar-en.tsv`, is a set of its own,
      as in MTEB.
    - `STS.input.*.txt` and `STS.gs.*.txt`: the same as SemEval published them; each pair of files is a set.
    - `NAME.deu-eng.deu` and `NAME.deu-eng.eng`: translations, as in Tatoeba's test sets.
    - `.json` files: questions and paragraphs, as in SQuAD and XQuAD; each file is a retrieval set.

    A folder stands for its files of the first of these layouts that it has. A file with any other name is read as
    a `.tsv` file.

    Args:
        paths: folders and files.
        split: which file of a retrieval set's `qrels`.

    Returns:
        Pairs of sentences, then translations, then retrieval sets.

    Raises:
        InvalidRequest: there is nothing to read, or a file is not valid; `field` names file and line.
    """
    folders = [path for path in paths if (path / "corpus.jsonl").is_file()]
    groups: dict[_Layout, list[Path]] = {}
    for path in paths:
        if path not in folders:
            layout, files = _find_files(path)
            groups.setdefault(layout, []).extend(files)
    found = [data for layout in _LAYOUTS for data in layout(dict.fromkeys(groups.get(layout, ())))]
    return [*found, *(load_retrieval(folder, split=split) for folder in folders)]


def _find_files(path: Path) -> tuple[_Layout, list[Path]]:
    """Return the files that a path stands for, and how they are laid out."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for layout, takes in _LAYOUTS.items():
        if found := [each for each in files if takes(each.name) and each.is_file()]:
            return layout, found
    if path.is_file():
        return _load_tables, [path]
    if not path.exists():
        raise InvalidRequest(f"{path} does not exist.", field=str(path))
    raise InvalidRequest(
        f"{path} has no data in a layout that gemvec reads: a folder with corpus.jsonl, .tsv files, STS.input.*.txt "
        "and STS.gs.*.txt, files such as tatoeba.deu-eng.deu, or .json files as in SQuAD.",
        field=str(path),
    )


def _load_tables(files: Iterable[Path]) -> list[Dataset]:
    groups: dict[str, list[Path]] = {}
    for table in files:
        own = _PAIR_OF_LANGUAGES.match(table.name)
        groups.setdefault(own[0] if own else table.name.split(".")[0], []).append(table)
    return [load_pairs(group, name=_YEAR.sub(r"STS\1", name)) for name, group in groups.items()]


def _load_semeval(files: Iterable[Path]) -> list[Dataset]:
    """Read the two files of each test set, which SemEval has in a folder each."""
    inputs: dict[str, Path] = {}
    scores: dict[str, Path] = {}
    for path in files:
        kind, name = _SEMEVAL.findall(path.name)[0]
        found = inputs if kind == "input" else scores
        if name in found:
            raise InvalidRequest(f"{found[name]} and {path} have the same name.", field=str(path))
        found[name] = path
    for missing in sorted(inputs.keys() ^ scores.keys()):
        path, other = (inputs[missing], "gs") if missing in inputs else (scores[missing], "input")
        raise InvalidRequest(f"{path}: give STS.{other}.{missing}.txt or its folder too.", field=str(path))
    return [
        load_scored_pairs(path, scores[name], name=f"{_semeval_year(path, scores[name])}.{name}")
        for name, path in inputs.items()
    ]


def _semeval_year(*paths: Path) -> str:
    """Return a name such as STS17 for files in a folder such as `STS2017.gs`."""
    found = (_SEMEVAL_FOLDER.match(path.resolve().parent.name) for path in paths)
    return next((f"STS{year[1]}" for year in found if year), "STS")


def _load_translations(files: Iterable[Path]) -> list[Dataset]:
    """Read each pair of files; one of the two is enough to name a pair."""
    pairs: dict[Path, tuple[Path, Path]] = {}
    for path in files:
        if named := _TRANSLATIONS.fullmatch(path.name):
            first, second = (path.with_name(f"{named['stem']}.{named[each]}") for each in ("first", "second"))
            pairs[path.with_name(named["stem"])] = first, second
    return [load_translations(*pair, name=stem.name) for stem, pair in pairs.items()]


def _load_readings(files: Iterable[Path]) -> list[Dataset]:
    return [load_reading(path) for path in files]


_Layout = Callable[[Iterable[Path]], list[Dataset]]

# What reads files of a layout, and which names such files have; the order is that of the sets.
_LAYOUTS: dict[_Layout, Callable[[str], object]] = {
    _load_tables: lambda name: name.endswith(".tsv"),
    _load_semeval: _SEMEVAL.fullmatch,
    _load_translations: _TRANSLATIONS.fullmatch,
    _load_readings: lambda name: name.endswith(".json"),
}
