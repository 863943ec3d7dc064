"""Keys that are made and changed by calls of the console: who may, what is refused, and that no key is shown twice."""

import contextlib
import io
import logging

import pytest

from gemvec.logs import configure_logs
from gemvec.server.keys import KeyStore
from gemvec.settings import Settings
from gemvec.storage.database import database_of, open_database

KEYS = "/console/data/keys"


@pytest.fixture(scope="module")
def log():
    text = io.StringIO()
    configure_logs("json", "info", text)
    yield text
    logging.getLogger("gemvec").handlers.clear()
    logging.getLogger("gemvec").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def http(running_whole, tmp_path_factory, log):
    """A client with an admin key of a server that lets it change keys."""
    folder = tmp_path_factory.mktemp("data")
    with contextlib.closing(open_database(database_of(Settings(data_dir=folder)))) as database:
        _, admin = KeyStore(database).create("admin", is_admin=True)
    with running_whole(folder, allow_key_changes=True) as client:
        client.headers["x-goog-api-key"] = admin
        yield client


def listed(http):
    return {each["name"]: each for each in http.get(KEYS).json()["keys"]}


def status_with(http, key):
    return http.get("/v1beta/models", headers={"x-goog-api-key": key}).status_code


def test_a_key_is_made_with_its_limits_and_shown_once(http, log):
    asked = {"name": "ci", "model": "tiny", "limits": {"requestsPerMinute": 600, "tokensPerMinute": "9000"}}
    answer = http.post(KEYS, json=asked | {"lifetimeSeconds": 3600})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    key = answer.json()["key"]
    assert status_with(http, key) == 200
    made = listed(http)["ci"]
    assert made["models"] == ["tiny"]
    assert made["limits"] == {"requestsPerMinute": "600", "tokensPerMinute": "9000"}
    assert made["expireTime"]
    assert key not in http.get(KEYS).text
    assert key not in log.getvalue()
    assert '"key made"' in log.getvalue()


def test_the_limits_of_a_key_are_changed_as_a_whole(http):
    http.post(KEYS, json={"name": "changed", "limits": {"requestsPerMinute": 5, "maxPriority": "-1"}})
    limits = {"tokensPerDay": "70", "maxOpenBatches": "2", "maxPriority": "0"}
    assert http.post(f"{KEYS}:set", json={"name": "changed", "limits": limits}).json() == {}
    assert listed(http)["changed"]["limits"] == limits
    refused = http.post(f"{KEYS}:set", json={"name": "changed", "limits": {"maxOpenUploads": 0}})
    assert (refused.status_code, "max_open_uploads is 0" in refused.text) == (400, True)
    assert http.post(f"{KEYS}:set", json={"name": "nobody"}).status_code == 404
    assert listed(http)["changed"]["limits"] == limits
    assert http.post(f"{KEYS}:set", json={"name": "changed"}).json() == {}
    assert listed(http)["changed"]["limits"] == {}


def test_a_replaced_key_works_for_its_overlap_only(http):
    first = http.post(KEYS, json={"name": "laptop"}).json()["key"]
    second = http.post(f"{KEYS}:rotate", json={"name": "laptop", "overlapSeconds": 3600}).json()["key"]
    assert [status_with(http, key) for key in (first, second)] == [200, 200]
    third, fourth = (http.post(f"{KEYS}:rotate", json={"name": "laptop"}).json()["key"] for _ in range(2))
    assert [status_with(http, key) for key in (third, fourth)] == [400, 200]


def test_a_key_cannot_delete_itself_so_that_no_click_opens_the_server(http):
    root = http.post(KEYS, json={"name": "second-root", "isAdmin": True}).json()["key"]
    answer = http.post(f"{KEYS}:delete", json={"name": " second-root"}, headers={"x-goog-api-key": root})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "second-root" in listed(http)


def test_a_key_is_revoked_and_deleted(http):
    key = http.post(KEYS, json={"name": "gone"}).json()["key"]
    assert http.post(f"{KEYS}:revoke", json={"name": "gone"}).json() == {}
    assert listed(http)["gone"]["state"] == "revoked"
    assert status_with(http, key) == 400
    assert http.post(f"{KEYS}:delete", json={"name": "gone"}).json() == {}
    assert "gone" not in listed(http)
    assert http.post(f"{KEYS}:revoke", json={"name": "gone"}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": ""}, "A key needs a name"),
        ({"name": "admin"}, "'admin' already"),
        ({"name": "a", "limits": {"requestsPerMinute": 0}}, "requests_per_minute is 0"),
        ({"name": "a", "lifetimeSeconds": 0}, "lifetime_seconds is 0"),
        ({"name": "a", "lifetimeSeconds": 10**12}, "lifetime_seconds is 1000000000000"),
        ({"name": "a", "lifetimeSeconds": "soon"}, "lifetime_seconds"),
        ({"name": "a", "colour": 1}, "colour"),
        ({}, "name"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(http, asked, words):
    before = listed(http).keys()
    answer = http.post(KEYS, json=asked)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text
    assert listed(http).keys() == before


@pytest.mark.parametrize("verb", ["", ":rotate", ":set", ":revoke", ":delete"])
def test_a_page_of_another_site_may_not_even_with_a_key(http, verb):
    answer = http.post(f"{KEYS}{verb}", json={"name": "admin"}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    own = http.post(f"{KEYS}:revoke", json={"name": "nobody"}, headers={"origin": str(http.base_url).rstrip("/")})
    assert own.status_code == 404


def test_a_key_that_is_no_admins_may_not(http):
    key = http.post(KEYS, json={"name": "user"}).json()["key"]
    answer = http.post(KEYS, json={"name": "mine"}, headers={"x-goog-api-key": key})
    assert answer.status_code == 403
    assert "mine" not in listed(http)


def test_an_admin_key_may_not_unless_the_operator_allows_it(running_whole, tmp_path):
    with running_whole(tmp_path, api_key=("secret",)) as client:
        client.headers["x-goog-api-key"] = "secret"
        answer = client.post(KEYS, json={"name": "mine"})
        assert (answer.status_code, "--allow-key-changes" in answer.text) == (403, True)
        assert not client.get(KEYS).json().get("mayChange")


def test_where_nobody_has_a_key_the_first_is_not_made_by_a_call(running_whole, tmp_path):
    with running_whole(tmp_path, allow_key_changes=True) as client:
        assert client.post(KEYS, json={"name": "mine"}).status_code == 403
        assert not client.get(KEYS).json().get("keys")
