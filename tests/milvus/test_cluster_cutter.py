"""Documents read and cut on a node: the same passages, notes and refusals as here, also where the node cannot read."""

import asyncio
import os
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from counting_embedder import CountingEmbedder
from gemvec.documents import Document, PassageOptions, Sources, Splitter
from gemvec.documents.document import UnreadDocument
from gemvec.errors import StorageFailure
from gemvec.milvus import ingest, open_collection
from gemvec.milvus.cluster_cutter import ClusterCutter
from gemvec.ray.messages import Call, Failed
from gemvec.ray.node import NodeEngine

from .conftest import contents

OPTIONS = PassageOptions(max_tokens=30, overlap_tokens=5)


class OneNode:
    """What a node does, in this process but in another folder; `run_again` is that of a cluster."""

    def __init__(self, folder):
        self.folder = folder
        self.engine = NodeEngine(CountingEmbedder())
        self.calls = 0

    async def run_again(self, call):
        self.calls += 1
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            return await self.engine.compute(self.change(call))
        finally:
            os.chdir(before)

    def change(self, call):
        return call


class OtherNode(OneNode):
    """Has other packages that read documents."""

    def change(self, call):
        job = pickle.loads(call.function).__self__
        return Call(pickle.dumps(replace(job, readers="others").run))


class BlindNode(OneNode):
    """Does not see the files of this machine."""

    def change(self, call):
        job = pickle.loads(call.function).__self__
        return Call(pickle.dumps(replace(job, documents=[_hide(each) for each in job.documents]).run))


class DyingNode(OneNode):
    """Dies of every job that has the document `deadly`."""

    def change(self, call):
        self.is_deadly = b"deadly" in call.function
        return call

    async def run_again(self, call):
        answer = await super().run_again(call)
        return Failed("3 actors died", may_pass=False, is_deadly=True) if self.is_deadly else answer


def _hide(each):
    return each if not callable(each) else _none


def _none():
    return None


@pytest.fixture
def corpus(folder):
    """The three Markdown files, and of every other kind that takes its own way."""
    words = "<p>Words of a page, one after another.</p>" * 30
    (folder / "page.html").write_text(f"<title>Page</title><h1>Page</h1>{words}")
    (folder / "deep.html").write_text("<div>" * 2000 + "deep" + "</div>" * 2000)  # has a note
    (folder / "broken.pdf").write_bytes(b"no pdf")
    (folder / "records.jsonl").write_text('{"id": "a", "text": "first"}\n{"id": "a", "text": "second"}\n{"id": "b"}\n')
    (folder / "latin.txt").write_bytes(f"Words with an {chr(0xE9)} in them.".encode("latin-1"))  # has a note
    (folder / "plain.txt").write_text("\n\n".join(f"Paragraph {number} of the plain text." for number in range(40)))
    return folder


def index(uri, node=None, tokenizer_file=None, said=None):
    async def run():
        splitter = Splitter(OPTIONS, tokenizer_file)
        cutter = None
        if node is not None:
            say = [].append if said is None else said.append
            loop = asyncio.get_running_loop()
            cutter = ClusterCutter(node, loop, splitter, tokenizer_file, jobs_in_flight=2, say=say)
        with open_collection(str(uri), "docs") as collection:
            sources = Sources(["docs"])
            report = await ingest(collection, CountingEmbedder(), sources, splitter=splitter, cutter=cutter)
            return contents(collection), report

    return asyncio.run(run())


def assert_equal(found, expected):
    rows, report = found
    assert rows == expected[0]
    assert replace(report, seconds=0.0) == replace(expected[1], seconds=0.0)


