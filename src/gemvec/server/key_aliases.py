"""Names that one API key alone knows: what `gemvec keys create --alias NAME=MODEL` gives it.

They come before the names of the server. A key that may use only some models reaches no other through them: its models
are compared with what an alias means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from starlette.requests import Request

from gemvec.embedding.aliases import AliasEmbedder
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest, ModelNotFound
from gemvec.server.auth import Caller
from gemvec.server.context import Services, services_of


class KeyAliasEmbedder(AliasEmbedder):
    """The server's embedder under the names of one key as well."""

    def __init__(self, embedder: Embedder, aliases: Mapping[str, str]) -> None:
        """Add the names whose model is served; the others are not found."""
        served = {name: model for name, model in aliases.items() if _is_served(embedder, model)}
        super().__init__(embedder, served, may_hide=True)
        self._missing = {name: model for name, model in aliases.items() if name not in served}

    def list_models(self) -> list[ServedModel]:
        """Return every name that is served to the key."""
        return [each for each in super().list_models() if each.name not in self._missing]

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder.get_model`; a name of the key whose model is not served means nothing else."""
        if name in self._missing:
            raise ModelNotFound(name=f"{self._missing[name]} (meant by the key's alias {name})")
        return super().get_model(name)


def embedder_for(services: Services, caller: Caller) -> Embedder:
    """Return what embeds for a caller, with the names that its key has by itself."""
    if caller.key is None or not caller.key.aliases:
        return services.embedder
    return KeyAliasEmbedder(services.embedder, caller.key.aliases)


def embedder_of(request: Request) -> Embedder:
    """Return what embeds for the caller of `request`, made once a request."""
    state = request.state
    if not hasattr(state, "embedder"):
        state.embedder = embedder_for(services_of(request), state.caller)
    return cast("Embedder", state.embedder)


def refuse_key_alias(caller: Caller, name: str) -> None:
    """Refuse a name that only the caller's key knows, where something outlives the call.

    Raises:
        InvalidRequest: it is one; says which name to use.
    """
    if caller.key and name in caller.key.aliases:
        raise InvalidRequest(
            f"* batch.model: models/{name} is a name of this API key alone, which a batch cannot have; "
            f"name models/{caller.key.aliases[name]}\n",
            field="batch.model",
        )


def key_alias_in(request: Request) -> str | None:
    """Return the first of the key's aliases that the path of `request` names as a model; None if it names none."""
    caller: Caller = request.state.caller
    path = request.scope["path"].replace(":", "/") + "/"
    aliases = caller.key.aliases if caller.key else ()
    return next((each for each in aliases if f"/models/{each}/" in path), None)


def _is_served(embedder: Embedder, model: str) -> bool:
    try:
        embedder.get_model(model)
    except ModelNotFound:
        return False
    return True
