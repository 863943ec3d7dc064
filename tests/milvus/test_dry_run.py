import asyncio

import pytest

from counting_embedder import CountingEmbedder
from gemvec.errors import FingerprintMismatch
from gemvec.milvus import Fingerprint, Sources, ingest, plan_ingest

from .conftest import contents


def test_everything_is_new_where_there_is_nothing(collection, folder):
    plan = plan_ingest(collection, Sources(["docs"]))
    assert (plan.documents, plan.added, plan.changed, plan.unchanged) == (3, 3, 0, 0)
    assert plan.new_passages == plan.passages >= 3
    assert plan.new_tokens == plan.tokens > 0
    assert not collection.exists()


def test_only_what_changed_is_counted_as_new(collection, embedder, folder):
    asyncio.run(ingest(collection, embedder, Sources(["docs"])))
    before = contents(collection)
    (folder / "files.md").write_text("# Files\n\nEverything is new here.\n")
    plan = plan_ingest(collection, Sources(["docs"]))
    assert (plan.unchanged, plan.changed, plan.new_passages) == (2, 1, 1)
    assert contents(collection) == before


def test_a_batch_costs_half(collection, folder):
    plan = plan_ingest(collection, Sources(["docs"]))
    bill = next(bill for bill in plan.bills if bill.model == "gemini-embedding-001")
    assert bill.interactive == pytest.approx(plan.new_tokens * 0.15 / 1_000_000)
    assert bill.batch == pytest.approx(bill.interactive / 2)


def test_tokens_are_exact_only_with_the_models_tokenizer(collection, folder):
    assert not plan_ingest(collection, Sources(["docs"])).are_tokens_exact


def test_another_model_is_refused_before_anything_is_counted(collection, embedder, folder):
    asyncio.run(ingest(collection, embedder, Sources(["docs"])))
    other = Fingerprint.of(CountingEmbedder("words-b").get_model("words-b"))
    with pytest.raises(FingerprintMismatch):
        plan_ingest(collection, Sources(["docs"]), fingerprint=other)
