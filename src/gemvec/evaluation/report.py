"""Measurements as one self-contained HTML page: charts, tables, what they mean. Nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from gemvec.evaluation.charts import Series, draw_bars, draw_legend, draw_lines
from gemvec.evaluation.measurement import Measurement

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c2430; --soft: #5d6877; --rule: #e3e7ec; --card: #f7f8fa;
  --series-0: #2563c9; --series-1: #d9480f; --series-2: #2b8a3e; --series-3: #9c36b5;
  --series-4: #0b7285; --series-5: #c2255c; --series-6: #8a6d00; --series-7: #5c677d; }
@media (prefers-color-scheme: dark) { :root { --page: #14181f; --ink: #e6eaf0; --soft: #9aa5b4; --rule: #2a313c;
  --card: #1b2129; --series-0: #6ea8fe; --series-1: #ff922b; --series-2: #69db7c; --series-3: #da77f2;
  --series-4: #3bc9db; --series-5: #f783ac; --series-6: #ffd43b; --series-7: #adb5bd; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 48px 0 8px; }
p { max-width: 70ch; }
.soft, .legend { color: var(--soft); font-size: 14px; }
figure { margin: 16px 0; padding: 20px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-weight: 600; margin-bottom: 10px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 10px 0 0; max-width: none; }
.legend i { display: inline-block; width: 22px; border-top: 3px solid; margin: 0 8px 4px 0; }
.legend i.dashed { border-top-style: dashed; }
.grid { stroke: var(--rule); }
.tick, .label, .value { fill: var(--soft); font-size: 12px; }
.label, .value { fill: var(--ink); font-size: 13px; }
.line { fill: none; stroke-width: 2.5; }
.line.dashed { stroke-dasharray: 5 5; stroke-width: 1.5; }
.point { stroke-width: 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 8px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
th.name, td.name { text-align: left; }
td.best { font-weight: 700; }
td.exact { color: var(--soft); }
"""

# By the metric that measurements of a kind are compared by: what the charts and the section say of it.
_CAPTIONS = {"spearman": "Spearman's correlation x 100", "accuracy": "Translations found, x 100", "ndcg@10": "nDCG@10"}
_NOTES = {
    "spearman": "Spearman's rank correlation, times 100, between the cosine of two sentences' vectors and the score "
    "people gave the pair.",
    "accuracy": "The part of the sentences, times 100, to which their own translation is the nearest one of all: from "
    "the first language to the second (accuracy), and back (reverse accuracy).",
    "ndcg@10": "Every query is asked in Milvus as gemvec search asks it. Beside it, in grey and dashed, is exact "
    "search of the same vectors: the difference is what the index loses. Index recall is the part of the exact first "
    "ten that Milvus found.",
}
_EXACT_NOTE = "Every query is compared with every document, without Milvus."
_TIMES_100 = {"spearman", "accuracy", "reverse_accuracy"}


def main_metric(measurement: Measurement) -> str:
    """Return the metric by which measurements are compared."""
    return next(metric for metric in _CAPTIONS if metric in measurement.scores)


def display(metric: str, value: float | None) -> str:
    """Return a score as it is usually written: those of sentences times 100 with two decimals, the others with four."""
    if value is None:
        return ""
    return f"{100 * value:.2f}" if metric in _TIMES_100 else f"{value:.4f}"


def variant(measurement: Measurement) -> str:
    """Return model and precision, and the kind of search if there is a choice."""
    search = {"cosine": "", "exact": "exact search"}.get(measurement.search, measurement.search)
    parts = [measurement.model, measurement.precision, search]
    return " · ".join(part for part in parts if part)


def group_by_dataset(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Return the measurements of each set of data, in order of appearance."""
    groups: dict[str, list[Measurement]] = {}
    for each in measurements:
        groups.setdefault(each.dataset, []).append(each)
    return groups


def render_report(measurements: Sequence[Measurement], *, subtitle: str = "") -> str:
    """Return the page.

    Args:
        measurements: from `evaluate`, of any number of models.
        subtitle: one line under the heading, such as when and with what it was made.
    """
    sections = [_render_section(name, group) for name, group in group_by_dataset(measurements).items()]
    weights = ", ".join(sorted({each.weights for each in measurements}))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Embedding quality</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>Embedding quality</h1><p class="soft">{escape(subtitle)}<br>Weights: {escape(weights)}</p>'
        f"{''.join(sections)}</main></body></html>\n"
    )


def _render_section(name: str, group: Sequence[Measurement]) -> str:
    metric = main_metric(group[0])
    note = _EXACT_NOTE if group[0].search == "exact" else _NOTES[metric]
    return (
        f"<section><h2>{escape(name)}</h2><p>{escape(note)}</p>"
        f"<figure><figcaption>{_CAPTIONS[metric]}</figcaption>{_render_chart(group, metric)}</figure>"
        f'<div class="scroll">{_render_table(group)}</div></section>'
    )


def _render_chart(group: Sequence[Measurement], metric: str) -> str:
    scale, decimals = (100, 2) if metric in _TIMES_100 else (1, 4)
    variants: dict[str, list[Measurement]] = {}
    for each in group:
        variants.setdefault(variant(each), []).append(each)
    solid: list[Series] = []
    dashed: list[Series] = []
    for colour, (name, own) in enumerate(variants.items()):
        points = {each.dimensionality: scale * each.scores[metric] for each in own}
        exact = {each.dimensionality: each.exact[metric] for each in own if each.exact}
        solid.append(Series(name=name, colour=colour, points=points))
        if exact:
            dashed.append(Series(name=f"{name}, exact", colour=colour, points=exact, is_dashed=True))
    if len({each.dimensionality for each in group}) == 1:
        return draw_bars(solid, decimals=decimals)
    legend = draw_legend(solid, dashed="exact search of the same vectors" if dashed else "")
    return draw_lines([*solid, *dashed], decimals=decimals) + legend


def _render_table(group: Sequence[Measurement]) -> str:
    metrics = list(group[0].scores)
    best = {metric: max(each.scores[metric] for each in group) for metric in metrics}
    has_exact = bool(group[0].exact)
    heads = ['<th class="name">model</th>', "<th>dimensions</th>"]
    for metric in metrics:
        heads += [f"<th>{escape(metric.replace('_', ' '))}</th>", *(["<th>exact</th>"] if has_exact else [])]
    heads += ["<th>index recall</th>"] if has_exact else []
    rows = [f"<tr>{_render_row(each, metrics, best)}</tr>" for each in group]
    return f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _render_row(each: Measurement, metrics: Sequence[str], best: Mapping[str, float]) -> str:
    cells = [f'<td class="name">{escape(variant(each))}</td>', f"<td>{each.dimensionality}</td>"]
    for metric in metrics:
        is_best = each.scores[metric] == best[metric]
        cells.append(f'<td class="{"best" if is_best else ""}">{display(metric, each.scores[metric])}</td>')
        if each.exact:
            cells.append(f'<td class="exact">{display(metric, each.exact[metric])}</td>')
    if each.index_recall is not None:
        cells.append(f"<td>{each.index_recall:.4f}</td>")
    return "".join(cells)
