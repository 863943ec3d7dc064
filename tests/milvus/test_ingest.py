"""Ingest converges: whatever a collection held, the next run leaves exactly the documents, and does nothing twice."""

import asyncio
import functools
import gc
import tracemalloc
import weakref
from dataclasses import replace

import pytest

from counting_embedder import CountingEmbedder
from gemvec.documents import UnreadDocument, packed
from gemvec.documents.text import SAMPLE_BYTES
from gemvec.errors import FingerprintMismatch, StorageFailure
from gemvec.milvus import BadDocument, Document, Fingerprint, PassageOptions, Sources, Splitter, ingest, work

from .conftest import contents


def run(collection, embedder, sources=("docs",), **options):
    documents = Sources(sources)
    prune = documents.scopes if options.pop("prune", False) else ()
    return asyncio.run(ingest(collection, embedder, documents, prune=prune, **options))


def test_every_passage_of_every_document_is_stored(collection, embedder, folder):
    report = run(collection, embedder)
    rows = contents(collection)
    assert report.documents == report.added == 3
    assert report.embedded == len(rows)
    assert {row["document_id"] for row in rows} == {"docs/batches.md", "docs/files.md", "docs/models.md"}
    assert all(row["title"] in {"Batches", "Files", "Models"} for row in rows)


def test_a_second_run_changes_nothing_and_embeds_nothing(collection, embedder, folder):
    run(collection, embedder)
    before, embedded = contents(collection), embedder.embedded_texts
    report = run(collection, embedder)
    assert report.unchanged == 3
    assert not report.has_changed
    assert contents(collection) == before
    assert embedder.embedded_texts == embedded


def ingest_noting_what_is_parsed(collection, embedder):
    """Return the report of an ingest and the sources of slow files that were parsed."""
    parsed = []

    def note(each):
        if not isinstance(each, UnreadDocument):
            return each
        return replace(each, read=lambda: (parsed.append(each.source), each.read())[1])

    report = asyncio.run(ingest(collection, embedder, map(note, Sources(["docs"]).unread())))
    return report, parsed


def test_an_unchanged_file_that_takes_long_to_parse_is_not_parsed_again(collection, embedder, folder):
    (folder / "page.html").write_text("<title>Page</title><p>Words of a page.</p>")
    assert ingest_noting_what_is_parsed(collection, embedder)[1] == ["docs/page.html"]
    before = contents(collection)
    report, parsed = ingest_noting_what_is_parsed(collection, embedder)
    assert (report.unchanged, report.has_changed, parsed) == (4, False, [])
    assert contents(collection) == before
    (folder / "page.html").write_text("<title>Page</title><p>Other words of a page.</p>")
    report, parsed = ingest_noting_what_is_parsed(collection, embedder)
    assert (report.changed, report.embedded, parsed) == (1, 1, ["docs/page.html"])


def test_a_file_with_something_to_say_is_parsed_in_every_run_so_that_it_is_said_again(collection, embedder, folder):
    deep = "<div>" * 800 + "words" + "</div>" * 800
    (folder / "page.html").write_text(deep)
    for _ in range(2):
        report, parsed = ingest_noting_what_is_parsed(collection, embedder)
        assert [note.source for note in report.notes] == parsed == ["docs/page.html"]
    assert report.unchanged == 4


def test_a_file_whose_name_is_no_id_is_left_out_before_it_is_parsed(collection, embedder, folder):
    (folder / "a\nb.html").write_text("<p>Words.</p>")
    report, parsed = ingest_noting_what_is_parsed(collection, embedder)
    assert (parsed, [bad.reason for bad in report.bad]) == ([], ["its id has control characters"])


def test_a_changed_document_is_replaced_and_only_its_new_passages_embedded(collection, embedder, folder):
    splitter = Splitter(PassageOptions(max_tokens=12, overlap_tokens=0))
    run(collection, embedder, splitter=splitter)
    path = folder / "batches.md"
    path.write_text(path.read_text().replace("Send cancel to stop it.", "Cancelling keeps what is done."))
    report = run(collection, embedder, splitter=splitter)
    texts = " ".join(row["text"] for row in contents(collection))
    assert (report.changed, report.unchanged, report.embedded) == (1, 2, 1)
    assert "Cancelling keeps" in texts
    assert "Send cancel" not in texts


