"""What the server says of itself at `/healthz`, `/readyz` and `/`."""

from __future__ import annotations

from typing import Annotated

from gemvec.wire.message import Field, JsonMessage


class Health(JsonMessage, frozen=True, kw_only=True):
    """How it stands."""

    status: Annotated[str | None, Field("alive or ready")] = None
    storage: Annotated[str | None, Field("What is wrong with the database, where something is.")] = None


class Welcome(JsonMessage, frozen=True, kw_only=True):
    """What this is."""

    name: Annotated[str | None, Field("gemvec")] = None
    version: Annotated[str | None, Field("gemvec's version.")] = None
    weights: Annotated[str | None, Field("The default model's weights.")] = None
    models: Annotated[list[str] | None, Field("The names that are served.")] = None
    docs: Annotated[str | None, Field("Where to read on.")] = None
