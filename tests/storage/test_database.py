"""Either database keeps what was committed, drops what was not, and fails with gemvec's own errors."""

import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Pool, event, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from gemvec.errors import BadSetting, DataFolderLocked, StorageFailure, StorageFull
from gemvec.storage.database import open_database
from gemvec.storage.schema import chunks, files, jobs

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)


def job(**values):
    return {
        "batch_id": "b1",
        "owner": "",
        "model": "m",
        "weights": "m@0",
        "display_name": "",
        "priority": 0,
        "state": "PENDING",
        "request_count": 1,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "expires_at": MOMENT,
        **values,
    }


def test_a_committed_row_is_there_after_opening_again(database_url):
    first = open_database(database_url)
    with first.write() as connection:
        connection.execute(insert(jobs), job())
    first.close()
    again = open_database(database_url)
    with again.read() as connection:
        assert connection.scalar(select(jobs.c.batch_id)) == "b1"
    again.close()


def test_an_error_inside_write_takes_everything_back(database):
    def fail_half_way():
        with database.write() as connection:
            connection.execute(insert(jobs), job())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(jobs)) == 0


@pytest.mark.parametrize("priority", [-(2**63), -1, 0, 2**63 - 1])
def test_the_whole_of_int64_is_kept(database, priority):
    with database.write() as connection:
        connection.execute(insert(jobs), job(priority=priority))
        assert connection.scalar(select(jobs.c.priority)) == priority


def test_int64_extremes_are_ordered_as_numbers(database):
    priorities = [0, -(2**63), 2**63 - 1, -1, 10, 9]
    with database.write() as connection:
        for number, priority in enumerate(priorities):
            connection.execute(insert(jobs), job(batch_id=f"b{number}", priority=priority))
        assert list(connection.scalars(select(jobs.c.priority).order_by(jobs.c.priority))) == sorted(priorities)


def test_moments_come_back_aware_in_utc_to_the_microsecond(database):
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with database.write() as connection:
        connection.execute(insert(jobs), job(created_at=elsewhere))
        kept = connection.scalar(select(jobs.c.created_at))
    assert kept == MOMENT
    assert kept.utcoffset() == timedelta(0)


def test_moments_compare_as_time_whatever_their_fraction(database):
    whole = MOMENT.replace(microsecond=0)
    with database.write() as connection:
        connection.execute(insert(jobs), job(created_at=whole))
        assert connection.scalar(select(jobs.c.batch_id).where(jobs.c.created_at < MOMENT)) == "b1"
        assert connection.scalar(select(jobs.c.batch_id).where(jobs.c.created_at >= MOMENT)) is None


def test_a_moment_without_offset_is_refused(database):
    with pytest.raises(StatementError, match="offset"), database.write() as connection:
        connection.execute(insert(jobs), job(created_at=MOMENT.replace(tzinfo=None)))


def test_job_numbers_grow_and_are_never_given_twice(database):
    with database.write() as connection:
        connection.execute(insert(jobs), job())
        first = connection.scalar(select(jobs.c.job_number))
        connection.execute(jobs.delete())
        connection.execute(insert(jobs), job())
        assert connection.scalar(select(jobs.c.job_number)) > first


def test_chunks_go_with_their_job(database):
    with database.write() as connection:
        number = connection.execute(insert(jobs), job()).inserted_primary_key[0]
        chunk = {"chunk_index": 0, "state": "PENDING", "input_offset": 0, "input_bytes": 1, "request_count": 1}
        connection.execute(insert(chunks), {"job_number": number, **chunk})
        connection.execute(jobs.delete())
        assert connection.scalar(select(func.count()).select_from(chunks)) == 0


def test_a_violated_constraint_is_the_callers_to_explain(database):
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(insert(jobs), [job(), job()])


def test_a_failing_statement_is_a_storage_failure_without_its_values(database):
    with pytest.raises(StorageFailure) as caught, database.write() as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE text = :text"), {"text": "canary"})
    assert "nowhere" in caught.value.message
    assert "canary" not in caught.value.message


