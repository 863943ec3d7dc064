"""One upstream server for many callers: calls are joined, kept within a rate, and queued until they may be sent.

`upstream` is the embedder, `queue` holds what waits, `rate` says what may be sent in a minute. `pass_through` sends
calls on that are not about embeddings, and `blocks` holds what comes back. Only a server uses this room; it asks the
other server through `client`.
"""
