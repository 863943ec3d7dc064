"""Estimate machines, hours, storage and money for a number of passages, by gemvec or by Google.

python tools/scale.py [--passages 100M] [--model NAME] [--tokens 128] [--cores 16] [--hours 24] [--json]

Examples:
  python tools/scale.py                                   the tables of docs/scale.md
  python tools/scale.py --passages 100M --passages 10B    other sizes
  python tools/scale.py --passages 1B --hours 72 --cores 64 --core-hour 0.03 --json
  python tools/scale.py --page                            write docs/scale.md and its chart anew
  python tools/scale.py --check                           fail where they are stale

Costs are measured (benchmarks/results), published by others, or assumed; each is in the output with its source. What is
said of GPUs are figures of others: gemvec was never run on one. `--page` and `--check` use the default values.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scale_chart import Axis, Line, draw
from scale_checks import Check, list_checks
from scale_figures import GOOGLE_MODEL, Figure, figures, models
from scale_limits import Limit, list_limits
from scale_model import MILVUS_MACHINE_BYTES, Workload

DOCS = Path(__file__).parent.parent / "docs"
PAGE, CHART = DOCS / "scale.md", DOCS / "pictures" / "scale.svg"
SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
DEFAULT_MODEL = "all-minilm-l6-v2"
LENGTHS = (32, 128, 256)
PRICES = {
    "core_hour": "US dollars for a core and an hour",
    "google": f"US dollars for a million tokens of {GOOGLE_MODEL} in a batch",
    "storage": "US dollars for a GB and a month in an object store",
    "milvus_hour": "US dollars for an hour of a machine for Milvus",
}
_UNITS = {"k": 10**3, "M": 10**6, "B": 10**9}
_ESTIMATES = (
    *("engine_cpu_seconds", "cpu_seconds", "core_hours", "machines", "wall_hours", "cpu_dollars", "google_dollars"),
    *("input_bytes", "result_bytes", "batches", "chunks", "objects", "object_requests", "commits", "row_bytes"),
    *("storage_dollars", "vector_bytes", "milvus_memory_bytes", "milvus_machines", "milvus_load_hours"),
    "milvus_month_dollars",
)
_GPU_ESTIMATES = ("gpu_hours", "gpus", "gpu_dollars")
_CPU_ESTIMATES = frozenset({"engine_cpu_seconds", "cpu_seconds", "core_hours", "machines", "wall_hours", "cpu_dollars"})

Row = Sequence[str]


def count(number: float) -> str:
    """Return a round number as people say it."""
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if number >= unit:
            return f"{_short(number / unit)} {word}"
    return f"{number:,.0f}"


def _short(number: float) -> str:
    """Return a number with two significant digits, or as a whole one."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"  # noqa: PLR2004 - two digits from here on


def exact(number: float) -> str:
    """Return a number with four significant digits, or as a whole one."""
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"  # noqa: PLR2004 - they are four digits


def dollars(amount: float) -> str:
    """Return an amount of US dollars."""
    return f"${amount:,.2g}" if amount < 0.01 else f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"  # noqa: PLR2004


def hours(amount: float) -> str:
    """Return a length of time."""
    if amount < 1:
        return f"{max(1, round(amount * 60))} min"
    return f"{_short(amount)} h" if amount < 72 else f"{_short(amount / 24)} days"  # noqa: PLR2004 - three days


def size(amount: float) -> str:
    """Return a number of bytes."""
    for unit, word in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
        if amount >= unit:
            return f"{_short(amount / unit)} {word}"
    return f"{_short(amount / 1e6)} MB"


