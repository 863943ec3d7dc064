"""`gemvec models`: list models in the catalogue and on this machine, and fetch them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gemvec.cli.completion import complete_model
from gemvec.cli.options import AsJson, with_settings
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.models.record import ModelRecord
    from gemvec.models.verification import Verification

app = typer.Typer(help="List models, and fetch their weights ahead of time.", no_args_is_help=True)


@app.command("list")
@with_settings("cache_dir")
def list_models(settings: Settings, *, as_json: AsJson = False) -> None:
    """List the models in the catalogue, and others that were fetched.

    Examples:
        gemvec models list
        gemvec models list --json
    """
    from gemvec.models.catalogue import RECORDS
    from gemvec.models.weights import fetched_records

    others = [each for each in fetched_records(settings.cache_dir) if each.id not in {known.id for known in RECORDS}]
    rows = [_to_json(record, settings.cache_dir) for record in (*RECORDS, *others)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    Console().print(_table(rows))
    Console(stderr=True).print(
        "* is on this machine. Values are in a vector, windows in tokens. Speed is top, fast, mid or slow; each takes "
        "several times as long for a text as the one before.\n"
        "Also possible: any hub id or folder with a model of a known family, an ONNX graph or an OpenVINO graph."
    )


def _table(rows: Iterable[dict[str, Any]]) -> Table:
    """Return the models for people, in 80 columns; * marks those on this machine."""
    numbers = (Column(name, justify="right", no_wrap=True) for name in ("values", "window", "MB"))
    table = Table("", Column("model", no_wrap=True), "languages", *numbers, "speed", "licence", "good for", box=None)
    table.header_style, table.padding, table.pad_edge = "bold", (0, 1, 0, 0), False
    for row in rows:
        size = row["sizeBytes"]
        megabytes = round(size / 1e6) if size else row["downloadMB"]
        cells = [
            row["name"],
            row["languages"].removesuffix(" languages"),
            str(row["nativeDim"] or "-"),
            str(row["windowTokens"]),
            str(megabytes or "-"),
            row["speed"] or "-",
            row["licence"].removesuffix(" Terms of Use").removesuffix("-2.0"),
            row["goodFor"],
        ]
        table.add_row("*" if row["folder"] else "", *map(escape, cells))
    return table


@app.command("show")
@with_settings("engine", "trust_remote_code", "cache_dir")
def show(
    settings: Settings,
    *,
    model: Annotated[str, typer.Argument(help="Catalogue id, hub id or folder.", autocompletion=complete_model)],
    as_json: AsJson = False,
) -> None:
    """Show how a model works.

    Prints its engine, pooling and window, and the prompt of each task type. A hub model that is not in the catalogue is
    fetched first.

    Examples:
        gemvec models show multilingual-e5-small
        gemvec models show ./my-model --json
    """
    from gemvec.client.progress import show_fetch
    from gemvec.models.catalogue import find_record
    from gemvec.models.engine_choice import EngineChoice
    from gemvec.models.weights import load_model

    record, choice = find_record(model), EngineChoice.of(settings)
    if not record.is_read or choice.prefers_torch:
        with show_fetch() as progress:
            record = load_model(model, settings.cache_dir, task=None, choice=choice, progress=progress).record
    facts = _to_json(record, settings.cache_dir) | _describe(record)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name}: {_as_text(value)}")


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        rows = cast("dict[str, str]", value).items()
        return "".join(f"\n  {task}: {prompt!r}" for task, prompt in rows)
    if isinstance(value, list):
        return ", ".join(cast("list[str]", value)) or "-"
    return "-" if value is None else str(value)


def _describe(record: ModelRecord) -> dict[str, Any]:
    """Return how a text is processed: the engine, what follows the network, and the prompts."""
    from gemvec.embedding.task_type import TaskType
    from gemvec.models.engines import engine_of

    named = [task for task in TaskType if task != TaskType.TASK_TYPE_UNSPECIFIED]
    return {
        "task": record.task,
        "engine": record.engine,
        "ownCode": list(record.code),
        "whyNotOwnEngine": record.refusal or None,
        "weightsPath": record.weights_path,
        "pooling": record.pooling if engine_of(record).has_network else None,
        "modules": [getattr(each, "kind", type(each).__name__) for each in record.modules],
        "prompts": {task.name: record.prompts.of(task) for task in named},
        "unspecifiedTaskType": record.prompts.unspecified.name,
    }


@app.command("fetch")
@with_settings("engine", "trust_remote_code", "cache_dir")
def fetch(
    settings: Settings,
    *,
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Catalogue ids or hub ids. [default: the models to serve]", autocompletion=complete_model),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch models again that are already here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch weights, so that serving needs no network.

    Files that are already here are checked again.

    Examples:
        gemvec models fetch
        gemvec models fetch wordllama-256 intfloat/e5-small-v2
        gemvec models fetch --force all-minilm-l6-v2
    """
    from gemvec.client.progress import show_fetch
    from gemvec.models.engine_choice import EngineChoice
    from gemvec.models.naming import find_named_record
    from gemvec.models.weights import fetch_model

    for name in models or settings.model:
        record = find_named_record(name)
        with show_fetch() as progress:
            folder = fetch_model(
                record, settings.cache_dir, choice=EngineChoice.of(settings), progress=progress, force=force
            )
        typer.echo(json.dumps({"id": record.id, "folder": str(folder)}) if as_json else f"{record.id}  {folder}")


