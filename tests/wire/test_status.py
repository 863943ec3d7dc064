"""google.rpc.Status and the details that travel with it."""

import pytest

from gemvec.wire import status


def test_an_http_error_has_googles_shape():
    assert status.error_to_wire(404, "NOT_FOUND", "gone") == {
        "error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}
    }
    assert status.error_to_wire(404, "NOT_FOUND", "gone", [{}])["error"]["details"] == [{}]


def test_an_operations_error_carries_the_rpc_code():
    assert status.status_to_wire("CANCELLED", "stopped") == {"code": 1, "message": "stopped"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(11, "11s"), (0.5, "0.5s"), (0, "0s"), (10, "10s"), (1e7, "10000000s"), (1e-5, "0s"), (1.23456, "1.235s")],
)
def test_a_retry_delay_is_a_plain_number_of_seconds(seconds, text):
    assert status.retry_info_detail(seconds)["retryDelay"] == text
