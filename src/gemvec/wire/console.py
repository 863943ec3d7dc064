"""Messages for the console only: facts about served names that Google's `Model` lacks, collections, keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from gemvec.wire.kinds import INT64
from gemvec.wire.message import Field, ProtoMessage
from gemvec.wire.paging import Query


class ServedName(ProtoMessage, frozen=True, kw_only=True):
    """A served name, and how it is served."""

    name: Annotated[str | None, Field("The part after `models/`.")] = None
    weights: Annotated[str | None, Field("The weights that serve it, as in `x-gemvec-model`.")] = None
    description: Annotated[str | None, Field("Which weights serve it, in words.")] = None
    languages: Annotated[str | None, Field("Which languages the weights are for; absent if that is not known.")] = None
    input_token_limit: Annotated[int | None, Field("Longer texts are cut or refused.")] = None
    native_dimensionality: Annotated[int | None, Field("Number of values that the model computes.")] = None
    default_dimensionality: Annotated[int | None, Field("Default number of values in a vector.")] = None
    takes_options: Annotated[bool | None, Field("Whether task type and dimensionality may be given.")] = None
    retired_at: Annotated[str | None, Field("The day on which Google retired the name, if it has.")] = None


class ServedNames(ProtoMessage, frozen=True, kw_only=True):
    """Everything that a call may name."""

    names: Annotated[list[ServedName] | None, Field("The default model's own name first.")] = None
    task_types: Annotated[list[str] | None, Field("The task types of the API.")] = None


class ServedCollection(ProtoMessage, frozen=True, kw_only=True):
    """A collection that can be searched."""

    name: Annotated[str | None, Field("Its name in the address of the search.")] = None
    model: Annotated[str | None, Field("The served name that embeds its queries.")] = None
    dimensionality: Annotated[int | None, Field("Number of values of its vectors.")] = None
    passages: Annotated[int | None, Field("How many passages it has.", kind=INT64)] = None
    has_words: Annotated[bool | None, Field("Whether a search may be hybrid.")] = None


class ServedCollections(ProtoMessage, frozen=True, kw_only=True):
    """The collections that the caller may search."""

    collections: Annotated[list[ServedCollection] | None, Field("In the order of `--collection`.")] = None


class NearQuery(Query, frozen=True, kw_only=True):
    """Which passages of a document to read."""

    document: Annotated[str, Field("The id of the document.")]
    chunk: Annotated[int, Field("The number of a passage in it, from 0.", default=0)] = 0
    around: Annotated[int, Field("How many before it and after it, 0 to 20.", default=2)] = 2


class NearPassage(ProtoMessage, frozen=True, kw_only=True):
    """A passage at its place in its document."""

    chunk: Annotated[int | None, Field("Its number in the document, from 0.")] = None
    text: Annotated[str | None, Field("The passage.")] = None
    heading: Annotated[str | None, Field("The headings above it.")] = None
    position: Annotated[str | None, Field("Where it starts in the source, such as `line 12`.")] = None


class NearPassages(ProtoMessage, frozen=True, kw_only=True):
    """Passages that stand together in a document."""

    chunks: Annotated[int | None, Field("How many passages the document has.")] = None
    passages: Annotated[list[NearPassage] | None, Field("In the order of the document.")] = None


class KeyLimitValues(ProtoMessage, frozen=True, kw_only=True):
    """The limits of one API key; where one is absent, the server's own holds."""

    requests_per_minute: Annotated[int | None, Field("Texts in a minute.", kind=INT64)] = None
    tokens_per_minute: Annotated[int | None, Field("Tokens in a minute.", kind=INT64)] = None
    requests_per_day: Annotated[int | None, Field("Texts in a day.", kind=INT64)] = None
    tokens_per_day: Annotated[int | None, Field("Tokens in a day.", kind=INT64)] = None
    max_open_uploads: Annotated[int | None, Field("Uploads begun and not finished.", kind=INT64)] = None
    max_open_batches: Annotated[int | None, Field("Batches that have not ended.", kind=INT64)] = None
    max_stored_bytes: Annotated[int | None, Field("Size of all that it keeps.", kind=INT64)] = None
    max_priority: Annotated[int | None, Field("The highest priority of a batch.", kind=INT64)] = None
    weight: Annotated[int | None, Field("Chunks of its batches in each of its turns; 1 if absent.", kind=INT64)] = None


