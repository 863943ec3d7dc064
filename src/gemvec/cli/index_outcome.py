"""What `gemvec index` did, as text and as JSON: `IndexOutcome`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.documents import BadDocument, Note
    from gemvec.documents.walk import LeftOut
    from gemvec.milvus import IngestPlan, IngestReport

_SHOWN = 5  # lines shown for each kind of thing that was left out
_MIN_FOR_A_RATE = 100  # with fewer passages, most of the time is that of opening the collection


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOutcome:
    """What one `gemvec index` did or would do.

    Attributes:
        report: the report of the ingest, or its plan.
        left_out: what was found in folders and not read.
    """

    report: IngestReport | IngestPlan
    left_out: LeftOut

    @property
    def has_read_anything(self) -> bool:
        """Whether a document was read, or one that is gone was deleted."""
        return bool(self.report.documents or getattr(self.report, "removed", 0))

    @property
    def has_changed(self) -> bool:
        """Whether the collection was changed."""
        return bool(getattr(self.report, "has_changed", False))

    @property
    def has_left_anything_out(self) -> bool:
        """Whether a document, a part of one or a file of an unknown format was not read; folders do not count."""
        return bool(self.report.bad or self.left_out.unknown_files or any(each.is_loss for each in self.report.notes))


def report_left_out(outcome: IndexOutcome, path: Path | None, console: Console) -> None:
    """Report what was left out and why: the first ones on the terminal, everything in the file `path`."""
    report = outcome.report
    if path is not None:
        lines = [*map(_describe, report.bad), *map(_describe, report.notes), *_describe_left_out(outcome.left_out)]
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    _print_some("left out", report.bad, path, console)
    _print_some("note", report.notes, path, console)
    if outcome.left_out.files:
        files = ", ".join(f"{count:,} {name}" for name, count in outcome.left_out.files.most_common())
        text = f"files of other formats: {files}{_describe_code(outcome.left_out)}"
        console.print(f"[yellow]not read:[/] {escape(text)}", highlight=False, soft_wrap=True)
    if outcome.left_out.ignored:
        rules = ", ".join(f"{count:,} by {rule}" for rule, count in outcome.left_out.ignored.most_common())
        console.print(f"[yellow]not read:[/] files left out: {escape(rules)}", highlight=False, soft_wrap=True)
    for each in outcome.left_out.folders[:_SHOWN]:
        text = f"folder {each.source}: {each.reason}"
        console.print(f"[yellow]not read:[/] {escape(text)}", highlight=False, soft_wrap=True)
    if (more := len(outcome.left_out.folders) - _SHOWN) > 0:
        console.print(f"[yellow]not read:[/] {more:,} more folders", highlight=False, soft_wrap=True)
    if not getattr(report, "has_words", True):
        console.print(
            "[yellow]note:[/] this Milvus has no BM25, so passages are found by meaning only; --hybrid is refused",
            highlight=False,
            soft_wrap=True,
        )
    if held_back := getattr(report, "held_back", []):
        console.print(
            f"[yellow]kept:[/] documents that are gone ({len(held_back):,}), because a record without an id in "
            f"the same file, or a folder above, could not be read: {escape(', '.join(held_back[:_SHOWN]))}",
            highlight=False,
            soft_wrap=True,
        )


def _describe_code(left_out: LeftOut) -> str:
    from gemvec.documents.languages import CODE_SUFFIXES

    names = ", ".join(name for name, _ in left_out.files.most_common() if name in CODE_SUFFIXES)
    return f"; --code reads source code: {names}" if names else ""


def _print_some(what: str, found: Sequence[BadDocument | Note], path: Path | None, console: Console) -> None:
    for each in found[:_SHOWN]:
        where = f"{each.source}, {each.place}" if each.place else each.source
        console.print(f"[yellow]{what}:[/] {escape(where)}: {escape(each.reason)}", highlight=False, soft_wrap=True)
    if (more := len(found) - _SHOWN) > 0:
        hint = f"see {path}" if path else "--error-report FILE lists them all"
        console.print(f"[yellow]{what}:[/] {more:,} more; {hint}", highlight=False, soft_wrap=True)


def _describe(each: BadDocument | Note) -> dict[str, str]:
    return {name: getattr(each, name) for name in ("source", "place", "id", "reason")}


def _describe_left_out(left_out: LeftOut) -> list[dict[str, str]]:
    """Describe folders by their names; files, which may be very many, by their number."""
    folders = [(each.source, each.reason) for each in left_out.folders]
    files = [("", f"files of other formats: {count:,} {name}") for name, count in left_out.files.most_common()]
    ignored = [("", f"files left out: {count:,} by {rule}") for rule, count in left_out.ignored.most_common()]
    return [
        {"source": source, "place": "", "id": "", "reason": reason} for source, reason in (*folders, *files, *ignored)
    ]


def to_json(outcome: IndexOutcome) -> dict[str, Any]:
    """Return the outcome as JSON."""
    report, left_out = outcome.report, outcome.left_out
    folders = [{"source": each.source, "reason": each.reason} for each in left_out.folders]
    return asdict(report) | {
        "bad": [_describe(each) for each in report.bad],
        "notes": [_describe(each) for each in report.notes],
        "left_out": {"files": dict(left_out.files), "ignored": dict(left_out.ignored), "folders": folders},
    }


def show(outcome: IndexOutcome, settings: Settings, console: Console) -> None:
    """Print the outcome."""
    from gemvec.milvus import IngestReport

    report = outcome.report
    if not outcome.has_read_anything:
        console.print("[yellow]Nothing was read.[/]")
        return
    if not isinstance(report, IngestReport):
        show_plan(report, console)
        return
    counts = ("added", "changed", "unchanged", "removed")
    said = ", ".join(f"{getattr(report, name):,} {name}" for name in counts if getattr(report, name))
    has_rate = report.embedded >= _MIN_FOR_A_RATE
    rate = f", {report.embedded / report.seconds:,.0f} passages/s" if has_rate else ""
    console.print(
        f"[green]Ready:[/] {_counted(report.documents, 'document')} ({said or 'none'}); "
        f"{_counted(report.embedded, 'passage')} embedded, {_counted(report.tokens, 'token')}, "
        f"{report.seconds:.1f} s{rate}",
        highlight=False,
        soft_wrap=True,
    )
    where = shlex.join(["--uri", settings.uri, "--collection", settings.collection])
    console.print(f'Search it: gemvec search "..." {escape(where)}', highlight=False, soft_wrap=True)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def show_plan(plan: IngestPlan, console: Console) -> None:
    """Print what an ingest would do and what Google would bill for it."""
    from gemvec.milvus.prices import PRICES_AS_OF, PRICES_SOURCE

    about = "" if plan.are_tokens_exact else "about "
    console.print(
        f"{_counted(plan.documents, 'document')}: {plan.added:,} new, {plan.changed:,} changed, "
        f"{plan.unchanged:,} unchanged\n"
        f"{_counted(plan.passages, 'passage')} in new and changed ones, {about}{_counted(plan.tokens, 'token')}; "
        f"to embed: {_counted(plan.new_passages, 'passage')}, {about}{_counted(plan.new_tokens, 'token')}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("model", "interactive", "batch", title="What Google would bill (estimate)", title_justify="left")
    for bill in plan.bills:
        table.add_row(bill.model, f"${bill.interactive:,.4f}", f"${bill.batch:,.4f}")
    console.print(table)
    console.print(
        f"[dim]Prices of {PRICES_AS_OF}, {PRICES_SOURCE}. Embedding in this process costs nothing.[/]", soft_wrap=True
    )
