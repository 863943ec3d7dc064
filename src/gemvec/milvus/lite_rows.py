"""The rows of a Lite collection where they are, read piece by piece: `FileRows`, `TableRows`, and `find_live`.

A collection may hold more than fits into memory; what is compared of all rows at once are hashes of their keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow  # noqa: ICN001 # its parts have names below
import pyarrow.compute
import pyarrow.parquet

# They come without types, or with some that are unknown.
arrow: Any = pyarrow
compute: Any = pyarrow.compute
parquet: Any = pyarrow.parquet

# Rows read from a file at once, and how much of it is read ahead.
ROWS_PER_BATCH, _READ_AHEAD_BYTES = 1_024, 2**17
# Rows are gathered to pieces of this size.
_PIECE_BYTES = 8 * 2**20
_VERSION = KEY, ORDER = "key", "_seq"
# Keys of which several rows, or a deletion, are compared at once.
_KEYS_PER_COMPARISON = 100_000

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.int64]


class Rows(ABC):
    """Rows that are read in batches."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many there are."""

    @abstractmethod
    def batches(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the columns `names`, or all of them."""

    def column(self, name: str) -> Any:
        """Return one column."""
        parts = [batch.column(name) for batch in self.batches([name])]
        return arrow.concat_arrays(parts) if parts else arrow.array([], arrow.string())

    def hash_keys(self) -> Hashes:
        """Return a hash of the key of each row."""
        hashes = [_hash_all(batch.column(KEY).to_pylist()) for batch in self.batches([KEY])]
        return np.concatenate([*hashes, np.array([], np.int64)])

    def find(self, name: str, values: Collection[str]) -> Mask:
        """Return which rows have one of `values` in column `name`."""
        wanted = arrow.array(list(values), arrow.string())
        return compute.is_in(self.column(name), wanted).to_numpy(zero_copy_only=False)

    def filtered(self, chosen: Mask, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the columns `names` of the rows that are chosen, or all columns."""
        return _filter(self.batches(names), chosen)


class FileRows(Rows):
    """Rows of a Parquet file."""

    def __init__(self, path: Path) -> None:
        """Open the file; nothing is read yet."""
        self._file = parquet.ParquetFile(path, buffer_size=_READ_AHEAD_BYTES, pre_buffer=False)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._file.metadata.num_rows

    def batches(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the columns `names`, or all of them."""
        return self._read(names)

    def filtered(self, chosen: Mask, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield what is chosen, without reading the row groups of the file in which nothing is."""
        start = 0
        for group in range(self._file.num_row_groups):
            end = start + self._file.metadata.row_group(group).num_rows
            if chosen[start:end].any():
                yield from _filter(self._read(names, [group]), chosen[start:end])
            start = end

    def _read(self, names: Sequence[str] | None, groups: list[int] | None = None) -> Iterator[Any]:
        columns = list(names) if names else None
        return self._file.iter_batches(ROWS_PER_BATCH, row_groups=groups, columns=columns, use_threads=False)


class TableRows(Rows):
    """Rows in memory."""

    def __init__(self, table: Any) -> None:
        """Take the rows of Arrow's `table`."""
        self._table = table

    @property
    def count(self) -> int:
        """How many there are."""
        return self._table.num_rows

    def batches(self, names: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the columns `names`, or all of them."""
        return iter((self._table.select(list(names)) if names else self._table).to_batches(ROWS_PER_BATCH))


def _filter(batches: Iterator[Any], chosen: Mask) -> Iterator[Any]:
    start = 0
    for batch in batches:
        some = chosen[start : start + batch.num_rows]
        start += batch.num_rows
        if some.any():
            yield batch if some.all() else batch.filter(arrow.array(some))


def find_live(rows: Sequence[Rows], deleted: Mapping[str, int], chosen: Sequence[Mask] | None = None) -> list[Mask]:
    """Return, for each of `rows`, which of those that are chosen are the newest of their key and not deleted later.

    Nearly all keys have one row and were not deleted, which their hashes show; only the others are read to be compared.

    Args:
        rows: all that there are.
        deleted: when keys were deleted.
        chosen: which rows to return at most; None for all.
    """
    hashes = [each.hash_keys() for each in rows]
    live = [mask.copy() for mask in chosen] if chosen else [np.ones(len(each), dtype=np.bool_) for each in hashes]
    doubtful = _find_doubtful(hashes, deleted, chosen)
    for start in range(0, len(doubtful), _KEYS_PER_COMPARISON):
        some = doubtful[start : start + _KEYS_PER_COMPARISON]
        places = [_is_in(each, some) for each in hashes]
        batches = [batch for each, mask in zip(rows, places, strict=True) for batch in each.filtered(mask, _VERSION)]
        if not batches:  # the rows of what was deleted are gone
            continue
        ends = list(accumulate(int(mask.sum()) for mask in places))
        newest = np.split(_find_newest(batches, deleted), ends[:-1])
        for mask, place, found in zip(live, places, newest, strict=True):
            mask[place] &= found
    return live


def _find_doubtful(hashes: Sequence[Hashes], deleted: Collection[str], chosen: Sequence[Mask] | None) -> Hashes:
    """Return the hashes of chosen rows that other rows have, too, or a key that was deleted, in ascending order."""
    gone = _hash_all(deleted)
    if chosen is not None:
        asked = np.unique(np.concatenate([each[mask] for each, mask in zip(hashes, chosen, strict=True)]))
        hashes = [each[_is_in(each, asked)] for each in hashes]
        gone = gone[_is_in(gone, asked)]
    in_order = np.concatenate(hashes)
    in_order.sort()
    repeated = in_order[1:][in_order[1:] == in_order[:-1]]
    return np.unique(np.concatenate((repeated, gone)))


def _hash_all(keys: Collection[str]) -> Hashes:
    return np.fromiter(map(hash, keys), np.int64, len(keys))


def _is_in(hashes: Hashes, wanted: Hashes) -> Mask:
    """Return which hashes are among some that are in ascending order."""
    if not len(wanted):
        return np.zeros(len(hashes), dtype=np.bool_)
    places = np.searchsorted(wanted, hashes)
    places[places == len(wanted)] = 0
    return wanted[places] == hashes


def _find_newest(batches: Sequence[Any], deleted: Mapping[str, int]) -> Mask:
    """Return which rows of all batches are the newest of their key and were not deleted later."""
    keys, orders = (arrow.concat_arrays([batch.column(name) for batch in batches]) for name in _VERSION)
    table = arrow.table({KEY: keys, ORDER: orders})
    newest_first = compute.sort_indices(table, [(KEY, "ascending"), (ORDER, "descending")])
    sorted_keys = keys.take(newest_first)
    is_older = compute.equal(sorted_keys[1:], sorted_keys[:-1]).to_numpy(zero_copy_only=False)
    live = np.ones(len(table), dtype=np.bool_)
    live[newest_first.to_numpy()[1:][is_older.astype(np.bool_)]] = False
    for place, key in enumerate(keys.to_pylist() if deleted else ()):
        if key in deleted:
            live[place] &= deleted[key] <= orders[place].as_py()
    return live


def gather(batches: Iterator[Any], max_rows: int) -> Iterator[Any]:
    """Yield tables of about `_PIECE_BYTES`, never of more rows than a file may have; keeps none of them."""
    some, size, rows = list[Any](), 0, 0
    for batch in batches:
        if some and (size + batch.nbytes > _PIECE_BYTES or rows + batch.num_rows > max_rows):
            yield _take(some)
            size, rows = 0, 0
        some.append(batch)
        size += batch.nbytes
        rows += batch.num_rows
    if some:
        yield _take(some)


def _take(batches: list[Any]) -> Any:
    table = arrow.Table.from_batches(batches)
    batches.clear()
    return table
