"""Other names for served models: `AliasEmbedder`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from gemvec.embedding.checks import check_request
from gemvec.embedding.embed import Embedding, EmbedRequest, Priority, TextToken
from gemvec.embedding.embedder import Embedder, OnDone, OnSized, WrapperEmbedder
from gemvec.embedding.gemini_names import find_gemini_name
from gemvec.embedding.models import ServedModel
from gemvec.errors import BadSetting, ModelNotFound

# What a URL can hold as a model's name, and the organisation before a hub id.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127})?")


def parse_aliases(pairs: Sequence[str]) -> dict[str, str]:
    """Return the names in `NAME=MODEL` with their models, all of them without `models/`.

    Raises:
        BadSetting: one is not of this form, or a name means two models.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, model = (each.strip().removeprefix("models/") for each in pair.partition("="))
        if not model or not _NAME.fullmatch(name):
            raise BadSetting(
                f"--alias has value {pair!r}: expected NAME=MODEL, such as text-embedding-3-small=all-minilm-l6-v2."
            )
        if found.setdefault(name, model) != model:
            raise BadSetting(f"--alias gives {name!r} two meanings: {found[name]} and {model}.")
    return found


class AliasEmbedder(WrapperEmbedder):
    """An `Embedder` that serves more names than the one that it wraps.

    Google's names keep Google's dimensionality and options for every model. A name with a slash, such as a hub id, is
    served but not listed, because it does not fit into the paths of the Gemini API.
    """

    def __init__(
        self,
        embedder: Embedder,
        aliases: Mapping[str, str],
        *,
        hidden: Mapping[str, str] | None = None,
        may_hide: bool = False,
    ) -> None:
        """Resolve every name now.

        Args:
            embedder: serves the models.
            aliases: name to served name, as the operator gave them.
            hidden: more of them, which are not listed; `aliases` comes before them.
            may_hide: whether a name may be one that `embedder` serves, which nobody can reach then. The models of
                `aliases` are those of `embedder` in that case, never another alias.

        Raises:
            BadSetting: a name is a model's own name, or its model is not served.
        """
        super().__init__(embedder)
        self._may_hide = may_hide
        self._meant: dict[str, ServedModel] = {}
        self._names: dict[str, str] = {}  # what the wrapped embedder calls it
        for name, model in (hidden or {}).items():
            self._add(name, replace(embedder.get_model(model), name=name), model)
        unlisted = self._meant.keys() - aliases.keys()
        for name, model in aliases.items():
            self._add(name, self._resolve(name, model), model)
        self._listed = [each for name, each in self._meant.items() if "/" not in name and name not in unlisted]

    def list_models(self) -> Sequence[ServedModel]:
        """Return every name that is served, the default model's own name first."""
        return [each for each in self.embedder.list_models() if each.name not in self._meant] + self._listed

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder.get_model`."""
        return self._meant[name] if name in self._meant else self.embedder.get_model(name)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """See `Embedder.embed`."""
        meant, asked = self._translate(model, requests)
        return await self.embedder.embed(meant, asked, priority=priority, on_done=on_done)

    async def embed_tokens(
        self, model: ServedModel, requests: Sequence[EmbedRequest], *, on_sized: OnSized | None = None
    ) -> list[Embedding]:
        """See `Embedder.embed_tokens`."""
        return await self.embedder.embed_tokens(*self._translate(model, requests), on_sized=on_sized)

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """See `Embedder.tokenize`."""
        return await self.embedder.tokenize(*self._translate(model, requests))

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        """See `Embedder.count_tokens`."""
        meant, _ = self._translate(model, ())
        return await self.embedder.count_tokens(meant, texts)

    async def decode(self, model: ServedModel, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """See `Embedder.decode`."""
        meant, _ = self._translate(model, ())
        return await self.embedder.decode(meant, token_ids)

    async def list_tokens(
        self, model: ServedModel, texts: Sequence[str], *, special_tokens: bool = True
    ) -> list[list[TextToken]]:
        """See `Embedder.list_tokens`."""
        meant, _ = self._translate(model, ())
        return await self.embedder.list_tokens(meant, texts, special_tokens=special_tokens)

    def _add(self, name: str, shown: ServedModel, model: str) -> None:
        self._meant[name] = shown
        self._names[name] = model if self._may_hide else self._names.get(model, model)

    def _resolve(self, name: str, model: str) -> ServedModel:
        known = find_gemini_name(name)
        if known is None and not self._may_hide and any(each.name == name for each in self.embedder.list_models()):
            raise BadSetting(f"--alias has {name!r}, which is a served model's own name.")
        try:
            meant = self.embedder.get_model(model) if self._may_hide else self.get_model(model)
        except ModelNotFound:
            names = ", ".join(each.name for each in self.embedder.list_models())
            raise BadSetting(
                f"--alias {name}={model} names a model that is not served. Served are {names}; --model serves another."
            ) from None
        if known is None:
            return replace(meant, name=name)
        return replace(
            meant,
            name=name,
            display_name=known.display_name,
            description=f"Answered by {meant.weights}; its vectors do not mix with Google's.",
            input_token_limit=min(known.input_token_limit, meant.input_token_limit),
            default_dimensionality=known.default_dimensionality,
            takes_options=known.takes_options,
            retired_at=known.retired_at,
        )

    def _translate(
        self, model: ServedModel, requests: Sequence[EmbedRequest]
    ) -> tuple[ServedModel, Sequence[EmbedRequest]]:
        """Return the model and the requests for the wrapped embedder, each with the length of its vector.

        The wrapped embedder does not know the length of vectors that an alias promises.

        Raises:
            InvalidRequest: a request has options, and the alias takes none.
        """
        if model.name not in self._meant:
            return model, requests
        if not model.takes_options and self.embedder.get_model(self._names[model.name]).takes_options:
            for index, each in enumerate(requests):
                check_request(each, model, index)
            model = replace(model, takes_options=True)
        if model.takes_options:
            requests = [
                each
                if each.output_dimensionality
                else structs.replace(each, output_dimensionality=model.default_dimensionality)
                for each in requests
            ]
        return replace(model, name=self._names[model.name]), requests
