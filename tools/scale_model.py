"""From passages to machines, hours, bytes and money. Everything is an estimate; `scale_checks.py` says how good."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from scale_figures import Figure, Model, figures

_MONTH_DAYS = 30
_GB = 1e9
MILVUS_MACHINE_BYTES = 64e9


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is to be embedded, and with what.

    Attributes:
        passages: how many.
        tokens: of each, on average.
        model: what embeds them.
        cores: of a machine.
        hours: how long it may take; machines are added until it does not take longer.
        on_ray: whether batches run on a Ray cluster.
        figures: costs and prices, by their short names.
    """

    passages: int
    tokens: float
    model: Model
    cores: int = 16
    hours: float = 24.0
    on_ray: bool = True
    figures: Mapping[str, Figure] = field(default_factory=figures)

    def value(self, name: str) -> float:
        """Return a figure's number."""
        return self.figures[name].value

    @cached_property
    def engine_cpu_seconds(self) -> float:
        """CPU seconds of the engine alone."""
        return self.passages * self.model.cpu_seconds(self.tokens)

    @cached_property
    def cpu_seconds(self) -> float:
        """CPU seconds of all processes of the batches."""
        alone = self.engine_cpu_seconds + self.passages * self.model.values * self.value("values")
        return alone * (1 + self.value("ray") * self.on_ray)

    @cached_property
    def core_hours(self) -> float:
        """Hours of a core that has to be there, busy or not."""
        return self.cpu_seconds / 3600 / self.value("cores")

    @property
    def machines(self) -> int:
        """Machines that finish in time."""
        return max(1, math.ceil(self.core_hours / self.cores / self.hours))

    @property
    def wall_hours(self) -> float:
        """Hours until these have finished."""
        return self.core_hours / self.cores / self.machines

    @property
    def cpu_dollars(self) -> float:
        """Price of the cores, for as long as they compute."""
        return self.core_hours * self.value("core_hour")

    @property
    def gpu_hours(self) -> float:
        """Hours of one GPU, by figures of others."""
        return self.passages * self.model.gpu_seconds(self.tokens) / 3600

    @property
    def gpus(self) -> int:
        """GPUs that finish in time."""
        return max(1, math.ceil(self.gpu_hours / self.hours))

    @property
    def gpu_dollars(self) -> float:
        """Price of the machines with GPUs, for as long as they compute."""
        assert self.model.gpu_hour
        return self.gpu_hours * self.model.gpu_hour.value

    @property
    def google_dollars(self) -> float:
        """What Google bills for the same tokens in batches; its tokenizer counts a little differently."""
        return self.passages * self.tokens * self.value("google") / 1e6

    @property
    def line_bytes(self) -> float:
        """Bytes of a line of input."""
        return self.tokens * self.value("characters") + self.value("envelope")

    @property
    def input_bytes(self) -> float:
        """Bytes of all inputs."""
        return self.passages * self.line_bytes

    @property
    def result_bytes(self) -> float:
        """Bytes of all results."""
        return self.passages * self.model.values * self.value("result_bytes")

    @property
    def batches(self) -> int:
        """Batches, each as large as it may be."""
        requests = min(self.value("batch_requests"), self.value("file_bytes") // self.line_bytes)
        return math.ceil(self.passages / requests)

    @property
    def chunks(self) -> int:
        """Chunks of all batches; each is a row, a part file and another row for that."""
        return math.ceil(self.passages / min(self.model.chunk_requests, self.value("chunk_bytes") // self.line_bytes))

    @property
    def objects(self) -> int:
        """Objects in the store once all batches have ended: parts and inputs."""
        return self.chunks + self.batches

    @property
    def object_requests(self) -> float:
        """Requests to the object store while chunks are computed."""
        return self.chunks * self.value("object_requests")

    @property
    def commits(self) -> float:
        """Transactions of PostgreSQL while chunks are computed."""
        return self.chunks * self.value("commits")

    @property
    def row_bytes(self) -> float:
        """Bytes of PostgreSQL until the batches are deleted."""
        return self.chunks * self.value("row_bytes")

    @property
    def storage_dollars(self) -> float:
        """Price of inputs and results, for as long as they are kept."""
        months = self.value("retention_days") / _MONTH_DAYS
        return (self.input_bytes + self.result_bytes) / _GB * self.value("storage") * months

    @property
    def vector_bytes(self) -> float:
        """Bytes of the vectors as float32."""
        return self.passages * self.model.values * 4.0

    @property
    def milvus_memory_bytes(self) -> float:
        """Memory of vectors and index, where all of it is in memory."""
        return self.vector_bytes + self.passages * self.value("graph")

    @property
    def milvus_machines(self) -> int:
        """Machines of Milvus that hold all of it."""
        return max(1, math.ceil(self.milvus_memory_bytes / MILVUS_MACHINE_BYTES / self.value("milvus_fill")))

    @property
    def milvus_load_hours(self) -> float:
        """Hours to insert and index, if all of Milvus' machines share the work evenly."""
        values = self.passages * self.model.values
        return (values / self.value("insert") + values / self.value("index")) / 3600 / self.milvus_machines

    @property
    def milvus_month_dollars(self) -> float:
        """Price of Milvus' machines for a month."""
        return self.milvus_machines * self.value("milvus_hour") * 24 * _MONTH_DAYS
