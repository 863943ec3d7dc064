"""The ASGI application: one route table, keys, limits, one error table, and the walk from wire to domain and back.

`create_app(services)` is the whole room to its callers; `run.py` serves it. Handlers are module-level functions in
`<noun>.py`. Knows nothing of how a model works.
"""
