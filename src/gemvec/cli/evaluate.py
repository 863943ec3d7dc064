"""`gemvec eval`: the quality of models on the user's own data, by dimensionality, precision and kind of search."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from gemvec.cli.completion import complete_model, completion_of
from gemvec.cli.embedder import EmbedderChoice, ResolvedChoice, open_embedder
from gemvec.cli.options import check_can_be_written, with_settings
from gemvec.cli.server import ServerOptions, with_server
from gemvec.errors import BadSetting
from gemvec.settings import Precision, Settings

if TYPE_CHECKING:
    from gemvec.evaluation.datasets import Dataset
    from gemvec.evaluation.measurement import EvaluationOptions, Measurement


@with_settings(
    "token", "engine", "device", "trust_remote_code", "long_text", "streams", "cache_dir", "embedding_cache_bytes"
)
@with_server
def evaluate(
    settings: Settings,
    server: ServerOptions,
    *,
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="Files or folders in the layout of BEIR, SQuAD, STS or Tatoeba.",
        ),
    ],
    model: Annotated[
        list[str] | None, typer.Option(help="Model to measure; can be repeated.", autocompletion=complete_model)
    ] = None,
    dimensions: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Number of values in a vector; can be repeated. [default: the model's own]"),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="fast|exact",
            help="Can be repeated, to compare both. [GEMVEC_PRECISION]",
            autocompletion=completion_of("precision"),
        ),
    ] = None,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Also measure hybrid search (BM25 and vectors).")] = False,
    exact_search: Annotated[
        bool, typer.Option("--exact-search", help="Measure the model alone, by exact search without Milvus; faster.")
    ] = False,
    recall_at: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", help="Number of results that count for recall; can be repeated. [default: 10 and 100]"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Which file in qrels/ to use.")] = "test",
    uri: Annotated[str, typer.Option(help="Milvus to measure. [default: a temporary Milvus Lite]")] = "",
    html: Annotated[Path | None, typer.Option(help="Write a report with charts to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurements as JSON.")] = False,
) -> None:
    """Measure how good embeddings are on your data.

    Pairs of sentences with a score give Spearman's correlation. Translations give the part of them that is found.
    Queries with judged documents (BEIR's or SQuAD's layout) give nDCG@10, MRR@10 and recall, for Milvus' answers and
    for exact search. A text is embedded once for all dimensionalities, and cached embeddings are used.

    Examples:
        gemvec eval sts/ --precision exact --precision fast
        gemvec eval tatoeba.deu-eng.deu --model multilingual-e5-small-q4
        gemvec eval my-data/ --dimensions 384 --dimensions 128 --html report.html
        gemvec eval my-data/ --model all-minilm-l6-v2 --model ./my-model --hybrid
    """
    from gemvec.evaluation.layouts import load_datasets
    from gemvec.evaluation.measurement import EvaluationOptions

    check_can_be_written(html, "--html")
    if exact_search and (hybrid or uri):
        raise BadSetting(f"--exact-search cannot be used with {'--hybrid' if hybrid else '--uri'}, which needs Milvus.")
    options = EvaluationOptions(
        dimensions=tuple(dimensions or ()),
        searches=("exact",) if exact_search else ("dense", "hybrid") if hybrid else ("dense",),
        recall_at=tuple(recall_at or (10, 100)),
        uri=uri,
        token=settings.token,
    )
    candidates = [
        candidate
        for name in model or [None]
        for candidate in make_candidates(settings, precision, EmbedderChoice(server=server, model=name))
    ]
    console = Console(stderr=True)
    measurements = asyncio.run(measure(candidates, load_datasets(data, split=split), options, console))
    if html is not None:
        write_report(measurements, html, console)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in measurements]))
    else:
        output = Console()
        # A pipe has no width.
        output = output if output.is_terminal else Console(width=160)
        for table in make_tables(measurements):
            output.print(table)


# Sets of sentences in one table, so that it fits into eighty columns.
_DATASETS_ABREAST = 4
_SENTENCE_METRICS = {
    "spearman": "Spearman's correlation x 100",
    "accuracy": "Translations found x 100, from the first language to the second",
    "reverse_accuracy": "Translations found x 100, from the second language to the first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model in one precision."""

    settings: Settings
    choice: ResolvedChoice


def make_candidates(settings: Settings, precisions: Sequence[str] | None, choice: EmbedderChoice) -> list[Candidate]:
    """Return a candidate for each precision; choosing a precision means the model in this process.

    Raises:
        BadSetting: there is no such precision, or the chosen server decides on it.
    """
    for each in precisions or ():
        if each not in get_args(Precision):
            raise BadSetting(f"--precision has value {each!r}: expected one of {', '.join(get_args(Precision))}.")
    if not precisions:
        return [Candidate(settings=settings, choice=choice.resolve(settings))]
    if choice.server.names_server:
        raise BadSetting("--precision cannot be used with --base-url or --google: the server decides.")
    resolved = replace(choice, server=ServerOptions(base_url="local")).resolve(settings)
    return [
        Candidate(settings=replace(settings, precision=each), choice=resolved) for each in dict.fromkeys(precisions)
    ]


