"""Which server a command asks: the options that name one, and the one that runs on this machine."""

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

from gemvec.cli.options import add_options
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
    "There is no server to ask. Start one with gemvec serve, name one with --base-url or GEMVEC_BASE_URL, or ask "
    "Google with --google and a key in GEMINI_API_KEY."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The options of a command that name a server.

    Attributes:
        base_url: an address; `local` for the model in this process.
        google: whether Google is asked.
        api_key: the server's key; None for the one in GEMINI_API_KEY or GOOGLE_API_KEY.
    """

    base_url: str | None = None
    google: bool = False
    api_key: str | None = None

    def __post_init__(self) -> None:
        if self.google and self.base_url is not None:
            raise BadSetting("--google and --base-url name two places; give one.")

    @property
    def names_server(self) -> bool:
        """Whether the options name a server, Google's included."""
        return self.google or self.base_url not in {None, "local"}

    def find_named(self, *variables: str) -> Target | None:
        """Return the server that the options name, else the one that the first of `variables` with a value names.

        Raises:
            BadSetting: the address or the key cannot be used.
            KeyMissing: Google is asked and there is no key.
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
        """Return the server to ask for batches and files.

        It is the one that the options or GEMVEC_BASE_URL or GOOGLE_GEMINI_BASE_URL name, else the one that runs on this
        machine, else Google where there is a key for it. The last two are announced on standard error.

        Raises:
            BadSetting: the address or the key cannot be used, or the place named is this process.
            KeyMissing: there is no server to ask.
            TransportFailure: nothing listens at the address.
        """
        from gemvec.client.target import GOOGLE_URL, KEY_VARIABLES, URL_VARIABLES

        target = self.find_named(*URL_VARIABLES)
        if target is None and (running := find_running_server(Settings.load())):
            announce(f"Asking gemvec at {running.url}. --base-url or --google names another place.")
            target = running.target(self.api_key)
        if target is None and (self.api_key or read_variable(*KEY_VARIABLES)):
            announce("Asking Google, because there is a key. --base-url names another place.")
            target = self._reach(GOOGLE_URL, "--google")
        if target is None:
            raise KeyMissing(_NO_SERVER)
        if target.is_local:
            raise BadSetting(
                "--base-url has value 'local': files and batches are kept by a server. Give its address, or start one "
                "with gemvec serve."
            )
        return target

    def _reach(self, url: str, called: str) -> Target:
        """Return how to ask the server at `url`, which `called` named, once something listens there."""
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

        It never gets the environment's key for Google, because nobody named this server.
        """
        from gemvec.client.target import Target

        key = api_key or next(iter(Settings.load().api_key), None)
        return Target(base_url=f"{self.url}/v1beta", api_key=key)


def find_running_server(settings: Settings) -> RunningServer | None:
    """Return the gemvec server at the port of `settings` on this machine, or None where nothing or another answers."""
    if not settings.port:
        return None
    answer = _ask_who_is_there(settings.port)
    if answer.get("name") != "gemvec":
        return None
    models = [str(each) for each in cast("list[object]", answer.get("models") or [])]
    return RunningServer(url=f"http://{_LOOPBACK}:{settings.port}", models=models)


def announce(line: str) -> None:
    """Tell people, on standard error, what a command has decided by itself."""
    Console(stderr=True).print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def with_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name a server, and what they say as its argument `server`."""

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        names = ("base_url", "google", "api_key")
        server = ServerOptions(**{name: given.pop(name) for name in names})
        return {"server": server, **given}

    return add_options(command, _OPTIONS, collect=collect, replaces="server")


def _require_listener(url: str) -> None:
    """Refuse an address where nothing listens, at once; what is asked later is tried for longer.

    Raises:
        TransportFailure: the connection is refused, or the host has no address.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if host not in {_LOOPBACK, "localhost", "::1"} and getproxies():
        return  # requests go through the proxy
    try:
        socket.create_connection((host, port), timeout=_PROBE_SECONDS).close()
    except (ConnectionRefusedError, socket.gaierror) as error:
        reason = error.strerror or str(error)
        raise TransportFailure(f"Nothing answers at {url}: {reason}.", connected=False) from error
    except OSError:
        return  # slow, or only now: the request itself has more time


def _ask_who_is_there(port: int) -> dict[str, Any]:
    """Return what the root of a server says about it; nothing where the answer is not a JSON object."""
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
                help="Address of a gemvec server or any that speaks the Gemini API; local: the model in this process. "
                "[GEMVEC_BASE_URL; otherwise the server that runs on this machine]",
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
                help="The server's key. [GEMINI_API_KEY or GOOGLE_API_KEY]",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
}
