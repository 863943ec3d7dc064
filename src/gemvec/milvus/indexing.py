"""How a collection's documents are named, cut and found: `Indexing`, kept with it, so that every run does the same."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, cast

from gemvec.documents.passages import PassageOptions

PROPERTY = "gemvec.indexing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """What must stay the same from run to run, or documents are embedded again.

    Attributes:
        root: the folder that document names are relative to, an absolute path; empty when it is not known.
        max_tokens, overlap_tokens: see `PassageOptions`; None when they are not known.
        has_code: whether source code is read.
        has_words: whether passages can be found by their words (BM25), which not every Milvus can.
    """

    root: str = ""
    max_tokens: int | None = None
    overlap_tokens: int | None = None
    has_code: bool = False
    has_words: bool = True

    def of_run(self, options: PassageOptions, root: str = "", *, code: bool | None = None) -> Self:
        """Return the indexing of a run with these options in the same collection; `code` as in `Filters`."""
        return replace(
            self,
            root=root,
            max_tokens=options.max_tokens,
            overlap_tokens=options.overlap_tokens,
            has_code=self.has_code if code is None else code,
        )

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read what `format` wrote; fields that a later version has added are ignored."""
        known = {each.name for each in fields(cls)}
        read = cast("dict[str, Any]", json.loads(text or "{}"))
        return cls(**{name: value for name, value in read.items() if name in known})

    def format(self) -> str:
        """Return it as one line of JSON, for a collection's properties."""
        return json.dumps(asdict(self), sort_keys=True)

    def get_options(self, *, max_tokens: int | None = None, overlap_tokens: int | None = None) -> PassageOptions:
        """Return how documents are cut: as asked for, or as before, or by default."""
        default = PassageOptions()
        most = max_tokens or self.max_tokens or default.max_tokens
        overlap = overlap_tokens if overlap_tokens is not None else self.overlap_tokens
        # A small passage takes a small overlap, unless the caller has asked for one.
        return PassageOptions(
            max_tokens=most, overlap_tokens=min(default.overlap_tokens, most - 1) if overlap is None else overlap
        )

    def get_code(self, *, asked: bool | None) -> bool | None:
        """Return whether source code is read, as in `Filters`: as asked for, or as before."""
        return asked if asked is not None else (self.has_code or None)

    def describe_code(self, *, asked: bool | None) -> str:
        """Return a sentence that says what becomes of source code, if that may surprise; empty otherwise."""
        if asked is None:
            return "Source code is read, as before; --no-code leaves it out." if self.has_code else ""
        if asked == self.has_code:
            return ""
        if asked:
            return "Source code is read from now on, also without --code."
        return "Source code is no longer read; --prune deletes what was indexed of it."

    def describe_change(self, options: PassageOptions) -> str:
        """Return a sentence that says how `options` cut differently than before; empty when they do not."""
        before = (self.max_tokens, self.overlap_tokens)
        if self.max_tokens is None or before == (options.max_tokens, options.overlap_tokens):
            return ""
        return (
            f"Passages get at most {options.max_tokens} tokens, {options.overlap_tokens} of them repeated, instead of "
            f"{self.max_tokens} and {self.overlap_tokens}: every document is cut and embedded again."
        )
