"""A file written durably is there whole, or as it was before: whatever step the process dies at."""

import resource
import signal
import subprocess
import sys
import textwrap
from typing import get_args

import pytest

from gemvec.errors import StorageFailure, StorageFull
from gemvec.storage.durable import TEMPORARY_SUFFIX, Step, make_folder, replacing, write_durably

STEPS = get_args(Step)


def names(folder):
    return [each.name for each in folder.iterdir()]


def die_at(step, path):
    program = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from gemvec.storage.durable import write_durably
        def die(step):
            if step == {step!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        write_durably(Path({str(path)!r}), b"new content", hook=die)
    """)
    return subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_every_step_is_named_in_order(tmp_path):
    passed = []
    assert write_durably(tmp_path / "a", [b"one ", b"two"], hook=passed.append) == 7
    assert passed == list(STEPS)
    assert (tmp_path / "a").read_bytes() == b"one two"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_the_old_content_or_the_new(tmp_path, step):
    path = tmp_path / "a"
    path.write_bytes(b"old content")
    assert die_at(step, path) == -signal.SIGKILL
    is_renamed = STEPS.index(step) >= STEPS.index("renamed")
    assert path.read_bytes() == (b"new content" if is_renamed else b"old content")


def test_what_a_kill_left_does_not_stop_the_next_write(tmp_path):
    die_at("synced", tmp_path / "a")
    assert (tmp_path / ("a" + TEMPORARY_SUFFIX)).exists()
    write_durably(tmp_path / "a", b"again")
    assert names(tmp_path) == ["a"]


def test_a_source_that_fails_half_way_leaves_nothing(tmp_path):
    def blocks():
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_durably(tmp_path / "a", blocks())
    assert names(tmp_path) == []


def test_a_full_disk_is_storage_full_and_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageFull):
            write_durably(tmp_path / "a", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert names(tmp_path) == []


def test_a_missing_folder_is_a_storage_failure(tmp_path):
    with pytest.raises(StorageFailure):
        write_durably(tmp_path / "nowhere" / "a", b"x")


def test_a_replaced_file_has_what_was_written_beside_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as beside:
        beside.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_while_replacing_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail_half_way():
        with replacing(path) as beside:
            beside.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_where_nothing_was_written_nothing_is_replaced(tmp_path):
    with replacing(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_a_folder_that_was_there_is_its_owners_alone_from_then_on(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    make_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_everybody_may_write_to_by_design_stays_as_it_is(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    make_folder(folder)
    assert folder.stat().st_mode & 0o7777 == 0o1777
