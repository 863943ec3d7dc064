"""Valid requests for every route of a running server, and those that schemathesis makes of its OpenAPI document."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import httpx
from http_mutations import Request
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis.errors import Unsatisfiable
from served import Served

from gemvec.server.docs import full_path, openapi_document
from gemvec.server.routes import ROUTES


def examples(server: Served) -> list[Request]:
    """Return a valid request for each route, with a file, an upload and a batch that exist."""
    names = make_things(server)
    found = []
    for row in ROUTES:
        path = full_path(row)
        for name, value in names.items():
            path = path.replace("{" + name + "}", value)
        body = json.dumps(row.example).encode() if row.example is not None else b""
        headers = {"Content-Type": "application/json"} if body else {}
        if path.startswith("/upload"):
            headers = {"X-Goog-Upload-Protocol": "raw", "X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": "0"}
            body = b'{"file": {"displayName": "x"}}'
        found.append(Request(row.method, path, headers, body))
    return found


def passed_on() -> list[Request]:
    """Return calls that a server with `--pass-through` passes on: by their path, or by a name that is not known."""
    headers = {"Content-Type": "application/json", "x-goog-api-key": "any"}
    body = b'{"contents": [{"role": "user", "parts": [{"text": "What is the meaning of life?"}]}]}'
    model = "/v1beta/models/gemini-2.5-flash"
    return [
        Request("POST", f"{model}:generateContent?key=any", headers, body),
        Request("POST", f"{model}:streamGenerateContent?alt=sse", headers, body),
        Request("POST", f"{model}:countTokens", headers, body),
        Request("GET", model, headers),
        Request("GET", "/v1beta/batches/elsewhere", headers),
        Request("PATCH", "/v1beta/cachedContents/elsewhere?updateMask=ttl", headers, body),
        Request("POST", "/v1/chat/completions", {"Authorization": "Bearer any"} | headers, body),
    ]


def make_things(server: Served) -> dict[str, str]:
    """Make what routes name, and return it by the name of the parameter."""
    upload = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    with httpx.Client(base_url=server.url) as http:
        url = http.post("/upload/v1beta/files", json={}, headers=upload).headers["x-goog-upload-url"]
        http.post("/upload/v1beta/files?uploadType=media", content=b"{}").raise_for_status()
        file = http.get("/v1beta/files").json()["files"][0]["name"]
        body = {
            "batch": {"inputConfig": {"requests": {"requests": [{"request": {"content": {"parts": [{"text": "a"}]}}}]}}}
        }
        batch = http.post("/v1beta/models/tiny:asyncBatchEmbedContent", json=body).json()["name"]
    return {
        "model": "tiny",
        "project": "my-project",
        "location": "us-central1",
        "version": "v1beta",
        "upload": url.rpartition("/")[2],
        "file": file.rpartition("/")[2],
        "batch": batch.rpartition("/")[2],
        "collection": "docs",
    }


def document(names: dict[str, str]) -> dict[str, Any]:
    """Return our OpenAPI document with path parameters that name what exists, or nearly every request would be 404."""
    described: dict[str, Any] = copy.deepcopy(openapi_document(ROUTES))
    for operations in described["paths"].values():
        for operation in operations.values():
            for each in operation["parameters"]:
                if each["in"] == "path":
                    each["schema"] = {"type": "string", "enum": [names[each["name"]], "none"]}
    return described


def made_requests(described: dict[str, Any], count: int, seed: int) -> list[Request]:
    """Return about `count` requests that schemathesis makes of a document, good and bad."""
    import schemathesis

    schema = schemathesis.openapi.from_dict(described)
    schema.config.base_url = "http://x"
    operations = [each.ok() for each in schema.get_all_operations()]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    ways = [(operation, mode) for operation in operations for mode in modes]
    each_count = max(1, count // len(ways))
    if count < len(ways):
        ways = random.Random(seed).sample(ways, count)
    return [
        request
        for operation, mode in ways
        for request in _drawn(operation.as_strategy(generation_mode=mode), each_count, seed)
    ]


def _drawn(strategy: Any, count: int, seed: int) -> list[Request]:
    cases: list[Request] = []

    @hypothesis_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def take(case: Any) -> None:
        cases.append(_request_of(case))

    try:
        take()
    except Unsatisfiable:  # no wrong value exists for this operation
        return []
    return cases


def _request_of(case: Any) -> Request:
    import requests

    prepared = requests.Request(**case.as_transport_kwargs()).prepare()
    headers = {
        name: value if isinstance(value, str) else value.decode("latin-1")
        for name, value in prepared.headers.items()
        if name.lower() not in {"content-length", "connection", "transfer-encoding", "host"}
    }
    body = prepared.body or b""
    return Request(
        prepared.method or "GET", prepared.path_url, headers, body if isinstance(body, bytes) else str(body).encode()
    )