def test_changed_metadata_is_written_without_embedding(collection, embedder):
    first = Document(id="a", text="The text stays.", metadata={"lang": "en"})
    second = Document(id="a", text="The text stays.", metadata={"lang": "de"})
    asyncio.run(ingest(collection, embedder, [first]))
    report = asyncio.run(ingest(collection, embedder, [second]))
    assert (report.reused, report.embedded) == (1, 0)
    assert [row["metadata"] for row in contents(collection)] == [{"lang": "de"}]


def test_a_long_document_is_brought_up_to_date_like_a_short_one(collection, embedder, monkeypatch):
    monkeypatch.setattr(packed, "_MAX_UNPACKED", 4)
    monkeypatch.setattr(packed, "_PER_PACK", 3)
    splitter = Splitter(PassageOptions(max_tokens=12, overlap_tokens=0))
    parts = [f"Part {number} has some words of its own." for number in range(40)]
    asyncio.run(ingest(collection, embedder, [Document(id="a", text="\n\n".join(parts))], splitter=splitter))
    first = {row["key"]: row["chunks"] for row in contents(collection)}
    assert set(first.values()) == {len(first)}
    del parts[30:]
    parts[12] = "This part is another one."
    changed = Document(id="a", text="\n\n".join(parts), metadata={"lang": "en"})
    report = asyncio.run(ingest(collection, embedder, [changed], splitter=splitter))
    rows = sorted(contents(collection), key=lambda row: row["chunk"])
    assert [row["text"] for row in rows] == [each.text for each in splitter.split(changed)]
    assert {row["chunks"] for row in rows} == {len(rows)}
    assert {str(row["metadata"]) for row in rows} == {"{'lang': 'en'}"}
    kept = [row["key"] for row in rows if row["key"] in first]
    assert (report.changed, report.embedded, report.reused) == (1, len(rows) - len(kept), len(kept))
    assert report.deleted == len(first) - len(kept)
    assert asyncio.run(ingest(collection, embedder, [changed], splitter=splitter)).unchanged == 1


def reads_of(version):
    """Return each document that a finder hands out, with what had been read by then."""
    read = []

    def documents():
        for name in "abc":
            read.append(name)
            yield Document(id=name, text=f"Some words of {name}. " * 40)

    return [(each.document.id, "".join(read)) for each in work.WorkFinder(version, Splitter()).find(documents())]


def test_documents_of_a_new_collection_are_embedded_as_they_are_read(collection):
    version = collection.create(Fingerprint(model="m", weights="w", dimensionality=4))
    assert reads_of(None) == reads_of(version) == [("a", "a"), ("b", "ab"), ("c", "abc")]


def test_the_first_groups_are_small_so_that_the_model_starts_soon(collection, monkeypatch):
    sizes = []

    class Noting(CountingEmbedder):
        async def embed(self, model, requests, **options):
            sizes.append(len(requests))
            return await super().embed(model, requests, **options)

    documents = [Document(id=str(number), text=f"Number {number}.") for number in range(1_500)]
    asyncio.run(ingest(collection, Noting(), documents))
    assert sizes == [64, 128, 256, 512, 512, 28]


def test_nothing_is_read_beyond_a_long_document_before_it_is_embedded(collection, embedder, monkeypatch):
    asyncio.run(ingest(collection, embedder, [Document(id="z", text="Some words.")]))
    assert reads_of(collection.resolve()) == [("a", "abc"), ("b", "abc"), ("c", "abc")]
    monkeypatch.setattr(work, "_BYTES_PER_LOOKUP", 500)
    assert reads_of(collection.resolve()) == [("a", "a"), ("b", "ab"), ("c", "abc")]


def test_what_the_reader_of_a_long_document_left_is_gone_before_it_is_embedded(monkeypatch):
    monkeypatch.setattr(work, "_LONG_DOCUMENT", 1)
    left = []

    class Tree:
        def __init__(self):
            self.itself = self
            left.append(weakref.ref(self))

    def documents():
        Tree()
        yield Document(id="a", text="Some words. " * 1_000)

    gc.disable()
    try:
        next(work.WorkFinder(None, Splitter()).find(documents()))
        assert [each() for each in left] == [None]
    finally:
        gc.enable()