@app.command("path")
@with_settings("engine", "trust_remote_code", "cache_dir")
def path(
    settings: Settings,
    *,
    model: Annotated[str, typer.Argument(help="Catalogue id, hub id or folder.", autocompletion=complete_model)],
    as_json: AsJson = False,
) -> None:
    """Fetch and check a model's files, and print their folder.

    The folder can be copied to a machine without a network and served from there.

    Examples:
        gemvec models path all-minilm-l6-v2
        cp -r "$(gemvec models path all-minilm-l6-v2)" ./my-model
    """
    from gemvec.client.progress import show_fetch
    from gemvec.models.catalogue import find_record
    from gemvec.models.engine_choice import EngineChoice
    from gemvec.models.weights import fetch_model

    record = find_record(model)
    with show_fetch() as progress:
        folder = fetch_model(record, settings.cache_dir, choice=EngineChoice.of(settings), progress=progress)
    typer.echo(json.dumps({"id": record.id, "folder": str(folder)}) if as_json else str(folder))


@app.command("verify")
@with_settings("engine", "device", "trust_remote_code", "precision", "streams", "token_budget", "cache_dir")
def verify(
    settings: Settings,
    *,
    model: Annotated[str, typer.Argument(help="Catalogue id, hub id or folder.", autocompletion=complete_model)],
    as_json: AsJson = False,
) -> None:
    """Check that a model gives the right vectors here.

    Compares them with the vectors pinned in gemvec, with those that the model's folder keeps in reference.json
    ({"texts": [...], "vectors": [[...], ...]}, without prompts), and, where sentence-transformers is installed beside
    gemvec, with its own on texts of all lengths and in many languages. Ends with status 1 when vectors differ by more
    than rounding explains, and when there is nothing to compare with.

    Examples:
        gemvec models verify all-minilm-l6-v2
        gemvec models verify ./my-model --precision exact --json
    """
    from gemvec.client.progress import show_fetch
    from gemvec.models.engine_choice import EngineChoice
    from gemvec.models.verification import verify_model
    from gemvec.models.weights import load_model

    with show_fetch() as progress:
        loaded = load_model(model, settings.cache_dir, choice=EngineChoice.of(settings), progress=progress)
    found = verify_model(loaded, settings)
    if as_json:
        typer.echo(json.dumps(_verification_to_json(found)))
    else:
        _show_verification(found, Console())
    if not found.is_right:
        raise typer.Exit(1)


def _verification_to_json(found: Verification) -> dict[str, Any]:
    return {
        "weights": found.weights,
        "precision": found.precision,
        "isRight": found.is_right,
        "comparisons": [
            {
                "against": each.against,
                "texts": each.texts,
                "lowestCosine": each.lowest_cosine,
                "leastCosine": each.min_cosine,
                "largestDifference": each.largest_difference,
                "isRight": each.is_right,
            }
            for each in found.comparisons
        ],
        "textsPerSecond": found.texts_per_second,
        "sentenceTransformersTextsPerSecond": found.their_texts_per_second,
        "leftOut": found.left_out or None,
    }


def _show_verification(found: Verification, console: Console) -> None:
    console.print(f"[bold]{escape(found.weights)}[/], precision {found.precision}", highlight=False)
    for each in found.comparisons:
        mark = "[green]right[/]" if each.is_right else "[red]WRONG[/]"
        console.print(
            f"  {mark}  {escape(each.against)}: {each.texts} texts, lowest cosine {each.lowest_cosine:.6f} (at least"
            f" {each.min_cosine}), largest difference {each.largest_difference:.2g}",
            highlight=False,
            soft_wrap=True,
        )
    if not found.comparisons:
        console.print("  [yellow]There is nothing to compare with.[/]", highlight=False, soft_wrap=True)
    if found.left_out:
        console.print(f"  [dim]{escape(found.left_out)}[/]", highlight=False, soft_wrap=True)
    theirs = f", sentence-transformers {found.their_texts_per_second:.0f}" if found.their_texts_per_second else ""
    console.print(f"  {found.texts_per_second:.0f} texts a second{theirs}", highlight=False)


def _to_json(record: ModelRecord, cache_dir: Path) -> dict[str, Any]:
    from gemvec.models.weights import cached_folder, model_name

    folder = cached_folder(record, cache_dir)
    return {
        "name": model_name(record),
        "id": record.id,
        "aliases": list(record.aliases),
        "nativeDim": record.native_dim,
        "windowTokens": record.window_tokens,
        "languages": record.languages,
        "licence": record.licence,
        "sizeBytes": record.size_bytes or None,
        "folder": str(folder) if folder.is_dir() else None,
        "summary": record.summary,
        "goodFor": record.good_for,
        "speed": record.speed or None,
        "downloadMB": record.download_mb or None,
    }
