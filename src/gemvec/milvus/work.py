"""The work to do for each document, found by comparing it with the stored rows: `WorkFinder`.

A document is up to date when it has exactly the rows that its hash and count promise. So the rows themselves say what
has been done, and nothing else has to be kept between runs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gemvec.documents.cutting import CutDocument
from gemvec.documents.document import (
    BadDocument,
    Document,
    Note,
    UnreadDocument,
    check_id,
    refuse_document,
    settle_document,
)
from gemvec.documents.packed import Passages
from gemvec.documents.passages import Passage, Splitter
from gemvec.documents.sources import Sources
from gemvec.documents.vocabulary import describe_unknown
from gemvec.embedding.embed import Float32Array
from gemvec.memory import give_back
from gemvec.milvus.ids import IdSet
from gemvec.milvus.schema import Row, RowState
from gemvec.milvus.version import CollectionVersion
from gemvec.milvus.words import WORDS_VERSION, index_words

if TYPE_CHECKING:
    from gemvec.milvus.cluster_cutter import ClusterCutter

# Documents looked up in one call to Milvus, and their bytes held in memory meanwhile.
_DOCUMENTS_PER_LOOKUP, _BYTES_PER_LOOKUP = 2_000, 16 * 2**20
# Passages of a document whose reader has taken much memory.
_LONG_DOCUMENT = 2_000
# When most rows of a collection are needed, all are read at once, up to this many (about 50 MB).
_MAX_ROWS_READ_AT_ONCE = 100_000
_ROWS_PER_ASKED_DOCUMENT = 4


Found = Document | BadDocument | UnreadDocument
States = dict[str, dict[str, RowState]]  # document id -> key -> state


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """One document that is not up to date.

    Attributes:
        document: the document, without its text, which the passages have.
        document_hash: what its rows will carry.
        passages: its passages.
        key_version: what their keys say about how they were cut.
        states: its rows by key, as they are now.
        missing: how many passages have no row and must be embedded.
        outdated: how many have a row with the right vector but other fields that differ.
        stale: keys of rows that no longer belong to a passage.
    """

    document: Document
    document_hash: str
    passages: Passages
    key_version: str
    states: dict[str, RowState]
    missing: int
    outdated: int
    stale: tuple[str, ...]

    @classmethod
    def of(
        cls,
        document: Document,
        document_hash: str,
        passages: Passages,
        states: dict[str, RowState],
        *,
        key_version: str,
    ) -> Work:
        """Compare the passages of a document with its rows."""
        known = {each.key(document.id, key_version) for each in passages} & states.keys() if states else set[str]()
        return cls(
            document=replace(document, text=""),
            document_hash=document_hash,
            passages=passages,
            key_version=key_version,
            states=states,
            missing=len(passages) - len(known),
            outdated=sum(states[key].document_hash != document_hash for key in known),
            stale=tuple(key for key in states if key not in known),
        )

    def keyed(self) -> Iterator[tuple[str, Passage]]:
        """Yield the passages in order, each with its key."""
        return ((each.key(self.document.id, self.key_version), each) for each in self.passages)

    def find_missing(self) -> Iterator[tuple[str, Passage]]:
        """Yield the passages that have no row, with their keys."""
        if self.missing:
            yield from ((key, each) for key, each in self.keyed() if key not in self.states)

    def find_outdated(self) -> Iterator[tuple[str, Passage]]:
        """Yield the passages with a row that has the right vector but other fields that differ, with their keys."""
        for key, each in self.keyed() if self.outdated else ():
            state = self.states.get(key)
            if state and state.document_hash != self.document_hash:
                yield key, each

    def to_row(self, key: str, passage: Passage, vector: Float32Array) -> Row:
        """Return the row of a passage."""
        document = self.document
        return Row(
            key=key,
            text=passage.text,
            words=index_words(document.title, passage.heading, passage.text),
            vector=vector,
            document_id=document.id,
            document_hash=self.document_hash,
            chunk=passage.number,
            chunks=len(self.passages),
            title=document.title,
            heading=passage.heading,
            source=document.source,
            position=passage.position,
            metadata=dict(document.metadata),
        )


class WorkFinder:
    """Finds the work to do for each document.

    Args:
        version: the rows to compare with; None when there is no collection yet.
        splitter: cuts documents that are not up to date.
        cutter: reads and cuts them elsewhere; None to do it here.

    Attributes:
        documents: documents read, bad ones left out.
        unchanged: documents that are up to date.
        bad: documents left out.
        notes: what was guessed, repaired or left out in documents that were read.
        seen: ids of all documents that were read, including bad ones.
        unreadable_sources: sources of bad documents whose id is not known; files, and folders.
        read_bytes: bytes of the sources that have been read.
    """

    def __init__(
        self, version: CollectionVersion | None, splitter: Splitter, cutter: ClusterCutter | None = None
    ) -> None:
        self._version = version
        self._splitter = splitter
        self._cutter = cutter
        self.documents = 0
        self.unchanged = 0
        self.bad: list[BadDocument] = []
        self.notes: list[Note] = []
        self.seen = IdSet()
        self.unreadable_sources: set[str] = set()
        self.read_bytes = 0
        self._unknown_scripts: set[str] = set()
        self._knows_all: bool | None = None  # None before the first look-up
        self._states: States = {}  # of all rows, when all were read

    def find(self, documents: Iterable[Found]) -> Iterator[Work]:
        """Yield the documents that are not up to date, in order; files that take long to parse only if they must be."""
        unread = documents.unread() if isinstance(documents, Sources) else documents
        for some in _gather(map(_screened, unread), self._gathered):
            states = self._look_up([each.id for each in some if not isinstance(each, BadDocument)])
            for each, cut in self._cut_ahead(some, states):
                self.read_bytes = each.read_bytes
                work = self._find_work(each, cut, states.get(each.id, {}))
                del each, cut  # a long text is not held while its passages are embedded
                if work and len(work.passages) > _LONG_DOCUMENT:
                    gc.collect()  # trees of elements that refer to each other, which its reader has left
                    give_back()
                if work:
                    yield work

    def _cut_ahead(self, some: list[Found], states: States) -> Iterator[tuple[Found, CutDocument | None]]:
        """Yield everything; with it what the cutter has made of it, if the collection may lack it."""
        if self._cutter is None:
            some.reverse()
            while some:
                yield some.pop(), None
            return
        lacking = [
            None if isinstance(each, BadDocument) or _is_complete(states.get(each.id, {}), self._hash(each)) else each
            for each in some
        ]
        cut = self._cutter.cut([each for each in lacking if each])
        yield from ((each, next(cut) if wanted else None) for each, wanted in zip(some, lacking, strict=True))

    def _hash(self, each: Document | UnreadDocument) -> str:
        """Return what the rows of a document carry if they are up to date."""
        is_of_content = isinstance(each, UnreadDocument) or _has_other_words(each)
        return each.hash(self._content_version if is_of_content else self._splitter.version)

    def _find_work(self, each: Found, cut: CutDocument | None, states: dict[str, RowState]) -> Work | None:
        if isinstance(each, UnreadDocument):
            if each.id not in self.seen and _is_complete(states, self._hash(each)):
                self._count_unchanged(each.id)
                return None
            each = cut.document if cut else settle_document(each.read())
        elif cut:
            each = cut.document
        if isinstance(each, BadDocument):
            self.leave_out(each)
            return None
        if each.id in self.seen:  # each of the two would delete the other's rows
            self.leave_out(refuse_document(each, f"id {each.id!r} was used before"))
            return None
        work = self._compare(each, cut, states)
        if work and not work.passages:
            self.documents -= 1
            self.leave_out(refuse_document(each, "it has only markup or links"))
            return None
        return work

    def leave_out(self, bad: BadDocument) -> None:
        """Note a document that is not indexed; its rows from earlier runs stay, unless it is gone."""
        self.bad.append(bad)
        if bad.is_gone:
            return
        if bad.id:
            self.seen.add(bad.id)
        else:
            self.unreadable_sources.add(bad.source)

    def is_unreadable(self, source: str) -> bool:
        """Whether `source`, or a folder that it is in, could not be read."""
        if not self.unreadable_sources:
            return False
        return any(str(path) in self.unreadable_sources for path in (source, *PurePosixPath(source).parents))

    @cached_property
    def _rows(self) -> int:
        """How many rows there were at first."""
        return self._version.count() if self._version else 0

    @property
    def _gathered(self) -> int:
        """How many documents to gather; one where there is nothing to look up, so that the model starts at once."""
        return _DOCUMENTS_PER_LOOKUP if self._rows or self._cutter else 1

    def _look_up(self, document_ids: Sequence[str]) -> States:
        if self._version is None or not self._rows:
            return {}
        if self._knows_all is None:
            self._knows_all = _will_need_all(self._rows, len(document_ids))
            self._states = _by_document(self._version.states()) if self._knows_all else {}
        if self._knows_all:
            return self._states
        return _by_document(self._version.states_of(document_ids))

    def _compare(self, document: Document, cut: CutDocument | None, states: dict[str, RowState]) -> Work | None:
        self.notes += [
            replace(each, source=document.source, place=each.place or document.place, id=document.id)
            for each in document.notes
        ]
        document_hash = self._hash(document)
        if _is_complete(states, document_hash):
            self._count_unchanged(document.id)
            return None
        self.seen.add(document.id)
        self.documents += 1
        self._note_unknown_script(document)
        version = self._splitter.version
        passages = cut.passages if cut else self._splitter.split_packed(document)
        return Work.of(document, document_hash, passages, states, key_version=version)

    def _note_unknown_script(self, document: Document) -> None:
        """Say once for each script that the model does not know it."""
        script = self._splitter.vocabulary.find_unknown_script(document.text)
        if script and script not in self._unknown_scripts:
            self._unknown_scripts.add(script)
            reason = describe_unknown(script, "this text, and perhaps of others")
            self.notes.append(Note(reason=reason, source=document.source, place=document.place, id=document.id))

    def _count_unchanged(self, document_id: str) -> None:
        self.seen.add(document_id)
        self.documents += 1
        self.unchanged += 1

    @property
    def _content_version(self) -> str:
        return f"{self._splitter.version}:{WORDS_VERSION}"


def _is_complete(states: dict[str, RowState], document_hash: str) -> bool:
    """Whether a document has all of its rows, and all of them are as they should be."""
    return bool(states) and all(
        state.document_hash == document_hash and state.chunks == len(states) for state in states.values()
    )


def _has_other_words(document: Document) -> bool:
    """Whether the words for BM25 are other ones than those of a collection from before `WORDS_VERSION`."""
    return bool(document.content) or not (document.text.isascii() and document.title.isascii())


def _screened(each: Found) -> Found:
    if not isinstance(each, UnreadDocument):
        return settle_document(each)
    reason = check_id(each.id)
    return BadDocument(source=each.source, reason=reason, read_bytes=each.read_bytes) if reason else each


def _will_need_all(rows: int, documents: int) -> bool:
    """Whether reading all rows at once is less work than asking for each document."""
    may_be_more = documents >= _DOCUMENTS_PER_LOOKUP
    return rows <= _MAX_ROWS_READ_AT_ONCE and (may_be_more or rows <= documents * _ROWS_PER_ASKED_DOCUMENT)


def _by_document(states: Iterable[RowState]) -> States:
    found: States = {}
    for state in states:
        found.setdefault(state.document_id, {})[state.key] = state
    return found


def _gather(documents: Iterator[Found], max_documents: int) -> Iterator[list[Found]]:
    """Yield documents that are looked up together; what comes after them is not read before they are worked on."""
    some, size = list[Found](), 0
    for document in documents:
        some.append(document)
        size += _count_held(document)
        del document
        if len(some) >= max_documents or size >= _BYTES_PER_LOOKUP:
            yield some
            some, size = [], 0
    if some:
        yield some


def _count_held(found: Found) -> int:
    """Return how much memory something takes until it is worked on, about."""
    if isinstance(found, UnreadDocument):
        return found.held_bytes
    return sys.getsizeof(found.text) if isinstance(found, Document) else 0
