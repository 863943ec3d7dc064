"""A store on either database, and a clock that the test turns."""

from datetime import timedelta

import pytest

from clock import Calendar
from gemvec.files.limits import FileLimits
from gemvec.files.store import FileStore

KIB = 2**10


@pytest.fixture
def clock():
    return Calendar()


@pytest.fixture
def limits():
    return FileLimits(max_file_bytes=64 * KIB, max_owner_bytes=256 * KIB, expiry=timedelta(hours=48))


@pytest.fixture
def store(database, tmp_path, limits, clock):
    return FileStore(database, tmp_path / "data", limits=limits, clock=clock)


@pytest.fixture
def names_on_disk(tmp_path):
    """Return a function that lists everything in the data folder of `store`."""
    return lambda: sorted(each.name for each in (tmp_path / "data" / "files").iterdir())
