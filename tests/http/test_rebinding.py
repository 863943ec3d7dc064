"""A public name that leads to a server without keys lets no page in, wherever the server listens (DNS rebinding)."""

import pytest

EMBED = "/v1beta/models/tiny:embedContent"
BODY = {"content": {"parts": [{"text": "a"}]}}


@pytest.fixture(scope="module", params=["127.0.0.1", "0.0.0.0"])
def http(running, request):
    with running(host=request.param, allow_anonymous=True, allow_origin=("https://embeddings.example",)) as client:
        yield client


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:8000", "127.0.0.1.elsewhere.example"])
def test_a_public_name_is_refused(http, host):
    refused = http.post(EMBED, json=BODY, headers={"host": host})
    assert refused.status_code == 403
    assert "--allow-origin" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "host", ["localhost:8000", "192.168.1.5", "[::1]:8000", "gemvec", "gemvec.default.svc", "embeddings.example"]
)
def test_addresses_private_names_and_named_hosts_are_answered(http, host):
    assert http.post(EMBED, json=BODY, headers={"host": host}).status_code == 200


def test_with_a_key_every_name_is_answered(running):
    with running(host="0.0.0.0", api_key=("k",)) as client:
        headers = {"host": "embeddings.example.org", "x-goog-api-key": "k"}
        assert client.post(EMBED, json=BODY, headers=headers).status_code == 200
