"""What every client program shares: run its checks one by one and print a JSON line for each.

A check is a function that raises when the client does not do what its users expect. The line is
`{"check": name, "ok": true|false, "detail": why}`.
"""

import json
import math
import sys
import traceback

TEXTS = [
    "What is the meaning of life?",
    "How much wood would a woodchuck chuck?",
    "How does the brain work?",
]
MANY = [f"text number {number}" for number in range(101)]


def run(checks):
    """Run `{name: function}` and print what came of each."""
    for name, check in checks.items():
        try:
            check()
            line = {"check": name, "ok": True, "detail": ""}
        except Exception as error:  # noqa: BLE001 - whatever a client raises is the result
            traceback.print_exc(file=sys.stderr)
            line = {"check": name, "ok": False, "detail": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(line), flush=True)


def server_url():
    """Return the address of the server under test, given as the first argument."""
    return sys.argv[1]


def assert_vectors(vectors, count, dimensionality=None):
    """Check that there are `count` different finite vectors, of the length asked for."""
    vectors = [list(vector) for vector in vectors]
    assert len(vectors) == count, f"{len(vectors)} vectors for {count} texts"
    if dimensionality is not None:
        assert all(len(vector) == dimensionality for vector in vectors), [len(vector) for vector in vectors][:3]
    assert all(math.isfinite(value) for vector in vectors for value in vector)
    assert all(any(vector) for vector in vectors), "a vector of zeros"
    assert count == 1 or vectors[0] != vectors[1], "two texts gave the same vector"


def assert_close(first, second):
    """Check that two vectors are the same but for rounding."""
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) < 1e-3


def assert_raises(call, *fragments):
    """Check that `call` raises an error whose text has every fragment."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - each client has its own error class
        text = str(error)
    else:
        raise AssertionError("no error was raised")
    missing = [fragment for fragment in fragments if fragment not in text]
    assert not missing, f"{missing} not in {text}"
