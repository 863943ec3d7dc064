"""Files: uploads as a state machine, bytes on disk, expiry, quotas.

Callers use `FileStore`. Rows in the database say what exists; the bytes of a file lie under a random name that no
caller chooses. This room knows no HTTP and nothing about batches.
"""
