import msgspec
import pytest

from gemvec.client.status import parse_error
from gemvec.client.transport import Response
from scripted_server import error_body

FIELD = "requests[3].content"
BAD_REQUEST = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": FIELD}]}


def answer(code, body):
    return parse_error(Response(code=code, body=body if isinstance(body, bytes) else msgspec.json.encode(body)))


def test_google_s_errors_are_read_whole():
    error = answer(400, error_body(400, "INVALID_ARGUMENT", "no", BAD_REQUEST)).to_error()
    assert (error.code, error.status, error.details) == (400, "INVALID_ARGUMENT", [BAD_REQUEST])
    assert str(error) == "400 INVALID_ARGUMENT: no"
    assert error.index is None


@pytest.mark.parametrize(
    "body",
    [
        error_body(400, "INVALID_ARGUMENT", "no", BAD_REQUEST),
        error_body(400, "INVALID_ARGUMENT", "* EmbedContentRequest at requests[3].content: no"),
        error_body(400, "INVALID_ARGUMENT", "requests[1] is fine", BAD_REQUEST),
    ],
)
def test_an_error_about_one_text_names_its_place_in_the_call(body):
    error = answer(400, body).to_error(start=200, texts=50)
    assert error.index == 203
    assert "text 203 of this call" in str(error)
    assert "requests[3]" not in str((error.message, error.details))


def test_a_place_that_was_not_asked_for_is_none():
    assert answer(400, error_body(400, "X", "requests[9] is bad")).to_error(start=0, texts=5).index is None


@pytest.mark.parametrize(
    ("code", "body", "status", "message"),
    [
        (502, b"<html>Bad gateway</html>", "UNKNOWN", "<html>Bad gateway</html>"),
        (503, b"", "UNAVAILABLE", "Service Unavailable"),
        (429, b'{"message": "slow down"}', "RESOURCE_EXHAUSTED", '{"message": "slow down"}'),
        (404, b'{"error": "not found"}', "NOT_FOUND", '{"error": "not found"}'),
        (599, b"\xff\xfe", "UNKNOWN", "\ufffd\ufffd"),
        (599, b"", "UNKNOWN", "no reason given"),
        (400, b'{"error": {"details": ["odd", {"@type": 5}, null]}}', "INVALID_ARGUMENT", "Bad Request"),
    ],
)
def test_errors_of_other_servers_are_shown_as_they_came(code, body, status, message):
    error = answer(code, body)
    assert (error.code, error.status, error.message) == (code, status, message)
    assert error.retry_after_seconds is None
    assert error.request_index is None


def test_long_pages_are_cut():
    assert len(answer(500, b"x" * 10_000).message) == 300
