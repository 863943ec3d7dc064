"""The cache's contract: the same vectors as without it, computed once, whatever becomes of its file."""

import asyncio
import contextlib
import logging
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gemvec.cache import CachedEmbedder, EmbeddingCache, local_source, open_cache, table, with_cache
from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.task_type import TaskType
from gemvec.errors import EmptyText, ModelNotFound, Overloaded
from gemvec.settings import Settings
from word_embedder import DIMENSIONS, WordEmbedder, embed_words

MIB = 2**20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "embeddings.sqlite3"


@pytest.fixture
def cache(path):
    cache = EmbeddingCache(path, max_bytes=64 * MIB)
    yield cache
    cache.close()


async def ask(cached, requests, model="words", **options):
    return await cached.embed(cached.get_model(model), requests, **options)


def embed(embedder, cache, *texts, source="here", model="words", **options):
    """Embed through the cache, and wait until everything is written."""
    cached = CachedEmbedder(embedder, cache, source=source)
    embeddings = asyncio.run(ask(cached, [EmbedRequest(text=text, **options) for text in texts], model=model))
    cache.flush()
    return embeddings


def assert_right(embeddings, texts):
    assert len(embeddings) == len(texts)
    for embedding, text in zip(embeddings, texts, strict=True):
        np.testing.assert_array_equal(embedding.vector, embed_words(text))
        assert embedding.vector.dtype == np.float32
        assert embedding.token_count == len(text.split())


def random_embeddings(count, dimensionality=384, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, dimensionality), dtype=np.float32)
    return {b"%20d" % (seed * 10**6 + row): Embedding(vector, 7) for row, vector in enumerate(vectors)}


# What is found again


def test_a_text_embedded_before_is_not_embedded_again(cache):
    embedder = WordEmbedder()
    for _ in range(2):
        assert_right(embed(embedder, cache, "one", "two words"), ["one", "two words"])
    assert embedder.texts == ["one", "two words"]


def test_what_was_cached_is_there_after_the_file_was_closed(path):
    for expected in (["kept text"], []):
        embedder, cache = WordEmbedder(), EmbeddingCache(path, max_bytes=MIB)
        assert_right(embed(embedder, cache, "kept text"), ["kept text"])
        cache.close()
        assert embedder.texts == expected


def test_an_embedding_is_found_before_it_is_written(cache):
    embedder = WordEmbedder()
    cached = CachedEmbedder(embedder, cache, source="here")

    async def embed_twice():
        return [await ask(cached, [EmbedRequest(text="soon")]) for _ in range(2)]

    first, second = asyncio.run(embed_twice())
    assert_right(first + second, ["soon", "soon"])
    assert embedder.texts == ["soon"]


def test_only_the_missing_texts_are_embedded(cache):
    embedder = WordEmbedder()
    embed(embedder, cache, "a", "c")
    embedder.computed.clear()
    assert_right(embed(embedder, cache, "a", "b", "c", "d"), ["a", "b", "c", "d"])
    assert embedder.texts == ["b", "d"]


@given(st.lists(st.lists(st.sampled_from(["a", "b b", "c c c", "d", "ä ☃"]), max_size=8), max_size=5))
@hypothesis_settings(max_examples=30, deadline=None)
def test_answers_are_those_of_the_embedder_in_order_and_each_text_is_computed_once(tmp_path_factory, calls):
    cache = EmbeddingCache(tmp_path_factory.mktemp("cache") / "embeddings.sqlite3", max_bytes=MIB)
    embedder = WordEmbedder()
    cached = CachedEmbedder(embedder, cache, source="here")

    async def run():
        return await asyncio.gather(*(ask(cached, [EmbedRequest(text=text) for text in texts]) for texts in calls))

    try:
        for texts, embeddings in zip(calls, asyncio.run(run()), strict=True):
            assert_right(embeddings, texts)
        assert sorted(embedder.texts) == sorted({text for texts in calls for text in texts})
    finally:
        cache.close()


@pytest.mark.parametrize(
    "other",
    [
        {"task_type": TaskType.RETRIEVAL_QUERY},
        {"task_type": TaskType.RETRIEVAL_DOCUMENT},
        {"title": ""},
        {"title": "T"},
        {"output_dimensionality": 32},
        {"auto_truncate": False},
        {"source": "there"},
        {"model": "others"},
    ],
    ids=str,
)
def test_anything_that_may_change_the_vector_makes_another_key(cache, other):
    embedder = WordEmbedder("words", "others")
    embed(embedder, cache, "text")
    embed(embedder, cache, "text", **other)
    assert embedder.texts == ["text", "text"]


