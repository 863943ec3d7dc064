"""Makes a database of an older release: what later migrations have added is dropped again."""

from sqlalchemy import text

# What each migration adds: names of tables, and of columns as `table.column`.
_ADDED = {
    8: ["usage", "deleted_owners", "keys.is_admin", "keys.previous_sha256", "keys.previous_until"],
    9: ["chunks.input_crc32"],
    10: ["jobs.input_bytes", "jobs.result_bytes"],
    11: ["segments"],
    12: ["servers", "arrivals", "chunks.claimed_by"],
    13: [
        "keys.requests_per_day",
        "keys.tokens_per_day",
        "keys.max_open_uploads",
        "keys.max_open_batches",
        "keys.max_stored_bytes",
        "keys.max_priority",
    ],
    14: ["keys.weight"],
    15: ["usage_days"],
    16: ["keys.aliases"],
    17: ["rate_windows"],
}


def make_older(connection, number):
    """Undo every migration after `number`."""
    for added in (name for later, names in _ADDED.items() if later > number for name in names):
        table, _, column = added.partition(".")
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}" if column else f"DROP TABLE {table}"))
    connection.execute(text("DELETE FROM schema_versions WHERE number > :number"), {"number": number})
