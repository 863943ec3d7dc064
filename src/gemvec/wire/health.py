"""What the server says about itself at `/healthz`, `/readyz` and `/`."""

from __future__ import annotations

from typing import Annotated

from gemvec.wire.message import Field, JsonMessage


class Health(JsonMessage, frozen=True, kw_only=True):
    """State of the server."""

    status: Annotated[str | None, Field("alive or ready")] = None
    storage: Annotated[str | None, Field("What is wrong with the database or where the bytes are, if anything.")] = None


class Welcome(JsonMessage, frozen=True, kw_only=True):
    """Description of the server."""

    name: Annotated[str | None, Field("gemvec")] = None
    version: Annotated[str | None, Field("gemvec's version.")] = None
    weights: Annotated[str | None, Field("The default model's weights.")] = None
    models: Annotated[list[str] | None, Field("The served names.")] = None
    docs: Annotated[str | None, Field("URL of the documentation.")] = None
