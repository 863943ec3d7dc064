"""A short way to write JSON Schema: `message("A file.", "name", name=text("Its name."))`."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def ref(name: str, description: str = "") -> Schema:
    """Return a schema that is the message `name`."""
    schema: Schema = {"$ref": f"#/components/schemas/{name}"}
    return schema | {"description": description} if description else schema


def text(description: str, **more: Any) -> Schema:
    """Return the schema of a string."""
    return {"type": "string", "description": description} | more


def integer(description: str, **more: Any) -> Schema:
    """Return the schema of an int32."""
    return {"type": "integer", "format": "int32", "description": description} | more


def int64(description: str) -> Schema:
    """Return the schema of an int64, which travels as a string."""
    return {"type": "string", "format": "int64", "description": description}


def timestamp(description: str) -> Schema:
    """Return the schema of a moment, in RFC 3339."""
    return {"type": "string", "format": "date-time", "description": description}


def boolean(description: str, **more: Any) -> Schema:
    """Return the schema of a bool."""
    return {"type": "boolean", "description": description} | more


def many(items: Schema, description: str, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, "description": description} | more


def message(description: str, /, *required: str, **fields: Schema) -> Schema:
    """Return the schema of an object with these fields."""
    schema: Schema = {"type": "object", "description": description, "properties": fields}
    return schema | {"required": list(required)} if required else schema
