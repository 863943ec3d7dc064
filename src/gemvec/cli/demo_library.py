"""What `gemvec demo` indexes and asks: the project's documentation, or small documents in another language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from gemvec.errors import GemvecError

Language = Literal["es", "zh", "ru"]

_NAMES: Mapping[Language, str] = {"es": "Spanish", "zh": "Chinese", "ru": "Russian"}

# Questions about the project's own documentation, each with the file that must be among the passages found.
_QUESTIONS = {
    "How do I cancel a batch job?": "batches.md",
    "What happens to a text that is longer than the model's window?": "models.md",
    "How long is an uploaded file kept?": "files.md",
}
_PASSAGES_LOOKED_AT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Documents, and questions that they answer.

    Attributes:
        folder: the documents.
        name: what they are, for a sentence.
        questions: each with the name of the file that answers it.
        limit: how many passages are looked at; one of them must be of that file.
    """

    folder: Path
    name: str
    questions: Mapping[str, str]
    limit: int


class _Texts(msgspec.Struct, frozen=True):
    documents: dict[str, str]
    questions: dict[str, str]


_decode = msgspec.json.Decoder(dict[Language, _Texts]).decode


def open_library(language: Language | None, folder: Path) -> Library:
    """Return the documents in a language; those in another language than English are written into `folder`."""
    if language is None:
        return Library(
            folder=documentation(),
            name="pages of our documentation",
            questions=_QUESTIONS,
            limit=_PASSAGES_LOOKED_AT,
        )
    texts = _decode(files("gemvec.cli").joinpath("demo_library.json").read_bytes())[language]
    folder.mkdir()
    for name, text in texts.documents.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Library(folder=folder, name=f"documents in {_NAMES[language]}", questions=texts.questions, limit=1)


def documentation() -> Path:
    """Return the folder of the project's documentation: in the package, or beside it in a checkout."""
    import gemvec

    home = Path(gemvec.__file__).parent
    found = next((each for each in (home / "documentation", home.parent.parent / "docs") if each.is_dir()), None)
    if found is None:
        raise GemvecError("This installation has no documentation.")
    return found
