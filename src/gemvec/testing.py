"""A pytest plugin: the fixture `gemvec_server`, a server of the Gemini embeddings API for testing programs.

It loads automatically when gemvec and pytest are installed, and imports the server when a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MARK = "gemvec"


@dataclass(frozen=True, slots=True, kw_only=True)
class GemvecServer:
    """A running server.

    Attributes:
        url: its address, `http://127.0.0.1:PORT`, for `base_url` and the like.
    """

    url: str

    def reset(self) -> None:
        """Delete all batches and files, as if the server had just been started."""
        from gemvec.client.batches import BatchClient
        from gemvec.client.files import FileClient
        from gemvec.client.target import find_target

        target = find_target(self.url)
        with BatchClient(target) as batches:
            for batch in list(batches.list()):
                batches.delete(batch.batch_id)
        with FileClient(target) as files:
            for file in list(files.list()):
                files.delete(file.name)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers", f"{MARK}(**settings): settings of the gemvec_server fixture, such as limits='google'"
    )


@contextmanager
def start_server(data_dir: Path, **settings: Any) -> Generator[GemvecServer]:
    """Serve at a free port of this machine while the context lasts.

    Args:
        data_dir: folder for files and batches.
        **settings: named like the flags of `gemvec serve`; without `upstream`, the default model is `fake`.

    Raises:
        BadSetting: there is no such setting, or its value cannot be used.
    """
    from gemvec.server.run import serving
    from gemvec.server.services import open_services
    from gemvec.settings import Settings

    model = {} if settings.get("upstream") else {"model": ("fake",)}
    loaded = Settings.load({}, **model | {"data_dir": data_dir} | settings)
    with serving(open_services(loaded)) as url:
        yield GemvecServer(url=url)


@pytest.fixture(scope="session")
def gemvec_shared_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[GemvecServer]:
    """Return the server that is shared by all tests without their own settings."""
    with start_server(tmp_path_factory.mktemp("gemvec")) as server:
        yield server


@pytest.fixture
def gemvec_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[GemvecServer]:
    """Return a server with `--model fake` at a free port, without batches and files of other tests.

    `@pytest.mark.gemvec(limits="google", inject="503=0.1")` gives a test a server of its own with other settings; their
    names are those of the flags of `gemvec serve`.
    """
    mark = request.node.get_closest_marker(MARK)
    if mark is not None:
        with start_server(tmp_path_factory.mktemp("gemvec"), **mark.kwargs) as server:
            yield server
        return
    shared: GemvecServer = request.getfixturevalue("gemvec_shared_server")
    yield shared
    shared.reset()
