"""Resource names: `models/{id}`, `files/{id}`, `batches/{id}`."""

from __future__ import annotations

import re

from gemvec.errors import BadResourceName
from gemvec.wire.message import shown

# Google's rule for file ids, with room for `batch-<id>` results; batch ids are 36 of the same characters.
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def parse_model_name(name: str, *, field: str = "model") -> str:
    """Return the model id of `models/{id}`; a bare id is taken as it is.

    Raises:
        BadResourceName: it is neither.
    """
    model = name.removeprefix("models/")
    if not _MODEL.fullmatch(model):
        raise BadResourceName(
            f"* {field}: unexpected model name format: {shown(name)}, expected models/{{model}}\n", field=field
        )
    return model


def format_model_name(model: str) -> str:
    """Return `models/{id}`."""
    return f"models/{model}"


def parse_resource_id(name: str, collection: str, *, field: str = "name") -> str:
    """Return the id of `{collection}/{id}`; a bare id is taken as it is.

    Args:
        name: the resource name, or the id alone.
        collection: `files` or `batches`.
        field: the path to name in the error.

    Raises:
        BadResourceName: the id has other characters than lower-case letters, digits and inner dashes.
    """
    resource_id = name.removeprefix(f"{collection}/")
    if not _ID.fullmatch(resource_id):
        raise BadResourceName(
            f"* {field}: {shown(name)} is not {collection}/{{id}}; an id is lower-case letters, digits, inner dashes\n",
            field=field,
        )
    return resource_id
