"""Shell completion of models, task types, choices, API keys and collections. Nothing here fails or uses the network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from gemvec.embedding.task_type import TaskType
from gemvec.errors import GemvecError
from gemvec.settings import Settings, field_types

TASK_TYPES = tuple(each.name for each in TaskType if each is not TaskType.TASK_TYPE_UNSPECIFIED)


def complete_model(incomplete: str) -> list[str]:
    """Return the models of the catalogue, those that were fetched, and the Gemini names."""
    from gemvec.embedding.gemini_names import GEMINI_NAMES

    return _matching([*_known_models(), *(each.name for each in GEMINI_NAMES)], incomplete)


def complete_task_type(incomplete: str) -> list[str]:
    """Return the task types, in any case."""
    return _matching(TASK_TYPES, incomplete.upper())


def complete_key(incomplete: str) -> list[str]:
    """Return the names of the API keys in the data folder."""
    with contextlib.suppress(GemvecError, ModuleNotFoundError):
        from gemvec.server.keys import KeyStore
        from gemvec.storage.database import database_of, open_database

        settings = Settings.load()
        if not settings.database_url and not settings.data_dir.is_dir():
            return []  # completion must not make the folder
        database = open_database(database_of(settings))
        try:
            return _matching([each.name for each in KeyStore(database).list()], incomplete)
        finally:
            database.close()
    return []


def complete_collection(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the collections in the Milvus Lite file that the command names; other Milvus would need the network."""
    with contextlib.suppress(GemvecError, ModuleNotFoundError):
        from gemvec.milvus.aliases import read_aliases
        from gemvec.milvus.connection import is_lite

        uri = ctx.params.get("uri") or Settings.load().uri
        if is_lite(uri):
            return _matching(read_aliases(Path(uri)), incomplete)
    return []


def completion_of(name: str) -> Callable[..., list[str]] | None:
    """Return the function that completes the setting `name`, None if it may have any value."""
    if name in _COMPLETED:
        return _COMPLETED[name]
    kind: Any = field_types()[name]
    choices = get_args(kind)
    if get_origin(kind) is None or not all(isinstance(each, str) for each in choices):
        return None

    def complete_choice(incomplete: str) -> list[str]:
        return _matching(choices, incomplete)

    return complete_choice


_COMPLETED: dict[str, Callable[..., list[str]]] = {"model": complete_model, "collection": complete_collection}


def _known_models() -> list[str]:
    try:
        from gemvec.models.catalogue import RECORDS
        from gemvec.models.weights import fetched_records, model_name
    except ModuleNotFoundError:
        return []
    fetched: list[str] = []
    with contextlib.suppress(GemvecError, OSError):
        fetched = [model_name(each) for each in fetched_records(Settings.load().cache_dir)]
    return list(dict.fromkeys([*(each.id for each in RECORDS), *fetched]))


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return [each for each in values if each.startswith(incomplete)]