def test_writers_wait_for_each_other_and_lose_nothing(database):
    with database.write() as connection:
        connection.execute(insert(jobs), job())

    def count_up():
        for _ in range(20):
            with database.write() as connection:
                connection.execute(update(jobs).values(request_count=jobs.c.request_count + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.scalar(select(jobs.c.request_count)) == 81


def test_a_reader_on_sqlite_sees_one_moment_and_stops_no_writer(tmp_path):
    database = open_database(tmp_path / "gemvec.sqlite3")
    with database.read() as reader:
        assert reader.scalar(select(func.count()).select_from(jobs)) == 0
        with database.write() as writer:
            writer.execute(insert(jobs), job())
        assert reader.scalar(select(func.count()).select_from(jobs)) == 0
    database.close()


def test_one_server_at_a_time_holds_a_postgresql_and_others_may_still_write(postgresql_url):
    first, second = open_database(postgresql_url), open_database(postgresql_url)
    with first.held():
        with pytest.raises(DataFolderLocked, match="Another gemvec server uses the database"), second.held():
            pass
        with second.write() as connection:
            connection.execute(insert(jobs), job())
    with second.held():
        pass
    first.close()
    second.close()


def test_a_postgresql_is_released_before_the_connection_closes_which_is_noticed_later(postgresql_url):
    first, second = open_database(postgresql_url), open_database(postgresql_url)
    could_be_held = []

    def hold_elsewhere(_):
        if not could_be_held:  # the other's own connection closes as well
            could_be_held.append(None)
            could_be_held[0] = _can_be_held(second)

    with first.held():
        event.listen(Pool, "close_detached", hold_elsewhere)
    event.remove(Pool, "close_detached", hold_elsewhere)
    assert could_be_held == [True]
    first.close()
    second.close()


def test_the_end_of_a_hold_whose_connection_was_lost_is_quiet(postgresql_url):
    first, second = open_database(postgresql_url), open_database(postgresql_url)
    end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with first.held(), second.read() as connection:
        connection.execute(text(end_others + " AND query LIKE '%pg_try_advisory_lock%'"))
    first.close()
    second.close()


def test_a_postgresql_whose_server_was_killed_can_be_held_again(postgresql_url):
    program = textwrap.dedent(f"""
        import time
        from gemvec.storage.database import open_database
        with open_database({postgresql_url!r}).held():
            print("held", flush=True)
            time.sleep(1000)
    """)
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    holder.stdout.readline()
    database = open_database(postgresql_url)
    with pytest.raises(DataFolderLocked), database.held():
        pass
    holder.kill()
    holder.communicate()
    while not _can_be_held(database):  # PostgreSQL notices at once, in a process of its own
        time.sleep(0.01)
    database.close()


def _can_be_held(database):
    try:
        with database.held():
            return True
    except DataFolderLocked:
        return False


def test_sqlite_survives_a_power_cut_by_its_settings(tmp_path):
    database = open_database(tmp_path / "new folder" / "gemvec.sqlite3")
    with database.read() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert pragmas == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


def test_many_that_open_a_new_sqlite_file_at_once_wait_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("gemvec.storage.database.migrate", lambda connection: None)  # so that all are equally fast

    def open_together(path):
        together = threading.Barrier(4)

        def open_one(_):
            together.wait()
            open_database(path).close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(open_one, range(4)))

    for number in range(150):
        open_together(tmp_path / str(number))


def test_a_full_disk_is_storage_full_and_the_next_write_works(tmp_path):
    database = open_database(tmp_path / "gemvec.sqlite3")
    with database.write() as connection:  # the limit is of this connection, which the next block uses again
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StorageFull), database.write() as connection:
        connection.execute(insert(jobs), job(display_name="x" * 2**20))
    with database.write() as connection:
        connection.execute(insert(jobs), job())
    database.close()


def test_another_kind_of_database_is_refused_by_name():
    with pytest.raises(BadSetting, match="mysql://"):
        open_database("mysql://user:secret@host/name")


def test_an_unreadable_url_is_refused_without_showing_its_password():
    with pytest.raises(BadSetting) as caught:
        open_database("postgresql://user:secret@host:port/name")
    assert "secret" not in caught.value.message


def test_a_postgresql_that_does_not_answer_is_a_storage_failure_without_its_password(tmp_path):
    with pytest.raises(StorageFailure) as caught:
        open_database(f"postgresql://user:secret@/name?host={tmp_path}")
    assert "secret" not in caught.value.message


def test_a_file_that_is_no_database_is_a_storage_failure(tmp_path):
    (tmp_path / "gemvec.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageFailure):
        open_database(tmp_path / "gemvec.sqlite3")


def test_files_of_two_owners_may_have_one_name(database):
    file = {
        "file_id": "f",
        "display_name": "",
        "mime_type": "",
        "size_bytes": 1,
        "source": "UPLOADED",
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "expires_at": MOMENT,
    }
    with database.write() as connection:
        connection.execute(insert(files), [{"owner": "a", **file}, {"owner": "b", **file}])
        assert connection.scalar(select(func.count()).select_from(files)) == 2


def test_a_database_is_its_owners_alone_also_where_it_was_there_before(tmp_path):
    path = tmp_path / "gemvec.sqlite3"
    open_database(path).close()
    path.chmod(0o644)
    database = open_database(path)
    with database.write() as connection:
        connection.execute(text("DELETE FROM keys"))
    assert {each.name: each.stat().st_mode & 0o077 for each in tmp_path.iterdir()} == dict.fromkeys(
        ["gemvec.sqlite3", "gemvec.sqlite3-wal", "gemvec.sqlite3-shm"], 0
    )
    database.close()
