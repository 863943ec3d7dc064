"""Keys: where they may stand, what is answered without one, and when a server refuses to start."""

import asyncio
from dataclasses import replace

import pytest
from starlette.requests import Request

from gemvec.errors import BadSetting, KeyInvalid
from gemvec.server.auth import Authenticator, open_authenticator, require_keys
from gemvec.server.key_ring import KeyRing
from gemvec.server.keys import KeyStore
from gemvec.settings import Settings
from gemvec.storage.database import open_database

KEYS = ("first-key", "second-key")
MODELS = "/v1beta/models"


@pytest.fixture(scope="module")
def locked(running):
    with running(api_key=KEYS) as http:
        yield http


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "place",
    [
        lambda key: {"headers": {"x-goog-api-key": key}},
        lambda key: {"params": {"key": key}},
        lambda key: {"headers": {"authorization": f"Bearer {key}"}},
        lambda key: {"headers": {"authorization": f"bearer  {key}"}},
        lambda key: {"params": {"key": f" {key}\n"}},
    ],
)
def test_a_key_is_taken_wherever_clients_put_it(locked, key, place):
    assert locked.get(MODELS, **place(key)).status_code == 200


def test_no_key_is_googles_403(locked):
    response = locked.get(MODELS)
    assert response.status_code == 403
    assert response.json()["error"]["status"] == "PERMISSION_DENIED"
    assert response.json()["error"]["message"].startswith("Method doesn't allow unregistered callers")


@pytest.mark.parametrize("key", ["wrong", "first-key2", "first-ke", "FIRST-KEY", "é", "\u2028"])
def test_a_wrong_key_is_googles_400(locked, key):
    response = locked.get(MODELS, params={"key": key})
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"] == "API key not valid. Please pass a valid API key."
    kinds = {each["@type"].rpartition(".")[2]: each for each in error["details"]}
    assert kinds["ErrorInfo"].items() >= {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}.items()
    assert kinds["LocalizedMessage"]["message"] == error["message"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/health", "/openapi.json", "/docs", "/"])
def test_health_and_documentation_need_no_key(locked, path):
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://127.0.0.1:1", "null", ""])
def test_a_page_of_another_site_may_not_call_a_server_without_keys(http, origin):
    response = http.get(MODELS, headers={"origin": origin})
    assert (response.status_code, response.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert response.json()["error"]["message"].startswith("A web page of another site")


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:8000", "localhost.elsewhere.example"])
def test_a_page_whose_name_leads_here_may_not_call_a_server_without_keys(http, host):
    response = http.get(MODELS, headers={"host": host})
    assert response.status_code == 403
    assert host in response.json()["error"]["message"]
    assert http.get(MODELS, headers={"host": host, "origin": f"http://{host}"}).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8000", "app.localhost:3000", "host.docker.internal:8000", "desk.local", "desk", ""),
        *("127.0.0.1", "[::1]:8000", "[::ffff:127.0.0.1]:8000", "192.168.1.5:8000"),
    ],
)
def test_addresses_and_names_that_no_site_can_have_mean_this_machine(http, host):
    assert http.get(MODELS, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "settings", [{"allow_origin": ("https://elsewhere.example",)}, {"allow_origin": ("*",)}, {"api_key": KEYS}]
)
def test_a_name_that_leads_here_may_be_allowed_or_asked_for_a_key(running, settings):
    with running(**settings) as http:
        headers = {"host": "elsewhere.example", "x-goog-api-key": KEYS[0]}
        assert http.get(MODELS, headers=headers).status_code == 200


def test_the_servers_own_pages_may_call_it(http):
    assert http.get(MODELS, headers={"origin": str(http.base_url).rstrip("/")}).status_code == 200


def test_a_page_that_has_a_key_may_call_from_anywhere(locked):
    headers = {"origin": "https://elsewhere.example", "x-goog-api-key": KEYS[0]}
    assert locked.get(MODELS, headers=headers).status_code == 200


NAMES = {
    "model": "tiny",
    "version": "v1beta",
    "file": "f",
    "batch": "b",
    "upload": "u",
    "collection": "docs",
    "project": "p",
    "location": "l",
}


def test_every_other_route_needs_a_key(locked):
    for path, methods in locked.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            if operation["security"]:
                response = locked.request(method, path.format_map(NAMES))
                assert response.status_code in {401, 403}, path


def test_without_keys_everybody_is_anonymous_whatever_they_present(http):
    assert http.get(MODELS, headers={"x-goog-api-key": "any"}).status_code == 200


def request_with(key):
    return Request({"type": "http", "headers": [(b"x-goog-api-key", key)], "query_string": b""})


def authenticate(authenticator, key):
    return asyncio.run(authenticator.authenticate(request_with(key)))


def test_an_owner_names_the_key_without_giving_it_away(tmp_path):
    ring = KeyRing(KeyStore(open_database(tmp_path / "keys.sqlite3")))
    authenticator = Authenticator(KEYS, ring, origins=())
    owners = [authenticate(authenticator, key.encode()).owner for key in (*KEYS, KEYS[0])]
    assert owners[0] == owners[2] != owners[1]
    assert not any(key in owner for key in KEYS for owner in owners)
    assert authenticate(Authenticator((), ring, origins=()), b"any").owner == ""


def test_beyond_loopback_nobody_may_call_without_any_key(tmp_path):
    ring = KeyRing(KeyStore(open_database(tmp_path / "keys.sqlite3")))
    settings = Settings(host="0.0.0.0", data_dir=tmp_path)
    with pytest.raises(KeyInvalid):
        authenticate(open_authenticator(settings, ring), b"any")
    allowed = open_authenticator(replace(settings, allow_anonymous=True), ring)
    assert authenticate(allowed, b"any").owner == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_address_needs_no_keys(host):
    require_keys(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
def test_any_other_address_needs_keys_or_permission(host, tmp_path):
    with pytest.raises(BadSetting, match="--allow-anonymous"):
        require_keys(Settings(host=host, data_dir=tmp_path))
    require_keys(Settings(host=host, api_key=("k",)))
    require_keys(Settings(host=host, allow_anonymous=True))
