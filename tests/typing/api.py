"""The typed face of gemvec as a user writes it; never run, checked by pyright in strict mode."""

from collections.abc import Sequence
from typing import assert_type

import numpy as np
import numpy.typing as npt
from google.genai import types

from gemvec import GeminiEmbeddingFunction, GemvecError
from gemvec.client import EmbedConfig, RemoteEmbedder, Usage, find_target, open_target
from gemvec.embedding.embed import Embedding, EmbedRequest
from gemvec.embedding.embedder import Embedder
from gemvec.pymilvus import model

Vectors = list[npt.NDArray[np.float32]]


def sync(function: GeminiEmbeddingFunction, texts: list[str]) -> None:
    assert_type(function.encode_documents(texts), Vectors)
    assert_type(function.encode_documents(texts, titles=["a", None]), Vectors)
    assert_type(function.encode_queries("one"), Vectors)
    assert_type(function(text for text in texts), Vectors)
    assert_type(function.dim, int)
    assert_type(function.usage, Usage)
    assert_type(function.client, Embedder)


async def not_sync(texts: Sequence[str]) -> None:
    async with GeminiEmbeddingFunction(base_url="local") as function:
        assert_type(await function.aencode_documents(texts), Vectors)
        assert_type(await function.aencode_queries(texts), Vectors)


def configured() -> None:
    GeminiEmbeddingFunction("gemini-embedding-001", "key", types.EmbedContentConfig(output_dimensionality=768))
    GeminiEmbeddingFunction(config={"taskType": "CLUSTERING"}, http_options={"timeout": 1000})
    GeminiEmbeddingFunction(config=EmbedConfig(task_type="CLUSTERING"), http_options=types.HttpOptions(timeout=1000))
    assert_type(model.dense.GeminiEmbeddingFunction(api_key="key"), GeminiEmbeddingFunction)


async def below() -> None:
    embedder = open_target(find_target("http://127.0.0.1:8000"), model="gemini-embedding-001")
    served = embedder.get_model("gemini-embedding-001")
    assert_type(await embedder.embed(served, [EmbedRequest(text="a")]), list[Embedding])
    if isinstance(embedder, RemoteEmbedder):
        assert_type(embedder.weights, str | None)


def caught() -> None:
    try:
        GeminiEmbeddingFunction()
    except GemvecError as error:
        assert_type(error.message, str)
