"""What the console asks for beyond what clients do: the served names, with the facts that Google's `Model` lacks."""

from __future__ import annotations

from typing import Annotated

from gemvec.wire.message import Field, ProtoMessage


class ServedName(ProtoMessage, frozen=True, kw_only=True):
    """A name that is served, and how."""

    name: Annotated[str | None, Field("What stands after `models/`.")] = None
    weights: Annotated[str | None, Field("The weights that serve it, as in `x-gemvec-model`.")] = None
    description: Annotated[str | None, Field("Which weights serve it, in words.")] = None
    input_token_limit: Annotated[int | None, Field("Longer texts are cut or refused.")] = None
    native_dimensionality: Annotated[int | None, Field("Values that the model makes.")] = None
    default_dimensionality: Annotated[int | None, Field("Values in a vector unless the caller says otherwise.")] = None
    takes_options: Annotated[bool | None, Field("Whether task type and dimensionality may be given.")] = None
    retired_at: Annotated[str | None, Field("The day on which Google ended the name, where it has.")] = None


class ServedNames(ProtoMessage, frozen=True, kw_only=True):
    """Everything that a call may name."""

    names: Annotated[list[ServedName] | None, Field("The default model's own name first.")] = None
    task_types: Annotated[list[str] | None, Field("The task types of the API.")] = None
