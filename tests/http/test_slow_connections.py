"""`tools/slow_connections.py` measures what it says: ordinary callers are served beside slow ones that are cut off."""

from slow_connections import run


def test_ordinary_callers_are_served_beside_slow_connections():
    result = run(30, 1.5, "--client-timeout-seconds", "0.5")
    for part in ("quiet", "under_slow_connections"):
        assert result[part]["requests"] > 0
        assert result[part]["p99_ms"] >= result[part]["p50_ms"] > 0
    assert result["p99_ratio"] > 0
    assert {"slow_head cut off", "slow_body cut off"} <= set(result["slow_connections"])
