import pytest
from google.genai import types

from gemvec.client import RemoteEmbedder, find_target, open_target
from gemvec.client.target import GOOGLE_URL
from gemvec.errors import BadSetting, InvalidRequest, KeyMissing

URL = "http://127.0.0.1:8000"


def test_the_argument_wins_over_http_options_over_variables_over_google(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    assert find_target().base_url == f"{GOOGLE_URL}/v1beta"
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://third")
    assert find_target().base_url == "http://third/v1beta"
    monkeypatch.setenv("GEMVEC_BASE_URL", "http://second")
    assert find_target().base_url == "http://second/v1beta"
    options = {"base_url": "http://first"}
    assert find_target(http_options=options).base_url == "http://first/v1beta"
    assert find_target("http://argument", http_options=options).base_url == "http://argument/v1beta"


def test_keys_come_from_the_argument_then_gemini_then_google(monkeypatch):
    assert find_target(URL).api_key is None
    monkeypatch.setenv("GOOGLE_API_KEY", "third")
    assert find_target(URL).api_key == "third"
    monkeypatch.setenv("GEMINI_API_KEY", "second")
    assert find_target(URL).api_key == "second"
    assert find_target(URL, api_key="first").api_key == "first"


def test_without_key_or_address_the_error_says_the_three_ways():
    with pytest.raises(KeyMissing) as caught:
        find_target()
    for way in ("base_url='http://", "base_url='local'", "GEMVEC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"):
        assert way in str(caught.value)


def test_google_is_not_asked_without_a_key():
    with pytest.raises(KeyMissing):
        find_target(GOOGLE_URL)
    assert find_target(GOOGLE_URL, http_options={"headers": {"Authorization": "Bearer x"}}).api_key is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:1", "http://h:1/v1beta"),
        ("http://h:1/", "http://h:1/v1beta"),
        ("http://h:1/v1beta", "http://h:1/v1beta"),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("https://h/gateway/team", "https://h/gateway/team/v1beta"),
        ("https://h/gateway/v1alpha", "https://h/gateway/v1alpha"),
    ],
)
def test_the_api_version_is_added_unless_the_address_has_one(url, expected):
    assert find_target(url).base_url == expected


def test_white_space_around_an_address_or_a_key_is_not_part_of_it():
    target = find_target(f" {URL}\n", api_key="key\n")
    assert (target.base_url, target.api_key) == (f"{URL}/v1beta", "key")
    assert find_target(URL, api_key=" ").api_key is None


@pytest.mark.parametrize("key", ["s3cret\r\ns3cret", "s3cret\x00", "s3cret\u043a"])
def test_a_key_that_no_request_can_carry_is_refused_without_showing_it(key):
    with pytest.raises(BadSetting, match="API key") as caught:
        find_target(URL, api_key=key)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers", [{"x": "s3cret\n"}, {"x": 5}, {"x y": "s3cret"}, {"": "s3cret"}, {5: "a"}, "s3cret"]
)
def test_headers_that_no_request_can_carry_are_refused_without_showing_their_values(headers):
    with pytest.raises(InvalidRequest, match=r"http_options\.headers") as caught:
        find_target(URL, http_options={"headers": headers})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -5, "5", float("nan"), True])
def test_a_timeout_that_is_no_time_is_refused(timeout):
    with pytest.raises(InvalidRequest, match=r"http_options\.timeout has value"):
        find_target(URL, http_options={"timeout": timeout})


def test_an_api_version_that_is_named_is_used():
    assert find_target(URL, http_options={"api_version": "v1"}).base_url == f"{URL}/v1"
    assert find_target(URL, http_options={"apiVersion": ""}).base_url == URL


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "127.0.0.1",
        "ftp://h",
        "http://",
        "locl",
        "http://h:port",
        "http://h:99999",
        "http://h:0",
        "http://[::1",
        "http://h/a b",
        "http://h/\u00e9",
        "http://h/a\nb",
    ],
)
def test_what_is_no_address_is_refused_with_its_value(url):
    with pytest.raises(BadSetting, match="base_url has value"):
        find_target(url)


