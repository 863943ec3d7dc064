"""`gemvec mcp`: a collection as a Model Context Protocol server, so that assistants search and read documents."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

import gemvec
from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, ModelName, open_embedder, refuse_other_model
from gemvec.cli.options import with_settings
from gemvec.cli.server import ServerOptions, announce, with_server
from gemvec.errors import BadSetting, GemvecError, MissingDependency
from gemvec.settings import Settings

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from gemvec.documents.vocabulary import Vocabulary
    from gemvec.embedding.embedder import Embedder
    from gemvec.milvus import Fingerprint, Hit

_MAX_PASSAGES = 50


@with_settings("uri", "collection", "token", "host", "port", *EMBEDDER_SETTINGS)
@with_server
def mcp(
    settings: Settings,
    server: ServerOptions,
    *,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP at /mcp instead of standard input and output.")
    ] = False,
    model: ModelName = None,
) -> None:
    """Let assistants search a collection (Model Context Protocol).

    Offers two tools: search returns passages, fetch a whole document. Without --http, an assistant starts this command
    itself and talks to it through standard input and output. With --http it listens on this machine only, because
    callers are not asked for a key. Needs gemvec[mcp].

    Examples:
        gemvec mcp --uri ./my.db --collection docs
        gemvec mcp --uri http://localhost:19530 --http --port 8001
    """
    if http:
        _require_loopback(settings.host)
    try:
        asyncio.run(_serve(settings, EmbedderChoice(server=server, model=model), http=http))
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise MissingDependency("The Model Context Protocol needs more packages.", extra="mcp") from error


async def _serve(settings: Settings, choice: EmbedderChoice, *, http: bool) -> None:
    from gemvec.documents.vocabulary import Vocabulary

    fingerprint = await asyncio.to_thread(_read_fingerprint, settings)
    resolved = choice.or_model(fingerprint.model).resolve(settings)
    refuse_other_model(settings, resolved, fingerprint, collection=settings.collection)
    async with open_embedder(settings, resolved) as opened:
        served = make_server(CollectionTools(settings, opened.embedder, Vocabulary(opened.tokenizer_file)))
        if http:
            announce(f"Serving collection {settings.collection} at http://{settings.host}:{settings.port}/mcp")
            await served.run_streamable_http_async(host=settings.host, port=settings.port)
        else:
            await served.run_stdio_async()


def _read_fingerprint(settings: Settings) -> Fingerprint:
    from gemvec.milvus import open_collection

    with open_collection(
        settings.uri, settings.collection, token=settings.token, must_exist=True, is_only_client=True
    ) as collection:
        return collection.resolve().fingerprint


def _require_loopback(host: str) -> None:
    """Refuse an address that others reach.

    Raises:
        BadSetting: it is one.
    """
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise BadSetting(f"--host is {host}: without keys, gemvec mcp listens on this machine only, such as 127.0.0.1.")


@dataclass(frozen=True, slots=True)
class CollectionTools:
    """What the tools do. The collection is opened for each call, so that a Milvus Lite file is free between calls."""

    settings: Settings
    embedder: Embedder
    vocabulary: Vocabulary

    async def search(self, query: str, limit: int, where: str) -> dict[str, Any]:
        """Return passages, best first, and a note if the model does not know the script of the query."""
        from gemvec.documents.vocabulary import describe_unknown
        from gemvec.milvus import open_collection, search

        settings = self.settings
        script = await asyncio.to_thread(self.vocabulary.find_unknown_script, query)
        with open_collection(settings.uri, settings.collection, token=settings.token, is_only_client=True) as found:
            hybrid = (await asyncio.to_thread(found.resolve)).indexing.has_words
            hits = await search(
                found, self.embedder, query, limit=limit, hybrid=hybrid, where=where, knows_script=not script
            )
        results = {"results": [_describe(hit) for hit in hits]}
        return results | {"note": f"{describe_unknown(script, 'the query', by_words=hybrid)}."} if script else results

    async def fetch(self, document_id: str) -> dict[str, Any]:
        """Return a whole document."""
        return await asyncio.to_thread(self._read, document_id)

    def _read(self, document_id: str) -> dict[str, Any]:
        from gemvec.milvus import open_collection
        from gemvec.milvus.context import read_document

        settings = self.settings
        with open_collection(settings.uri, settings.collection, token=settings.token, is_only_client=True) as found:
            return asdict(read_document(found.resolve(), document_id))


def _describe(hit: Hit) -> dict[str, Any]:
    names = ("document_id", "title", "heading", "source", "position", "text", "score", "metadata")
    facts = {name: getattr(hit, name) for name in names}
    return {"id": facts.pop("document_id"), **facts}


def make_server(tools: CollectionTools) -> MCPServer:
    """Return the server of a collection; errors of gemvec become errors of the tool that was called."""
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations

    name = tools.settings.collection
    server = MCPServer(
        name="gemvec",
        version=gemvec.__version__,
        instructions=f"Search the documents of the collection {name!r}, and fetch those that matter.",
    )
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)

    async def said(call: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        try:
            return await call
        except GemvecError as error:
            raise ToolError(error.message) from error

    async def search(query: str, limit: int = 5, where: str = "") -> dict[str, Any]:
        return await said(tools.search(query, min(limit, _MAX_PASSAGES), where))

    async def fetch(id: str) -> dict[str, Any]:  # noqa: A002 # the tool's usual word
        return await said(tools.fetch(id))

    described: dict[Callable[..., Any], str] = {
        search: "Find passages of the documents that answer a question, best first. Each has the id of its document. "
        f"limit: most passages, 1 to {_MAX_PASSAGES}. where: a filter of Milvus, such as "
        'metadata["lang"] == "en" or source like "faq/%"; empty for none.',
        fetch: "Read a whole document by the id that search gave.",
    }
    for tool, description in described.items():
        server.tool(description=description, annotations=reads)(tool)
    return server
