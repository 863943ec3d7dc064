"""Documents of an ingest read and cut on a Ray cluster: `ClusterCutter`."""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

from gemvec.documents.cutting import CutDocument, CuttingJob, TokenizerFile, cut_document, describe_readers
from gemvec.documents.document import BadDocument, Document, UnreadDocument, settle_document
from gemvec.documents.packed import Passages
from gemvec.documents.passages import Splitter
from gemvec.errors import StorageFailure
from gemvec.ray.cluster import Cluster
from gemvec.ray.messages import Call, Embedded, Failed, Returned

# Documents that a node reads and cuts at a time, and characters of those that are read already.
_DOCUMENTS_PER_JOB, _CHARACTERS_PER_JOB = 16, 2**18
# After so many documents one after the other that a store failed to give, it is not the documents.
_HOPELESS = 5

_Readable: TypeAlias = Document | UnreadDocument
_Answer: TypeAlias = "Future[Embedded | Returned | Failed]"


class ClusterCutter:
    """Reads and cuts documents on nodes, in order and ahead of what is asked for; here, what a node cannot read.

    Args:
        cluster: where.
        loop: the event loop that the cluster belongs to.
        splitter: how documents are cut.
        tokenizer_file: the splitter's; None for estimates.
        jobs_in_flight: how many groups of documents to give to the cluster at a time.
        say: called once with why nodes cannot read.
    """

    def __init__(
        self,
        cluster: Cluster,
        loop: asyncio.AbstractEventLoop,
        splitter: Splitter,
        tokenizer_file: Path | None,
        *,
        jobs_in_flight: int,
        say: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._loop = loop
        self._splitter = splitter
        self._tokenizer = TokenizerFile.of(tokenizer_file) if tokenizer_file else None
        self._jobs_in_flight = jobs_in_flight
        self._say = say
        self._said: set[str] = set()
        self._given_up = 0

    def cut(self, documents: Sequence[_Readable]) -> Iterator[CutDocument]:
        """Yield the documents cut, in order; called in a thread, while the event loop runs.

        Raises:
            ClusterUnavailable: the cluster cannot be used.
            StorageFailure: a store fails for document after document, on nodes and here.
        """
        waiting: deque[tuple[list[_Readable | BadDocument], _Answer]] = deque()
        for group in _group(documents):
            within_reach = [_read_if_only_here(each) for each in group]
            waiting.append((within_reach, self._submit(within_reach)))
            if len(waiting) > self._jobs_in_flight:
                yield from self._take(*waiting.popleft())
        while waiting:
            yield from self._take(*waiting.popleft())

    def _submit(self, group: Sequence[_Readable | BadDocument]) -> _Answer:
        job = CuttingJob(
            documents=[found for each in group if (found := _to_travel(each))],
            options=self._splitter.options,
            tokenizer=self._tokenizer,
            readers=describe_readers(),
        )
        return asyncio.run_coroutine_threadsafe(self._cluster.run_again(Call(pickle.dumps(job.run))), self._loop)

    def _take(self, group: Sequence[_Readable | BadDocument], answer: _Answer) -> Iterator[CutDocument]:
        found = iter(self._wait([each for each in group if not isinstance(each, BadDocument)], answer))
        for each in group:
            if isinstance(each, BadDocument):
                yield CutDocument(each, Passages())
            else:
                yield self._noted(next(found)) or self._cut_here(each)

    def _noted(self, found: CutDocument | None) -> CutDocument | None:
        """Return what a node has made of a document; that it has done it is a success."""
        if found is not None:
            self._given_up = 0
        return found

    def _cut_here(self, each: _Readable) -> CutDocument:
        try:
            cut = cut_document(each, self._splitter)
        except StorageFailure as failure:
            self._given_up += 1
            if self._given_up >= _HOPELESS:
                raise
            return CutDocument(_refuse(each, failure.message), Passages())
        self._given_up = 0
        return cut

    def _wait(self, group: Sequence[_Readable], answer: _Answer) -> list[CutDocument | None]:
        """Return what a node has made of a group; None for what is to be read here."""
        returned = answer.result()
        if isinstance(returned, Failed) and returned.is_deadly:
            if len(group) == 1:
                return [CutDocument(_refuse(group[0], returned.reason), Passages())]
            return [found for each in group for found in self._wait([each], self._submit([each]))]
        found: list[CutDocument | None] | str
        if isinstance(returned, Returned):
            found = pickle.loads(returned.value)  # noqa: S301 - from a node of the same gemvec
        else:
            found = returned.reason if isinstance(returned, Failed) else ""
        if isinstance(found, str):
            self._say_once(f"A node cannot read documents ({found}); they are read here.")
            return [None] * len(group)
        if None in found:
            self._say_once("Documents that nodes cannot read, or find changed, are read here.")
        return found

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def _read_if_only_here(each: _Readable) -> _Readable | BadDocument:
    return settle_document(each.read()) if isinstance(each, UnreadDocument) and not each.read_elsewhere else each


def _to_travel(each: _Readable | BadDocument) -> Document | Callable[[], Document | BadDocument | None] | None:
    """Return what a node gets; None for nothing."""
    if isinstance(each, UnreadDocument):
        return each.read_elsewhere
    return each if isinstance(each, Document) else None


def _refuse(each: _Readable, reason: str) -> BadDocument:
    return BadDocument(source=each.source, id=each.id, reason=f"it cannot be read: {reason}")


def _group(documents: Sequence[_Readable]) -> Iterator[list[_Readable]]:
    group, size = list[_Readable](), 0
    for each in documents:
        group.append(each)
        size += len(each.text) if isinstance(each, Document) else 0
        if len(group) == _DOCUMENTS_PER_JOB or size >= _CHARACTERS_PER_JOB:
            yield group
            group, size = [], 0
    if group:
        yield group
