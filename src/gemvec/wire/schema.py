"""The JSON Schema of a message, from its declaration: `schema_of`."""

from __future__ import annotations

import inspect

from gemvec.wire.kinds import Schema
from gemvec.wire.message import Message, fields_of, kind_of


def schema_of(kind: type[Message]) -> Schema:
    """Return the JSON Schema of a message's canonical form; other messages are referred to by name."""
    schema: Schema = {
        "type": "object",
        "description": (inspect.getdoc(kind) or "").partition("\n")[0],
        "properties": {
            each.spelled: kind_of(each).schema | {"description": each.field.description} | each.field.schema
            for each in fields_of(kind)
        },
    }
    if required := [each.spelled for each in fields_of(kind) if each.is_required]:
        schema["required"] = required
    if not kind.ignores_unknown:
        schema["additionalProperties"] = False
    return {**schema, **kind.more_schema}
