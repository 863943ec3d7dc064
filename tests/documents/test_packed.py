"""The passages of a long document take less memory than its text, and are the same as those of a short one."""

import tracemalloc

import pytest

from gemvec.documents import Document, PassageOptions, Splitter, packed

SPLITTER = Splitter(PassageOptions(max_tokens=12, overlap_tokens=2))
TEXT = "".join(f"# Section {part}\n\n" + f"Some words of part {part} are here. " * 9 + "\n\n" for part in range(7))
TABLE = "| name | size |\n| --- | --- |\n" + "".join(f"| thing {row} | {row} |\n" for row in range(30))


@pytest.mark.parametrize(
    "document",
    [
        Document(id="a", title="A", text=TEXT, format="markdown"),
        Document(id="a", title="A", text=TEXT),
        Document(id="a", text=TABLE, format="markdown", has_lines=False),
        Document(id="a", text=TEXT, place="line 12"),
        Document(id="a", text=TEXT, page_starts=(0, 200, 900), page_names=("slide 1", "slide 2", "slide 3")),
        Document(id="a", text=TEXT, page_starts=(0, 200, 900)),
    ],
    ids=["lines", "text", "table", "record", "slides", "pages"],
)
@pytest.mark.parametrize("per_pack", [1, 4, 1_000])
def test_packed_passages_are_the_same(document, per_pack, monkeypatch):
    expected = SPLITTER.split(document)
    assert len(expected) > 10
    monkeypatch.setattr(packed, "_MAX_UNPACKED", 5)
    monkeypatch.setattr(packed, "_PER_PACK", per_pack)
    passages = SPLITTER.split_packed(document)
    assert list(passages) == expected
    assert list(passages) == expected  # also the second time
    assert len(passages) == len(expected)
    assert [each.number for each in expected] == list(range(len(expected)))


def test_passages_take_less_memory_than_their_text():
    words = " ".join(f"word{number % 5_000}" for number in range(200_000))
    document = Document(id="a", title="A title", text=words)
    splitter = Splitter()
    splitter.split(Document(id="b", text="It loads what it needs."))
    tracemalloc.start()
    passages = splitter.split_packed(document)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(passages) > 2_000
    assert held < len(words) / 2
    assert most < 3 * len(words)
