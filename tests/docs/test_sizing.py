"""What the guide for operators says of sizes holds in the results it names."""

import json

import pytest

from pages import ROOT

MIB = 2**20


def result(name):
    return json.loads((ROOT / "benchmarks" / "results" / name).read_text())


def sizing():
    return (ROOT / "docs" / "operations.md").read_text().partition("## Sizing\n")[2].partition("\n## ")[0]


def test_a_server_with_the_default_model_takes_what_the_guide_says():
    assert "about 200 MiB" in sizing()
    assert "under 300 MiB while large calls" in sizing()
    measured = result("http_bulk.json")["median"]
    assert measured["rss_mib"] == pytest.approx(200, rel=0.15)
    assert measured["peak_rss_mib"] < 300


def test_http_leaves_as_much_of_the_models_speed_as_the_guide_says():
    assert "nine tenths" in sizing()
    assert result("http_bulk.json")["median"]["share"] > 0.9


def test_fuzzing_found_nothing_and_memory_stays_where_the_guide_says():
    assert "under 400 MiB, and no longer growing" in sizing()
    fuzzed = result("fuzz.json")
    assert fuzzed["requests"] == 200_000
    assert fuzzed["faults"] == []
    assert max(fuzzed["memory_bytes"]) < 400 * MIB
    assert fuzzed["memory_growth_bytes"] < 16 * MIB


def test_slow_connections_disturb_others_as_little_as_the_guide_says():
    assert "less than twice as long" in sizing()
    slow = result("slow_connections.json")
    assert (slow["connections"], slow["seconds"]) == (500, 120)
    assert slow["p99_ratio"] < 2
    assert slow["memory_bytes"] < 300 * MIB
