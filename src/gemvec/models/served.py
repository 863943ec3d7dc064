"""The models that a server on this machine serves, under all their names: `open_served_models`."""

from __future__ import annotations

from gemvec.embedding.aliases import AliasEmbedder, parse_aliases
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import FAKE
from gemvec.errors import BadSetting
from gemvec.models.catalogue import find_record
from gemvec.models.fake import FakeEmbedder
from gemvec.models.progress import Progress
from gemvec.settings import Settings


def open_served_models(settings: Settings, *, progress: Progress | None = None) -> Embedder:
    """Load the models that the settings name, and let them answer to their hub ids and to `settings.alias`, too.

    Args:
        settings: what `open_embedder` takes, and `alias`.
        progress: told how far a fetch has come.

    Raises:
        BadSetting: two names mean one model, or an alias means nothing that is served.
        ModelNotFound: a model's name is no catalogue id, hub id or folder.
        ModelUnavailable: a model's files cannot be fetched, are not whole or cannot be run.
    """
    aliases = parse_aliases(settings.alias)
    if FAKE in settings.model:
        if len(settings.model) > 1:
            raise BadSetting("--model fake serves no model; it stands alone.")
        return AliasEmbedder(FakeEmbedder(), aliases)
    hub_ids = _hub_ids(settings.model)
    from gemvec.models.local import open_embedder

    return AliasEmbedder(open_embedder(settings, progress=progress), aliases, hidden=hub_ids)


def _hub_ids(models: tuple[str, ...]) -> dict[str, str]:
    """Return the other names of the models, and the id that each is served under.

    Raises:
        BadSetting: two of `models` are one model.
    """
    named: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in models:
        record = find_record(name)
        if record.id in named:
            raise BadSetting(f"--model names one model twice: {named[record.id]} and {name} are {record.id}.")
        named[record.id] = name
        found |= dict.fromkeys((each for each in record.aliases if each != record.id), record.id)
    return found
