import pickle

import msgspec
import pytest

from gemvec.client.errors import parse_error, retry_delay_of
from gemvec.client.transport import Response
from gemvec.embedding.positions import at_positions
from gemvec.errors import StorageFailure
from scripted_server import error_body

FIELD = "requests[3].content"
BAD_REQUEST = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": FIELD}]}


def answer(code, body):
    return parse_error(Response(code=code, body=body if isinstance(body, bytes) else msgspec.json.encode(body)))


def test_google_s_errors_are_read_whole():
    error = answer(400, error_body(400, "INVALID_ARGUMENT", "no", BAD_REQUEST))
    assert (error.code, error.status, error.reason, error.details) == (400, "INVALID_ARGUMENT", "no", [BAD_REQUEST])


def test_an_error_about_the_call_names_no_text():
    error = answer(400, error_body(400, "INVALID_ARGUMENT", "no"))
    assert (error.index, error.field) == (None, None)
    assert str(error) == "400 INVALID_ARGUMENT: no"


@pytest.mark.parametrize(
    "body",
    [
        error_body(400, "INVALID_ARGUMENT", "no", BAD_REQUEST),
        error_body(400, "INVALID_ARGUMENT", "* EmbedContentRequest at requests[3].content: no"),
        error_body(400, "INVALID_ARGUMENT", "requests[1] is fine", BAD_REQUEST),
    ],
)
def test_an_error_about_one_text_says_which_and_what_of_it(body):
    error = answer(400, body)
    assert (error.index, error.field) == (3, "content")
    assert "text 3 of this call" in str(error)


def test_the_message_follows_a_changed_index():
    error = answer(400, error_body(400, "INVALID_ARGUMENT", "no", BAD_REQUEST))
    moved = at_positions(error, range(200, 250))
    assert (moved.index, error.index) == (203, 3)
    assert str(moved) == "400 INVALID_ARGUMENT: no (text 203 of this call)"
    assert moved.details == [{**BAD_REQUEST, "fieldViolations": [{"field": "requests[203].content"}]}]


def test_a_position_outside_the_call_is_ignored():
    error = answer(400, error_body(400, "X", "requests[9] is bad"))
    assert at_positions(error, range(5)).index is None


@pytest.mark.parametrize(
    ("code", "body", "status", "message"),
    [
        (502, b"<html>Bad gateway</html>", "UNKNOWN", "<html>Bad gateway</html>"),
        (503, b"", "UNAVAILABLE", "Service Unavailable"),
        (429, b'{"message": "slow down"}', "RESOURCE_EXHAUSTED", '{"message": "slow down"}'),
        (404, b'{"error": "not found"}', "NOT_FOUND", '{"error": "not found"}'),
        (599, b"\xff\xfe", "UNKNOWN", "\ufffd\ufffd"),
        (599, b"", "UNKNOWN", "no reason given"),
        (400, b'{"error": {"details": ' + b"[" * 100_000, "INVALID_ARGUMENT", '{"error": {"details": ' + "[" * 278),
        (400, b'{"error": {"details": ["odd", {"@type": 5}, null]}}', "INVALID_ARGUMENT", "Bad Request"),
    ],
)
def test_errors_of_other_servers_are_shown_as_they_came(code, body, status, message):
    error = answer(code, body)
    assert (error.code, error.status, error.reason) == (code, status, message)
    assert retry_delay_of(error) is None
    assert error.index is None


def test_long_pages_are_cut():
    assert len(answer(500, b"x" * 10_000).reason) == 300


def test_an_error_that_crosses_processes_keeps_why_the_system_refused():
    failure = StorageFailure("the input cannot be read")
    failure.__cause__ = FileNotFoundError(2, "No such file or directory")
    crossed = pickle.loads(pickle.dumps(failure))
    assert isinstance(crossed.__cause__, FileNotFoundError)
    assert crossed.message == failure.message
    failure.__cause__ = ValueError(lambda: "cannot be pickled")
    assert pickle.loads(pickle.dumps(failure)).__cause__ is None
