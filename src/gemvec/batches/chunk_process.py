"""Processes beside the server that run whole chunks, for models so fast that the interpreter limits them.

If a vector is only looked up in a table, reading its line and writing its values as JSON adds more than half to the
time, and all of it holds the interpreter's lock. In separate processes, which each load the model again, chunks use two
cores and leave the server's interpreter to interactive calls. Larger models gain nothing from this.

A child reports what it counted in a chunk, or the kind of error on which it failed; the server then runs the chunk
itself, where the error is raised as it is. A child ends at once when the other end of its lifeline is closed, which the
system does for every way in which the server can end. If it ends for another reason, it says so on its lifeline.
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
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
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

# How long to wait for the end of a child whose connection broke.
_END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ChunkFailure:
    """Why a child could not run a chunk: the kind of error and where it was raised, never a text or a path."""

    reason: str


class _Child:
    """One process, as the server sees it."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: Wire) -> None:
        self.process = process
        self._lifeline = lifeline
        self._lock = threading.Lock()
        self._reason = ""

    def why_it_ended(self) -> str:
        """Return what the child said, or how the system ended it."""
        with self._lock:
            self._reason = self._reason or self._said() or self._ended()
            return self._reason

    def _said(self) -> str:
        with contextlib.suppress(EOFError, OSError):
            if self._lifeline.poll():
                return self._lifeline.recv()
        return ""

    def _ended(self) -> str:
        try:
            code = self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "its connection broke"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


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
        self.is_broken = False
        self._children: list[_Child] = []
        self._child_of: dict[Wire, _Child] = {}
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
            process = subprocess.Popen(  # noqa: S603 - this interpreter and this module
                # -P: a server may run in a folder whose files have the names of modules
                [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()", *map(str, handles)],
                pass_fds=handles,
                env={**_ENVIRON, **process_environ()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        lifeline, *started = self._wires[-1 - CHUNKS_EACH :]
        child = _Child(process, lifeline)
        self._children.append(child)
        self._child_of |= dict.fromkeys(started, child)
        lifeline.send(open_embedder)
        self._starting += started

    def run(self, task: ChunkTask) -> ChunkResult | ChunkFailure | None:
        """Run one chunk and wait for it; return None when all processes still load or are busy.

        Raises:
            ChildProcessError: a process has ended; the message says why.
        """
        wire = self._take()
        if wire is None:
            return None
        try:
            wire.send(task)
            return wire.recv()
        except (EOFError, OSError) as error:
            raise self._ended(wire) from error
        finally:
            self._give_back(wire)

    def _take(self) -> Wire | None:
        with self._lock:
            for wire in [each for each in self._starting if each.poll()]:
                try:
                    wire.recv()  # its first message says that the model is loaded
                except (EOFError, OSError) as error:
                    raise self._ended(wire) from error
                self._starting.remove(wire)
                self._idle.append(wire)
            return self._idle.pop() if self._idle else None

    def _give_back(self, wire: Wire) -> None:
        with self._lock:
            self._idle.append(wire)

    def _ended(self, wire: Wire) -> ChildProcessError:
        self.is_broken = True
        return ChildProcessError(f"A process that runs chunks has ended: {self._child_of[wire].why_it_ended()}.")

    def close(self) -> None:
        """End the processes, even while they work; a half-written part file belongs to no chunk."""
        for child in self._children:
            child.process.kill()
        for child in self._children:
            child.process.wait()
        for wire in self._wires:
            wire.close()


def serve() -> None:
    """Run as a child; the command line has the handles of its connections, the lifeline first."""
    # Terminals and service managers signal all processes alike, but the server decides when these end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    lifeline, *wires = [Connection(int(handle)) for handle in sys.argv[1:]]
    asyncio.run(_serve(lifeline, wires))


def spare_collector() -> None:
    """Let the garbage collector of a process that runs chunks look rarely, and never again at what is loaded now."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def _end_with(lifeline: Wire) -> None:
    """Wait for the end of the server, and end."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(0)


async def _serve(lifeline: Wire, wires: list[Wire]) -> None:
    try:
        open_embedder: OpenEmbedder = lifeline.recv()
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
        embedder = open_embedder()
        spare_collector()
        await asyncio.gather(*(_answer(wire, embedder) for wire in wires))
    except Exception as error:  # noqa: BLE001 - told to the server, which logs it
        with contextlib.suppress(OSError):
            lifeline.send(reason_of(error))
    finally:
        os._exit(1)  # an orderly end would wait for the threads that listen to the other connections


async def _answer(wire: Wire, embedder: Embedder) -> None:
    """Run the chunks that come over one connection."""
    wire.send("ready")
    while True:
        task: ChunkTask = await asyncio.to_thread(wire.recv)
        await asyncio.to_thread(wire.send, await _outcome(task, embedder))


async def _outcome(task: ChunkTask, embedder: Embedder) -> ChunkResult | ChunkFailure:
    try:
        if embedder.get_model(task.model).weights != task.weights:
            return ChunkFailure("the model's files were changed under the server")
        return await run_chunk(task, embedder, ChunkFiles(task))
    except Exception as error:  # noqa: BLE001 - the server finds out by running the chunk itself
        return ChunkFailure(reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return the kind of an error and where it was raised; its message may hold texts and paths."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    cause = f" ({error.strerror})" if isinstance(error, OSError) else ""
    where = f" in {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    after = f", after {reason_of(error.__cause__)}" if error.__cause__ else ""
    return f"{type(error).__name__}{cause}{where}{after}"
