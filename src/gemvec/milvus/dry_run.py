"""What an ingest would do, and what Google would bill for it: `plan_ingest` reads and compares, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gemvec.documents.document import BadDocument, Note
from gemvec.documents.passages import Passage, Splitter
from gemvec.milvus.collection import Collection
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.prices import Bill, list_bills
from gemvec.milvus.work import Found, WorkFinder


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPlan:
    """What an ingest would do.

    Attributes:
        documents: documents read, bad ones left out.
        unchanged, added, changed: how many would be each of these.
        passages, tokens: of the documents that are added or changed; the tokens include titles.
        new_passages, new_tokens: of the passages that would be embedded.
        are_tokens_exact: whether the model's tokenizer counted; otherwise tokens are an estimate.
        bills: what Google would bill for the new tokens; its own tokenizer may count some percent more or less.
        bad: documents that would be left out.
        notes: what was guessed, repaired or left out in documents that would be indexed.
    """

    documents: int
    unchanged: int
    added: int
    changed: int
    passages: int
    tokens: int
    new_passages: int
    new_tokens: int
    are_tokens_exact: bool
    bills: list[Bill]
    bad: list[BadDocument]
    notes: list[Note]


def plan_ingest(
    collection: Collection | None,
    documents: Iterable[Found],
    *,
    fingerprint: Fingerprint | None = None,
    splitter: Splitter | None = None,
) -> IngestPlan:
    """Return what `ingest` with the same arguments would do.

    Args:
        collection: what to compare with; None when there is no collection yet.
        documents: what would be indexed.
        fingerprint: which vectors are wanted; None for those of the collection.
        splitter: cuts documents and counts tokens.

    Raises:
        FingerprintMismatch: the collection holds other vectors than `fingerprint`'s.
    """
    splitter = splitter or Splitter()
    version = collection.resolve() if collection is not None and collection.exists() else None
    if collection is not None and version is not None and fingerprint is not None:
        version.fingerprint.check(fingerprint, collection=collection.name)
    finder = WorkFinder(version, splitter)
    added = changed = passages = tokens = new_passages = new_tokens = 0
    for work in finder.find(documents):
        added, changed = added + (not work.states), changed + bool(work.states)
        passages, new_passages = passages + len(work.passages), new_passages + work.missing
        for key, passage in work.keyed():
            count = _count_tokens(splitter, passage)
            tokens += count
            new_tokens += 0 if key in work.states else count
    return IngestPlan(
        documents=finder.documents,
        unchanged=finder.unchanged,
        added=added,
        changed=changed,
        passages=passages,
        tokens=tokens,
        new_passages=new_passages,
        new_tokens=new_tokens,
        are_tokens_exact=splitter.is_exact,
        bills=list_bills(new_tokens),
        bad=finder.bad,
        notes=finder.notes,
    )


def _count_tokens(splitter: Splitter, passage: Passage) -> int:
    return splitter.count_tokens(f"{passage.title} {passage.text}" if passage.title else passage.text)
