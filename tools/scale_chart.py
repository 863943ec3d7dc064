"""A chart of lines over two logarithmic axes as SVG, readable on light and dark pages and without its colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 250, 36, 64
_STYLE = """\
svg { font: 14px system-ui, sans-serif; }
.page { fill: #ffffff; } .axis, .grid { stroke: #6b7280; } .grid { stroke-opacity: .25; } text { fill: #1f2937; }
.line { fill: none; stroke-width: 2.5; } .line0 { stroke: #1d4ed8; } .line1 { stroke: #047857; }
.line2 { stroke: #b45309; } .line3 { stroke: #7e22ce; } .line4 { stroke: #be123c; }
@media (prefers-color-scheme: dark) {
  .page { fill: #161b22; } .axis, .grid { stroke: #9ca3af; } text { fill: #e5e7eb; }
  .line0 { stroke: #7aa2ff; } .line1 { stroke: #34d399; } .line2 { stroke: #fbbf24; }
  .line3 { stroke: #c4a1ff; } .line4 { stroke: #fb7185; }
}"""
_DASHES = ("none", "10 4", "3 3", "12 4 3 4", "6 6")
_LABEL_HEIGHT = 17
_NAMED = 'role="img" aria-labelledby="title description"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the chart.

    Attributes:
        label: what it shows, beside its end.
        points: x and y of its points, in order; all positive.
    """

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A logarithmic axis.

    Attributes:
        title: what it measures.
        ticks: values to mark, ascending, with their labels; the axis goes from the first to the last.
    """

    title: str
    ticks: Sequence[tuple[float, str]]

    def share(self, value: float) -> float:
        """Return where a value is: 0 at the first tick, 1 at the last."""
        first, last = math.log10(self.ticks[0][0]), math.log10(self.ticks[-1][0])
        return (math.log10(value) - first) / (last - first)


def draw(title: str, description: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """Return the chart as a document of SVG.

    Args:
        title: short; what a reader without eyes hears first.
        description: what there is to see, in a sentence or two.
        x: the axis along the bottom.
        y: the axis at the left.
        lines: at most five.
    """
    body = [*_grid(x, y), *_labelled(lines, x, y)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {_NAMED}>',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(description)}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
            *body,
            "</svg>\n",
        ]
    )


def _across(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _up(share: float) -> float:
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _grid(x: Axis, y: Axis) -> list[str]:
    left, right, top, bottom = _across(0), _across(1), _up(1), _up(0)
    parts: list[str] = []
    for value, label in x.ticks:
        at = _across(x.share(value))
        parts.append(f'<path class="grid" d="M{at:.1f} {top:.1f}V{bottom:.1f}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 20:.1f}" text-anchor="middle">{escape(label)}</text>')
    for value, label in y.ticks:
        at = _up(y.share(value))
        parts.append(f'<path class="grid" d="M{left:.1f} {at:.1f}H{right:.1f}"/>')
        parts.append(f'<text x="{left - 8:.1f}" y="{at + 5:.1f}" text-anchor="end">{escape(label)}</text>')
    middle = (left + right) / 2
    parts.append(f'<path class="axis" fill="none" d="M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}"/>')
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x.title)}</text>')
    parts.append(f'<text x="12" y="22">{escape(y.title)}</text>')
    return parts


def _labelled(lines: Sequence[Line], x: Axis, y: Axis) -> list[str]:
    """Return lines with labels at their ends, moved apart where they would lie over each other."""
    parts: list[str] = []
    below = math.inf
    for number, line in sorted(enumerate(lines), key=lambda each: each[1].points[-1][1]):
        places = [(_across(x.share(at)), _up(y.share(value))) for at, value in line.points]
        path = "L".join(f"{across:.1f} {up:.1f}" for across, up in places)
        parts.append(f'<path class="line line{number}" stroke-dasharray="{_DASHES[number]}" d="M{path}"/>')
        end, height = places[-1]
        below = min(height, below - _LABEL_HEIGHT)
        parts.append(f'<path class="axis" d="M{end + 2:.1f} {height:.1f}L{end + 12:.1f} {below:.1f}"/>')
        parts.append(f'<text x="{end + 16:.1f}" y="{below + 5:.1f}">{escape(line.label)}</text>')
    return parts
