"""`tools/slow_connections.py` measures what it says: ordinary callers are served beside slow ones that are cut off."""

import asyncio
import gc
import json
import socket
from urllib.parse import urlsplit

import pytest
from slow_connections import run

from gemvec.models.local import open_embedder
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings


@pytest.mark.slow
def test_ordinary_callers_are_served_beside_slow_connections():
    result = run(30, 3, "--client-timeout-seconds", "1")
    for part in ("quiet", "under_slow_connections"):
        assert result[part]["requests"] > 0
        assert result[part]["p99_ms"] >= result[part]["p50_ms"] > 0
    assert result["p99_ratio"] > 0
    assert {"slow_head cut off", "slow_body cut off"} <= set(result["slow_connections"])


def test_the_server_stops_cleanly_though_somebody_leaves_an_answer_unread(tiny_model, tmp_path):
    settings = Settings(model=(str(tiny_model),), data_dir=tmp_path, shutdown_seconds=0)
    embedder = open_embedder(settings)
    one = {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}}
    body = json.dumps({"requests": [one] * 100}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with serving(open_services(settings, embedder=embedder)) as url:
            connection.connect((urlsplit(url).hostname, urlsplit(url).port))
            head = f"POST /v1beta/{one['model']}:batchEmbedContents HTTP/1.1\r\nhost: localhost\r\n"
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        gc.collect()  # what is still open would complain now, which is an error here
    asyncio.run(embedder.close())
