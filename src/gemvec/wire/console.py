"""Messages for the console only: facts about served names that Google's `Model` lacks, and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from gemvec.wire.kinds import INT64
from gemvec.wire.message import Field, ProtoMessage


class ServedName(ProtoMessage, frozen=True, kw_only=True):
    """A served name, and how it is served."""

    name: Annotated[str | None, Field("The part after `models/`.")] = None
    weights: Annotated[str | None, Field("The weights that serve it, as in `x-gemvec-model`.")] = None
    description: Annotated[str | None, Field("Which weights serve it, in words.")] = None
    input_token_limit: Annotated[int | None, Field("Longer texts are cut or refused.")] = None
    native_dimensionality: Annotated[int | None, Field("Number of values that the model computes.")] = None
    default_dimensionality: Annotated[int | None, Field("Default number of values in a vector.")] = None
    takes_options: Annotated[bool | None, Field("Whether task type and dimensionality may be given.")] = None
    retired_at: Annotated[str | None, Field("The day on which Google retired the name, if it has.")] = None


class ServedNames(ProtoMessage, frozen=True, kw_only=True):
    """Everything that a call may name."""

    names: Annotated[list[ServedName] | None, Field("The default model's own name first.")] = None
    task_types: Annotated[list[str] | None, Field("The task types of the API.")] = None


class KeyInUse(ProtoMessage, frozen=True, kw_only=True):
    """An API key and its use; the key itself is not stored anywhere."""

    name: Annotated[str | None, Field("The operator's name for it.")] = None
    state: Annotated[str | None, Field("active, revoked or expired")] = None
    is_admin: Annotated[bool | None, Field("Whether it may see what concerns all callers.")] = None
    models: Annotated[list[str] | None, Field("The names that it may use; all if absent.")] = None
    requests_per_minute: Annotated[int | None, Field("Texts in a minute; no limit if absent.", kind=INT64)] = None
    tokens_per_minute: Annotated[int | None, Field("Tokens in a minute; no limit if absent.", kind=INT64)] = None
    created_at: Annotated[datetime | None, Field("When it was made.", name="create_time")] = None
    expires_at: Annotated[datetime | None, Field("When it stops working; never if absent.", name="expire_time")] = None
    calls: Annotated[int | None, Field("Requests that came with it.", kind=INT64)] = None
    texts: Annotated[int | None, Field("Texts embedded with it, including those of batches.", kind=INT64)] = None
    tokens: Annotated[int | None, Field("Tokens of these texts.", kind=INT64)] = None
    last_used_at: Annotated[datetime | None, Field("When it was last used.", name="last_use_time")] = None


class KeysInUse(ProtoMessage, frozen=True, kw_only=True):
    """Every named key."""

    keys: Annotated[list[KeyInUse] | None, Field("The oldest first.")] = None