def test_a_vanished_document_stays_without_prune_and_goes_with_it(collection, embedder, folder):
    run(collection, embedder)
    (folder / "files.md").unlink()
    assert run(collection, embedder).removed == 0
    assert run(collection, embedder, prune=True).removed == 1
    assert {row["document_id"] for row in contents(collection)} == {"docs/batches.md", "docs/models.md"}


def test_prune_touches_only_what_the_sources_stand_for(collection, embedder, folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").write_text("Another folder.")
    run(collection, embedder, ["docs", "other"])
    (tmp_path / "other" / "note.txt").unlink()
    run(collection, embedder, ["docs"], prune=True)
    assert "other/note.txt" in {row["document_id"] for row in contents(collection)}


def test_a_document_that_became_unreadable_keeps_its_rows(collection, embedder, folder):
    run(collection, embedder)
    (folder / "files.md").write_bytes(b"\0\0\0")
    report = run(collection, embedder, prune=True)
    assert [bad.source for bad in report.bad] == ["docs/files.md"]
    assert "docs/files.md" in {row["document_id"] for row in contents(collection)}


def test_documents_of_a_folder_that_became_unreadable_keep_their_rows(collection, embedder, folder):
    run(collection, embedder)
    unreadable = [BadDocument(source="docs", reason="it cannot be read")]
    report = asyncio.run(ingest(collection, embedder, unreadable, prune=Sources(["docs"]).scopes))
    assert (report.removed, len({row["document_id"] for row in contents(collection)})) == (0, 3)


def test_a_document_the_model_refuses_does_not_stop_the_others(collection, embedder, folder):
    (folder / "aaa.md").write_text("unembeddable")
    report = run(collection, embedder)
    assert [(bad.id, bad.reason) for bad in report.bad] == [("docs/aaa.md", "this text cannot be embedded")]
    assert report.documents == report.added == 3


def test_the_second_document_of_one_id_is_left_out_in_every_run(collection, embedder):
    documents = [Document(id="a", text="The first text."), Document(id="a", text="Another text.")]
    for _ in range(3):
        report = asyncio.run(ingest(collection, embedder, documents))
        assert [(bad.id, bad.reason) for bad in report.bad] == [("a", "id 'a' was used before")]
        assert (report.documents, [row["text"] for row in contents(collection)]) == (1, ["The first text."])


def test_the_second_record_of_one_id_is_reported_with_its_place(collection, embedder, folder):
    (folder / "r.jsonl").write_text('{"id": 1, "text": "one"}\n{"id": 1, "text": "two"}\n')
    report = run(collection, embedder, ["docs/r.jsonl"])
    assert [(bad.place, bad.reason) for bad in report.bad] == [("line 2", "id 'docs/r.jsonl#1' was used before")]
    assert [row["text"] for row in contents(collection)] == ["one"]


def test_a_record_whose_text_was_emptied_keeps_its_rows_and_lets_vanished_ones_go(collection, embedder, folder):
    records = folder / "records.csv"
    records.write_text("id,text\n1,One is here.\n2,Two is here.\n3,Three is here.\n")
    run(collection, embedder)
    records.write_text("id,text\n1,One is here.\n2,\n")
    report = run(collection, embedder, prune=True)
    assert (report.removed, [bad.id for bad in report.bad]) == (1, ["docs/records.csv#2"])
    kept = {row["document_id"] for row in contents(collection) if row["source"] == "docs/records.csv"}
    assert kept == {"docs/records.csv#1", "docs/records.csv#2"}


def test_another_model_is_refused_with_both_named(collection, embedder, folder):
    run(collection, embedder)
    (folder / "new.md").write_text("Something new.")
    other = CountingEmbedder("words-b")
    with pytest.raises(FingerprintMismatch, match=r"words-a@.*words-b@"):
        run(collection, other)


def test_another_dimensionality_is_refused_with_both_named(collection, embedder, folder):
    run(collection, embedder)
    other = Fingerprint.of(embedder.get_model("words-a"), 32)
    with pytest.raises(FingerprintMismatch, match=r"64 dimensions.*32 dimensions"):
        run(collection, embedder, fingerprint=other)


class NanEmbedder(CountingEmbedder):
    async def embed(self, model, requests, **options):
        embeddings = await super().embed(model, requests, **options)
        embeddings[0].vector[0] = float("nan")
        return embeddings


def test_a_vector_with_nan_is_never_stored(collection, folder):
    with pytest.raises(StorageFailure, match="not finite"):
        run(collection, NanEmbedder())
    assert contents(collection) == []


def test_a_document_without_text_is_reported(collection, embedder, folder):
    (folder / "empty.md").write_text("\n\n")
    report = run(collection, embedder)
    assert [(bad.id, bad.reason) for bad in report.bad] == [("docs/empty.md", "it has no text")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": " \n"}, "it has no text"),
        ({"id": "half a \ud83d character"}, "half a character"),
        ({"id": ""}, "its id must have 1 to 1024 bytes"),
        ({"id": "é" * 600}, "its id must have 1 to 1024 bytes"),
        ({"id": "a\nb"}, "control characters"),
        ({"metadata": {"more": "y" * 70_000}}, "its metadata has 70"),
        ({"metadata": {"when": object()}}, "its metadata is not JSON"),
        ({"metadata": {"number": 2**64}}, "its metadata is not JSON"),
        ({"metadata": functools.reduce(lambda inner, _: {"in": inner}, range(300), {})}, "its metadata is not JSON"),
    ],
)
def test_what_milvus_would_not_take_is_left_out_and_the_others_written(collection, embedder, fields, reason):
    good = Document(id="good", text="A good text.")
    bad = Document(**{"id": "bad", "text": "A text.", **fields})
    report = asyncio.run(ingest(collection, embedder, [bad, good]))
    assert [reason in each.reason for each in report.bad] == [True]
    assert [row["document_id"] for row in contents(collection)] == ["good"]


