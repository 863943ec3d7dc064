"""Web pages of the origins that the operator names may call, and read what they are answered; others may not."""

import pytest

from gemvec.errors import BadSetting

APP, ELSEWHERE = "http://localhost:3000", "https://elsewhere.example"
MODELS, EMBED = "/v1beta/models", "/v1beta/models/gemini-embedding-001:embedContent"
BODY = {"content": {"parts": [{"text": "a"}]}}


NAMED = (APP, "null", "https://app.example:80", "http://[::1]:3000", "http://127.0.0.1", "chrome-extension://abcdef")


@pytest.fixture(scope="module")
def http(running):
    with running(allow_origin=NAMED) as client:
        yield client


def ask(http, origin, **headers):
    return http.options(EMBED, headers={"origin": origin, "access-control-request-method": "POST"} | headers)


@pytest.mark.parametrize("origin", NAMED)
def test_a_page_of_a_named_origin_may_call_and_read(http, origin):
    asked = ask(http, origin, **{"access-control-request-headers": "content-type,x-goog-api-key,x-goog-api-client"})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == origin
    assert "x-goog-api-client" in asked.headers["access-control-allow-headers"]
    answer = http.post(EMBED, json=BODY, headers={"origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "x-goog-upload-url" in answer.headers["access-control-expose-headers"]


def test_it_may_read_errors_too(http):
    answer = http.post(EMBED, json={"no_such": 1}, headers={"origin": APP})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, APP)


def test_pages_of_other_origins_may_neither_call_nor_read(http):
    assert ask(http, ELSEWHERE).status_code == 400
    answer = http.get(MODELS, headers={"origin": ELSEWHERE})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_programs_are_answered_as_ever(http):
    answer = http.post(EMBED, json=BODY)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_named_page_may_reach_a_server_in_a_private_network(http):
    asked = ask(http, APP, **{"access-control-request-private-network": "true"})
    assert asked.headers["access-control-allow-private-network"] == "true"


def test_a_star_lets_every_page_in(running):
    with running(allow_origin=("*",)) as http:
        answer = http.get(MODELS, headers={"origin": ELSEWHERE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


def test_a_key_is_still_asked_for(running):
    with running(allow_origin=(APP,), api_key=("secret",)) as http:
        assert ask(http, APP).status_code == 200
        assert http.get(MODELS, headers={"origin": APP}).status_code == 403
        assert http.get(MODELS, headers={"origin": APP, "x-goog-api-key": "secret"}).status_code == 200
        unread = http.get(MODELS, headers={"origin": ELSEWHERE, "x-goog-api-key": "secret"})
        assert (unread.status_code, "access-control-allow-origin" in unread.headers) == (200, False)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example/",
        "app.example",
        "https://app.example/page",
        "HTTPS://A.example",
        "https://App.example",
        "https://*.app.example",
        "https://user@app.example",
        "https://äpp.example",
        "https://app.example:",
        "https://app.example:443",
        "http://app.example:80",
    ],
)
def test_what_no_browser_sends_is_refused_at_the_start(running, origin):
    with pytest.raises(BadSetting, match="--allow-origin"), running(allow_origin=(origin,)):
        pass
