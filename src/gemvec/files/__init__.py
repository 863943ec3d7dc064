"""Files: uploads as a state machine, bytes on disk, expiry, quotas.

Callers use `FileStore`. Rows in the database say what exists; the bytes of a file are stored under a random name that
no caller chooses. This room knows nothing about HTTP or batches.
"""