@pytest.mark.parametrize("field", ["text", "title", "metadata"])
def test_half_a_character_costs_itself_and_is_said(collection, embedder, field):
    half = "half a \ud83d character"
    document = Document(**{"id": "a", "text": "A text.", field: {"said": half} if field == "metadata" else half})
    report = asyncio.run(ingest(collection, embedder, [document]))
    (row,) = contents(collection)
    assert "half a \ufffd character" in str(row[field])
    assert (report.documents, [note.id for note in report.notes]) == (1, ["a"])


def test_a_document_of_nothing_but_links_is_left_out_and_said_each_time(collection, embedder, folder):
    (folder / "links.md").write_text("- [a](a.md)\n- [b](b.md)\n- [c](c.md)\n")
    for _ in range(2):
        report = run(collection, embedder)
        assert [(bad.id, bad.reason) for bad in report.bad] == [("docs/links.md", "it has only markup or links")]
        assert report.documents == 3


LONG = "Some words of a long text. " * 60_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", LONG),
        ("a.md", LONG),
        ("a.html", f"<p>{LONG}"),
        ("a.jsonl", f'{{"text": "{LONG}"}}\n'),
        ("a.json", f'[{{"text": "{LONG}"}}]'),
    ],
)
def test_a_long_text_is_not_in_memory_while_its_passages_are_embedded(tmp_path, monkeypatch, name, text):
    monkeypatch.setattr(packed, "_MAX_UNPACKED", 10)
    monkeypatch.setattr(packed, "_PER_PACK", 10)
    monkeypatch.setattr(work, "_BYTES_PER_LOOKUP", 1_000)
    monkeypatch.setattr(work, "_LONG_DOCUMENT", 10)
    (tmp_path / name).write_text(text)
    (tmp_path / "z.txt").write_text("The next document.")
    splitter = Splitter(PassageOptions(max_tokens=2_000))
    assert list(work.WorkFinder(None, splitter).find(Sources([str(tmp_path)])))  # everything that stays is loaded
    tracemalloc.start()
    found = work.WorkFinder(None, splitter).find(Sources([str(tmp_path)]))
    first = next(found)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(first.passages) > 100
    assert held < len(LONG) / 2 + (SAMPLE_BYTES if name == "a.jsonl" else 0)
    assert len(list(found)) == 1
