"""What `gemvec batch results` writes: JSON lines as they come from the server, a Parquet table, or a NumPy array.

The file is written under another name and renamed when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gemvec.errors import BadSetting, GemvecError, MissingDependency
from gemvec.storage.durable import replacing

if TYPE_CHECKING:
    from gemvec.client.batches import BatchClient
    from gemvec.wire.jsonl import ResponseLine

_ROWS_AT_ONCE = 4096


def write_results(client: BatchClient, name: str, output: Path) -> int:
    """Write a batch's results to a .jsonl, .parquet or .npy file; return how many there are.

    Raises:
        BadSetting: the file has another suffix.
        GemvecError: a request failed, and an array cannot contain an error.
        MissingDependency: the file is Parquet and pyarrow is not installed.
    """
    write = _WRITERS.get(output.suffix.lower())
    if write is None:
        raise BadSetting(f"--output has value {str(output)!r}: expected a name that ends in {', '.join(_WRITERS)}.")
    with replacing(output) as partial:
        return write(client, name, partial)


def write_lines(client: BatchClient, name: str, target: BinaryIO) -> int:
    """Write results as JSON lines and return how many there are."""
    import msgspec

    from gemvec.wire.message import to_wire

    count = 0
    for result in client.results(name):
        target.write(msgspec.json.encode(to_wire(result)) + b"\n")
        count += 1
    return count


def _write_jsonl(client: BatchClient, name: str, path: Path) -> int:
    with path.open("wb") as file:
        return write_lines(client, name, file)


def _write_array(client: BatchClient, name: str, path: Path) -> int:
    """Write float32[requests, values], row by row."""
    import numpy as np

    count = client.get(name).stats.request_count
    array: Any = None
    row = 0
    for row, result in enumerate(client.results(name), start=1):
        if result.values is None:
            raise GemvecError(
                f"Request {row - 1} failed: {result.error_message.strip()} An array cannot contain errors; "
                "write .jsonl or .parquet."
            )
        if row > count:
            raise GemvecError(f"The batch has more results than its {count} requests; write .jsonl or .parquet.")
        if array is None:
            array = np.lib.format.open_memmap(path, "w+", np.float32, (count, len(result.values)))
        if len(result.values) != array.shape[1]:
            raise GemvecError(
                f"Request {row - 1} has {len(result.values)} values, others have {array.shape[1]}; "
                "write .jsonl or .parquet."
            )
        array[row - 1] = result.values
    if array is None or row != count:
        raise GemvecError(f"The batch has results for {row} of {count} requests; write .jsonl or .parquet.")
    array.flush()
    return row


def _write_parquet(client: BatchClient, name: str, path: Path) -> int:
    """Write the columns key, embedding (float32), token_count, error_code and error_message."""
    pa, parquet = _import_arrow()
    schema = pa.schema(
        [
            ("key", pa.string()),
            ("embedding", pa.list_(pa.float32())),
            ("token_count", pa.int64()),
            ("error_code", pa.int32()),
            ("error_message", pa.string()),
        ]
    )
    results, count = client.results(name), 0
    with parquet.ParquetWriter(path, schema) as writer:
        while rows := list(islice(results, _ROWS_AT_ONCE)):
            writer.write_table(pa.table(_columns(rows), schema=schema))
            count += len(rows)
    return count


def _import_arrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise MissingDependency("Parquet needs pyarrow.", extra="milvus") from error


def _columns(rows: Sequence[ResponseLine]) -> dict[str, list[Any]]:
    return {
        "key": [row.key for row in rows],
        "embedding": [row.values for row in rows],
        "token_count": [row.token_count for row in rows],
        "error_code": [row.error_code or None for row in rows],
        "error_message": [row.error_message or None for row in rows],
    }


_WRITERS: dict[str, Callable[[BatchClient, str, Path], int]] = {
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".npy": _write_array,
}