def test_other_weights_under_the_same_name_make_another_key(cache):
    for revision in ("00000001", "00000002"):
        embedder = WordEmbedder(revision=revision)
        embed(embedder, cache, "text")
        assert embedder.texts == ["text"]


def test_title_and_text_do_not_run_into_each_other(cache):
    embedder = WordEmbedder()
    embed(embedder, cache, "b c", title="a")
    embed(embedder, cache, "c", title="a b")
    assert embedder.texts == ["b c", "c"]


def test_the_default_dimensionality_and_the_same_number_asked_for_share_a_key(cache):
    embedder = WordEmbedder()
    embed(embedder, cache, "text")
    embed(embedder, cache, "text", output_dimensionality=DIMENSIONS)
    assert embedder.texts == ["text"]


def test_precision_and_the_handling_of_long_texts_are_part_of_the_local_source():
    base = Settings()
    others = [replace(base, precision="exact"), replace(base, long_text="truncate")]
    assert len({local_source(each) for each in [base, *others]}) == 3


def test_padded_zeros_come_back_and_take_no_room(cache):
    (first,) = embed(WordEmbedder(), cache, "text", output_dimensionality=3072)
    (second,) = embed(WordEmbedder(), cache, "text", output_dimensionality=3072)
    np.testing.assert_array_equal(first.vector, second.vector)
    assert second.vector.shape == (3072,)
    with contextlib.closing(sqlite3.connect(cache.path)) as connection:
        assert connection.execute("SELECT length(vector) FROM embeddings").fetchone() == (4 * DIMENSIONS,)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_no_number_is_never_stored(cache, bad):
    vector = np.ones(4, dtype=np.float32)
    vector[2] = bad
    cache.put({b"bad": Embedding(vector, 1), b"good": Embedding(np.ones(4, dtype=np.float32), 1)})
    cache.flush()
    assert set(cache.get([b"bad", b"good"])) == {b"good"}


def test_a_caller_may_change_the_vectors_it_got(cache):
    embedder = WordEmbedder()
    for embedding in embed(embedder, cache, "text", "text"):
        embedding.vector[:] *= 2
    assert_right(embed(embedder, cache, "text", "text"), ["text", "text"])


def test_embeddings_are_reported_as_they_are_found_and_computed(cache):
    embed(WordEmbedder(), cache, "known")
    texts = ["known", *(f"text {number}" for number in range(2000)), "known", "text 0"]
    told = []
    cached = CachedEmbedder(WordEmbedder(), cache, source="here")
    requests = [EmbedRequest(text=text) for text in texts]
    asyncio.run(ask(cached, requests, on_done=lambda embeddings: told.append(len(embeddings))))
    assert told == [2, 1025, 976]


# Texts in flight


def test_equal_texts_in_flight_are_computed_once(cache):
    async def run():
        gate = asyncio.Event()
        embedder = WordEmbedder(gate=gate)
        cached = CachedEmbedder(embedder, cache, source="here")
        calls = [asyncio.create_task(ask(cached, [EmbedRequest(text="same")])) for _ in range(4)]
        await asyncio.sleep(0)
        gate.set()
        return embedder.texts, [embedding for call in calls for embedding in await call]

    texts, embeddings = asyncio.run(run())
    assert texts == ["same"]
    assert_right(embeddings, ["same"] * 4)


def test_a_waiting_call_computes_what_a_failing_call_did_not(cache):
    async def run():
        gate = asyncio.Event()
        cached = CachedEmbedder(WordEmbedder(gate=gate, failures=[Overloaded()]), cache, source="here")
        calls = [asyncio.create_task(ask(cached, [EmbedRequest(text="same")])) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    first, *others = asyncio.run(run())
    assert isinstance(first, Overloaded)
    for embeddings in others:
        assert_right(embeddings, ["same"])


@pytest.mark.parametrize("victim", [0, 1])
def test_a_cancelled_call_takes_no_other_with_it(cache, victim):
    async def run():
        gate = asyncio.Event()
        cached = CachedEmbedder(WordEmbedder(gate=gate), cache, source="here")
        calls = [asyncio.create_task(ask(cached, [EmbedRequest(text="same")])) for _ in range(3)]
        await asyncio.sleep(0)
        calls.pop(victim).cancel()
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*calls)

    for embeddings in asyncio.run(run()):
        assert_right(embeddings, ["same"])


