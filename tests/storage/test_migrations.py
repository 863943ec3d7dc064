"""Migrations run once each, in order, all or nothing, however many processes start together."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
from sqlalchemy import inspect, text

from gemvec.errors import StorageFailure
from gemvec.storage.database import open_database
from gemvec.storage.migrations import MIGRATIONS, Migration, migrate
from gemvec.storage.schema import metadata
from gemvec.storage.timestamps import utc_now
from older_databases import make_older

ADD_COLOUR = Migration(
    number=MIGRATIONS[-1].number + 1,
    summary="jobs have a colour",
    apply=lambda connection: connection.execute(text("ALTER TABLE jobs ADD COLUMN colour TEXT")),
)


def numbers(database):
    with database.read() as connection:
        return list(connection.scalars(text("SELECT number FROM schema_versions ORDER BY number")))


def columns(database, table):
    with database.read() as connection:
        return {column["name"] for column in inspect(connection).get_columns(table)}


def test_migrations_are_numbered_from_one_without_gaps():
    assert [each.number for each in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_an_empty_database_gets_every_table_and_every_number(database):
    with database.read() as connection:
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())
    assert numbers(database) == [each.number for each in MIGRATIONS]


def test_a_migration_is_applied_once(database):
    for _ in range(2):
        with database.write() as connection:
            migrate(connection, (*MIGRATIONS, ADD_COLOUR))
    assert numbers(database)[-1] == ADD_COLOUR.number
    assert "colour" in columns(database, "jobs")


def test_a_migration_that_fails_leaves_neither_change_nor_record(database):
    def fail(connection):
        ADD_COLOUR.apply(connection)
        raise ZeroDivisionError

    before = numbers(database)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        migrate(connection, (*MIGRATIONS, replace(ADD_COLOUR, apply=fail)))
    assert numbers(database) == before
    assert "colour" not in columns(database, "jobs")


def test_a_database_of_a_newer_gemvec_is_refused(database):
    with database.write() as connection:
        migrate(connection, (*MIGRATIONS, ADD_COLOUR))
    with pytest.raises(StorageFailure, match="newer gemvec"), database.write() as connection:
        migrate(connection, MIGRATIONS)


def test_a_database_of_an_older_gemvec_learns_the_sizes_of_its_batches(database):
    with database.write() as connection:
        make_older(connection, 8)
        now = utc_now().isoformat(" ").replace("+00:00", "")
        connection.execute(
            text(
                "INSERT INTO jobs (job_number, batch_id, owner, model, weights, display_name, priority, state, "
                "request_count, created_at, updated_at, expires_at) "
                "VALUES (1, 'b', '', 'm', 'm@1', '', 0, 'PENDING', 2, :now, :now, :now)"
            ),
            {"now": now},
        )
        for index in range(2):
            connection.execute(
                text(
                    "INSERT INTO chunks (job_number, chunk_index, state, input_offset, input_bytes, request_count) "
                    "VALUES (1, :index, 'PENDING', 0, 21, 1)"
                ),
                {"index": index},
            )
    with database.write() as connection:
        migrate(connection)
    with database.read() as connection:
        assert connection.execute(text("SELECT input_bytes, result_bytes FROM jobs")).all() == [(42, 0)]
    assert "input_crc32" in columns(database, "chunks")


def test_processes_that_open_an_empty_database_together_all_succeed(database_url):
    program = textwrap.dedent(f"""
        import sys
        from gemvec.storage.database import open_database
        print("ready", flush=True)
        sys.stdin.readline()
        open_database({database_url!r}).close()
    """)
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in started:
        process.communicate()
        assert process.returncode == 0
    database = open_database(database_url)
    assert numbers(database) == [each.number for each in MIGRATIONS]
    database.close()
