"""A container's limit counts, not the machine's cores."""

import os

import pytest

from gemvec.models.cores import count_cores


@pytest.fixture
def cpu_max(tmp_path):
    return tmp_path / "cpu.max"


def test_without_a_limit_the_processes_cores_count(cpu_max):
    assert count_cores(cpu_max) == len(os.sched_getaffinity(0))
    cpu_max.write_text("max 100000\n")
    assert count_cores(cpu_max) == len(os.sched_getaffinity(0))


def test_a_limit_below_the_cores_counts(cpu_max):
    cpu_max.write_text("100000 100000\n")
    assert count_cores(cpu_max) == 1


def test_a_limit_below_one_core_still_gives_one(cpu_max):
    cpu_max.write_text("20000 100000\n")
    assert count_cores(cpu_max) == 1


def test_a_limit_above_the_cores_adds_none(cpu_max):
    cpu_max.write_text("100000000 100000\n")
    assert count_cores(cpu_max) == len(os.sched_getaffinity(0))


def test_a_file_of_another_shape_sets_no_limit(cpu_max):
    cpu_max.write_text("nonsense\n")
    assert count_cores(cpu_max) == len(os.sched_getaffinity(0))
