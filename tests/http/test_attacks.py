"""The attacks of `tools/attacks.py`, in short: the server lives, and honest callers are answered beside each."""

import pytest
from attacks import ATTACKS, run


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_honest_caller_is_answered_beside(name):
    result, faults = run(2, "200MiB", [name])
    assert not faults
    assert result["attacks"][name]["honest_calls"]["200"] > 0
