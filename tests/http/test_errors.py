"""The error table: every class of the tree has a status, and each case has Google's words."""

import json
import logging

import pytest

from gemvec import errors
from gemvec.errors import ApiError, DataLost, GemvecError, InvalidRequest, Overloaded, RateLimited, StorageFailure
from gemvec.server.errors import STATUSES, Dialect, error_response


def tree(kind=GemvecError):
    yield kind
    for each in kind.__subclasses__():
        yield from tree(each)


def answered(error, dialect=Dialect.GEMINI, path="/v1beta/models/m:embedContent"):
    scope = {"type": "http", "path": path, "state": {"request_id": "id-1", "dialect": dialect, "version": "v1beta"}}
    response = error_response(error, scope)
    return response, json.loads(response.body)


def details(body):
    return {each["@type"].rpartition(".")[2]: each for each in body["error"].get("details", [])}


def make(kind):
    if kind is ApiError:
        return kind(418, "TEAPOT", "short and stout", [{"@type": "x"}])
    return kind()


@pytest.mark.parametrize("kind", sorted(tree(), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_error_class_has_a_status_of_its_own(kind):
    assert kind in STATUSES


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("kind", sorted(tree(), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_error_class_is_answered_in_every_dialect(kind, dialect):
    response, body = answered(make(kind), dialect)
    assert 400 <= response.status_code < 600
    assert body["message"] if dialect is Dialect.COHERE else body["error"]


def test_no_class_is_in_the_table_that_is_not_in_the_tree():
    assert set(STATUSES) <= set(tree())


def test_an_invalid_request_names_its_field():
    _, body = answered(InvalidRequest("bad", field="requests[0].title"))
    assert details(body)["BadRequest"]["fieldViolations"] == [{"field": "requests[0].title", "description": "bad"}]


def test_overload_says_when_to_try_again():
    response, body = answered(Overloaded(retry_after_seconds=10.2))
    assert (response.status_code, body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert details(body)["RetryInfo"]["retryDelay"] == "10.2s"
    assert response.headers["retry-after"] == "11"


def test_a_reached_quota_is_described_as_google_does():
    _, body = answered(
        RateLimited(retry_after_seconds=11, violations=(("metric", "quota", "gemini-embedding-001", 100),))
    )
    assert list(details(body)) == ["Help", "QuotaFailure", "RetryInfo", "RequestInfo"]
    assert details(body)["QuotaFailure"]["violations"][0]["quotaValue"] == "100"


def test_every_error_carries_its_request_id():
    for error in (InvalidRequest("bad"), StorageFailure("x"), ValueError("x")):
        assert details(answered(error)[1])["RequestInfo"]["requestId"] == "id-1"


def test_the_cause_of_our_failures_is_logged_and_not_sent(caplog):
    logging.getLogger("gemvec").propagate = True
    response, body = answered(StorageFailure("/srv/data is gone"))
    assert (response.status_code, body["error"]["message"]) == (503, "Stored data could not be read or written.")
    assert "/srv/data is gone" in caplog.text
    assert caplog.records[0].request_id == "id-1"


def test_an_unforeseen_error_is_internal_and_its_message_goes_nowhere(caplog):
    logging.getLogger("gemvec").propagate = True

    def fail(text):
        raise ValueError(text)

    canary = str(12345678 * 2)
    try:
        fail(canary)
    except ValueError as error:
        response, body = answered(error)
    assert (response.status_code, body["error"]["status"]) == (500, "INTERNAL")
    assert canary not in json.dumps(body) + caplog.text
    assert "ValueError" in caplog.text
    assert "in fail" in caplog.text


def test_what_a_server_behind_us_said_is_passed_on():
    response, body = answered(ApiError(429, "RESOURCE_EXHAUSTED", "Quota exceeded", [{"@type": "a.b.Help"}]))
    assert response.status_code == 429
    assert body["error"]["message"] == "Quota exceeded"
    assert "Help" in details(body)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents", "countTokens"])
def test_an_unknown_model_is_not_found_in_googles_words(http, version, method):
    part = {"parts": [{"text": "a"}]}
    body = {
        "embedContent": {"content": part},
        "batchEmbedContents": {"requests": [{"content": part}]},
        "countTokens": {"contents": [part]},
    }[method]
    response = http.post(f"/{version}/models/X:{method}", json=body)
    assert response.status_code == 404
    assert response.json()["error"]["message"] == (
        f"models/X is not found for API version {version}, or is not supported for {method}. Call ListModels to "
        "see the list of available models and their supported methods."
    )


def test_empty_text_is_refused_in_googles_words(http):
    response = http.post("/v1/models/tiny:embedContent", json={"content": {"parts": [{"text": ""}]}})
    assert response.json()["error"]["message"] == "EmbedContentRequest.content contains an empty Part."


@pytest.mark.parametrize(
    "path", ["/nope", "/v1/nope", "/v3/models", "/v1/models/a/b", "/v1/models/a%2Fb", "/v1/models/tiny:x/", "/v1beta"]
)
def test_an_unknown_route_is_not_found_in_googles_shape(http, path):
    error = http.get(path).json()["error"]
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/v1/models/tiny:generateContent", "/v1/models/nope:embedContents"])
def test_a_method_that_no_model_has_is_refused_in_googles_words(http, path):
    response = http.post(path, json={"contents": []})
    name, method = path.removeprefix("/v1/").split(":")
    assert response.status_code == 404
    assert response.json()["error"]["message"].startswith(
        f"{name} is not found for API version v1, or is not supported for {method}. Call ListModels"
    )


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("DELETE", "/v1/models", "GET"), ("GET", "/v1/models/tiny:embedContent", "POST")],
)
def test_another_method_is_not_allowed(http, method, path, allow):
    response = http.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (405, 405)
    assert response.headers["allow"] == allow
    assert f"supports only {allow}" in response.json()["error"]["message"]


def test_another_method_is_refused_in_the_shape_of_the_route(http):
    assert http.get("/v1/embeddings").json()["error"]["type"] == "invalid_request_error"
    assert http.get("/embed").json()["error_type"] == "Validation"


def test_the_default_message_is_the_first_line_of_the_docstring():
    assert errors.ModelNotFound(name="x").message == "The model is not served here."


def test_trouble_with_the_database_is_worth_another_try_and_lost_data_is_not():
    response, body = answered(StorageFailure("the database is away"))
    assert (response.status_code, body["error"]["status"]) == (503, "UNAVAILABLE")
    assert details(body)["RetryInfo"]["retryDelay"] == "5s"
    response, body = answered(DataLost("a part is gone"))
    assert response.status_code == 500
    assert "RetryInfo" not in details(body)
