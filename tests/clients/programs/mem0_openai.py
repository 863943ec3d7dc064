"""mem0 with its default embedding model, `text-embedding-3-small`, which the server serves by an alias."""

import tempfile

from checks import TEXTS, run, server_url
from mem0 import Memory

OPENAI = {"api_key": "any-key", "openai_base_url": server_url() + "/v1"}


def search():
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory.from_config(
            {
                "embedder": {"provider": "openai", "config": OPENAI},
                "llm": {"provider": "openai", "config": OPENAI},
                "vector_store": {
                    "provider": "qdrant",
                    "config": {"path": f"{folder}/qdrant", "embedding_model_dims": 3072},
                },
                "history_db_path": f"{folder}/history.db",
            }
        )
        for text in TEXTS:
            memory.add(text, user_id="me", infer=False)
        found = memory.search(TEXTS[1], filters={"user_id": "me"})["results"]
        assert found[0]["memory"] == TEXTS[1], found


run({"search": search})