async def measure(
    candidates: Sequence[Candidate], datasets: Sequence[Dataset], options: EvaluationOptions, console: Console
) -> list[Measurement]:
    """Measure the candidates one by one, with a progress bar; return the measurements sorted by set of data."""
    from gemvec.evaluation.measurement import evaluate as evaluate_model

    found: list[Measurement] = []
    for each in candidates:
        async with open_embedder(each.settings, each.choice) as opened:
            name = opened.model or ""
            with show_progress(name or each.settings.model[0], console) as on_progress:
                found += await evaluate_model(
                    opened.embedder,
                    datasets,
                    model=name,
                    options=options,
                    precision="" if each.choice.target else each.settings.precision,
                    on_progress=on_progress,
                )
    order = [each.name for each in datasets]
    return sorted(found, key=lambda measurement: order.index(measurement.dataset))


@contextmanager
def show_progress(model: str, console: Console) -> Generator[Callable[[str, int, int], None]]:
    """Yield a function that shows what is being done, and the progress."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(model, total=None)
        yield lambda what, done, total: bar.update(task, description=f"{model}, {what}", completed=done, total=total)


def make_tables(measurements: Sequence[Measurement]) -> list[Table]:
    """Return tables for each metric of pairs and translations, and one for each retrieval set."""
    from gemvec.evaluation.report import group_by_dataset

    groups = group_by_dataset(each for each in measurements if "ndcg@10" in each.scores)
    return [
        *(table for metric in _SENTENCE_METRICS for table in _make_sentence_tables(metric, measurements)),
        *(_make_retrieval_table(name, group) for name, group in groups.items()),
    ]


def _make_sentence_tables(metric: str, measurements: Sequence[Measurement]) -> list[Table]:
    """Return tables of a few sets each: rich omits columns that do not fit into the terminal."""
    from gemvec.evaluation.report import group_by_dataset

    groups = list(group_by_dataset(each for each in measurements if metric in each.scores).values())
    return [
        _make_sentence_table(metric, [each for group in groups[start : start + _DATASETS_ABREAST] for each in group])
        for start in range(0, len(groups), _DATASETS_ABREAST)
    ]


def _make_sentence_table(metric: str, measurements: Sequence[Measurement]) -> Table:
    from gemvec.evaluation.report import display

    names = list(dict.fromkeys(each.dataset for each in measurements))
    rows: dict[tuple[Any, ...], dict[str, float]] = {}
    for each in measurements:
        row = rows.setdefault((each.model, each.weights, each.precision, each.dimensionality), {})
        row[each.dataset] = each.scores[metric]
    table = Table(title=_SENTENCE_METRICS[metric], title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("model", "weights"):
        table.add_column(name, overflow="fold", min_width=10)
    table.add_column("precision", no_wrap=True)
    table.add_column("dims", justify="right", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", overflow="fold", min_width=len("-00.00"))
    for variant, scores in rows.items():
        table.add_row(*map(str, variant), *(display(metric, scores.get(name)) for name in names))
    return table


def _make_retrieval_table(name: str, measurements: Sequence[Measurement]) -> Table:
    """Return two rows per measurement: Milvus' answers, and exact search of the same vectors; or the latter alone."""
    from gemvec.evaluation.report import display, variant

    metrics = list(measurements[0].scores)
    table = Table(Column("model", overflow="fold"), title=name, title_justify="left")
    asks_milvus = any(each.exact for each in measurements)
    for column in ("dims", *metrics, *(["index recall"] if asks_milvus else [])):
        table.add_column(column, justify="right", overflow="fold", min_width=len("0.0000"))
    for each in measurements:
        scores, exact = (
            [display(metric, part.get(metric)) for metric in metrics] for part in (each.scores, each.exact)
        )
        recalled = [display("index recall", each.index_recall)] if asks_milvus else []
        table.add_row(variant(each), str(each.dimensionality), *scores, *recalled)
        if asks_milvus:
            table.add_row("  exact search", "", *exact, "", style="dim", end_section=True)
    return table


def write_report(measurements: Sequence[Measurement], path: Path, console: Console) -> None:
    """Write the HTML report."""
    from datetime import UTC, datetime

    import gemvec
    from gemvec.evaluation.report import render_report

    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    subtitle = f"Measured with gemvec {gemvec.__version__} on {made}"
    path.write_text(render_report(measurements, subtitle=subtitle), encoding="utf-8")
    console.print(f"Report: {path}", highlight=False, soft_wrap=True)
