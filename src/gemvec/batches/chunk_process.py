"""Processes beside the server that run whole chunks, for models so fast that the interpreter is what limits them.

A table of token vectors embeds a text in 25 us; reading its line and writing 256 values as JSON takes half of that
again, and both hold the interpreter's lock. In processes of their own, which hold the model once more (a few MB),
chunks use every core and leave the server's interpreter to those who wait. Larger models gain nothing by this.

A child ends when the other ends of its connections are closed, so it cannot outlive the server, however that ends.
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
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from gemvec.batches.chunk import run_chunk
from gemvec.batches.chunk_files import ChunkFiles
from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.errors import GemvecError, ModelUnavailable
from gemvec.models.embed import Embedder

PROCESSES = 2
# In each process one chunk waits for the disk while another is computed.
CHUNKS_EACH = 2

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
        """
        self._lock = threading.Lock()
        self._starting: list[Wire] = []
        self._idle: list[Wire] = []
        self._busy = 0
        self.is_broken = False
        self._children = [self._start(open_embedder) for _ in range(processes)]
        self._wires = list(self._starting)

    def _start(self, open_embedder: OpenEmbedder) -> subprocess.Popen[bytes]:
        ours, theirs = zip(*(Pipe() for _ in range(CHUNKS_EACH)), strict=True)
        handles = [each.fileno() for each in theirs]
        child = subprocess.Popen(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-c", f"from {__name__} import serve; serve()", *map(str, handles)],
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for each in theirs:
            each.close()
        ours[0].send(open_embedder)
        self._starting += ours
        return child

    @property
    def is_idle(self) -> bool:
        """Whether no chunk is under way."""
        with self._lock:
            return self._busy == 0

    def run(self, task: ChunkTask) -> ChunkResult | None:
        """Run one chunk and wait for it; return None when no process can take it, because all load or are busy.

        Raises as `run_chunk`.

        Raises:
            ChildProcessError: the process has ended.
        """
        try:
            wire = self._take()
            if wire is None:
                return None
            try:
                wire.send(task)
                answer = wire.recv()
            finally:
                self._give_back(wire)
        except (EOFError, OSError) as error:
            self.is_broken = True
            raise ChildProcessError("A process that runs chunks has ended.") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _take(self) -> Wire | None:
        with self._lock:
            for wire in [each for each in self._starting if each.poll()]:
                wire.recv()  # what it says first is that the model is loaded
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
        """End the processes, whatever they do; a part file that is half written is nobody's."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
        for wire in self._wires:
            wire.close()


def serve() -> None:
    """Be a child; the command line has the handles of its connections."""
    # Terminals and service managers signal all processes alike; when these end is the server's to say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    wires: list[Wire] = [Connection(int(handle)) for handle in sys.argv[1:]]
    with contextlib.suppress(EOFError):
        asyncio.run(_serve(wires, wires[0].recv()))


async def _serve(wires: list[Wire], open_embedder: OpenEmbedder) -> None:
    embedder = open_embedder()
    gc.freeze()  # what is loaded stays: the collector, which a chunk's many objects call often, need not look at it
    await asyncio.gather(*(_answer(wire, embedder) for wire in wires))


async def _answer(wire: Wire, embedder: Embedder) -> None:
    """Run the chunks that come over one connection, until its other end is closed."""
    with contextlib.suppress(EOFError, OSError):
        wire.send("ready")
        while True:
            task: ChunkTask = await asyncio.to_thread(wire.recv)
            await asyncio.to_thread(wire.send, await _outcome(task, embedder))


def _check(weights: str, task: ChunkTask) -> None:
    if weights != task.weights:  # the model's files were changed under the server
        raise ModelUnavailable(f"The process that runs chunks has loaded {weights}.")


async def _outcome(task: ChunkTask, embedder: Embedder) -> ChunkResult | Exception:
    try:
        _check(embedder.get_model(task.model).weights, task)
        return await run_chunk(task, embedder, ChunkFiles(task))
    except (GemvecError, OSError, MemoryError) as error:
        return error
    except Exception as error:  # noqa: BLE001 - the server decides what becomes of the chunk
        return RuntimeError(type(error).__name__)
