"""The models that a server on this machine serves, under all their names: `open_served_models`."""

from __future__ import annotations

from gemvec.embedding.aliases import AliasEmbedder, parse_aliases
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import FAKE
from gemvec.errors import BadSetting
from gemvec.models.fake import FakeEmbedder
from gemvec.models.naming import find_named_record
from gemvec.models.progress import Progress
from gemvec.settings import Settings


def open_served_models(settings: Settings, *, progress: Progress | None = None) -> Embedder:
    """Load the models in the settings; they are also served under their hub ids and `settings.alias`.

    Args:
        settings: what `open_embedder` takes, and `alias`.
        progress: called with the progress of a fetch.

    Raises:
        BadSetting: two names mean the same model, or an alias names a model that is not served.
        ModelNotFound: a model's name is not a catalogue id, hub id or folder.
        ModelUnavailable: a model's files cannot be fetched, are incomplete or cannot be run.
    """
    aliases = parse_aliases(settings.alias)
    if FAKE in settings.model:
        if len(settings.model) > 1:
            raise BadSetting("--model fake cannot be combined with other models.")
        return AliasEmbedder(FakeEmbedder(), aliases)
    hub_ids = _hub_ids(settings.model)
    from gemvec.models.local import open_embedder

    return AliasEmbedder(open_embedder(settings, progress=progress), aliases, hidden=hub_ids)


def _hub_ids(models: tuple[str, ...]) -> dict[str, str]:
    """Return the other names of the models, with their served ids.

    Raises:
        BadSetting: two of `models` are the same model.
    """
    named: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in models:
        record = find_named_record(name)
        if record.id in named:
            raise BadSetting(f"--model names the same model twice: {named[record.id]} and {name} are {record.id}.")
        named[record.id] = name
        found |= dict.fromkeys((each for each in record.aliases if each != record.id), record.id)
    return found
