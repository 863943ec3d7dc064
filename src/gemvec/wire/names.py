"""Resource names: `models/{id}`, `files/{id}`, `batches/{id}`."""

from __future__ import annotations

import re
from typing import Any

from gemvec.errors import BadResourceName
from gemvec.wire.kinds import TEXT, Kind, Refused
from gemvec.wire.proto_json import shown

# Google's rule for file ids, with room for `batch-<id>` results; batch ids are 36 of the same characters.
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


_BAD_MODEL = "* {path}: unexpected model name format: {value}, expected models/{{model}}\n"


def parse_model_name(name: str, *, field: str = "model") -> str:
    """Return the model id in `models/{id}`; a bare id is returned unchanged.

    Raises:
        BadResourceName: it is neither form.
    """
    model = name.removeprefix("models/")
    if not _MODEL.fullmatch(model):
        raise BadResourceName(_BAD_MODEL.format(path=field, value=shown(name)), field=field)
    return model


def _read_model_name(value: Any) -> str | None:
    name = TEXT.read(value)
    model = name.removeprefix("models/")
    if not name or _MODEL.fullmatch(model):
        return model or None
    raise Refused(_BAD_MODEL, name, error=BadResourceName)


def format_model_name(model: str) -> str:
    """Return `models/{id}`."""
    return f"models/{model}"


MODEL_NAME = Kind(
    _read_model_name,
    lambda model: format_model_name(model) if model else None,
    {"type": "string", "pattern": rf"^((models/)?{_MODEL.pattern})?$"},
)


_BAD_ID = "* {path}: {value} is not {collection}/{{id}}; an id is lower-case letters, digits, inner dashes\n"


def parse_resource_id(name: str, collection: str, *, field: str = "name") -> str:
    """Return the id in `{collection}/{id}`; a bare id is returned unchanged.

    Args:
        name: the resource name, or only the id.
        collection: `files` or `batches`.
        field: the path for the error.

    Raises:
        BadResourceName: the id has other characters than lower-case letters, digits and inner dashes.
    """
    resource_id = name.removeprefix(f"{collection}/")
    if not _ID.fullmatch(resource_id):
        message = _BAD_ID.format(path=field, value=shown(name), collection=collection)
        raise BadResourceName(message, field=field)
    return resource_id


def resource_name(collection: str) -> Kind:
    """Return the kind of `{collection}/{id}`, which is read as its id; an empty name means no name."""
    words = _BAD_ID.format(path="{path}", value="{value}", collection=collection).replace("{id}", "{{id}}")

    def read(value: Any) -> str | None:
        name = TEXT.read(value)
        resource_id = name.removeprefix(f"{collection}/")
        if not name or _ID.fullmatch(resource_id):
            return resource_id or None
        raise Refused(words, name, error=BadResourceName)

    def write(resource_id: str) -> str | None:
        return f"{collection}/{resource_id}" if resource_id else None

    return Kind(read, write, {"type": "string", "pattern": f"^(({collection}/)?{_ID.pattern})?$"})
