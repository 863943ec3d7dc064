"""Texts that a node cannot embed cost their documents, and the run only if nothing else can be embedded either."""

import asyncio

import pytest

from counting_embedder import CountingEmbedder
from gemvec.documents import Document
from gemvec.errors import ClusterUnavailable
from gemvec.milvus import ingest, open_collection
from gemvec.ray.embedder import RayEmbedder
from gemvec.ray.messages import Failed
from gemvec.ray.node import NodeEngine
from gemvec.ray.suspects import compute_texts
from ray_embedders import FaultyEmbedder


class OneNode:
    """What a cluster of one node does, in this process."""

    def __init__(self, folder):
        self.engine = NodeEngine(FaultyEmbedder(CountingEmbedder(), folder))

    async def compute(self, piece, **_options):
        return await self.engine.compute(piece)

    async def run_again(self, work):
        answer = await compute_texts(self, work)
        if isinstance(answer, Failed) and answer.error is not None:
            raise answer.error
        return answer


class WithBadNode(OneNode):
    """Another node fails on everything; it is taken wherever that is allowed."""

    async def compute(self, piece, *, shuns=(), **_options):
        if "bad" not in shuns:
            return Failed("RuntimeError in a driver", may_pass=False, node="bad")
        return await super().compute(piece)


def index(texts, tmp_path, kind=OneNode):
    documents = [Document(id=name, source=name, text=text) for name, text in texts.items()]

    async def run():
        embedder = RayEmbedder(CountingEmbedder(), kind(tmp_path), pieces_in_flight=2)
        with open_collection(str(tmp_path / "ray.db"), "docs") as collection:
            return await ingest(collection, embedder, documents)

    return asyncio.run(run())


def test_texts_that_can_be_embedded_keep_a_run_going_however_many_others_cannot(tmp_path):
    broken = {f"broken{number}": f"This is broken, number {number}." for number in range(8)}
    report = index({"first": "The first text."} | broken | {"last": "The last text."}, tmp_path)
    assert report.added == 2
    assert [each.source for each in report.bad] == list(broken)


def test_a_text_is_not_blamed_for_what_only_one_node_cannot_do(tmp_path):
    report = index(
        {"first": "The first text.", "broken": "This is broken.", "last": "The last."}, tmp_path, WithBadNode
    )
    assert (report.added, [each.source for each in report.bad]) == (2, ["broken"])


def test_where_no_text_can_be_embedded_the_run_ends(tmp_path):
    with pytest.raises(ClusterUnavailable, match=r"Texts cannot be embedded on the Ray cluster: ValueError"):
        index({f"broken{number}": f"This is broken, number {number}." for number in range(8)}, tmp_path)
