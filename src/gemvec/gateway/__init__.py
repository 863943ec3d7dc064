"""One upstream server for many callers: calls are joined, kept within a rate, and queued until they may be sent.

`upstream` is the embedder, `queue` holds what waits, `rate` says what may be sent in a minute. Only a server uses this
room; it asks the upstream through `client`.
"""