class KeyInUse(ProtoMessage, frozen=True, kw_only=True):
    """An API key and its use; the key itself is not stored anywhere."""

    name: Annotated[str | None, Field("The operator's name for it.")] = None
    state: Annotated[str | None, Field("active, revoked or expired")] = None
    is_admin: Annotated[bool | None, Field("Whether it may see what concerns all callers.")] = None
    models: Annotated[list[str] | None, Field("The names that it may use; all if absent.")] = None
    limits: Annotated[KeyLimitValues | None, Field("What it may use.")] = None
    created_at: Annotated[datetime | None, Field("When it was made.", name="create_time")] = None
    expires_at: Annotated[datetime | None, Field("When it stops working; never if absent.", name="expire_time")] = None
    calls: Annotated[int | None, Field("Requests that came with it.", kind=INT64)] = None
    texts: Annotated[int | None, Field("Texts embedded with it, including those of batches.", kind=INT64)] = None
    tokens: Annotated[int | None, Field("Tokens of these texts.", kind=INT64)] = None
    last_used_at: Annotated[datetime | None, Field("When it was last used.", name="last_use_time")] = None


class KeysInUse(ProtoMessage, frozen=True, kw_only=True):
    """Every named key."""

    keys: Annotated[list[KeyInUse] | None, Field("The oldest first.")] = None
    may_change: Annotated[bool | None, Field("Whether the caller may make and change keys here.")] = None


class KeyQuery(Query, frozen=True, kw_only=True):
    """Whose use to read."""

    name: Annotated[str, Field("The operator's name for the key.")]


class KeyDay(ProtoMessage, frozen=True, kw_only=True):
    """What a key has used on a day."""

    day: Annotated[str | None, Field("The day in UTC, such as `2026-11-28`.")] = None
    calls: Annotated[int | None, Field("Requests that came with it.", kind=INT64)] = None
    texts: Annotated[int | None, Field("Texts embedded with it, including those of batches.", kind=INT64)] = None
    tokens: Annotated[int | None, Field("Tokens of these texts.", kind=INT64)] = None


class KeyDays(ProtoMessage, frozen=True, kw_only=True):
    """What a key has used on each of the last 90 days."""

    days: Annotated[list[KeyDay] | None, Field("The oldest first, also those without use; the last one is today.")] = (
        None
    )


class KeyName(ProtoMessage, frozen=True, kw_only=True):
    """Which key to change."""

    name: Annotated[str, Field("The operator's name for it.")]


class RotateKeyRequest(KeyName, frozen=True, kw_only=True):
    """How to replace a key."""

    lifetime_seconds: Annotated[
        int | None, Field("How long the new key works; until the end of the old one if absent.", kind=INT64)
    ] = None
    overlap_seconds: Annotated[
        int | None, Field("How long the old key works beside it; not at all if absent.", kind=INT64)
    ] = None


class CreateKeyRequest(KeyName, frozen=True, kw_only=True):
    """The key to make."""

    is_admin: Annotated[bool, Field("Whether it may see what concerns all callers.", default=False)] = False
    model: Annotated[str | None, Field("The only served name that it may use; all if absent.")] = None
    limits: Annotated[KeyLimitValues | None, Field("What it may use; as every key if absent.")] = None
    lifetime_seconds: Annotated[int | None, Field("How long it works; without an end if absent.", kind=INT64)] = None


class SetKeyRequest(KeyName, frozen=True, kw_only=True):
    """What to change of a key."""

    limits: Annotated[
        KeyLimitValues | None, Field("All of its limits from now on; the server's own where one is absent.")
    ] = None


class NewKey(ProtoMessage, frozen=True, kw_only=True):
    """A key that was made; it cannot be read again."""

    name: Annotated[str | None, Field("The operator's name for it.")] = None
    key: Annotated[str | None, Field("The key itself.")] = None
