"""What owners have used adds up, on either database."""

from datetime import UTC, datetime, timedelta

from gemvec.storage.usage import (
    KEPT_DAYS,
    DayUsage,
    Usage,
    add_usage,
    forget_old_days,
    forget_usage,
    read_days,
    read_usage,
)

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


def days_of(database, owner=None):
    with database.read() as connection:
        return read_days(connection, owner)


def test_the_use_of_each_day_adds_up_by_itself(database):
    moments = [FIRST, FIRST + timedelta(hours=23, minutes=59), FIRST + timedelta(days=1)]
    for moment in moments:
        with database.write() as connection:
            add_usage(connection, "mine", Usage(calls=1, texts=2, tokens=3, last_used_at=moment))
    with database.write() as connection:
        add_usage(connection, "yours", Usage(texts=7, last_used_at=FIRST))
    first, second = FIRST.date(), FIRST.date() + timedelta(days=1)
    mine = [
        DayUsage(owner="mine", day=first, calls=2, texts=4, tokens=6),
        DayUsage(owner="mine", day=second, calls=1, texts=2, tokens=3),
    ]
    assert days_of(database, "mine") == mine
    assert days_of(database) == [mine[0], DayUsage(owner="yours", day=first, texts=7), mine[1]]


def test_days_are_kept_for_a_year_and_a_month_and_go_with_their_owner(database):
    with database.write() as connection:
        for back in (KEPT_DAYS + 1, KEPT_DAYS, 0):
            add_usage(connection, "mine", Usage(calls=1, last_used_at=FIRST - timedelta(days=back)))
        assert forget_old_days(connection, FIRST) == 1
    assert [each.day for each in days_of(database)] == [(FIRST - timedelta(days=KEPT_DAYS)).date(), FIRST.date()]
    assert used(database)["mine"].calls == 3, "the sum stays"
    with database.write() as connection:
        forget_usage(connection, "mine")
    assert days_of(database) == []