@pytest.mark.parametrize("is_exact", [False, True], ids=["estimated tokens", "the model's tokens"])
def test_rows_notes_and_refusals_are_those_of_one_machine(corpus, tmp_path, tiny_model, is_exact):
    tokenizer_file = tiny_model / "tokenizer.json" if is_exact else None
    said, node = [], OneNode(tmp_path.parent)
    expected = index("alone.db", tokenizer_file=tokenizer_file)
    assert_equal(index("ray.db", node, tokenizer_file, said), expected)
    assert node.calls > 0
    assert said == ["Documents that nodes cannot read, or find changed, are read here."]  # the broken PDF
    # A second run finds everything unchanged; what has notes or is bad is read again, as on one machine.
    again, alone = index("ray.db", OneNode(tmp_path.parent), tokenizer_file), index("alone.db", None, tokenizer_file)
    assert_equal(again, alone)
    assert not again[1].has_changed


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (OtherNode, "another gemvec or other versions of the packages that read documents"),
        (BlindNode, "Documents that nodes cannot read, or find changed, are read here."),
    ],
)
def test_what_a_node_cannot_read_as_this_machine_does_is_read_here_and_said_once(corpus, tmp_path, kind, reason):
    said = []
    assert_equal(index("ray.db", kind(tmp_path.parent), said=said), index("alone.db"))
    (line,) = said
    assert reason in line


def test_a_tokenizer_that_a_node_does_not_have_is_not_replaced_by_another(corpus, tmp_path, tiny_model):
    class NodeWithout(OneNode):
        def change(self, call):
            job = pickle.loads(call.function).__self__
            return Call(pickle.dumps(replace(job, tokenizer=replace(job.tokenizer, digest="other")).run))

    said, tokenizer_file = [], tiny_model / "tokenizer.json"
    found = index("ray.db", NodeWithout(tmp_path.parent), tokenizer_file, said)
    assert_equal(found, index("alone.db", tokenizer_file=tokenizer_file))
    assert "it has no equal " in said[0]


def test_a_file_that_has_another_content_on_the_node_is_read_here(corpus, tmp_path):
    class LateNode(OneNode):
        async def run_again(self, call):
            page = corpus / "page.html"
            before = page.read_bytes()
            page.write_bytes(b"<p>Another page</p>")
            answer = await super().run_again(call)
            page.write_bytes(before)
            return answer

    assert_equal(index("ray.db", LateNode(tmp_path.parent)), index("alone.db"))


def test_a_document_of_which_actors_die_is_left_out_and_no_other(corpus, tmp_path):
    (corpus / "deadly.md").write_text("# Deadly\n\nWords.\n")
    rows, report = index("ray.db", DyingNode(tmp_path.parent))
    (corpus / "deadly.md").unlink()
    expected, alone = index("alone.db")
    assert rows == expected
    refused = {each.source: each.reason for each in report.bad}
    assert refused.pop("docs/deadly.md") == "it cannot be read: 3 actors died"
    assert refused == {each.source: each.reason for each in alone.bad}


def _fail():
    raise StorageFailure("The object store failed: no answer.")


def _read_as(name):
    return replace(_read(), id=f"whole{name}", source=f"whole{name}")


def _read():
    return Document(id="whole", source="whole", text="Words that can be read.")


def unread(name, read):
    return UnreadDocument(id=name, source=name, content=name, read=read, read_elsewhere=read)


def index_unread(documents, tmp_path):
    async def run():
        splitter = Splitter(OPTIONS)
        loop = asyncio.get_running_loop()
        cutter = ClusterCutter(OneNode(tmp_path), loop, splitter, None, jobs_in_flight=2, say=lambda _: None)
        with open_collection(str(tmp_path / "ray.db"), "docs") as collection:
            return await ingest(collection, CountingEmbedder(), documents, splitter=splitter, cutter=cutter)

    return asyncio.run(run())


def test_a_document_that_a_store_gives_neither_to_a_node_nor_to_the_command_is_left_out_by_name(tmp_path):
    report = index_unread([unread("lost", _fail), unread("whole", _read)], tmp_path)
    assert report.added == 1
    assert [(each.source, each.reason) for each in report.bad] == [
        ("lost", "it cannot be read: The object store failed: no answer.")
    ]


def test_documents_that_nodes_can_read_keep_a_run_going_however_many_others_are_lost(tmp_path):
    documents = [unread(f"lost{number}", _fail) for number in range(8)]
    among = [each for lost in documents for each in (lost, unread(f"whole{lost.id}", partial(_read_as, lost.id)))]
    report = index_unread(among, tmp_path)
    assert (report.added, len(report.bad)) == (8, 8)


def test_a_store_that_gives_nothing_any_more_ends_the_run(tmp_path):
    with pytest.raises(StorageFailure, match="no answer"):
        index_unread([unread(f"lost{number}", _fail) for number in range(6)], tmp_path)
