"""What a server or command, the driver and actors say to each other. Everything here is picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gemvec.batches.job import ChunkResult, ChunkTask
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.embedder import Embedder
from gemvec.errors import GemvecError

# The address of the cluster that this machine is part of.
AUTO = "auto"
# While an actor computes one piece for each core, the next ones are on their way. The model computes texts of similar
# length together, and the more wait, the more are similar. But all of them are lost with the actor.
_PIECES_A_CORE = 2
_MAX_PIECES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """Which cluster, and what its actors are like.

    Attributes:
        address: host:port of the cluster; `auto` for the one that this machine is part of.
        open_embedder: opens the model on a node.
        weights: the weights that answer to each served name here; an actor with others is not used.
        identity: which gemvec must run on a node, as `node.identity` returns it.
        min_actors: how many to keep, even without work.
        max_actors: how many there may be.
        cpus: processor cores that an actor takes from its node.
        gpus: GPUs that it takes.
        idle_seconds: after how long without work an actor is given back.
        refused_seconds: after how long a node whose actor could not be used is tried again.
        waits_for_room: whether work waits for as long as the cluster has no room for any actor, instead of failing.
    """

    address: str
    open_embedder: Callable[[], Embedder]
    weights: Mapping[str, str]
    identity: str
    min_actors: int = 0
    max_actors: int = 16
    cpus: float = 1
    gpus: float = 0
    idle_seconds: float = 60.0
    refused_seconds: float = 60.0
    waits_for_room: bool = False

    @property
    def pieces_each(self) -> int:
        """How many pieces an actor has at a time."""
        return min(_PIECES_A_CORE * max(1, int(self.cpus)), _MAX_PIECES)

    @property
    def pieces_in_flight(self) -> int:
        """How many pieces keep all actors busy."""
        return self.max_actors * self.pieces_each


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines for an actor: a whole chunk or, while a line that kills is looked for, a part of one.

    Attributes:
        batch_id: whose they are, for logs.
        chunk_index: the same.
        model: the served name to embed with.
        weights: what must answer to that name.
        lines: the bytes of each; None for a line that is too large.
    """

    batch_id: str
    chunk_index: int
    model: str
    weights: str
    lines: list[bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """The answers to lines.

    Attributes:
        part: uint8[bytes], their lines; Ray hands an array over without a copy.
        successful_count: requests that have a response.
        failed_count: requests that have an error.
        token_count: tokens of the requests that have a response.
    """

    part: npt.NDArray[np.uint8]
    successful_count: int
    failed_count: int
    token_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Texts of a corpus for an actor.

    Attributes:
        model: the served name to embed with.
        weights: what must answer to that name.
        requests: what to embed.
    """

    model: str
    weights: str
    requests: list[EmbedRequest]


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of `Texts`, in their order."""

    embeddings: list[Embedding]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of something that needs no model, for an actor.

    Attributes:
        function: what to call, without arguments; pickled.
    """

    function: bytes


@dataclass(frozen=True, slots=True)
class Returned:
    """What a `Call` has returned, pickled."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a piece could not be computed: the kind of error and where it was raised, never a text.

    Attributes:
        reason: for the log.
        may_pass: whether it is an error that may pass by itself, such as too little memory.
        error: what a caller is told who has asked for something that cannot be done.
        is_deadly: whether actors have died of it.
        node: where it failed; "" if that is not known.
    """

    reason: str
    may_pass: bool
    error: GemvecError | None = None
    is_deadly: bool = False
    node: str = ""


# What an actor takes at a time, and what it answers if it can.
Piece: TypeAlias = Lines | Texts | Call
Answer: TypeAlias = Computed | Embedded | Returned
# What the driver takes: a chunk, whose lines it reads and whose part file it writes, or what goes to an actor as it is.
Work: TypeAlias = ChunkTask | Texts | Call


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """What the pool of actors does at a moment.

    Attributes:
        ready: actors that have the model.
        starting: actors that load it, or wait for room in the cluster.
        computing: pieces that are given to actors.
        waiting: pieces that wait for one.
        lost: actors that were lost, since the driver began.
        refused: actors that could not be used, since the driver began.
    """

    ready: int = 0
    starting: int = 0
    computing: int = 0
    waiting: int = 0
    lost: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """To the driver: do some work."""

    number: int
    work: Work


@dataclass(frozen=True, slots=True)
class Abandon:
    """To the driver: stop some work; it is answered by an `Outcome` too."""

    number: int


@dataclass(frozen=True, slots=True)
class Connected:
    """From the driver: it is part of the cluster."""


@dataclass(frozen=True, slots=True)
class NotConnected:
    """From the driver: why it is not, and ends."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """From the driver: what became of some work.

    Attributes:
        number: that of its `Run`.
        result: None if it failed or was abandoned.
        error: why it failed.
        failure: why it failed, where an actor says so.
    """

    number: int
    result: ChunkResult | Embedded | Returned | None = None
    error: GemvecError | None = None
    failure: Failed | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """From the driver: something that its user should know."""

    message: str
    reason: str
    node: str = ""
