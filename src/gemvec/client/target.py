"""Where to embed: Google, a gemvec server, or the model in this process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from gemvec.client.google import is_google
from gemvec.client.in_process import open_in_process, require_packages
from gemvec.client.retry_policy import ATTEMPT_SECONDS, RetryPolicy
from gemvec.embedding.embedder import Embedder
from gemvec.errors import BadSetting, InvalidRequest, KeyMissing
from gemvec.logs import get_logger
from gemvec.models.progress import Progress
from gemvec.settings import is_empty_variable, read_variable
from gemvec.wire.proto_json import snake_case

if TYPE_CHECKING:
    from gemvec.client.remote import RemoteEmbedder

GOOGLE_URL = "https://generativelanguage.googleapis.com"
LOCAL = "local"

URL_VARIABLES = ("GEMVEC_BASE_URL", "GOOGLE_GEMINI_BASE_URL")
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

_API_VERSION = "v1beta"
_GOOGLE_KEY = re.compile(r"AIza|AQ\.")  # Google's keys start like this
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_VERSIONED = re.compile(r"/v[0-9]+[a-z0-9]*$")
_PATH = re.compile(r"[!-~]*")
# Names and values of headers, by RFC 9110.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\xa0-\xff]*")

# Fields of google-genai's HttpOptions. `retry_options` is ignored: temporary failures are retried anyway.
_HTTP_OPTIONS = {"base_url", "api_version", "headers", "timeout", "retry_options"}

_WAYS = (
    "There is no API key and no server to ask. Either give base_url='http://...' of a gemvec server "
    "(or base_url='local' to run the model in this process); or set GEMVEC_BASE_URL or GOOGLE_GEMINI_BASE_URL; "
    "or, to ask Google, give api_key=... or set GEMINI_API_KEY."
)


_logger = get_logger("client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to send texts, and what to send with them.

    Attributes:
        base_url: scheme, host and path up to and including the API version; or `local`.
        api_key: sent as `x-goog-api-key`; None for no key.
        headers: sent with every request.
        attempt_seconds: time limit of one attempt.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    attempt_seconds: float = ATTEMPT_SECONDS

    @property
    def is_local(self) -> bool:
        """Whether the model runs in this process."""
        return self.base_url == LOCAL


def find_target(
    base_url: str | None = None,
    *,
    api_key: str | None = None,
    http_options: object = None,
    called: str = "base_url",
) -> Target:
    """Decide where to send texts: `base_url`, `http_options`, GEMVEC_BASE_URL, GOOGLE_GEMINI_BASE_URL, then Google.

    Args:
        base_url: address of a gemvec server, with or without an API version at its end; `local` for this process.
        api_key: the key; else GEMINI_API_KEY or GOOGLE_API_KEY. A Google key from there is not sent to another server
            that the caller names.
        http_options: google-genai's `HttpOptions` or an equivalent dict: base_url, api_version, headers, and timeout
            (milliseconds for one attempt).
        called: what the caller calls `base_url`, such as `--base-url`, for errors.

    Raises:
        KeyMissing: there is neither a key nor an address.
        BadSetting: the address is not valid, or the key cannot be sent.
        MissingDependency: `local` needs packages that are not installed.
        InvalidRequest: `http_options` has an option that is not supported.
    """
    options = _read_http_options(http_options)
    given = base_url or options.get("base_url")
    url = given or read_variable(*URL_VARIABLES)
    _say_what_is_empty({"base_url": base_url, "http_options.base_url": options.get("base_url")}, url or GOOGLE_URL)
    key = _read_key(api_key or read_variable(*KEY_VARIABLES))
    if url == LOCAL:
        require_packages()
        return Target(base_url=LOCAL)
    headers: dict[str, str] = options.get("headers") or {}
    if key is None and (url is None or url.startswith(GOOGLE_URL)) and not _hold_key(headers):
        raise KeyMissing(_WAYS)
    versioned = _versioned(url or GOOGLE_URL, options.get("api_version"), called)
    return Target(
        base_url=versioned,
        api_key=_key_for(versioned, key, is_meant=bool(api_key) or not given),
        headers=headers,
        attempt_seconds=options["timeout"] / 1000 if "timeout" in options else ATTEMPT_SECONDS,
    )


def open_target(
    target: Target,
    *,
    model: str = "gemini-embedding-001",
    retries: RetryPolicy | None = None,
    max_concurrency: int = 4,
    progress: Progress | None = None,
) -> Embedder:
    """Return the embedder for `target`; close it when done.

    Args:
        target: from `find_target`.
        model: the model that will be used; the model in this process is loaded by this name, unless it is a Gemini
            name.
        retries: how long to keep trying.
        max_concurrency: calls under way at a time.
        progress: called with the progress of fetching an in-process model's weights.
    """
    if target.is_local:
        return open_in_process(model, progress=progress)
    return open_remote(target, retries=retries, max_concurrency=max_concurrency)


def open_remote(target: Target, *, retries: RetryPolicy | None = None, max_concurrency: int = 4) -> RemoteEmbedder:
    """Return the embedder that asks the server of `target`, with the arguments of `open_target`."""
    # They load urllib3, which programs whose model is in this process never need.
    from gemvec.client.remote import RemoteEmbedder
    from gemvec.client.transport import Transport

    return RemoteEmbedder(
        Transport(target.base_url, api_key=target.api_key, headers=target.headers),
        retries=retries or RetryPolicy(attempt_seconds=target.attempt_seconds),
        max_concurrency=max_concurrency,
    )


def _read_http_options(options: object) -> dict[str, Any]:
    if options is None:
        return {}
    if isinstance(options, Mapping):
        given = {snake_case(str(name)): value for name, value in cast("Mapping[str, Any]", options).items()}
    elif hasattr(options, "model_dump"):
        given = cast("dict[str, Any]", cast("Any", options).model_dump(exclude_none=True))
    else:
        raise InvalidRequest(
            f"http_options is a {type(options).__name__}: expected a dict or a types.HttpOptions.", field="http_options"
        )
    given = {name: value for name, value in given.items() if value is not None}
    for name in sorted(given.keys() - _HTTP_OPTIONS):
        raise InvalidRequest(f"http_options.{name} is not supported.", field=f"http_options.{name}")
    _check_headers(given.get("headers", {}))
    timeout = given.get("timeout", 1)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise InvalidRequest(
            f"http_options.timeout has value {timeout!r}: expected milliseconds.", field="http_options.timeout"
        )
    return given


def _check_headers(headers: object) -> None:
    """Refuse headers that no HTTP request can contain; values are not shown, because they may be keys."""
    if not isinstance(headers, Mapping):
        raise InvalidRequest("http_options.headers is not a dict of strings.", field="http_options.headers")
    for name, value in cast("Mapping[object, object]", headers).items():
        is_name = isinstance(name, str) and _HEADER_NAME.fullmatch(name)
        if not is_name or not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidRequest(
                f"http_options.headers has {name!r}, which is not a valid header.",
                field="http_options.headers",
            )


def _read_key(key: str | None) -> str | None:
    """Return the key without surrounding white space, which files and variables often have."""
    key = (key or "").strip()
    if not _HEADER_VALUE.fullmatch(key):
        raise BadSetting("The API key has characters that no key has, such as a line break; it is not shown here.")
    return key or None


def _say_what_is_empty(given: Mapping[str, str | None], url: str) -> None:
    """Log which address is empty and ignored, because the texts may go somewhere unexpected."""
    empty = [name for name, value in given.items() if value == ""]
    for name in [*empty, *filter(is_empty_variable, URL_VARIABLES)]:
        _logger.warning("%s is empty and is ignored: texts are sent to %s", name, url)


def _key_for(url: str, key: str | None, *, is_meant: bool) -> str | None:
    """Return the key if it may be sent to the server at `url`.

    A Google key in the environment is for Google, and for a server that the environment names. If the caller names
    another server, the key must be given with it. It is never sent unencrypted to another machine.

    Raises:
        BadSetting: it would be sent unencrypted.
    """
    host = urlsplit(url).hostname
    if key is None or not _GOOGLE_KEY.match(key):
        return key
    if not is_meant and not is_google(url):
        _logger.warning("the environment's key is a Google key and is not sent to %s: give api_key=...", host)
        return None
    if not is_private(url):
        raise BadSetting(f"A Google key would be sent unencrypted to {host}: use https.")
    return key


def is_private(url: str) -> bool:
    """Whether nobody on the way to an address can read what is sent: it is https, or on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _hold_key(headers: Mapping[str, str]) -> bool:
    return any(name.lower() in {"x-goog-api-key", "authorization"} for name in headers)


def _versioned(url: str, version: str | None, called: str) -> str:
    url = url.strip()
    if not _is_address(url):
        raise BadSetting(f"{called} has value {url!r}: expected http://host:port, https://host or local.")
    parts = urlsplit(url)
    if parts.username or parts.query or parts.fragment:
        raise BadSetting(f"{called} has a user, query or fragment: give a key as api_key, anything else as headers.")
    url = url.rstrip("/")
    if version is None and _VERSIONED.search(parts.path.rstrip("/")):
        return url
    return f"{url}/{_API_VERSION if version is None else version}".rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is missing
        return False
    return is_complete and url.isprintable() and _PATH.fullmatch(parts.path) is not None
