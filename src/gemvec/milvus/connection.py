"""One way to open Milvus Lite, a server and Zilliz Cloud: `open_client`; pymilvus loads only here.

A Lite file belongs to one process. All clients of one process on one file share its engine, so `close_client` stops
the engine when the last of them is closed. `lite.py` reads such a file without pymilvus.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar, cast

from gemvec.errors import (
    FailedPrecondition,
    GemvecError,
    MissingDependency,
    StorageFailure,
    TransportFailure,
)

T = TypeVar("T")

# How long to wait for a Lite file that another process has open.
LOCK_WAIT_SECONDS = 3.0
_LOCK_POLL_SECONDS = 0.1
# Lite's engine listens on this machine: no proxy is used, and no pings are sent, which it would refuse after a minute.
_LITE_CHANNEL = {
    "grpc.enable_http_proxy": 0,
    "grpc.keepalive_time_ms": 2**31 - 1,
    "grpc.keepalive_permit_without_calls": 0,
}

_lock = threading.Lock()
_lite_clients: Counter[str] = Counter()
_flush_locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)


def is_lite(uri: str) -> bool:
    """Whether `uri` is a file of Milvus Lite, not the address of a server."""
    return uri.endswith(".db") and "://" not in uri


def open_client(uri: str, token: str = "") -> Any:
    """Open Milvus.

    Args:
        uri: a path ending in `.db` for Milvus Lite, `http://host:19530` for a server, an `https` endpoint of Zilliz
            Cloud.
        token: `user:password` or an API key; empty for Lite.

    Returns:
        A connected `pymilvus.MilvusClient`.

    Raises:
        FailedPrecondition: another process has the Lite file open.
        TransportFailure: no server answers at `uri`.
        MissingDependency: pymilvus is not installed.
    """
    check_uri(uri)
    pymilvus = _import_pymilvus()
    options: dict[str, Any] = {}
    if is_lite(uri):
        make_folder_for(uri)
        options = {"grpc_options": _LITE_CHANNEL}
    try:
        client = wait_for_lock(uri, lambda: pymilvus.MilvusClient(uri=uri, token=token, **options))
    except Exception as error:
        if is_lite(uri):
            raise cannot_open(uri) from error
        raise TransportFailure(f"No Milvus answers at {uri}: {error}") from error
    if is_lite(uri):
        with _lock:
            _lite_clients[_lite_key(uri)] += 1
    return client


def wait_for_lock(uri: str, open_database: Callable[[], T]) -> T:
    """Return what `open_database` opens; wait for a short time if another process has the Lite file open.

    Commands follow each other, and each has the file open only for a moment.
    """
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return open_database()
        except Exception:
            may_be_locked = is_lite(uri) and (Path(uri) / "LOCK").exists() and os.access(uri, os.W_OK)
            if not may_be_locked or time.monotonic() > deadline:
                raise
        time.sleep(_LOCK_POLL_SECONDS)


def check_uri(uri: str) -> None:
    """Refuse a `uri` that is neither a Lite file nor an address.

    Raises:
        FailedPrecondition: it is neither.
    """
    if not is_lite(uri) and "://" not in uri:
        raise FailedPrecondition(
            f"{uri!r} is not a Milvus address: give a path ending in .db, or a server's http(s) address."
        )


def close_client(client: Any, uri: str) -> None:
    """Close `client`; the last one of a Lite file stops the engine, so that another process can open the file."""
    client.close()
    if not is_lite(uri):
        return
    with _lock:
        _lite_clients[_lite_key(uri)] -= 1
        is_last = _lite_clients[_lite_key(uri)] <= 0
    if is_last:
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(uri)


def flush_lock(uri: str) -> AbstractContextManager[object]:
    """Return what to hold while rows of a Lite file are put into files, and while they are searched.

    Lite empties its memory before the new file can be read, so a search at that moment would miss rows. A server does
    not need this.
    """
    if not is_lite(uri):
        return nullcontext()
    with _lock:
        return _flush_locks[_lite_key(uri)]


def call_milvus(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a method of a client; errors of Milvus become errors of `gemvec.errors`.

    Raises:
        StorageFailure: Milvus refused or failed.
        TransportFailure: the server cannot be reached.
    """
    try:
        return call(*arguments, **options)
    except Exception as error:
        # Not imported for this: a Lite file may be read without pymilvus.
        exceptions: Any = sys.modules.get("pymilvus.exceptions")
        if exceptions is None or not isinstance(error, exceptions.MilvusException):
            raise
        unavailable = exceptions.MilvusUnavailableException
        kind: type[GemvecError] = TransportFailure if isinstance(error, unavailable) else StorageFailure
        raise kind(f"Milvus: {cast('Any', error).message}") from error


def make_folder_for(uri: str) -> None:
    """Make the folder that contains a Lite database.

    Raises:
        FailedPrecondition: it cannot be made.
    """
    folder = Path(uri).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FailedPrecondition(
            f"The Milvus Lite file {uri} cannot be opened: the folder {folder} does not exist and cannot be made "
            f"({error.strerror})."
        ) from error


def cannot_open(uri: str) -> FailedPrecondition:
    """Return the error for a Lite database that is locked, may not be written, or is not a database."""
    if Path(uri).is_file():
        return FailedPrecondition(
            f"{uri} is a file; Milvus Lite keeps a database in a folder (version 2 kept it in a file). Name another."
        )
    place = Path(uri) if Path(uri).is_dir() else Path(uri).absolute().parent
    if not os.access(place, os.W_OK):
        return FailedPrecondition(f"The Milvus Lite file {uri} cannot be opened: {place} may not be written to.")
    return FailedPrecondition(
        f"The Milvus Lite file {uri} cannot be opened: most likely another process has it open "
        f"(one process at a time; for several use a Milvus server)."
    )


def missing_packages() -> MissingDependency:
    """Return the error for an installation without Milvus."""
    return MissingDependency("Milvus needs more packages.", extra="milvus")


def _lite_key(uri: str) -> str:
    return str(Path(uri).absolute())


def _import_pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise missing_packages() from error
    # It logs every error that it also raises, with a traceback; callers get the error.
    for name in ("pymilvus", "milvus_lite"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus
