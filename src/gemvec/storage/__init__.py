"""One database opened one way, its tables and migrations, durable files on disk, and the lock of a data folder.

`open_database` gives SQLite (a file in the data folder) or PostgreSQL (where one is kept already) behind the
same SQLAlchemy Core. Everything here is synchronous: a server calls it through a thread. Knows no HTTP.
"""
