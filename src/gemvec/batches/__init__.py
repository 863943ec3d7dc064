"""Durable batches: states, chunks, part files, the store that remembers and the runner that works.

The recovery contract:

1. A batch whose creation was answered exists after any crash, with its input.
2. A finished batch has exactly one response per request, in input order, each computed from its own request.
3. What was finished before a crash is not computed again: at most the chunks in flight then are repeated.
4. An ended state never changes. The counters always add up to the number of requests.
5. A malformed or failing request becomes an error at its own place and harms no other, even one that kills the server.

How: `BatchStore` keeps the truth in two tables. A chunk of about 256 requests becomes one immutable part file, which is
durable before one transaction marks the chunk done and updates the counters. `run_chunk` computes and keeps no state,
an `Executor` says where it runs, and `BatchRunner` claims chunks and keeps several in flight. Knows no HTTP.
"""