def table(header: Row, rows: Sequence[Row]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def compute_table(loads: Sequence[Workload]) -> str:
    """Return what computing costs."""
    load = loads[0]
    header = ["passages", "hours of a core", f"machines of {load.cores} cores", "done in", "price of the cores"]
    has_gpu = load.model.gpu is not None
    header += ["hours of a GPU (others' figure)", "price of the GPU"] if has_gpu else []
    rows = [
        [
            count(each.passages),
            f"{_short(each.core_hours)}",
            f"{each.machines:,}",
            hours(each.wall_hours),
            dollars(each.cpu_dollars),
            *([_short(each.gpu_hours), dollars(each.gpu_dollars)] if has_gpu else []),
            dollars(each.google_dollars),
        ]
        for each in loads
    ]
    return table([*header, "Google's batches"], rows)


def model_table(load: Workload) -> str:
    """Return what a million passages cost with each model."""
    rows: list[Row] = []
    for model in models().values():
        for tokens in LENGTHS:
            each = replace(load, passages=10**6, model=model, tokens=tokens)
            cpu = [_short(each.core_hours), dollars(each.cpu_dollars)] if model.cpu else ["-", "-"]
            gpu = [_short(each.gpu_hours), dollars(each.gpu_dollars)] if model.gpu else ["-", "-"]
            rows.append([model.name, str(tokens), *cpu, *gpu, dollars(each.google_dollars)])
    header = ["model", "tokens", "hours of a core", "price", "hours of a GPU (others' figure)", "price"]
    return table([*header, "Google's batches"], rows)


def storage_table(loads: Sequence[Workload]) -> str:
    """Return what batches leave in the object store and in PostgreSQL."""
    rows = [
        [
            count(each.passages),
            f"{each.batches:,}",
            size(each.input_bytes),
            size(each.result_bytes),
            dollars(each.storage_dollars),
            count(each.objects),
            count(each.object_requests),
            count(each.commits),
            size(each.row_bytes),
        ]
        for each in loads
    ]
    header = ["passages", "batches", "inputs", "results", f"price for {loads[0].value('retention_days'):g} days"]
    return table([*header, "objects", "requests", "commits", "rows in PostgreSQL"], rows)


def milvus_table(loads: Sequence[Workload]) -> str:
    """Return what Milvus needs."""
    rows = [
        [
            count(each.passages),
            size(each.vector_bytes),
            size(each.milvus_memory_bytes),
            f"{each.milvus_machines:,}",
            hours(each.milvus_load_hours),
            dollars(each.milvus_month_dollars),
        ]
        for each in loads
    ]
    machines = f"machines of 16 cores and {MILVUS_MACHINE_BYTES / 1e9:.0f} GB"
    return table(["passages", "vectors", "memory", machines, "insert and index", "price of a month"], rows)


def check_table(checks: Sequence[Check]) -> str:
    """Return how far the model is from measured runs."""
    rows = [
        [
            each.what,
            f"{each.measured:,.1f} {each.unit}",
            f"{each.predicted:,.1f}",
            f"{each.deviation:+.0%}",
            each.source,
        ]
        for each in checks
    ]
    return table(["run", "measured", "predicted", "off by", "result"], rows)


def limit_table(limits: Sequence[Limit]) -> str:
    """Return where the design ends."""
    return table(
        ["what", "where it ends", "what then"],
        [[each.what, f"{count(each.number)} {each.unit}", each.then] for each in limits],
    )


def figure_table(found: Mapping[str, Figure]) -> str:
    """Return every figure with its source."""
    of_gpus = [each for model in models().values() for each in (model.gpu, model.gpu_hour) if each]
    rows = [[each.what, exact(each.value), each.kind, each.source] for each in (*found.values(), *of_gpus)]
    return table(["figure", "value", "how", "source"], rows)


def summary(checks: Sequence[Check]) -> str:
    """Return how far off the predictions are, in a sentence."""
    least, most = (pick(each.deviation for each in checks) for pick in (min, max))
    return f"The predictions for {len(checks)} measured figures are off by {least:+.0%} to {most:+.0%}."


def sections(loads: Sequence[Workload]) -> dict[str, str]:
    """Return the generated parts of the page by name."""
    checks = list_checks()
    return {
        "compute": compute_table(loads),
        "models": model_table(loads[0]),
        "storage": storage_table(loads),
        "milvus": milvus_table(loads),
        "summary": summary(checks),
        "checks": check_table(checks),
        "limits": limit_table(list_limits(loads[-1])),
        "figures": figure_table(loads[0].figures),
    }


def fill(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with the generated parts between their marks.

    Raises:
        KeyError: the page names a part that does not exist.
    """
    marks = re.compile(r"(<!-- tools/scale\.py: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)
    return marks.sub(lambda found: f"{found[1]}\n{parts[found[2]]}\n{found[3]}", page)


def chart(load: Workload) -> str:
    """Return the chart of prices."""
    gemma, minilm, static = (models()[name] for name in ("embeddinggemma-300m", DEFAULT_MODEL, "wordllama-256"))
    prices: list[tuple[str, Callable[[Workload], float], Any]] = [
        ("EmbeddingGemma on cores", lambda each: each.cpu_dollars, gemma),
        ("Google's batches", lambda each: each.google_dollars, minilm),
        ("all-MiniLM-L6-v2 on cores", lambda each: each.cpu_dollars, minilm),
        ("the same on a V100 (by others)", lambda each: each.gpu_dollars, minilm),
        ("static model on cores", lambda each: each.cpu_dollars, static),
    ]
    lines = [
        Line(label=label, points=[(each, price(replace(load, passages=each, model=model))) for each in SIZES])
        for label, price, model in prices
    ]
    said = ", ".join(f"{line.label} {dollars(line.points[0][1])}" for line in lines)
    amounts = [point[1] for line in lines for point in line.points]
    ticks = [10.0**power for power in range(-4, 9) if 10**power >= min(amounts) / 10 and 10**power <= max(amounts) * 10]
    return draw(
        f"Price of computing vectors for passages of {load.tokens:g} tokens",
        f"Lines over the number of passages, 1 million to 10 billion, on logarithmic axes. All are straight: ten times "
        f"as many passages cost ten times as much. For a million passages: {said}.",
        Axis(title="passages", ticks=[(each, count(each)) for each in SIZES]),
        Axis(title="US dollars", ticks=[(each, f"${each:,.10g}") for each in ticks]),
        lines,
    )


def estimates(load: Workload) -> dict[str, Any]:
    """Return everything that is estimated of a workload."""
    names = [name for name in _ESTIMATES if load.model.cpu or name not in _CPU_ESTIMATES]
    names += _GPU_ESTIMATES if load.model.gpu else ()
    asked = {"passages": load.passages, "tokens": load.tokens, "model": load.model.name, "on_ray": load.on_ray}
    return asked | {"cores": load.cores, "hours": load.hours} | {name: getattr(load, name) for name in names}


def passages(word: str) -> int:
    """Read a number of passages: 5000, 10M, 2.5B."""
    factor = _UNITS.get(word[-1:], 1)
    number = round(positive(word[:-1] if factor > 1 else word) * factor)
    if number < 1:
        raise ValueError(word)
    return number


def positive(word: str) -> float:
    """Read a positive number."""
    number = float(word)
    if not 0 < number < float("inf"):
        raise ValueError(word)
    return number


def read_options() -> argparse.Namespace:
    """Read the command line."""
    lines = (__doc__ or "").partition("\n\nExamples:")
    parser = argparse.ArgumentParser(
        description=lines[0].splitlines()[0],
        epilog=f"Examples:{lines[2]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    help_passages = "how many; may be repeated (1M, 10M, 100M, 1B and 10B)"
    parser.add_argument("--passages", type=passages, action="append", metavar="NUMBER", help=help_passages)
    parser.add_argument("--model", choices=models(), default=DEFAULT_MODEL, help="what embeds them (%(default)s)")
    parser.add_argument("--tokens", type=positive, default=128, help="of a passage, on average (%(default)s)")
    parser.add_argument(
        "--cores", type=int, choices=range(1, 1025), default=16, metavar="N", help="of a machine (%(default)s)"
    )
    parser.add_argument("--hours", type=positive, default=24, help="how long it may take (%(default)s)")
    parser.add_argument("--without-ray", action="store_true", help="the servers compute, and no Ray cluster")
    for name, what in PRICES.items():
        default = figures()[name].value
        parser.add_argument(f"--{name.replace('_', '-')}", type=positive, default=default, help=f"{what} ({default:g})")
    parser.add_argument("--json", action="store_true", help="everything as JSON, with every figure's source")
    parser.add_argument("--page", action="store_true", help="write docs/scale.md and its chart anew")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where these are stale")
    options = parser.parse_args()
    if options.model == "bge-large-en-v1.5" and not options.json:
        parser.error("for bge-large-en-v1.5 nothing was measured on cores: use --json")
    return options


def loads_of(options: argparse.Namespace) -> list[Workload]:
    """Return the workloads that were asked for."""
    given = {name: getattr(options, name) for name in PRICES}
    found = {
        name: replace(each, value=given[name], kind="given", source="the command line")
        if name in given and given[name] != each.value
        else each
        for name, each in figures().items()
    }
    return [
        Workload(
            passages=each,
            tokens=options.tokens,
            model=models()[options.model],
            cores=options.cores,
            hours=options.hours,
            on_ray=not options.without_ray,
            figures=found,
        )
        for each in options.passages or SIZES
    ]


def default_loads() -> list[Workload]:
    """Return the workloads of the page."""
    return [Workload(passages=each, tokens=128, model=models()[DEFAULT_MODEL]) for each in SIZES]


def write_page(*, check: bool) -> int:
    """Write the page and its chart, or say whether they are stale."""
    loads = default_loads()
    is_stale = False
    for path, text in ((PAGE, fill(PAGE.read_text(), sections(loads))), (CHART, chart(loads[0]))):
        if path.is_file() and path.read_text() == text:
            continue
        is_stale = True
        if not check:
            path.write_text(text)
        print(("stale: " if check else "written: ") + path.name)
    return int(is_stale and check)


def main() -> int:
    """Print the estimates, or write or check the page."""
    options = read_options()
    if options.page or options.check:
        return write_page(check=options.check)
    loads = loads_of(options)
    if options.json:
        found = {
            "estimates": [estimates(each) for each in loads],
            "figures": {name: asdict(each) for name, each in loads[0].figures.items()},
            "checks": [asdict(each) | {"deviation": each.deviation} for each in list_checks()],
            "limits": [asdict(each) for each in list_limits(loads[-1])] if loads[0].model.cpu else [],
        }
        print(json.dumps(found, indent=1))
        return 0
    for name, part in sections(loads).items():
        print(f"\n## {name}\n\n{part}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
