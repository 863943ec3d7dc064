"""Files: uploads as a state machine, bytes on disk, expiry, quotas.

`FileStore` is the whole room to its callers. Rows in the database say what exists; a file's bytes lie under a random
name that no caller chooses. Knows no HTTP and nothing of batches.
"""
