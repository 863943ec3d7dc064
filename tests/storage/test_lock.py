"""A data folder has one server; the operating system frees it when that server ends, however it ends."""

import os
import resource
import signal
import subprocess
import sys
import textwrap

import pytest

from gemvec.errors import DataFolderLocked, StorageFailure
from gemvec.storage.lock import FolderLock


def test_a_second_lock_is_refused_and_names_folder_and_process(tmp_path):
    with FolderLock(tmp_path), pytest.raises(DataFolderLocked) as caught:
        FolderLock(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert str(os.getpid()) in caught.value.message


def test_a_released_folder_can_be_locked_again(tmp_path):
    FolderLock(tmp_path).release()
    FolderLock(tmp_path).release()


def test_two_folders_are_locked_apart(tmp_path):
    with FolderLock(tmp_path / "a"), FolderLock(tmp_path / "b"):
        pass


def test_a_killed_holder_frees_the_folder(tmp_path):
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from gemvec.storage.lock import FolderLock
        lock = FolderLock(Path({str(tmp_path)!r}))
        print("locked", flush=True)
        time.sleep(60)
    """)
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(DataFolderLocked, match=str(holder.pid)):
        FolderLock(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    FolderLock(tmp_path).release()


def test_a_new_data_folder_is_its_owners_alone(tmp_path):
    FolderLock(tmp_path / "data").release()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_a_storage_failure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailure):
        FolderLock(tmp_path / "file" / "folder")


def test_a_full_disk_keeps_nobody_from_the_folder(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with FolderLock(tmp_path), pytest.raises(DataFolderLocked, match="process unknown"):
            FolderLock(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
