"""The driver: a process beside a server or command that is part of the cluster and gives work to its actors.

It is a process of its own because Ray ends the process that has lost its cluster, and because Ray's threads would take
the interpreter from interactive calls. It reads the lines of chunks and writes their part files, by the rules of all
part files: it has the server's folder or object store, so nodes need neither. It ends at once when its starter does,
whatever the reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection

from gemvec.batches.chunk_files import check_count, check_input
from gemvec.batches.chunk_process import Wire, reason_of
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.batches.lines import read_lines
from gemvec.errors import GemvecError
from gemvec.ray.messages import (
    AUTO,
    Abandon,
    ClusterSpec,
    Computed,
    Connected,
    Embedded,
    Failed,
    Lines,
    NotConnected,
    Outcome,
    PoolStatus,
    Returned,
    Run,
    Texts,
    Work,
)
from gemvec.ray.pool import ActorPool
from gemvec.ray.suspects import blocks_of, compute_call, compute_lines, compute_texts
from gemvec.storage.durable import Checksum, write_durably

_CONNECT_SECONDS = 5.0
_STATUS_SECONDS = 1.0


def serve() -> None:
    """Run as the driver; the command line has the handle of its connection to its starter."""
    _ignore_signals()
    wire: Wire = Connection(int(sys.argv[1]))
    spec: ClusterSpec = wire.recv()
    reason = _connect(spec.address)
    _ignore_signals()  # Ray has set its own handler
    if reason:
        wire.send(NotConnected(reason))
        return
    wire.send(Connected())
    try:
        asyncio.run(_Driver(wire, spec).serve())
    finally:
        os._exit(1)  # an orderly end would wait for threads that listen


def _ignore_signals() -> None:
    """Leave it to the server when to end: terminals and service managers signal all processes alike."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _connect(address: str) -> str:
    """Join the cluster; return why that is not possible, "" if it is."""
    host, _, port = address.rpartition(":")
    if address != AUTO:
        try:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        except (OSError, UnicodeError) as error:  # the latter for what cannot be a host's name
            return f"no Ray cluster answers at {address} ({getattr(error, 'strerror', None) or error})"
    try:
        import_module("ray").init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # noqa: BLE001 - Ray raises many kinds
        if address == AUTO and isinstance(error, ConnectionError):
            return "this machine is not part of a Ray cluster; `ray start` joins one"
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


class _Driver:
    def __init__(self, wire: Wire, spec: ClusterSpec) -> None:
        self._wire = wire
        self._sending = threading.Lock()
        self._pool = ActorPool(spec, self._send)
        self._under_way: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Run what is asked for, until the asker ends."""
        threading.Thread(target=self._listen, args=(asyncio.get_running_loop(),), daemon=True).start()
        await asyncio.gather(self._pool.keep(), self._report())

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with suppress(EOFError, OSError):
                while True:
                    loop.call_soon_threadsafe(self._take, self._wire.recv())
        finally:  # it has ended, or nothing that it says can be read
            os._exit(0)

    def _take(self, message: Run | Abandon) -> None:
        work = self._under_way.get(message.number)
        if isinstance(message, Run):
            self._under_way[message.number] = asyncio.create_task(self._run(message))
        elif work is not None:
            work.cancel()

    async def _run(self, asked: Run) -> None:
        outcome = Outcome(number=asked.number)
        try:
            outcome = await self._outcome(asked)
        finally:
            del self._under_way[asked.number]
            await asyncio.shield(asyncio.to_thread(self._send, outcome))

    async def _outcome(self, asked: Run) -> Outcome:
        try:
            result = await self._do(asked.work)
        except GemvecError as error:
            return Outcome(number=asked.number, error=error)
        except Exception as error:  # noqa: BLE001 - told to who has asked
            may_pass = isinstance(error, (OSError, MemoryError))
            return Outcome(number=asked.number, failure=Failed(reason_of(error), may_pass=may_pass))
        if isinstance(result, Failed):
            return Outcome(number=asked.number, error=result.error, failure=result)
        return Outcome(number=asked.number, result=result)

    async def _do(self, work: Work) -> ChunkResult | Embedded | Returned | Failed:
        if isinstance(work, ChunkTask):
            return await self._compute(work)
        if isinstance(work, Texts):
            return await compute_texts(self._pool, work)
        return await compute_call(self._pool, work)

    async def _compute(self, task: ChunkTask) -> ChunkResult | Failed:
        lines = Lines(
            batch_id=task.batch_id,
            chunk_index=task.chunk_index,
            model=task.model,
            weights=task.weights,
            lines=await asyncio.to_thread(_read, task),
        )
        answers = await compute_lines(self._pool, lines)
        if isinstance(answers, Failed):
            return answers
        return await asyncio.to_thread(_write, task, answers)

    def _send(self, message: object) -> None:
        with self._sending, suppress(OSError):  # its starter has ended, and `_listen` sees it
            self._wire.send(message)

    async def _report(self) -> None:
        """Tell what the pool does, when that has changed."""
        told = PoolStatus()
        while True:
            now = self._pool.status()
            if now != told:
                self._send(now)
                told = now
            await asyncio.sleep(_STATUS_SECONDS)


def _read(task: ChunkTask) -> list[bytes | None]:
    """Return the lines of a chunk.

    Raises:
        DataLost: the input is gone, or has changed.
        StorageFailure: it cannot be read.
    """
    check_input(task)
    lines = list(read_lines(task.input_path, task.input_offset, task.input_bytes))
    check_count(task, len(lines))
    return lines


def _write(task: ChunkTask, answers: list[Computed]) -> ChunkResult:
    """Write the part file, durable.

    Raises:
        StorageFull: there is no room; nothing is left behind.
        StorageFailure: it cannot be written; nothing is left behind.
    """
    checksum = Checksum()
    write_durably(task.part_path, checksum.of(blocks_of(answers)))
    return ChunkResult(
        successful_count=sum(each.successful_count for each in answers),
        failed_count=sum(each.failed_count for each in answers),
        token_count=sum(each.token_count for each in answers),
        part_crc32=checksum.value,
    )
