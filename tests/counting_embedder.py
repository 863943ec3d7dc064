"""A small deterministic embedder whose vectors say which words a text has, and which counts what it was asked for."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from msgspec import structs

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority, Tokens
from gemvec.embedding.embedder import OnDone
from gemvec.embedding.models import ServedModel
from gemvec.errors import EmptyText, ModelNotFound


class CountingEmbedder:
    """An `Embedder` without weights: each word adds its own random direction. Counts what it was asked for."""

    def __init__(self, *names: str, dimensionality: int = 64) -> None:
        self._models = {name: _served(name, dimensionality) for name in names or ("words-a",)}
        self._directions: dict[tuple[str, str], np.ndarray] = {}
        self.embedded_texts = 0

    def list_models(self) -> Sequence[ServedModel]:
        return list(self._models.values())

    def get_model(self, name: str) -> ServedModel:
        if name not in self._models:
            raise ModelNotFound(f"no model {name}", name=name)
        return self._models[name]

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        for index, request in enumerate(requests):
            if "unembeddable" in request.text:
                raise EmptyText("this text cannot be embedded", field=f"requests[{index}].text", index=index)
        self.embedded_texts += len(requests)
        embeddings = [self._embed(model, request) for request in requests]
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        return [structs.replace(each, tokens=Tokens(len(_words(each.text)))) for each in requests]

    def figures(self) -> tuple[()]:
        return ()

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        return [len(_words(text)) for text in texts]

    async def close(self) -> None: ...

    def _embed(self, served: ServedModel, request: EmbedRequest) -> Embedding:
        dimensionality = request.output_dimensionality or served.default_dimensionality
        words = _words(f"{request.title or ''} {request.text}") or ["nothing"]
        total = np.sum([self._direction(served.name, word) for word in words], axis=0)[:dimensionality]
        return Embedding((total / np.linalg.norm(total)).astype(np.float32), len(words))

    def _direction(self, name: str, word: str) -> np.ndarray:
        if (name, word) not in self._directions:
            seed = zlib.crc32(f"{name} {word}".encode())
            self._directions[name, word] = np.random.default_rng(seed).normal(size=self._models[name].native_dim)
        return self._directions[name, word]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _served(name: str, dimensionality: int) -> ServedModel:
    return ServedModel(
        name=name,
        model_id=name,
        revision=f"{zlib.crc32(name.encode()):08x}",
        display_name=name,
        description="words",
        input_token_limit=2048,
        native_dim=dimensionality,
        default_dimensionality=dimensionality,
    )
