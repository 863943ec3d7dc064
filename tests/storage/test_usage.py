"""What owners have used adds up, on either database."""

from datetime import UTC, datetime, timedelta

from gemvec.storage.usage import Usage, add_usage, forget_usage, read_usage

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def used(database):
    with database.read() as connection:
        return read_usage(connection)


def test_counts_add_up_and_the_last_use_counts(database):
    for hours, calls in enumerate((1, 2)):
        with database.write() as connection:
            more = Usage(calls=calls, texts=2**40, tokens=5, last_used_at=FIRST + timedelta(hours=hours))
            add_usage(connection, "mine", more)
            add_usage(connection, "yours", Usage(texts=1, last_used_at=FIRST))
    last = FIRST + timedelta(hours=1)
    assert used(database)["mine"] == Usage(calls=3, texts=2**41, tokens=10, last_used_at=last)
    assert used(database)["yours"] == Usage(texts=2, last_used_at=FIRST)


def test_what_is_forgotten_is_gone(database):
    with database.write() as connection:
        add_usage(connection, "mine", Usage(calls=1, last_used_at=FIRST))
        forget_usage(connection, "mine")
        forget_usage(connection, "never there")
    assert used(database) == {}
