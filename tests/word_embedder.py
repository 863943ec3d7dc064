"""A small real embedder for tests: texts that share words get near vectors. It notes what it was asked to compute."""

import asyncio
from zlib import crc32

import numpy as np
from msgspec import structs

from gemvec.embedding.embed import Embedding, Priority, Tokens
from gemvec.embedding.models import ServedModel
from gemvec.errors import EmptyText, ModelNotFound

DIMENSIONS = 64


def served_model(name="words", *, revision="00000001"):
    return ServedModel(
        name=name,
        model_id=name,
        revision=revision,
        display_name=name,
        description="Hashed words.",
        input_token_limit=512,
        native_dim=DIMENSIONS,
        default_dimensionality=DIMENSIONS,
    )


def embed_words(text, dimensionality=DIMENSIONS):
    """Return the normalised sum of one random vector per word: cut to `dimensionality`, or padded with zeros."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in text.lower().split():
        vector += np.random.default_rng(crc32(word.encode())).standard_normal(DIMENSIONS, dtype=np.float32)
    vector = np.pad(vector[:dimensionality], (0, max(0, dimensionality - DIMENSIONS)))
    return vector / np.linalg.norm(vector)


class WordEmbedder:
    """Implements `Embedder`. `computed` lists (text, priority) as they were computed.

    Args:
        names: what is served.
        revision: of the weights.
        gate: when given, every call waits for it.
        failures: how many calls fail with this error before one succeeds.
    """

    def __init__(self, *names, revision="00000001", gate=None, failures=()):
        self.models = [served_model(name, revision=revision) for name in names or ("words",)]
        self.computed = []
        self.calls = 0
        self.is_closed = False
        self._gate = gate
        self._failures = list(failures)

    @property
    def texts(self):
        return [text for text, _ in self.computed]

    def list_models(self):
        return self.models

    def get_model(self, name):
        for model in self.models:
            if model.name == name:
                return model
        raise ModelNotFound(name=name)

    async def embed(self, model, requests, *, priority=Priority.INTERACTIVE, on_done=None):
        self.calls += 1
        for index, request in enumerate(requests):
            if not request.text:
                raise EmptyText("{field} is empty.", field="content", index=index)
        self.computed += [(request.text, priority) for request in requests]
        if self._gate:
            await self._gate.wait()
        await asyncio.sleep(0)
        if self._failures:
            raise self._failures.pop()
        embeddings = [
            Embedding(embed_words(each.text, each.output_dimensionality or DIMENSIONS), len(each.text.split()))
            for each in requests
        ]
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def tokenize(self, model, requests):
        return [structs.replace(each, tokens=Tokens(len(each.text.split()))) for each in requests]

    def figures(self):
        return ()

    async def count_tokens(self, model, texts):
        return [len(text.split()) for text in texts]

    async def close(self):
        self.is_closed = True
