"""The ASGI application: one route table, keys, limits, one error table, and the way from wire to domain and back.

Callers need only `create_app(services)`; `run.py` serves it. Handlers are module-level functions in `<noun>.py`. Knows
nothing of how a model works.
"""
