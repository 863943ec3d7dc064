"""A set of very many ids takes 16 bytes for each."""

import sys
import tracemalloc

import pytest

from gemvec.milvus import ids
from gemvec.milvus.ids import IdSet


@pytest.mark.parametrize("most", [1, 2, 7, 10_000])
def test_what_was_added_is_in_it_and_nothing_else(most, monkeypatch):
    monkeypatch.setattr(ids, "_MAX_NEW", most)
    found = IdSet()
    for number in range(500):
        name = f"document {number}" if number % 2 else f"{number}\udcff"
        assert name not in found
        found.add(name)
        found.add("again")
        assert name in found
    assert all(f"document {number}" in found for number in range(1, 500, 2))
    assert not any(f"document {number}" in found for number in range(0, 500, 2))
    assert "" not in found


def test_it_takes_a_fraction_of_the_memory_of_the_ids():
    found = IdSet()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(4 * ids._MAX_NEW):
            found.add(f"folder/{number}.md")
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken < 20 * 4 * ids._MAX_NEW < 0.4 * sys.getsizeof("folder/10000.md") * 4 * ids._MAX_NEW
