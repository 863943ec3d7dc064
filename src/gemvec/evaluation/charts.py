"""Charts as inline SVG, without a library: lines over dimensionality, and bars. Colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor

_WIDTH, _HEIGHT = 960, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 36
_BAR, _BAR_GAP, _CHARACTER = 22, 12, 7
_TICKS = 5
# How many colours the page defines: --series-0 and so on.
COLOURS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line or bar of a chart.

    Attributes:
        name: for the legend.
        colour: which of the page's colours.
        points: values by dimensionality.
        is_dashed: a reference beside the line of the same colour.
    """

    name: str
    colour: int
    points: dict[int, float]
    is_dashed: bool = False


def draw_lines(series: Sequence[Series], *, decimals: int) -> str:
    """Return lines over dimensionality, with steps of equal width."""
    steps = sorted({step for each in series for step in each.points})
    low, high = _bounds([value for each in series for value in each.points.values()], decimals)
    across = {step: _LEFT + _part(place, len(steps)) * (_WIDTH - _LEFT - _RIGHT) for place, step in enumerate(steps)}

    def height(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts: list[str] = []
    for tick in range(_TICKS + 1):
        value = low + (high - low) * tick / _TICKS
        y = height(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.{decimals}f}</text>'
        )
    for step, x in across.items():
        parts.append(f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{step}</text>')
    for each in series:
        places = [(across[step], height(each.points[step])) for step in sorted(each.points)]
        parts.append(_draw_line(each, places))
        parts += [
            _draw_point(each, step, place, decimals) for step, place in zip(sorted(each.points), places, strict=True)
        ]
    return _svg(_WIDTH, _HEIGHT, parts)


def draw_bars(series: Sequence[Series], *, decimals: int) -> str:
    """Return one horizontal bar for each series, with its only value at the end."""
    values = [next(iter(each.points.values())) for each in series]
    longest = max([*values, 1e-9])
    start = 16 + _CHARACTER * max(len(each.name) for each in series)
    width = max(_WIDTH - start - 64, _WIDTH // 3)
    parts: list[str] = []
    for place, (each, value) in enumerate(zip(series, values, strict=True)):
        y = _BAR_GAP + place * (_BAR + _BAR_GAP)
        length = max(0.0, value / longest * width)
        style = f"fill:var(--series-{each.colour % COLOURS})"
        parts += [
            f'<text class="label" x="{start - 10}" y="{y + 15}" text-anchor="end">{escape(each.name)}</text>',
            f'<rect x="{start}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3" style="{style}"/>',
            f'<text class="value" x="{start + length + 8:.1f}" y="{y + 15}">{value:.{decimals}f}</text>',
        ]
    return _svg(start + width + 64, _BAR_GAP + len(series) * (_BAR + _BAR_GAP), parts)


def draw_legend(series: Sequence[Series], *, dashed: str = "") -> str:
    """Return the names of the series beside their colours, and what dashed lines mean."""
    items = [
        f'<span><i style="border-color:var(--series-{each.colour % COLOURS})"></i>{escape(each.name)}</span>'
        for each in series
    ]
    items += [f'<span><i class="dashed"></i>{escape(dashed)}</span>'] if dashed else []
    return f'<p class="legend">{"".join(items)}</p>'


def _draw_line(series: Series, places: Sequence[tuple[float, float]]) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    kind = "line dashed" if series.is_dashed else "line"
    return f'<polyline class="{kind}" points="{points}" style="stroke:var(--series-{series.colour % COLOURS})"/>'


def _draw_point(series: Series, step: int, place: tuple[float, float], decimals: int) -> str:
    x, y = place
    title = f"{escape(series.name)}, {step} dimensions: {series.points[step]:.{decimals}f}"
    colour = f"var(--series-{series.colour % COLOURS})"
    style = f"fill:var(--page);stroke:{colour}" if series.is_dashed else f"fill:{colour};stroke:{colour}"
    return f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4" style="{style}"><title>{title}</title></circle>'


def _bounds(values: Sequence[float], decimals: int) -> tuple[float, float]:
    """Return round numbers around the values, never equal."""
    step = 10.0 ** (2 - decimals)
    low, high = floor(min(values) / step) * step, ceil(max(values) / step) * step
    return low, max(high, low + step)


def _part(place: int, count: int) -> float:
    """Return the position of a step on the axis, 0 to 1, with half a step free at both ends."""
    return (place + 0.5) / count


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'
