import pytest

from counting_embedder import CountingEmbedder


@pytest.fixture
def embedder():
    return CountingEmbedder()