@pytest.mark.parametrize("url", ["http://h/?key=s3cret", "http://me:s3cret@h/", "http://h/#s3cret"])
def test_an_address_must_not_hold_a_key_and_the_error_does_not_show_it(url):
    with pytest.raises(BadSetting) as caught:
        find_target(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": URL, "headers": {"X-Team": "a"}, "timeout": 2500},
        {"baseUrl": URL, "headers": {"X-Team": "a"}, "timeout": 2500},
        types.HttpOptions(base_url=URL, headers={"X-Team": "a"}, timeout=2500),
    ],
)
def test_http_options_may_be_a_dict_or_google_genai_s(options):
    target = find_target(http_options=options)
    assert target.base_url == f"{URL}/v1beta"
    assert target.headers == {"X-Team": "a"}
    assert target.attempt_seconds == 2.5


@pytest.mark.parametrize(
    "options", [{"client_args": {"verify": False}}, types.HttpOptions(extra_body={"a": 1}), {"nonsense": 1}]
)
def test_http_options_without_a_meaning_are_refused(options):
    with pytest.raises(InvalidRequest, match="is not supported"):
        find_target(URL, http_options=options)


def test_retry_options_are_accepted_because_retries_are_on_anyway():
    assert find_target(URL, http_options={"retry_options": {"attempts": 3}}).base_url


def test_http_options_of_another_kind_are_refused():
    with pytest.raises(InvalidRequest, match="http_options is a str"):
        find_target(URL, http_options="http://h")


def test_the_key_is_in_no_repr():
    target = find_target(URL, api_key="s3cret", http_options={"headers": {"Authorization": "s3cret"}})
    assert "s3cret" not in repr(target)
    assert "s3cret" not in repr(open_target(target))


def test_an_address_opens_a_remote_embedder():
    embedder = open_target(find_target(URL))
    assert isinstance(embedder, RemoteEmbedder)
    assert not embedder.is_google
    assert open_target(find_target(api_key="key")).is_google


GOOGLE_KEYS = ["AIzaSyNotARealKey", "AQ.NotARealKey"]


@pytest.mark.parametrize("key", GOOGLE_KEYS)
def test_google_s_key_in_the_environment_goes_to_no_other_server_that_the_caller_names(monkeypatch, caplog, key):
    monkeypatch.setenv("GEMINI_API_KEY", key)
    assert find_target("https://elsewhere.example").api_key is None
    assert find_target(http_options={"base_url": URL}).api_key is None
    assert "elsewhere.example" in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("key", GOOGLE_KEYS)
def test_google_s_key_goes_where_it_was_said_to_go(monkeypatch, key):
    assert find_target("https://elsewhere.example", api_key=key).api_key == key
    monkeypatch.setenv("GEMINI_API_KEY", key)
    assert find_target().api_key == find_target(GOOGLE_URL).api_key == key
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "https://elsewhere.example")
    assert find_target().api_key == key


@pytest.mark.parametrize("url", ["http://elsewhere.example", GOOGLE_URL.replace("https", "http")])
def test_google_s_key_is_never_sent_unencrypted_to_another_machine(url):
    with pytest.raises(BadSetting, match="unencrypted") as caught:
        find_target(url, api_key=GOOGLE_KEYS[0])
    assert GOOGLE_KEYS[0] not in str(caught.value)
    assert find_target(URL, api_key=GOOGLE_KEYS[0]).api_key == GOOGLE_KEYS[0]


def test_keys_of_gemvec_go_to_the_server_that_is_named(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "gv-secret")
    assert find_target("http://gemvec:8000").api_key == "gv-secret"


def test_an_empty_address_counts_as_not_given_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    monkeypatch.setenv("GEMVEC_BASE_URL", "")
    target = find_target("", http_options={"base_url": ""})
    assert target.base_url == f"{GOOGLE_URL}/v1beta"
    for name in ("base_url", "http_options.base_url", "GEMVEC_BASE_URL"):
        assert f"{name} is empty and is ignored: texts are sent to {GOOGLE_URL}" in caplog.text
