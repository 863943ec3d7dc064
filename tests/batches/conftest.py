"""A store of batches on either database, and an embedder that can be asked what it did."""

import pytest

from gemvec.batches.queue import BatchQueue
from gemvec.batches.store import BatchStore
from gemvec.files.store import FileStore
from gemvec.storage.database import open_database
from hash_embedder import HashEmbedder


@pytest.fixture
def embedder():
    return HashEmbedder()


@pytest.fixture
def sqlite(tmp_path):
    database = open_database(tmp_path / "gemvec.sqlite3")
    yield database
    database.close()


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def store(sqlite, data_dir):
    """A store on SQLite, for what does not depend on the database."""
    return BatchStore(sqlite, FileStore(sqlite, data_dir), data_dir)


@pytest.fixture
def any_store(database, data_dir):
    """A store on SQLite and on PostgreSQL."""
    return BatchStore(database, FileStore(database, data_dir), data_dir)


@pytest.fixture
def queue(store):
    return BatchQueue(store)
