"""Documents read and cut on another machine: `CuttingJob`, which that machine runs, and what must be equal there.

What another machine cannot read as this one would is not read there: it answers None, and this machine reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path

from gemvec.documents.document import BadDocument, Document, UnreadDocument, settle_document
from gemvec.documents.packed import Passages
from gemvec.documents.passages import PassageOptions, Splitter
from gemvec.documents.readers import READERS
from gemvec.errors import GemvecError
from gemvec.settings import cache_home

_UNREAD = BadDocument(source="", reason="it is not here")
# Packages on which passages depend beside those that readers name.
_PACKAGES = (
    *("beautifulsoup4", "chardet", "markdown-it-py", "markdownify", "pyarrow", "pypdfium2", "pyyaml"),
    *("semantic-text-splitter", "tokenizers"),
)


@dataclass(frozen=True, slots=True)
class CutDocument:
    """A document and its passages; none for one that was left out."""

    document: Document | BadDocument
    passages: Passages


def cut_document(found: Document | UnreadDocument, splitter: Splitter) -> CutDocument:
    """Read a document, if that is still to be done, and cut it."""
    document = settle_document(found.read()) if isinstance(found, UnreadDocument) else found
    return CutDocument(document, Passages() if isinstance(document, BadDocument) else splitter.split_packed(document))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFile:
    """A tokenizer that another machine must have too.

    Attributes:
        path: where it is, relative to the user's cache folder if it is there.
        digest: of its content.
    """

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> TokenizerFile:
        """Describe a file of this machine."""
        home = cache_home()
        return cls(path=path.relative_to(home) if path.is_relative_to(home) else path, digest=_digest(path))

    def find(self) -> Path | None:
        """Return where it is on this machine; None if there is no such file."""
        path = cache_home() / self.path
        return path if path.is_file() and _digest(path) == self.digest else None


@cache
def _digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CuttingJob:
    """Documents that another machine reads and cuts; picklable.

    Attributes:
        documents: what is to be cut, or `UnreadDocument.read_elsewhere` of what is to be read first.
        options: the sizes of passages.
        tokenizer: counts tokens; None for estimates.
        readers: what `describe_readers` returns here.
    """

    documents: Sequence[Document | Callable[[], Document | BadDocument | None]]
    options: PassageOptions
    tokenizer: TokenizerFile | None
    readers: str

    def run(self) -> list[CutDocument | None] | str:
        """Read and cut.

        Returns:
            Each document, None for one that cannot be read here; or why this machine can cut none.
        """
        if describe_readers() != self.readers:
            return "it has another gemvec or other versions of the packages that read documents"
        if (splitter := _find_splitter(self.options, self.tokenizer)) is None:
            return f"it has no equal {self.tokenizer.path}" if self.tokenizer else ""
        return [_cut_here(each, splitter) for each in self.documents]


def _cut_here(each: Document | Callable[[], Document | BadDocument | None], splitter: Splitter) -> CutDocument | None:
    """Return a cut document; None for what cannot be read here, which may be readable where it was found."""
    try:
        document = each if isinstance(each, Document) else settle_document(each() or _UNREAD)
    except (GemvecError, OSError, MemoryError):
        return None
    return None if isinstance(document, BadDocument) else CutDocument(document, splitter.split_packed(document))


@cache
def _find_splitter(options: PassageOptions, tokenizer: TokenizerFile | None) -> Splitter | None:
    if tokenizer is None:
        return Splitter(options)
    path = tokenizer.find()
    return Splitter(options, path) if path else None


@cache
def describe_readers() -> str:
    """Return a digest of what reads and cuts documents: this room's source, and the packages that it uses."""
    digest = blake2b(digest_size=16)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(repr([(name, _find_version(name)) for name in list_packages()]).encode())
    return digest.hexdigest()


def list_packages() -> list[str]:
    """Return the packages with which documents are read and cut."""
    return sorted({library for reader in READERS for library in reader.libraries} | set(_PACKAGES))


def _find_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
