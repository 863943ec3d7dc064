"""A server on the real weights, and the folder and the variables that the documentation's code runs with."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from gemvec.server.run import serving
from gemvec.server.services import open_services
from gemvec.settings import Settings, cache_home
from pages import ROOT


@pytest.fixture(scope="session")
def serving_for_real():
    """Return a context manager that serves all-minilm-l6-v2 with a data folder, and gives the server's address."""
    return lambda folder: serving(open_services(Settings.load({}, data_dir=folder)))


@pytest.fixture(scope="session")
def live_server(serving_for_real, tmp_path_factory):
    """The address of a server that tests share, which leave nothing on it."""
    with serving_for_real(tmp_path_factory.mktemp("server") / "data") as url:
        yield url


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the documentation in it."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    """A cache folder with the user's weights, and embeddings of its own: every page indexes the same documents."""
    folder, weights = tmp_path_factory.mktemp("cache"), cache_home() / "models"
    weights.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(weights, target_is_directory=True)
    return folder


@pytest.fixture
def environ(live_server, folder, cache_folder, monkeypatch):
    """The variables of a shell in which GEMVEC_BASE_URL names the server; nothing outside `folder` is written.

    `gemvec` is the command of this very Python, whether its environment is activated or not.
    """
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GEMVEC_BASE_URL", live_server)
    monkeypatch.setenv("GEMVEC_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("GEMVEC_CACHE_DIR", str(cache_folder))
    monkeypatch.setenv("GEMINI_API_KEY", "any")
    return dict(os.environ)
