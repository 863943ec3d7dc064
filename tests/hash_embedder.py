"""An embedder whose vectors only the right request gives: each is made of a hash of the request.

Used where tests ask whether every answer belongs to its own request, whatever was killed or reordered in between.
"""

import asyncio
from hashlib import sha256

import numpy as np
from msgspec import structs

from gemvec.embedding.caller import current_caller
from gemvec.embedding.embed import Embedding, Priority, Tokens
from gemvec.embedding.models import ServedModel
from gemvec.errors import EmptyText, ModelNotFound

DIMENSIONS = 4
NAME = "hash"


def vector_of(text, task_type=0, title=None, output_dimensionality=None):
    """Return the vector of a request: float32[4], or as many values as were asked for."""
    digest = sha256(f"{int(task_type)}|{title}|{text}".encode()).digest()
    return np.frombuffer(digest, np.uint8)[: output_dimensionality or DIMENSIONS].astype(np.float32)


class HashEmbedder:
    """Computes at once, unless a delay is asked for.

    Attributes:
        requests: every request that was computed, in order.
        faults: exceptions raised by the next calls, one each.
        gate: calls wait until it is set.
    """

    def __init__(self, *, revision="12345678", names=(NAME,), delay_seconds=0):
        self.revision = revision
        self.names = names
        self.delay_seconds = delay_seconds
        self.requests = []
        self.priorities = set()
        self.callers = set()
        self.faults = []
        self.gate = None

    def list_models(self):
        return [
            ServedModel(
                name=name,
                model_id="hash",
                revision=self.revision,
                display_name="",
                description="",
                input_token_limit=100,
                native_dim=DIMENSIONS,
                default_dimensionality=DIMENSIONS,
            )
            for name in self.names
        ]

    def get_model(self, name):
        for model in self.list_models():
            if model.name == name:
                return model
        raise ModelNotFound(name=name)

    async def embed(self, model, requests, *, priority=Priority.INTERACTIVE, on_done=None):
        self.priorities.add(priority)
        self.callers.add(current_caller())
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(self.delay_seconds)
        if self.faults:
            raise self.faults.pop(0)
        for index, request in enumerate(requests):
            if request.text == "refuse me":
                raise EmptyText("refused", index=index)
            if request.text == "break the model":
                raise RuntimeError(request.text)
        self.requests += requests
        embeddings = [
            Embedding(vector_of(each.text, each.task_type, each.title, each.output_dimensionality), len(each.text))
            for each in requests
        ]
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def tokenize(self, model, requests):
        return [structs.replace(each, tokens=Tokens(len(each.text))) for each in requests]

    def figures(self):
        return ()

    async def count_tokens(self, model, texts):
        return [len(text) for text in texts]

    async def close(self):
        pass
