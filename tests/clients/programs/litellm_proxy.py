"""LiteLLM's proxy with a Gemini model, pointed at the server by `api_base` with a slash at its end."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from checks import MANY, TEXTS, assert_vectors, run, server_url

KEY = "sk-" + secrets.token_hex(32)  # the proxy does not start without one
CONFIG = {
    "general_settings": {"master_key": KEY},
    "model_list": [
        {
            "model_name": "embedding",
            "litellm_params": {
                "model": "gemini/gemini-embedding-001",
                "api_base": server_url() + "/",
                "api_key": "any-key",
            },
        }
    ],
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(http):
    for _ in range(600):
        try:
            return http.get("/health/liveliness").raise_for_status()
        except httpx.HTTPError:
            assert proxy.poll() is None, Path("proxy.log").read_text()
            time.sleep(0.1)
    raise TimeoutError("the proxy does not answer")


def embed(http, texts, **options):
    answer = http.post("/v1/embeddings", json={"model": "embedding", "input": texts, **options}).raise_for_status()
    return [each["embedding"] for each in answer.json()["data"]]


Path("config.json").write_text(json.dumps(CONFIG))
port = free_port()
litellm = str(Path(sys.executable).parent / "litellm")
with Path("proxy.log").open("w") as log:
    proxy = subprocess.Popen(
        [litellm, "--config", "config.json", "--host", "127.0.0.1", "--port", str(port)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(os.environ),
    )
try:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        wait_for(http)
        run(
            {
                "single": lambda: assert_vectors(embed(http, TEXTS[0]), 1, 3072),
                "many": lambda: assert_vectors(embed(http, TEXTS), 3, 3072),
                "dimensions": lambda: assert_vectors(embed(http, TEXTS, dimensions=10), 3, 10),
                "more than 100": lambda: assert_vectors(embed(http, MANY), 101, 3072),
            }
        )
finally:
    proxy.terminate()
    proxy.wait(60)
