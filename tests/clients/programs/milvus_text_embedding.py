"""Milvus Lite's TEXTEMBEDDING function, pointed at the server by `base_url`: text in, text out."""

import tempfile
from pathlib import Path

from checks import MANY, TEXTS, run, server_url
from pymilvus import DataType, Function, FunctionType, MilvusClient

DIMENSIONALITY = 768


def with_collection(texts, then):
    with tempfile.TemporaryDirectory() as folder:
        client = MilvusClient(str(Path(folder) / "lite.db"))
        schema = client.create_schema(auto_id=True)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=1000)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSIONALITY)
        schema.add_function(
            Function(
                name="gemvec",
                function_type=FunctionType.TEXTEMBEDDING,
                input_field_names=["text"],
                output_field_names=["vector"],
                params={
                    "provider": "openai",
                    "model_name": "gemini-embedding-001",
                    "base_url": server_url() + "/v1",
                    "api_key": "any-key",
                    "dimensions": str(DIMENSIONALITY),
                },
            )
        )
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="COSINE")
        client.create_collection("texts", schema=schema, index_params=index)
        try:
            client.insert("texts", [{"text": text} for text in texts])
            then(client)
        finally:
            client.close()


def finds_itself(client):
    found = client.search("texts", data=[TEXTS[1]], anns_field="vector", limit=1, output_fields=["text"])
    assert found[0][0]["entity"]["text"] == TEXTS[1], found


def has_all(client):
    rows = client.query("texts", filter="id >= 0", output_fields=["count(*)"])
    assert rows[0]["count(*)"] == len(MANY), rows


run(
    {
        "many": lambda: with_collection(TEXTS, finds_itself),
        "search": lambda: with_collection(TEXTS, finds_itself),
        "more than 100": lambda: with_collection(MANY, has_all),
    }
)
