"""The messages of the API as JSON Schema, by name: what `/openapi.json` and `/docs` say of each field.

The parsers in `wire` are what is obeyed; this describes them. Fields are given in canonical spelling; snake_case is
taken, too.
"""

from __future__ import annotations

from gemvec.server.schema import Schema
from gemvec.server.schemas import batches, embed, files, models, openai, status, tei

SCHEMAS: dict[str, Schema] = {
    name: schema
    for noun in (embed, models, openai, tei, files, batches, status)
    for name, schema in noun.SCHEMAS.items()
}