def test_an_interactive_call_does_not_wait_for_a_batch(cache):
    async def run():
        gate = asyncio.Event()
        embedder = WordEmbedder(gate=gate)
        cached = CachedEmbedder(embedder, cache, source="here")
        request = [EmbedRequest(text="same")]
        calls = [
            asyncio.create_task(ask(cached, request, priority=priority))
            for priority in (Priority.BATCH, Priority.INTERACTIVE, Priority.BATCH)
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*calls)
        return embedder.computed

    assert asyncio.run(run()) == [("same", Priority.BATCH), ("same", Priority.INTERACTIVE)]


# Errors are the embedder's own


def test_an_error_names_the_position_among_the_callers_texts(cache):
    embedder = WordEmbedder()
    embed(embedder, cache, "a", "b")
    with pytest.raises(EmptyText) as caught:
        embed(embedder, cache, "a", "b", "b", "c", "")
    assert (caught.value.index, caught.value.field) == (4, "content")
    assert str(caught.value) == caught.value.message == "content is empty."


def test_an_unknown_model_is_the_embedders_error(cache):
    with pytest.raises(ModelNotFound):
        embed(WordEmbedder(), cache, "a", model="nobody")


def test_everything_else_is_passed_through(cache):
    embedder = WordEmbedder()
    cached = CachedEmbedder(embedder, cache, source="here")
    assert cached.list_models() == embedder.models
    assert asyncio.run(cached.count_tokens(cached.get_model("words"), ["a b"])) == [2]
    asyncio.run(cached.close())
    assert embedder.is_closed


# The file


def test_a_file_that_is_not_a_database_is_replaced_with_a_warning(path, caplog):
    path.write_bytes(b"this is not a database" * 1000)
    cache = EmbeddingCache(path, max_bytes=MIB)
    with caplog.at_level(logging.WARNING):
        assert_right(embed(WordEmbedder(), cache, "text"), ["text"])
    assert "is damaged and is replaced" in caplog.text
    embedder = WordEmbedder()
    assert_right(embed(embedder, cache, "text"), ["text"])
    assert embedder.texts == []
    cache.close()


def test_a_database_of_another_program_is_replaced(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE embeddings (id INTEGER, key TEXT)")
    cache = EmbeddingCache(path, max_bytes=MIB)
    embed(WordEmbedder(), cache, "text")
    assert cache.stats().entries == 1
    cache.close()


@given(st.none() | st.integers(0, 2**16), st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255)), max_size=20))
@example(None, [(7574, 128)])  # SQLite's own message about the schema is no text
@hypothesis_settings(max_examples=15, deadline=None)
def test_whatever_happens_to_the_bytes_of_the_file_the_vectors_are_right(tmp_path_factory, length, flips):
    path = tmp_path_factory.mktemp("cache") / "embeddings.sqlite3"
    texts = [f"text number {number}" for number in range(20)]
    cache = EmbeddingCache(path, max_bytes=MIB)
    embed(WordEmbedder(), cache, *texts)
    cache.close()
    content = bytearray(path.read_bytes()[:length])
    for place, change in flips if content else ():
        content[place % len(content)] ^= change
    path.write_bytes(content)
    for _ in range(2):
        assert_right(embed(WordEmbedder(), cache, *texts), texts)
        cache.stats()
        cache.close()


def test_a_deleted_file_is_made_again(cache, path):
    embed(WordEmbedder(), cache, "text")
    path.unlink()
    embed(WordEmbedder(), cache, "other")
    assert path.exists()
    assert cache.stats().entries == 1


def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "embeddings.sqlite3", max_bytes=MIB)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert_right(embed(WordEmbedder(), cache, "text"), ["text"])
    assert caplog.text.count("cannot be used") == 1
    cache.close()


def test_a_file_locked_for_long_costs_no_error(cache, path, monkeypatch):
    monkeypatch.setattr(table, "_BUSY_TIMEOUT_SECONDS", 0.05)
    embed(WordEmbedder(), cache, "text")
    cache.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert_right(embed(WordEmbedder(), cache, "other"), ["other"])
        connection.execute("ROLLBACK")
    embedder = WordEmbedder()
    embed(embedder, cache, "text")
    assert embedder.texts == []


