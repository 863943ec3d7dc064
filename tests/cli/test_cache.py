"""`gemvec cache` shows and clears the file that the library writes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gemvec.cache import open_cache
from gemvec.cli.app import app
from gemvec.embedding.embed import Embedding
from gemvec.settings import Settings


@pytest.fixture
def gemvec(tmp_path):
    def run(*arguments):
        outcome = CliRunner().invoke(app, [*arguments, "--cache-dir", str(tmp_path)])
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    return run


@pytest.fixture
def kept(tmp_path):
    cache = open_cache(Settings.load({}, cache_dir=tmp_path))
    cache.put({b"%d" % number: Embedding(np.ones(8, dtype=np.float32), 3) for number in range(5)})
    cache.count(hits=3, misses=1, tokens_saved=40)
    cache.close()


def test_stats_tell_size_and_savings(gemvec, kept):
    found = json.loads(gemvec("cache", "stats", "--json"))
    assert (found["entries"], found["hits"], found["misses"], found["tokens_saved"]) == (5, 3, 1, 40)
    shown = gemvec("cache", "stats")
    assert "3 of 4 (75%)" in shown
    assert "1,024 MiB" in shown


def test_clear_drops_everything(gemvec, kept):
    assert gemvec("cache", "clear") == "5 embeddings deleted.\n"
    assert json.loads(gemvec("cache", "clear", "--json")) == {"dropped": 0}


def test_looking_makes_no_file(gemvec, tmp_path):
    gemvec("cache", "stats")
    gemvec("cache", "clear")
    assert not list(tmp_path.iterdir())
