"""One database opened one way, its tables and migrations, durable files on disk, and the lock of a data folder.

`open_database` opens SQLite (a file in the data folder) or PostgreSQL (if you already have one) behind the same
SQLAlchemy Core. Everything here is synchronous: a server calls it through a thread. Knows no HTTP.
"""
