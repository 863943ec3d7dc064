"""Milvus' own bulk import, as its REST interface offers it since 2.4: `ImportJobs`."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from gemvec.errors import FailedPrecondition, StorageFailure, TransportFailure

_TIMEOUT_SECONDS = 60.0
_RETRIES, _PAUSE_SECONDS = 5, 0.5
_TRANSIENT = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """One import, as Milvus describes it.

    Attributes:
        job_id: its id.
        state: `Pending`, `Importing`, `Completed` or `Failed`; later versions may have more.
        reason: why it failed.
        files: what Milvus says about its files; their names are in it.
    """

    job_id: str
    state: str
    reason: str = ""
    files: str = ""

    @property
    def is_completed(self) -> bool:
        """Whether its rows are there."""
        return self.state == "Completed"

    @property
    def has_failed(self) -> bool:
        """Whether none of its rows will be there."""
        return self.state == "Failed"


class ImportJobs:
    """The import jobs of a Milvus server.

    Methods wait for Milvus; call them in a thread from async code.

    Args:
        uri: the address of a Milvus server.
        token: `user:password`, or empty.
    """

    def __init__(self, uri: str, token: str) -> None:
        import urllib3

        self._uri = uri.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager()
        self._retries = urllib3.Retry(
            total=_RETRIES, backoff_factor=_PAUSE_SECONDS, allowed_methods=None, status_forcelist=_TRANSIENT
        )

    def start(self, collection: str, file: str) -> str:
        """Start the import of a Parquet file and return the job's id. It is asked for once: twice would be two jobs.

        Args:
            collection: the collection's own name.
            file: its name in the bucket of Milvus, or its path where Milvus keeps files in a folder.

        Raises:
            TransportFailure: Milvus does not answer; the job may have been started.
            StorageFailure: Milvus refuses.
        """
        data = self._post("create", {"collectionName": collection, "files": [[file]]}, retries=False)
        return str(data["jobId"])

    def list_ids(self, collection: str) -> list[str]:
        """Return the ids of a collection's jobs that Milvus remembers; it forgets those that ended hours ago.

        Raises:
            FailedPrecondition: this Milvus has no import jobs.
            TransportFailure, StorageFailure: as `start`.
        """
        data = self._post("list", {"collectionName": collection})
        records = cast("list[dict[str, Any]]", data.get("records") or [])
        return [str(each["jobId"]) for each in records]

    def describe(self, job_id: str) -> ImportJob:
        """Return what has become of a job.

        Raises:
            TransportFailure, StorageFailure: as `start`.
        """
        data = self._post("describe", {"jobId": job_id})
        details = cast("list[dict[str, Any]]", data.get("details") or [])
        return ImportJob(
            job_id=job_id,
            state=str(data.get("state", "")),
            reason=str(data.get("reason") or ""),
            files=" ".join(str(each.get("fileName", "")) for each in details),
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _post(self, action: str, body: dict[str, Any], *, retries: Any = None) -> dict[str, Any]:
        import urllib3

        url = f"{self._uri}/v2/vectordb/jobs/import/{action}"
        allowed = self._retries if retries is None else retries
        try:
            answer = self._pool.request(
                "POST", url, json=body, headers=self._headers, timeout=_TIMEOUT_SECONDS, retries=allowed
            )
            if answer.status == HTTPStatus.NOT_FOUND:
                raise FailedPrecondition(
                    f"The Milvus at {self._uri} has no bulk import by REST, as 2.4 and later have."
                )
            said = answer.json()
        except (urllib3.exceptions.HTTPError, UnicodeDecodeError, ValueError) as error:
            raise TransportFailure(f"Bulk import at {self._uri} does not answer: {type(error).__name__}.") from error
        if not isinstance(said, dict):
            raise StorageFailure(f"Bulk import at {self._uri} gave an answer that is not an object.")
        found = cast("dict[str, Any]", said)
        if found.get("code") != 0 or not isinstance(found.get("data"), dict):
            raise StorageFailure(f"Milvus: {found.get('message') or 'it has refused a bulk import'}")
        return cast("dict[str, Any]", found["data"])
