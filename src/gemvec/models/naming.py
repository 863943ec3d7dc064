"""A model under a name that its operator gives it: `--model name=folder-or-hub-id`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gemvec.errors import BadSetting
from gemvec.models.catalogue import find_record
from gemvec.models.engine_choice import EngineChoice
from gemvec.models.folder import id_of
from gemvec.models.progress import Progress
from gemvec.models.record import ModelRecord
from gemvec.models.weights import OWN_ENGINES, LoadedModel, load_model


def split_name(model: str) -> tuple[str, str]:
    """Return the name in `NAME=MODEL` and the model, the name being empty if there is none.

    Raises:
        BadSetting: the name cannot be a model's.
    """
    name, equals, rest = model.partition("=")
    if not equals or Path(model).expanduser().exists():  # a folder's own name may have this sign
        return "", model
    if not rest or id_of(name) != name:
        raise BadSetting(
            f"--model has value {model!r}: expected NAME=MODEL, the name of lower-case letters, digits, '.', '_' and"
            " '-', without 'gemini'."
        )
    return name, rest


def find_named_record(model: str) -> ModelRecord:
    """Return a model's record as `find_record` does, under the name that the operator gives it.

    Raises:
        BadSetting: the name cannot be a model's.
        ModelNotFound: there is no such model.
    """
    name, model = split_name(model)
    return _rename(find_record(model), name)


def load_named_model(
    model: str, cache_dir: Path, *, choice: EngineChoice = OWN_ENGINES, progress: Progress | None = None
) -> LoadedModel:
    """Return a model as `load_model` does, under the name that the operator gives it.

    Raises:
        BadSetting: the name cannot be a model's.
        ModelNotFound: there is no such model.
        ModelUnavailable: its files cannot be fetched, are incomplete or cannot be run.
    """
    name, model = split_name(model)
    loaded = load_model(model, cache_dir, choice=choice, progress=progress)
    return replace(loaded, record=_rename(loaded.record, name))


def _rename(record: ModelRecord, name: str) -> ModelRecord:
    if not name or name == record.id:
        return record
    return replace(record, id=name, aliases=tuple(each for each in record.aliases if "/" in each))
