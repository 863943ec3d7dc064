"""Which server a command uses: the one that its options name, or the one that runs on this machine."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies_environment as getproxies

import typer
from rich.console import Console

from gemvec.cli.options import add_options, or_none
from gemvec.errors import BadSetting, KeyMissing, TransportFailure
from gemvec.settings import Settings, read_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gemvec.client.target import Target

_PANEL = "Server"
_LOOPBACK = "127.0.0.1"
_PROBE_SECONDS = 1.0
_PROBE_BYTES = 2**20

_NO_SERVER = (
    "There is no server. Start one with gemvec serve, name one with --base-url or GEMVEC_BASE_URL, or use "
    "Google with --google and a key in GEMINI_API_KEY."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The options of a command that name a server.

    Attributes:
        base_url: an address; `local` for the model in this process.
        google: whether to use Google.
        api_key: the server's key; None for that in GEMINI_API_KEY or GOOGLE_API_KEY.
    """

    base_url: str | None = None
    google: bool = False
    api_key: str | None = None

    def __post_init__(self) -> None:
        if self.google and self.base_url is not None:
            raise BadSetting("Give either --google or --base-url, not both.")

    @property
    def names_server(self) -> bool:
        """Whether the options name a server, including Google's."""
        return self.google or self.base_url not in {None, "local"}

    def find_named(self, *variables: str) -> Target | None:
        """Return the server that the options name, else the one in the first of `variables` that has a value.

        Raises:
            BadSetting: the address or the key cannot be used.
            KeyMissing: Google is chosen and there is no key.
            TransportFailure: nothing listens there.
        """
        from gemvec.client.target import GOOGLE_URL

        if self.google:
            return self._reach(GOOGLE_URL, "--google")
        if self.base_url is not None:
            return self._reach(self.base_url, "--base-url")
        for name in variables:
            if url := read_variable(name):
                return self._reach(url, name)
        return None

    def find(self) -> Target:
        """Return the server for batches and files.

        It is the one that the options, GEMVEC_BASE_URL or GOOGLE_GEMINI_BASE_URL name; else the one that runs on this
        machine; else Google, if there is a key for it. The last two are announced on standard error.

        Raises:
            BadSetting: the address or the key cannot be used, or the address is `local`.
            KeyMissing: there is no server.
            TransportFailure: nothing listens at the address.
        """
        from gemvec.client.target import GOOGLE_URL, KEY_VARIABLES, URL_VARIABLES

        target = self.find_named(*URL_VARIABLES)
        if target is None and (running := find_running_server(Settings.load())):
            announce(f"Using gemvec at {running.url}. Choose another server with --base-url or --google.")
            target = running.target(self.api_key)
        if target is None and (self.api_key or read_variable(*KEY_VARIABLES)):
            announce("Using Google, because there is a key. Choose another server with --base-url.")
            target = self._reach(GOOGLE_URL, "--google")
        if target is None:
            raise KeyMissing(_NO_SERVER)
        if target.is_local:
            raise BadSetting(
                "--base-url has value 'local': files and batches need a server. Give its address, or start one "
                "with gemvec serve."
            )
        return target

    def _reach(self, url: str, called: str) -> Target:
        """Return the target for `url`, which came from `called`, after checking that something listens there."""
        from gemvec.client.target import find_target

        try:
            target = find_target(url, api_key=self.api_key, called=called)
        except KeyMissing:
            raise KeyMissing("There is no API key for Google: set GEMINI_API_KEY, or give --api-key.") from None
        if not target.is_local:
            _require_listener(target.base_url)
        return target


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A gemvec server that answers on this machine.

    Attributes:
        url: its address.
        models: the names that it serves, its default model's first.
    """

    url: str
    models: Sequence[str]

    def target(self, api_key: str | None) -> Target:
        """Return how to ask it.

        The environment's Google key is never sent to it, because nobody named this server.
        """
        from gemvec.client.target import Target

        key = api_key or next(iter(Settings.load().api_key), None)
        return Target(base_url=f"{self.url}/v1beta", api_key=key)


def find_running_server(settings: Settings) -> RunningServer | None:
    """Return the gemvec server at the port in `settings` on this machine; None if there is none."""
    if not settings.port:
        return None
    answer = _ask_who_is_there(settings.port)
    if answer.get("name") != "gemvec":
        return None
    models = [str(each) for each in cast("list[object]", answer.get("models") or [])]
    return RunningServer(url=f"http://{_LOOPBACK}:{settings.port}", models=models)


def announce(line: str) -> None:
    """Say on standard error what a command has chosen by itself."""
    Console(stderr=True).print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def with_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name a server, and pass them as its argument `server`."""

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        names = ("base_url", "google", "api_key")
        options = {name: or_none("--" + name.replace("_", "-"), given.pop(name)) for name in names}
        server = ServerOptions(**options)
        return {"server": server, **given}

    return add_options(command, _OPTIONS, collect=collect, replaces="server")


def _require_listener(url: str) -> None:
    """Refuse an address where nothing listens, at once; later requests are retried for longer.

    Raises:
        TransportFailure: the connection is refused, or the host has no address.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if host not in {_LOOPBACK, "localhost", "::1"} and getproxies():
        return  # requests use the proxy
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except (ConnectionRefusedError, socket.gaierror) as error:
        reason = error.strerror or str(error)
        raise TransportFailure(f"Nothing answers at {url}: {reason}.", connected=False) from error
    except OSError:
        return  # slow, or only for a moment: the request itself has more time


def _ask_who_is_there(port: int) -> dict[str, Any]:
    """Return what the root of a server says about it; empty if the answer is not a JSON object."""
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/", headers={"Accept": "application/json"})
        found = json.loads(connection.getresponse().read(_PROBE_BYTES))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return {}
    finally:
        connection.close()
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


_OPTIONS = {
    "base_url": (
        Annotated[
            str | None,
            typer.Option(
                metavar="URL",
                help="Address of a gemvec server or any other with the Gemini API; local: the model in this process. "
                "[GEMVEC_BASE_URL; default: the server that runs on this machine]",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "google": (
        Annotated[bool, typer.Option("--google", help="Ask Google.", rich_help_panel=_PANEL)],
        False,
    ),
    "api_key": (
        Annotated[
            str | None,
            typer.Option(
                metavar="KEY",
                help="API key of the server. [GEMINI_API_KEY or GOOGLE_API_KEY]",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
}
