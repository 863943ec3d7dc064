"""A store on either database, and a clock that the test turns."""

from datetime import UTC, datetime, timedelta

import pytest

from gemvec.files.limits import FileLimits
from gemvec.files.store import FileStore

KIB = 2**10


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        self.now += timedelta(microseconds=1)  # no two moments are the same
        return self.now

    def advance(self, **duration):
        self.now += timedelta(**duration)


@pytest.fixture
def clock():
    return Clock()


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
