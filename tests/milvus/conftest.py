"""A small deterministic embedder whose vectors say which words a text has, and a Milvus Lite file for each test."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.models import ServedModel
from gemvec.errors import EmptyText, ModelNotFound
from gemvec.milvus import open_collection


class WordEmbedder:
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
        self, model: str, requests: Sequence[EmbedRequest], *, priority: Priority = Priority.INTERACTIVE
    ) -> list[Embedding]:
        served = self.get_model(model)
        for index, request in enumerate(requests):
            if "unembeddable" in request.text:
                raise EmptyText("this text cannot be embedded", field=f"requests[{index}].text", index=index)
        self.embedded_texts += len(requests)
        return [self._embed(served, request) for request in requests]

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int]:
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


def contents(collection):
    """Everything a collection holds, in a fixed order; vectors as rounded lists, so that rows compare with ==."""
    generation = collection.resolve()
    rows = generation.client.query(
        generation.name, filter="chunk >= 0", output_fields=["*"], consistency_level="Strong"
    )
    cleaned = []
    for row in rows:
        plain = {name: value for name, value in row.items() if name != "sparse"}
        cleaned.append({**plain, "vector": [round(float(value), 5) for value in row["vector"]]})
    return sorted(cleaned, key=lambda row: row["key"])


@pytest.fixture
def embedder():
    return WordEmbedder()


@pytest.fixture
def collection(tmp_path):
    with open_collection(str(tmp_path / "test.db"), "docs") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of three Markdown files, and the current folder beside it."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "batches.md").write_text("# Batches\n\nA batch is a durable job.\n\n## Cancel\n\nSend cancel to stop it.\n")
    (docs / "files.md").write_text("# Files\n\nUpload a file in pieces. It expires after two days.\n")
    (docs / "models.md").write_text("# Models\n\nThe default model is small and fast.\n")
    return docs
