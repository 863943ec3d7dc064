"""The other server that a server asks: for vectors (`--upstream`), and for the rest (`--pass-through`)."""

from __future__ import annotations

from gemvec.cache import with_cache
from gemvec.client.remote import RemoteEmbedder
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import GOOGLE_URL, KEY_VARIABLES, LOCAL, Target, find_target, is_private
from gemvec.client.transport import Transport
from gemvec.embedding.aliases import AliasEmbedder, parse_aliases
from gemvec.embedding.embedder import Embedder
from gemvec.errors import BadSetting, KeyMissing
from gemvec.gateway.pass_through import PassThrough
from gemvec.gateway.rate import Rate
from gemvec.gateway.upstream import UpstreamEmbedder
from gemvec.server.keys import has_stored_keys
from gemvec.settings import Settings, read_variable

GOOGLE = "google"
_OFF = "off"
_CALLERS = "caller"

# Long enough for a busy moment, short enough to answer interactive callers, who can try again; batches do so anyway.
_RETRIES = RetryPolicy(timeout_seconds=60.0, attempt_seconds=30.0)


def open_upstream(settings: Settings) -> Embedder:
    """Return an embedder that asks `settings.upstream`, with the cache that the settings ask for.

    Embeddings are cached unless `embedding_cache_bytes` is 0, because each costs a call or money.

    Raises:
        BadSetting: the upstream server is not an address, or there is no key for it.
        TransportFailure: the upstream server does not answer.
    """
    target = find_upstream(settings)
    upstream = with_cache(_open_upstream(target, settings), settings, source=target.base_url)
    return AliasEmbedder(upstream, parse_aliases(settings.alias)) if settings.alias else upstream


def find_upstream(settings: Settings) -> Target:
    """Return the server to which `settings.upstream` sends texts.

    Raises:
        BadSetting: it is not an address, there is no key, or a model on this machine is asked for as well.
    """
    if settings.model != Settings().model:
        raise BadSetting("Give either --model or --upstream, not both.")
    if settings.upstream == LOCAL:
        raise BadSetting("--upstream has value 'local': leave --upstream out to serve a model on this machine.")
    try:
        url = GOOGLE_URL if settings.upstream == GOOGLE else settings.upstream
        return find_target(url, api_key=read_variable(*KEY_VARIABLES))
    except KeyMissing as error:
        raise BadSetting(f"--upstream google needs a Google API key: set {' or '.join(KEY_VARIABLES)}.") from error
    except BadSetting as error:
        raise BadSetting(f"--upstream: {error.message}") from error


def open_pass_through(settings: Settings) -> PassThrough | None:
    """Return what passes on the calls that are not answered here; None if the settings name no server for them.

    An upstream server that is reached without TLS beyond this machine gets texts to embed and no other calls.

    Raises:
        BadSetting: the server is not an address, would be reached without TLS, or there is no key for it.
    """
    if settings.pass_through == _OFF or not (settings.pass_through or settings.upstream):
        return None
    sends_callers_key = settings.pass_through_key == _CALLERS
    if sends_callers_key and (settings.api_key or has_stored_keys(settings)):
        raise BadSetting(
            "--pass-through-key caller is for a server that asks for no keys: callers have one key, and this server's "
            "own keys never leave it. Leave it out, or delete the keys."
        )
    target = _find_passed_to(settings) if settings.pass_through else find_upstream(settings)
    if not is_private(target.base_url):
        if settings.pass_through:
            raise BadSetting(
                f"--pass-through has value {settings.pass_through!r}: use https beyond this machine, because keys go "
                "there."
            )
        return None
    return PassThrough(target.base_url, api_key=target.api_key, sends_callers_key=sends_callers_key)


def _find_passed_to(settings: Settings) -> Target:
    if settings.pass_through == LOCAL:
        raise BadSetting("--pass-through has value 'local': expected google, an address, or off.")
    url = GOOGLE_URL if settings.pass_through == GOOGLE else settings.pass_through
    # If the callers' keys are sent, none of this server's is needed. Else it is the environment's, which is not sent to
    # another server than Google if it is Google's.
    key = "the caller's" if settings.pass_through_key == _CALLERS else None
    try:
        return find_target(url, api_key=key, called="the address")
    except KeyMissing as error:
        raise BadSetting(
            f"--pass-through google needs a Google API key: set {' or '.join(KEY_VARIABLES)}, or give "
            "--pass-through-key caller."
        ) from error
    except BadSetting as error:
        raise BadSetting(f"--pass-through: {error.message}") from error


def _open_upstream(target: Target, settings: Settings) -> UpstreamEmbedder:
    remote = RemoteEmbedder(
        Transport(target.base_url, api_key=target.api_key, headers=target.headers), retries=_RETRIES
    )
    rate = Rate(texts=settings.upstream_texts_per_minute, tokens=settings.upstream_tokens_per_minute)
    return UpstreamEmbedder(remote, rate=rate, max_waiting_tokens=settings.max_waiting_tokens)
