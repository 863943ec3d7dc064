"""The attacks of `tools/attacks.py`, in short: the server lives in 2 GiB and answers an honest caller beside each."""

import asyncio

import pytest
from attacks import PLANS, measure


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_an_honest_caller_is_answered_beside(name):
    found, faults = asyncio.run(measure(name, 0.5))
    assert not faults
    assert found["honest_calls"]["200"] > 0
    assert found["peak_memory_mib"] < 1229
    assert "500" not in found["attacker_got"]
