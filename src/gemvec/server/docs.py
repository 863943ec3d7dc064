"""The API described: `/openapi.json` for programs, `/docs` for people. Both are made from the route table."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import gemvec
from gemvec.server.bodies import answer
from gemvec.server.errors import Dialect
from gemvec.server.row import VERSIONS, Row
from gemvec.server.schema import Schema
from gemvec.server.schemas import SCHEMAS
from gemvec.server.services import services_of

_ERRORS = {Dialect.GEMINI: "Error", Dialect.OPENAI: "OpenAIError", Dialect.TEI: "TEIError"}
_KEYS: dict[str, Any] = {
    "header": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
# Everything the page needs is in it.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'"


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    return answer(request, openapi_document(request.app.state.rows))


async def page(request: Request) -> Response:
    """Answer with the page, its commands made out to this server."""
    services = services_of(request)
    base, model = str(request.base_url).rstrip("/"), services.default_model()
    shown = _page(request.app.state.rows).safe_substitute(
        base=escape(base), weights=escape(model.weights), model=escape(model.name), version=gemvec.__version__
    )
    return HTMLResponse(shown, headers={"content-security-policy": _PAGE_POLICY})


@functools.cache
def openapi_document(rows: tuple[Row, ...]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of `rows`; versioned ones are listed under `/v1beta`."""
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(full_path(row), {})[row.method.lower()] = _operation(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gemvec",
            "version": gemvec.__version__,
            "summary": "The Gemini embeddings API on your own machine.",
            "description": f"Paths with a version answer under {', '.join(VERSIONS)} and without, too.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _KEYS},
    }


def full_path(row: Row) -> str:
    """Return the path of a row as the documentation gives it."""
    return (row.shown_under if row.versioned else "") + row.path


def _operation(row: Row) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [row.group],
        "summary": row.summary,
        "operationId": f"{row.method.lower()} {row.path}",
        "parameters": _parameters(row),
        "responses": {
            "200": _body(row.response, "Done."),
            "default": _body(_ERRORS[row.dialect], "What went wrong."),
        },
        "security": [{name: []} for name in _KEYS] if row.access == "key" else [],
    }
    if row.request:
        body = _body(row.request, SCHEMAS[row.request]["description"])
        operation["requestBody"] = body | {"required": True}
        body["content"]["application/json"]["example"] = row.example
    return operation


def _parameters(row: Row) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)", row.path)
    ]
    return in_path + [{"name": name, "in": "query", "schema": schema} for name, schema in (row.query or {}).items()]


def _body(name: str | None, description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"} if name else {}
    return {"description": description, "content": {"application/json": {"schema": schema}} if name else {}}


@functools.cache
def _page(rows: tuple[Row, ...]) -> Template:
    """Return the page with `$base`, `$model`, `$weights` and `$version` still to fill in."""
    names = dict.fromkeys(row.group for row in rows)  # each once, where it first appears
    groups = [(name, [row for row in rows if row.group == name]) for name in names]
    shell = (files("gemvec.server") / "docs.html").read_text(encoding="utf-8")
    parts = {
        "links": "".join(f'<a href="#{_anchor(group)}">{escape(group)}</a>' for group, _ in groups),
        "routes": "".join(_group(group, members) for group, members in groups),
        "messages": "".join(_message(name, schema) for name, schema in SCHEMAS.items()),
    }
    return Template(Template(shell).safe_substitute(parts))


def _anchor(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _group(group: str, rows: Sequence[Row]) -> str:
    return f'<section id="{_anchor(group)}"><h2>{escape(group)}</h2>{"".join(_route(row) for row in rows)}</section>'


def _route(row: Row) -> str:
    path = re.sub(r"({\w+})", r"<i>\1</i>", escape(full_path(row)))
    inside = [f"<pre><button>copy</button><code>{escape(curl(row)).replace('&#x27;', chr(39))}</code></pre>"]
    if row.query:
        inside.append("<h4>Query</h4>" + _fields({"properties": row.query}))
    for title, name in (("Body", row.request), ("Answer", row.response)):
        if name:
            inside.append(f'<h4>{title} <a href="#{name}">{name}</a></h4>' + _fields(SCHEMAS[name]))
    return (
        f'<details><summary><b class="{row.method.lower()}">{row.method}</b><code>{path}</code>'
        f"<span>{_prose(row.summary)}</span></summary>{''.join(inside)}</details>"
    )


def curl(row: Row) -> str:
    """Return a shell command that calls `row`, with `$base` and `$model` to fill in."""
    address = "$base" + full_path(row).replace("{model}", "$model")
    parts = [f'curl "{address}"' if row.method == "GET" else f'curl -X {row.method} "{address}"']
    if row.access == "key":
        parts.append('-H "x-goog-api-key: $$GEMINI_API_KEY"')
    if row.example is not None:
        fields = ",\n    ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in row.example.items())
        parts += ["-H 'content-type: application/json'", f"-d '{{\n    {fields}}}'"]
    return " \\\n  ".join(parts)


def _message(name: str, schema: Schema) -> str:
    return (
        f'<article id="{name}"><h3>{name}</h3><p>{_prose(schema.get("description", ""))}</p>{_fields(schema)}</article>'
    )


def _fields(schema: Schema) -> str:
    required = schema.get("required", [])
    cells = [
        f"<tr><td><code>{name}</code>{'<em>required</em>' if name in required else ''}</td>"
        f"<td>{_type(field)}</td><td>{_prose(' '.join(_remarks(field)))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    ]
    return f"<table>{''.join(cells)}</table>" if cells else f"<p>{_type(schema)}</p>"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = schema.get("type", "any")
    return escape(kind if isinstance(kind, str) else " or ".join(kind))


def _remarks(schema: Schema) -> Iterator[str]:
    yield schema.get("description", "")
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{each}`" for each in schema["enum"]) + "."
    if "default" in schema:
        yield f"Default `{json.dumps(schema['default'])}`."


def _prose(markdown: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))
