"""`gemvec search`: search a collection."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from gemvec.cli.embedder import EMBEDDER_SETTINGS, EmbedderChoice, ModelName, open_embedder, refuse_other_model
from gemvec.cli.options import with_settings
from gemvec.cli.server import ServerOptions, announce, with_server
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.milvus import Hit

_PASSAGE_CHARACTERS = 600
# Passages that a cross-encoder orders, at least; it computes each of them anew.
_RERANKED_PASSAGES = 50


@with_settings("uri", "collection", "token", *EMBEDDER_SETTINGS)
@with_server
def search(
    settings: Settings,
    server: ServerOptions,
    *,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="Most passages to show.")] = 5,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Also match words (BM25), not only meaning.")] = False,
    where: Annotated[
        str, typer.Option(help='Only passages that match this Milvus filter, such as \'metadata["lang"] == "en"\'.')
    ] = "",
    by_document: Annotated[bool, typer.Option("--by-document", help="Only the best passage of each document.")] = False,
    context: Annotated[
        int, typer.Option(min=0, metavar="N", help="Number of passages before and after each one to show with it.")
    ] = 0,
    task_type: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="What the query is: RETRIEVAL_QUERY, QUESTION_ANSWERING, FACT_VERIFICATION, or CODE_RETRIEVAL_QUERY "
            "to look for source code.",
        ),
    ] = "RETRIEVAL_QUERY",
    rerank: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Order the passages by a cross-encoder: a hub id or folder, such as bge-reranker-base.",
        ),
    ] = "",
    model: ModelName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the passages as JSON.")] = False,
) -> None:
    """Search a collection for the passages nearest to a query.

    Shows each passage with its score, its source and its position there, words of the query underlined. The query must
    be embedded by the model that filled the collection; another one is refused.

    Examples:
        gemvec search "how do I cancel a batch?"
        gemvec search "error 429" --hybrid -n 10 --uri ./my.db
        gemvec search "refunds" --by-document --context 1
        gemvec search "refunds" --where 'metadata["lang"] == "en"' --json
        gemvec search "who signs a contract?" --rerank bge-reranker-base
        gemvec search "where is a file closed?" --task-type CODE_RETRIEVAL_QUERY
    """
    from gemvec.client.config import parse_task_type

    choice = EmbedderChoice(server=server, model=model)
    task = parse_task_type(task_type)
    wanted = max(limit, _RERANKED_PASSAGES) if rerank else limit
    options = {"limit": wanted, "hybrid": hybrid, "where": where, "by_document": by_document, "context": context}
    options |= {"task_type": task} if task else {}
    hits = asyncio.run(_search(settings, choice, query, options))
    if rerank and hits:
        hits = asyncio.run(_rerank(replace(settings, rerank_model=rerank), query, hits))[:limit]
    if as_json:
        typer.echo(json.dumps([_to_json(hit, query) for hit in hits], ensure_ascii=False))
    else:
        show(hits, query, Console(), max_characters=_PASSAGE_CHARACTERS * (1 + 2 * context))


async def _search(settings: Settings, choice: EmbedderChoice, query: str, options: dict[str, Any]) -> list[Hit]:
    from gemvec.documents.vocabulary import Vocabulary, describe_unknown
    from gemvec.milvus import open_collection
    from gemvec.milvus import search as search_collection
    from gemvec.milvus.search import SearchOptions

    with open_collection(
        settings.uri, settings.collection, token=settings.token, must_exist=True, is_only_client=True
    ) as collection:
        version = collection.resolve()
        # Before a model is fetched for nothing.
        SearchOptions(**options).check(query, version, collection.name)
        stored = version.fingerprint
        resolved = choice.or_model(stored.model).resolve(settings)
        refuse_other_model(settings, resolved, stored, collection=collection.name)
        async with open_embedder(settings, resolved) as opened:
            if choice.model is not None:
                wanted = await asyncio.to_thread(opened.get_fingerprint, stored.dimensionality)
                stored.check(wanted, collection=collection.name)
            if script := Vocabulary(opened.tokenizer_file).find_unknown_script(query):
                announce(f"Note: {describe_unknown(script, 'the query', by_words=options['hybrid'])}.")
            return await search_collection(collection, opened.embedder, query, **options, knows_script=not script)


async def _rerank(settings: Settings, query: str, hits: list[Hit]) -> list[Hit]:
    """Return the passages with the scores of a cross-encoder, best first."""
    from gemvec.client.progress import show_fetch
    from gemvec.embedding.models import relevance_of
    from gemvec.models.reranker import open_reranker

    with show_fetch() as progress:
        reranker = await asyncio.to_thread(open_reranker, settings, progress=progress)
    try:
        pairs = await reranker.prepare(query, [hit.text for hit in hits])
        scores = relevance_of(await reranker.score(pairs))
    finally:
        await reranker.close()
    scored = [replace(hit, score=float(score)) for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def _to_json(hit: Hit, query: str) -> dict[str, Any]:
    from gemvec.milvus.highlights import find_highlights

    return asdict(hit) | {"highlights": find_highlights(query, hit.text)}


def show(hits: list[Hit], query: str, console: Console, *, max_characters: int = _PASSAGE_CHARACTERS) -> None:
    """Print the passages, cut to `max_characters`, with the words of the query underlined."""
    from gemvec.milvus.highlights import find_highlights

    if not hits:
        console.print("Nothing found.")
    for number, hit in enumerate(hits, start=1):
        where = ", ".join(part for part in (hit.source or hit.document_id, hit.position) if part)
        heading = hit.heading or hit.title
        console.print(
            f"[bold]{number}.[/] [cyan]{escape(where)}[/]  {hit.score:.3f}  [dim]{escape(heading)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        is_cut = len(hit.text) > max_characters
        passage = Text(hit.text[:max_characters] + (" ..." if is_cut else ""), style="default")
        for start, end in find_highlights(query, hit.text[:max_characters]):
            passage.stylize("underline", start, end)
        # In a pipe, passages keep their lines.
        console.print(passage, highlight=False, soft_wrap=not console.is_terminal)
        console.print()