def test_nobody_else_may_read_the_file(cache, path):
    embed(WordEmbedder(), cache, "text")
    assert path.stat().st_mode & 0o077 == 0


def test_nobody_else_may_read_a_file_that_was_there_before(cache, path):
    embed(WordEmbedder(), cache, "text")
    cache.flush()
    files = [path, *path.parent.glob(f"{path.name}-*")]
    for each in files:
        each.chmod(0o644)
    again = EmbeddingCache(path, max_bytes=MIB)
    embed(WordEmbedder(), again, "text")
    assert [each.name for each in files if each.exists() and each.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("is_there", [True, False])
def test_the_folder_of_the_cache_is_for_its_owner_alone(tmp_path, is_there):
    folder = tmp_path / "cache"
    if is_there:
        folder.mkdir(mode=0o755)
    embed(WordEmbedder(), open_cache(Settings(cache_dir=folder)), "text")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_the_user_chose_stays_as_it_is(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir(mode=0o755)
    embed(WordEmbedder(), EmbeddingCache(folder / "vectors.sqlite3", max_bytes=MIB), "text")
    assert folder.stat().st_mode & 0o777 == 0o755


def test_the_file_stays_within_its_bound_and_keeps_what_was_used_last(path, monkeypatch):
    bound = 3 * MIB // 2
    cache = EmbeddingCache(path, max_bytes=bound)
    old, used = random_embeddings(300, seed=1), random_embeddings(300, seed=2)
    monkeypatch.setattr(table, "today", lambda: 10)
    cache.put(used | old)
    cache.flush()
    monkeypatch.setattr("gemvec.cache.file.today", lambda: 11)
    monkeypatch.setattr(table, "today", lambda: 11)
    assert len(cache.get(list(used))) == 300
    for seed in range(3, 8):
        cache.put(random_embeddings(100, seed=seed))
        assert cache.stats().used_bytes <= bound
    assert len(cache.get(list(used))) == 300
    assert len(cache.get(list(random_embeddings(100, seed=7)))) == 100
    assert len(cache.get(list(old))) < 200
    assert cache.stats().file_bytes <= bound + 5 * MIB
    cache.close()


def test_a_lowered_bound_shrinks_the_file(path):
    cache = EmbeddingCache(path, max_bytes=64 * MIB)
    cache.put(random_embeddings(3000))
    cache.close()
    size = path.stat().st_size
    cache = EmbeddingCache(path, max_bytes=MIB)
    cache.put(random_embeddings(1, seed=1))
    cache.close()
    assert path.stat().st_size <= MIB < size


def test_statistics_count_entries_hits_and_saved_tokens(cache):
    embed(WordEmbedder(), cache, "one two", "three")
    embed(WordEmbedder(), cache, "one two", "one two", "four")
    stats = cache.stats()
    assert (stats.entries, stats.hits, stats.misses, stats.tokens_saved) == (3, 2, 3, 4)
    assert 0 < stats.used_bytes <= stats.max_bytes


def test_clearing_drops_everything_and_shrinks_the_file(cache, path):
    cache.put(random_embeddings(2000))
    assert cache.clear() == 2000
    stats = cache.stats()
    assert (stats.entries, stats.hits) == (0, 0)
    assert path.stat().st_size < MIB


# Threads, processes, forks


def test_many_threads_may_share_a_cache(cache):
    kept = [random_embeddings(50, seed=seed) for seed in range(8)]

    def put_and_get(embeddings):
        for key, embedding in embeddings.items():
            cache.put({key: embedding})
            assert cache.get([key])

    threads = [threading.Thread(target=put_and_get, args=[each]) for each in kept]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.stats().entries == 400


def test_statistics_do_not_wait_for_what_others_go_on_putting(cache):
    is_enough = threading.Event()

    def put_on():
        for seed in range(10**6):
            if is_enough.is_set():
                return
            cache.put(random_embeddings(1, seed=seed))

    threads = [threading.Thread(target=put_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        assert cache.stats().entries >= 0
    is_enough.set()
    for thread in threads:
        thread.join()


PUT_IN_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from gemvec.cache.file import EmbeddingCache
from gemvec.embedding.embed import Embedding

cache, number = EmbeddingCache(Path(sys.argv[1]), max_bytes=2**26), int(sys.argv[2])
for row in range(100):
    cache.put({b"%10d%10d" % (number, row): Embedding(np.full(384, row + 1, np.float32), number)})
    if number % 2:
        cache.flush()
cache.close()
"""


def test_many_processes_may_share_a_cache_from_its_first_moment(path):
    processes = [
        subprocess.Popen([sys.executable, "-c", PUT_IN_PROCESS, str(path), str(number)]) for number in range(4)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    cache = EmbeddingCache(path, max_bytes=64 * MIB)
    keys = {b"%10d%10d" % (number, row): (number, row) for number in range(4) for row in range(100)}
    found = cache.get(list(keys))
    assert {key: (each.token_count, each.vector[0] - 1) for key, each in found.items()} == keys
    cache.close()


def _use_after_fork(cache, seed):
    cache.put(random_embeddings(10, seed=seed))
    assert len(cache.get(list(random_embeddings(10, seed=seed)))) == 10
    cache.flush()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns, rightly, of threads and fork
def test_a_cache_works_on_in_a_forked_process(cache):
    cache.put(random_embeddings(10, seed=1))
    cache.flush()
    process = multiprocessing.get_context("fork").Process(target=_use_after_fork, args=[cache, 2])
    process.start()
    process.join()
    assert process.exitcode == 0
    cache.put(random_embeddings(10, seed=3))
    assert cache.stats().entries == 30


# Settings


def test_the_cache_is_in_the_cache_folder_with_the_bound_of_the_settings(tmp_path):
    settings = Settings.load({}, cache_dir=tmp_path, embedding_cache_bytes="2MiB")
    cache = open_cache(settings)
    assert (cache.path.parent, cache.max_bytes) == (tmp_path, 2 * MIB)


def test_a_bound_of_zero_leaves_the_embedder_as_it_is(tmp_path):
    embedder = WordEmbedder()
    settings = Settings.load({}, cache_dir=tmp_path)
    assert isinstance(with_cache(embedder, settings, source="here"), CachedEmbedder)
    assert with_cache(embedder, replace(settings, embedding_cache_bytes=0), source="here") is embedder


# Weights that change behind a name


class ChangingEmbedder(WordEmbedder):
    """Serves `words` from new weights after so many calls of `embed`, as a server does that was started anew."""

    def __init__(self, *, changes_after):
        super().__init__()
        self.calls_left = changes_after

    def get_model(self, name):
        self._record = getattr(self, "_record", None) or super().get_model(name)
        return self._record

    async def embed(self, model, requests, *, priority=Priority.INTERACTIVE, on_done=None):
        self.calls_left -= 1
        if self.calls_left == -1:
            self._record = replace(model, revision="22222222")
        found = await super().embed(model, requests, priority=priority)
        return [Embedding(-each.vector, each.token_count) for each in found] if self.calls_left < 0 else found


def test_what_other_weights_computed_is_not_kept_under_the_old_ones(cache):
    embedder = ChangingEmbedder(changes_after=1)
    cached = CachedEmbedder(embedder, cache, source="here")

    async def ask_for(*texts):
        return await ask(cached, [EmbedRequest(text=text) for text in texts])

    async def ask_twice():
        await ask_for("old", "both")
        return await ask_for("both", "new")

    both, new = asyncio.run(ask_twice())
    cache.flush()
    # One answer never mixes the two, though `both` was cached.
    np.testing.assert_array_equal(both.vector, -embed_words("both"))
    np.testing.assert_array_equal(new.vector, -embed_words("new"))
    # And what the old weights computed is still theirs.
    before = WordEmbedder()
    assert_right(embed(before, cache, "old", "both"), ["old", "both"])
    assert before.texts == []
    assert_right(embed(before, cache, "new"), ["new"])


class RestlessEmbedder(WordEmbedder):
    """Serves other weights at each call."""

    def get_model(self, name):
        return replace(super().get_model(name), revision=f"{len(self.texts):08x}")


def test_weights_that_never_rest_are_asked_without_the_cache(cache):
    embedder = RestlessEmbedder()
    assert_right(embed(embedder, cache, "a text"), ["a text"])
    assert cache.stats().entries == 0
