"""Files and records as documents, and documents cut into passages. Knows no Milvus and no vectors.

from gemvec.documents import Sources, Splitter

splitter = Splitter()
for document in Sources(["docs"]):
for passage in splitter.split(document):
print(passage.position, passage.text)
"""

from __future__ import annotations

from gemvec.documents.document import BadDocument, Document, Note, UnreadDocument
from gemvec.documents.fetch import FetchLimits
from gemvec.documents.ignore import Filters
from gemvec.documents.passages import Passage, PassageOptions, Splitter
from gemvec.documents.records import RecordFields
from gemvec.documents.remote import Remote
from gemvec.documents.sources import Sources

__all__ = [
    "BadDocument",
    "Document",
    "FetchLimits",
    "Filters",
    "Note",
    "Passage",
    "PassageOptions",
    "RecordFields",
    "Remote",
    "Sources",
    "Splitter",
    "UnreadDocument",
]
