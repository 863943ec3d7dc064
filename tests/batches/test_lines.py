"""Any bytes as chunks of lines: each request once, in order, and memory that does not grow with the file."""

import re
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gemvec.batches import lines
from gemvec.batches.lines import index_lines, read_lines
from gemvec.errors import DataLost, InvalidRequest, StorageFailure

BYTES = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bb", b"ccc ccc", b" ", b"\xff", b"\0"])).map(b"".join)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("lines") / "input.jsonl"


def requests_of(content):
    """Return the lines of a file that are requests, told in another way than the code under test does."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    return [line for line in re.split(rb"(?<=\n)", content) if line.rstrip(b"\n") not in {b"", b"\r"}]


def read_all(path, size, **options):
    spans = list(index_lines(path, size, **options))
    return spans, [list(read_lines(path, span.offset, span.size_bytes)) for span in spans]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@given(content=BYTES, limits=st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 12)))
@example(content=b"\r\r\n\nccc ccc\na", limits=(1, 2, 4))  # a blank line before the request that is too heavy
def test_every_request_is_in_one_chunk_in_order(path, start, content, limits):
    block, most, heavy = limits
    path.write_bytes(start + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK_BYTES", block)
        patch.setattr(lines, "CHUNK_BYTES", heavy)
        spans, chunks = read_all(path, len(start + content), chunk_requests=most)
    for span in spans:
        assert span.crc32 == zlib.crc32((start + content)[span.offset : span.offset + span.size_bytes])
    assert [line for chunk in chunks for line in chunk] == requests_of(start + content)
    assert [len(chunk) for chunk in chunks] == [span.request_count for span in spans]
    assert all(0 < span.request_count <= most for span in spans)
    # The request that makes a chunk heavy is its last; blank lines are read past and weigh nothing.
    assert all(sum(map(len, chunk[:-1])) < heavy for chunk in chunks)


def test_bytes_beyond_the_size_do_not_count(path):
    path.write_bytes(b"a\nb\nc\n")
    assert read_all(path, 3)[1] == [[b"a\n", b"b"]]


def test_a_file_that_shrank_is_data_lost(path):
    path.write_bytes(b"a\nb\n")
    with pytest.raises(DataLost):
        list(index_lines(path, 10))
    with pytest.raises(DataLost):
        list(read_lines(path, 0, 10))


def test_a_file_that_is_gone_is_a_storage_failure(tmp_path):
    with pytest.raises(StorageFailure):
        list(read_lines(tmp_path / "none", 0, 10))


@pytest.mark.parametrize("ending", [b"", b"\n", b"\nlast\n"])
def test_a_line_beyond_the_limit_is_reported_but_never_in_memory(path, ending):
    with path.open("wb") as file:
        file.write(b"first\n")
        file.seek(100 * 2**20)  # a hole: a line of NUL bytes
        file.write(b"x" + ending)
    tracemalloc.start()
    _, chunks = read_all(path, path.stat().st_size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line for chunk in chunks for line in chunk] == [b"first\n", None, b"last\n"][: 2 + (b"last" in ending)]
    assert peak < 3 * lines.MAX_LINE_BYTES


@pytest.mark.parametrize(("length", "is_kept"), [(10, True), (11, False)])
def test_the_limit_is_the_longest_line_that_is_read(path, monkeypatch, length, is_kept):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    for ending in (b"", b"\n", b"\nnext\n"):
        path.write_bytes(b"x" * length + ending)
        first = next(read_lines(path, 0, path.stat().st_size))
        assert first == (b"x" * length + ending[:1] if is_kept else None)


def test_a_line_whose_json_would_take_too_much_memory_is_not_read(path):
    heavy = b'{"metadata":{"a":[' + b"[]," * (lines.MAX_OBJECT_BYTES // 200) + b"[]]}}\n"
    assert len(heavy) < lines.MAX_LINE_BYTES
    path.write_bytes(b"a\n" + heavy + b"b\n")
    assert list(read_lines(path, 0, path.stat().st_size)) == [b"a\n", None, b"b\n"]


def test_memory_stays_flat_over_a_million_lines(path):
    with path.open("wb") as file:
        for start in range(0, 1_000_000, 10_000):
            file.write(b"".join(b'{"key":"%d"}\n' % number for number in range(start, start + 10_000)))
    tracemalloc.start()
    count = sum(span.request_count for span in index_lines(path, path.stat().st_size))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1_000_000
    assert peak < 150 * 2**20
    path.unlink()


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_input_of_more_requests_than_a_batch_may_have_is_refused(path, end):
    path.write_bytes(b"\n".join([b"x"] * 5) + end)
    assert sum(span.request_count for span in index_lines(path, path.stat().st_size, max_requests=5)) == 5
    with pytest.raises(InvalidRequest, match="more than 4 requests"):
        list(index_lines(path, path.stat().st_size, max_requests=4))


def test_what_an_input_of_nothing_but_line_ends_costs_is_bounded_before_it_is_spent(path):
    path.write_bytes(b"x\n" * (8 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            list(index_lines(path, path.stat().st_size, max_requests=1_000_000))
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
