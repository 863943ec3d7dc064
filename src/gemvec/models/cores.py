"""How many processor cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

# A container's share of processor time: quota and period in microseconds, or `max` for no limit.
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def count_cores(cpu_max: Path = _CPU_MAX) -> int:
    """Return the number of cores for this process, within its container's limit; at least 1.

    Args:
        cpu_max: the control group's cpu.max file; one that does not exist sets no limit.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
