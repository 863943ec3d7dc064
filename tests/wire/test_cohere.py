"""Cohere's messages."""

import pytest

from gemvec.wire.cohere import CohereEmbedRequest
from gemvec.wire.message import read


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["int8", "float"], ["int8", "float"]),
        (["float", "int8"] * 1000, ["float", "int8"]),
        ([], ["float"]),
        (None, ["float"]),
    ],
)
def test_an_encoding_that_is_named_many_times_is_written_once(asked, wanted):
    request = read(CohereEmbedRequest, {"model": "m", "texts": ["a"], "embedding_types": asked})
    assert request.encodings() == wanted
