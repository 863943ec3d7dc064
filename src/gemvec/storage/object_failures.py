"""What the failure of an object store means, in words for the person who runs gemvec: `explain_failure`."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Who is asked for credentials when the environment has none: the machine itself, if it is one of the cloud's.
_MACHINE_HOSTS = ("169.254.169.254", "metadata.google.internal")
_NO_BUCKET_CODES = ("<Code>NoSuchBucket<", "<Code>ContainerNotFound<")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REFUSALS = ("status code: 401", "status code: 403")
_TOLD_CHARACTERS = 300
# An endpoint may have them, such as http://user:password@10.0.0.5:9000.
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


@dataclass(frozen=True, slots=True)
class _Store:
    """How a kind of store names what it needs."""

    bucket: str
    variables: str
    command: str
    open_to_all: str


_STORES = {
    "s3": _Store(
        bucket="bucket",
        variables="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        command='eval "$(aws configure export-credentials --format env)"',
        open_to_all="AWS_SKIP_SIGNATURE",
    ),
    "gs": _Store(
        bucket="bucket",
        variables="GOOGLE_APPLICATION_CREDENTIALS",
        command="gcloud auth application-default login",
        open_to_all="GOOGLE_SKIP_SIGNATURE",
    ),
    "az": _Store(
        bucket="container",
        variables="AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        command="az login, with AZURE_STORAGE_ACCOUNT_NAME and AZURE_USE_AZURE_CLI=true",
        open_to_all="AZURE_SKIP_SIGNATURE",
    ),
}


def explain_failure(error: Exception, url: str) -> str:
    """Return why a store failed, without a full stop; what it says itself where no other words are known.

    Args:
        error: what obstore raised.
        url: of the store, such as `s3://bucket/prefix`.
    """
    scheme, _, rest = url.partition("://")
    store, bucket = _STORES.get(scheme), rest.partition("/")[0]
    told = str(error)
    if store and any(host in told for host in _MACHINE_HOSTS):
        return f"there are no credentials for {scheme}://{bucket}; {explain_credentials(url)}"
    if store and is_without_bucket(error):
        return f"there is no {store.bucket} {bucket}"
    found = _CODE.search(told)
    code = f" ({found[1]})" if found else ""
    if any(status in told for status in _REFUSALS):
        return f"{scheme}://{bucket} refuses access with the credentials that the environment has{code}"
    return first_line(told) + code


def explain_credentials(url: str) -> str:
    """Return where a store takes its credentials from, without a full stop; empty for a kind that needs none."""
    store = _STORES.get(url.partition("://")[0])
    if store is None:
        return ""
    return (
        f"set {store.variables}, or run: {store.command} (a {store.bucket} that is open to everybody needs "
        f"{store.open_to_all}=true instead)"
    )


def is_without_bucket(error: Exception) -> bool:
    """Return whether the store says that it has no such bucket. An answer to HEAD does not say it."""
    told = str(error)
    return any(code in told for code in _NO_BUCKET_CODES)


def first_line(told: str) -> str:
    """Return what can be shown of an error of obstore; it has keys of requests removed by itself."""
    line = _CREDENTIALS.sub("", told.partition("\n")[0].partition(": <")[0])
    return line[:_TOLD_CHARACTERS].rstrip(" .:")
