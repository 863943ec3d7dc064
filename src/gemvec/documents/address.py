"""Sources that are not files: buckets, web pages, sitemaps and Git repositories, as users write them: `Address`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from gemvec.errors import InvalidRequest
from gemvec.logs import mask_keys
from gemvec.storage.objects import SCHEMES as BUCKET_SCHEMES

AddressKind = Literal["bucket", "repository", "web"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_SSH = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>(?!//)\S+\.git(?:@\S+)?)")
# How a repository may be reached; `git+` may stand before each of them.
_GIT_SCHEMES = ("https", "http", "ssh", "file")
_GIT_PATH = re.compile(r"(?P<path>.*?)(?:@(?P<ref>[^@]+))?")
_PORTS = {"http": 80, "https": 443}
# Parameters that are a key or a signature: they would open the page to everybody who reads the collection.
_SECRETS = re.compile(
    r"(?i)x-(amz|goog)-.*|sig|signature|token|(access|auth|api|private|job)[_-]?(token|key)|apikey|password|secret"
)
# Characters that may stand in a path or a query as they are, `%` included: what is escaped stays escaped.
_PLAIN = "%/:=&?~+!$,;'@()*[]-._|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One source that is not a file.

    Attributes:
        kind: what it is.
        url: how ids of its documents begin, or the id itself: without user, password and what looks like a key.
        location: where to ask, without user and password, but with the user's name for ssh.
        credentials: `user:password`; empty when the address has none.
        ref: branch, tag or whole commit of a repository; empty for its default branch.
    """

    kind: AddressKind
    url: str
    location: str = field(repr=False)
    credentials: str = field(default="", repr=False)
    ref: str = ""

    @property
    def name(self) -> str:
        """The last part of the path, such as `guide.html`."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])


def is_address(source: str) -> bool:
    """Whether a source is written as an address, and not as a path."""
    return bool(_SCHEME.match(source) or _SSH.fullmatch(source))


def parse_address(source: str) -> Address:
    """Return the address that a source is.

    Raises:
        InvalidRequest: it is of a kind that is not read, or is not complete.
    """
    if found := _SSH.fullmatch(source):
        return _parse_short_ssh(found["user"], found["host"], found["path"])
    scheme = source.partition("://")[0].lower()
    if scheme in BUCKET_SCHEMES:
        return _parse_bucket(source, scheme)
    if repository := _parse_repository(source, scheme):
        return repository
    if scheme not in _PORTS:
        raise InvalidRequest(
            f"The source {_without_secrets(source)!r} begins with {scheme}://, which is not read. These are: "
            f"{', '.join(f'{each}://' for each in (*BUCKET_SCHEMES, 'https', 'http'))}, and git+https:// for "
            f"repositories. A file is named by its path.",
            field="source",
        )
    return _parse_web(source)


def parse_page(url: str, base: str = "") -> Address | None:
    """Return the address of a page that another page or a sitemap names; None if it is not one of the web.

    Args:
        url: as it is written there; may be relative to `base`.
        base: the address of what names it.
    """
    from urllib.parse import urljoin

    try:
        whole = urljoin(base, url.strip())
        return _parse_web(whole) if urlsplit(whole).scheme in _PORTS else None
    except (ValueError, InvalidRequest):
        return None


def _parse_bucket(source: str, scheme: str) -> Address:
    url = f"{scheme}://{source.partition('://')[2].strip('/')}"
    if url == f"{scheme}://" or "@" in urlsplit(url).netloc:
        raise InvalidRequest(
            f"The source {_without_secrets(source)!r} must be {scheme}://BUCKET/PREFIX; the keys come from "
            f"the environment.",
            field="source",
        )
    return Address(kind="bucket", url=url, location=url)


def _parse_short_ssh(user: str, host: str, path: str) -> Address:
    """Return the address of `user@host:path`, which begins in the user's folder, and not at the root as `ssh://`."""
    path, ref = _split_ref(path)
    url = f"ssh://{host.lower()}/{path}" + (f"@{ref}" if ref else "")
    return Address(kind="repository", url=url, location=f"{user}@{host}:{path}", ref=ref)


def _split_ref(path: str) -> tuple[str, str]:
    found = _GIT_PATH.fullmatch(path.rstrip("/"))
    return (found["path"], found["ref"] or "") if found else (path, "")


def _parse_repository(source: str, scheme: str) -> Address | None:
    is_marked = scheme.startswith("git+")
    real = scheme.removeprefix("git+")
    if real not in _GIT_SCHEMES:
        return None
    parts = _split(f"{real}://{source.partition('://')[2]}")
    path, ref = _split_ref(parts.path)
    if not is_marked and not path.endswith(".git"):
        return None
    if parts.query or parts.fragment or not path.strip("/") or ref.startswith("-"):
        raise InvalidRequest(
            f"The source {_without_secrets(source)!r} must be {scheme}://HOST/PATH or {scheme}://HOST/PATH@BRANCH.",
            field="source",
        )
    host = parts.netloc.rpartition("@")[2].lower()
    user = parts.netloc.rpartition("@")[0]
    if real == "ssh" and ":" in user:
        raise InvalidRequest(
            f"The source {_without_secrets(source)!r} has a password, which ssh does not take; give ssh a key.",
            field="source",
        )
    # The user of an SSH address is a name, and no secret: git needs it to connect.
    location = f"{real}://{user}@{host}{path}" if real == "ssh" and user else f"{real}://{host}{path}"
    url = f"{real}://{host}{path}" + (f"@{ref}" if ref else "")
    credentials = _credentials(user) if real in _PORTS else ""
    return Address(kind="repository", url=url, location=location, credentials=credentials, ref=ref)


def _parse_web(source: str) -> Address:
    parts = _split(source)
    if not parts.hostname:
        raise InvalidRequest(f"The source {_without_secrets(source)!r} has no host.", field="source")
    scheme = parts.scheme.lower()
    host = f"[{parts.hostname}]" if ":" in parts.hostname else _to_ascii(parts.hostname)
    if parts.port not in {None, _PORTS[scheme]}:
        host = f"{host}:{parts.port}"
    path = quote(parts.path, safe=_PLAIN) or "/"
    location = urlunsplit((scheme, host, path, quote(parts.query, safe=_PLAIN), ""))
    user = parts.netloc.rpartition("@")[0]
    return Address(kind="web", url=_without_keys(location), location=location, credentials=_credentials(user))


def _credentials(user: str) -> str:
    """Return `user:password`; a token alone is a user without a password."""
    return unquote(user if ":" in user or not user else f"{user}:")


def _to_ascii(host: str) -> str:
    try:
        return host.lower().encode("idna").decode() if not host.isascii() else host.lower()
    except UnicodeError as error:
        raise InvalidRequest(f"The source has host {host!r}, which is not a name.", field="source") from error


def _split(url: str):  # noqa: ANN202 # urllib's own type has no public name
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidRequest(
            f"The source {_without_secrets(url)!r} is not an address: {error}.", field="source"
        ) from error
    return parts


def _without_keys(url: str) -> str:
    """Return an address without the parameters that look like keys or signatures."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _is_secret(name, value)]
    return url if len(kept) == len(pairs) else urlunsplit((*parts[:3], urlencode(kept), ""))


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRETS.fullmatch(name)) or mask_keys(value) != value


def _without_secrets(source: str) -> str:
    """Return an address as it may be shown, even if it is not a correct one."""
    shown = re.sub(r"(?<=://)[^/?#]*@", "", source)
    return re.sub(r"[?#].*", "", shown)
