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
from gemvec.server.console import PAGE_HEADERS
from gemvec.server.errors import Dialect
from gemvec.server.models import find_default, models_shown_to
from gemvec.server.route import VERSIONS, Route
from gemvec.server.schemas import schemas
from gemvec.wire.kinds import Schema
from gemvec.wire.schema import schema_of

_ERRORS = {
    Dialect.GEMINI: "Error",
    Dialect.OPENAI: "OpenAIError",
    Dialect.TEI: "TEIError",
    Dialect.OLLAMA: "OllamaError",
    Dialect.COHERE: "CohereError",
}
_KEYS: dict[str, Any] = {
    "header": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    return answer(request, openapi_document(request.app.state.routes))


async def page(request: Request) -> Response:
    """Answer with the page, whose commands name this server; a caller who may use it also learns what it serves."""
    base = str(request.base_url).rstrip("/")
    default = find_default(request, await models_shown_to(request))
    shown = _page(request.app.state.routes).safe_substitute(
        base=escape(base),
        weights=escape(default.weights) if default else "an open model",
        model=escape(default.name) if default else "gemini-embedding-001",
        version=gemvec.__version__,
    )
    return HTMLResponse(shown, headers=PAGE_HEADERS)


@functools.cache
def openapi_document(routes: tuple[Route, ...]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of `routes`; versioned ones are listed under `/v1beta`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(full_path(route), {})[route.method.lower()] = _operation(route)
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
        "components": {"schemas": schemas(), "securitySchemes": _KEYS},
    }


def full_path(route: Route) -> str:
    """Return the path of a route for the documentation."""
    return (route.shown_under if route.versioned else "") + route.path


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [route.group],
        "summary": route.summary,
        "operationId": f"{route.method.lower()} {route.path}",
        "parameters": _parameters(route),
        "responses": {
            "200": _body(route.response, "Done."),
            "default": _body(_ERRORS[route.dialect], "What went wrong."),
        },
        "security": [{name: []} for name in _KEYS] if route.access in {"key", "admin"} else [],
    }
    if route.request:
        body = _body(route.request, schemas()[route.request]["description"])
        operation["requestBody"] = body | {"required": True}
        body["content"]["application/json"]["example"] = route.example
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)", route.path)
    ]
    in_query: dict[str, Schema] = schema_of(route.query)["properties"] if route.query else {}
    return in_path + [{"name": name, "in": "query", "schema": schema} for name, schema in in_query.items()]


def _body(name: str | None, description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"} if name else {}
    return {"description": description, "content": {"application/json": {"schema": schema}} if name else {}}


@functools.cache
def _page(routes: tuple[Route, ...]) -> Template:
    """Return the page with `$base`, `$model`, `$weights` and `$version` still to fill in."""
    names = dict.fromkeys(route.group for route in routes)  # each once, where it first appears
    groups = [(name, [route for route in routes if route.group == name]) for name in names]
    shell = (files("gemvec.server") / "docs.html").read_text(encoding="utf-8")
    parts = {
        "links": "".join(f'<a href="#{_anchor(group)}">{escape(group)}</a>' for group, _ in groups),
        "routes": "".join(_group(group, members) for group, members in groups),
        "messages": "".join(_message(name, schema) for name, schema in schemas().items()),
    }
    return Template(Template(shell).safe_substitute(parts))


def _anchor(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _group(group: str, routes: Sequence[Route]) -> str:
    return f'<section id="{_anchor(group)}"><h2>{escape(group)}</h2>{"".join(map(_route, routes))}</section>'


def _route(route: Route) -> str:
    path = re.sub(r"({\w+})", r"<i>\1</i>", escape(full_path(route)))
    inside = [f"<pre><button>copy</button><code>{escape(curl(route)).replace('&#x27;', chr(39))}</code></pre>"]
    if route.query:
        inside.append("<h3>Query</h3>" + _fields(schema_of(route.query)))
    for title, name in (("Body", route.request), ("Answer", route.response)):
        if name:
            inside.append(f'<h3>{title} <a href="#{name}">{name}</a></h3>' + _fields(schemas()[name]))
    return (
        f'<details data-method="{route.method.lower()}" data-path="{escape(full_path(route))}">'
        f'<summary><b class="{route.method.lower()}">{route.method}</b><code>{path}</code>'
        f"<span>{_prose(route.summary)}</span></summary>{''.join(inside)}</details>"
    )


def curl(route: Route) -> str:
    """Return a shell command that calls `route`, with `$base` and `$model` to fill in."""
    address = "$base" + full_path(route).replace("{model}", "$model")
    parts = [f'curl "{address}"' if route.method == "GET" else f'curl -X {route.method} "{address}"']
    if route.access in {"key", "admin"}:
        parts.append('-H "x-goog-api-key: $$GEMINI_API_KEY"')
    if route.example is not None:
        fields = ",\n    ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in route.example.items())
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
