"""Processes beside the server that run whole chunks, for models so fast that the interpreter limits them.

If a vector is only looked up in a table, reading its line and writing its values as JSON adds more than half to the
time, and all of it holds the interpreter's lock. In separate processes, which each load the model again, chunks use two
cores and leave the server's interpreter to interactive calls. Larger models gain nothing from this.

A child reports what it counted in a chunk, or that it failed, but never why: the server then runs the chunk itself,
where the error is raised as it is. A child ends at once when the other end of its lifeline is closed, which the system
does for every way in which the server can end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from gemvec.batches.chunk import run_chunk
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.embedding.embedder import Embedder
from gemvec.settings import process_environ

PROCESSES = 2
# In each process one chunk waits for the disk while another is computed.
CHUNKS_EACH = 2

# A chunk makes tens of thousands of objects and no cycles; collecting every few hundred takes a twentieth of the time.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
# One thread for the tokenizer: there are already as many processes as useful cores. Two heaps of the C library for all
# threads: with one each, chunks that move between threads leave a few tens of MiB unused.
_ENVIRON = {"RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_NICENESS = 10  # interactive requests, which the server answers itself, go first

OpenEmbedder = Callable[[], Embedder]
Wire: TypeAlias = "Connection[Any, Any]"


class ChunkProcesses:
    """The server's side; safe from any thread."""

    def __init__(self, open_embedder: OpenEmbedder, *, processes: int = PROCESSES) -> None:
        """Start the processes, without waiting until they have loaded the model.

        Args:
            open_embedder: picklable; opens in each process what the server has open.
            processes: how many.

        Raises:
            OSError: the system has no room for more processes or connections; none is left running.
        """
        self._lock = threading.Lock()
        self._starting: list[Wire] = []
        self._idle: list[Wire] = []
        self._busy = 0
        self.is_broken = False
        self._children: list[subprocess.Popen[bytes]] = []
        self._wires: list[Wire] = []
        with ExitStack() as failed:
            failed.callback(self.close)
            for _ in range(processes):
                self._start(open_embedder)
            failed.pop_all()

    def _start(self, open_embedder: OpenEmbedder) -> None:
        with ExitStack() as handed_over:
            theirs: list[Wire] = []
            for _ in range(1 + CHUNKS_EACH):
                our_end, their_end = Pipe()
                self._wires.append(our_end)
                theirs.append(handed_over.enter_context(their_end))
            handles = [each.fileno() for each in theirs]
            child = subprocess.Popen(  # noqa: S603 - this interpreter and this module
                # -P: a server may run in a folder whose files have the names of modules
                [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()", *map(str, handles)],
                pass_fds=handles,
                env={**_ENVIRON, **process_environ()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._children.append(child)
        lifeline, *started = self._wires[-1 - CHUNKS_EACH :]
        lifeline.send(open_embedder)
        self._starting += started

    @property
    def is_idle(self) -> bool:
        """Whether no chunk is under way."""
        with self._lock:
            return self._busy == 0

    def run(self, task: ChunkTask) -> ChunkResult | None:
        """Run one chunk and wait for it; return None when it failed, or all processes still load or are busy.

        Raises:
            ChildProcessError: the process has ended.
        """
        try:
            wire = self._take()
            if wire is None:
                return None
            try:
                wire.send(task)
                return wire.recv()
            finally:
                self._give_back(wire)
        except (EOFError, OSError) as error:
            self.is_broken = True
            raise ChildProcessError("A process that runs chunks has ended.") from error

    def _take(self) -> Wire | None:
        with self._lock:
            for wire in [each for each in self._starting if each.poll()]:
                wire.recv()  # its first message says that the model is loaded
                self._starting.remove(wire)
                self._idle.append(wire)
            if not self._idle:
                return None
            self._busy += 1
            return self._idle.pop()

    def _give_back(self, wire: Wire) -> None:
        with self._lock:
            self._busy -= 1
            self._idle.append(wire)

    def close(self) -> None:
        """End the processes, even while they work; a half-written part file belongs to no chunk."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
        for wire in self._wires:
            wire.close()


def serve() -> None:
    """Run as a child; the command line has the handles of its connections, the lifeline first."""
    # Terminals and service managers signal all processes alike, but the server decides when these end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    lifeline, *wires = [Connection(int(handle)) for handle in sys.argv[1:]]
    open_embedder: OpenEmbedder = lifeline.recv()
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    asyncio.run(_serve(wires, open_embedder))


def _end_with(lifeline: Wire) -> None:
    """Wait for the end of the server, and end."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(0)


async def _serve(wires: list[Wire], open_embedder: OpenEmbedder) -> None:
    embedder = open_embedder()
    gc.freeze()  # what is loaded stays: the collector need not look at it
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        await asyncio.gather(*(_answer(wire, embedder) for wire in wires))
    finally:
        os._exit(1)  # an orderly end would wait for the threads that listen to the other connections


async def _answer(wire: Wire, embedder: Embedder) -> None:
    """Run the chunks that come over one connection."""
    wire.send("ready")
    while True:
        task: ChunkTask = await asyncio.to_thread(wire.recv)
        await asyncio.to_thread(wire.send, await _outcome(task, embedder))


async def _outcome(task: ChunkTask, embedder: Embedder) -> ChunkResult | None:
    try:
        if embedder.get_model(task.model).weights != task.weights:  # the model's files were changed under the server
            return None
        return await run_chunk(task, embedder, ChunkFiles(task))
    except Exception:  # noqa: BLE001 - the server finds out by running the chunk itself
        return None
