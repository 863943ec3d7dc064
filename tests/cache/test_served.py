"""`gemvec serve --embedding-cache`: a text that was embedded before is not embedded again, and the metrics say so."""

from dataclasses import replace

import httpx
import pytest

from gemvec.cache import CachedEmbedder
from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings


@pytest.fixture
def settings(tiny_model, tmp_path):
    return Settings(
        model=(str(tiny_model),), data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", shutdown_seconds=1
    )


def ask(url, *texts):
    body = {"requests": [{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": t}]}} for t in texts]}
    answer = httpx.post(f"{url}/v1beta/models/gemini-embedding-001:batchEmbedContents", json=body)
    assert answer.status_code == 200, answer.text
    return [each["values"] for each in answer.json()["embeddings"]]


def metrics(url):
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def with_it(settings):
    return replace(settings, embedding_cache=True)


def test_a_served_text_is_found_again_also_after_a_restart(settings):
    answers = []
    for _ in range(2):
        with serving(open_services(with_it(settings))) as url:
            answers.append(ask(url, "one text", "another"))
            computed = metrics(url)["gemvec_cache_misses_total"]
    assert answers[0] == answers[1]
    assert computed == 2


def test_the_metrics_show_the_servers_cache(settings):
    with serving(open_services(with_it(settings))) as url:
        ask(url, "one text", "another")
        ask(url, "one text", "a third")
        found = metrics(url)
        assert (found["gemvec_cache_hits_total"], found["gemvec_cache_misses_total"]) == (1, 3)
        assert found["gemvec_cache_entries"] == 3
        assert found["gemvec_cache_bytes"] > 0
        # The load of the model behind the cache is still there.
        assert any(name.startswith("gemvec_computed_tokens_total") for name in found)


def test_a_server_keeps_no_embeddings_unless_told(settings):
    services = open_services(settings)
    assert not isinstance(services.embedder, CachedEmbedder)
    with serving(services) as url:
        ask(url, "one text")
        assert "gemvec_cache_hits_total" not in metrics(url)
    assert not (settings.cache_dir / "embeddings.sqlite3").exists()
