"""Lines over a logarithmic axis, as an SVG file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 150, 46, 56
COLOURS = ("#2f6db3", "#b4561a", "#2e7d52", "#7b51a8", "#b03a5b", "#1f7a85", "#8a6a14", "#6b7178")
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #5c636d; }
  .title { font-size: 15px; font-weight: 600; fill: #1b1e23; }
  .page { fill: #fbfbfa; } .grid { stroke: #e3e4e2; } .axis { stroke: #5c636d; }
  polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    text { fill: #a2a8b0; } .title { fill: #e8e9ea; } .page { fill: #14161a; }
    .grid { stroke: #2d3138; } .axis { stroke: #a2a8b0; } .line { filter: brightness(1.5); }
  }
"""


def lines(
    title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:  # fmt: skip
    """One line for each series of points above 0; both axes are logarithmic."""
    points = [p for s in series.values() for p in s]
    x, y = (Axis.over([p[i] for p in points]) for i in (0, 1))
    body = [*_across(x, across), *_up(y, up)]
    for i, (name, found) in enumerate(series.items()):
        body += _line(name, found, x, y, i)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    text = f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>'
    page = f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>'
    title_ = f"<title>{escape(title)}</title><style>{STYLE}</style>"
    return "\n".join([head, title_, page, text, *body, "</svg>"])


class Axis:
    """A logarithmic axis over some numbers, as a share of its length."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def over(cls, values: Sequence[float]) -> Axis:
        low, high = min(values), max(values)
        return cls(low, high) if high > low else cls(low / 2, high * 2)

    def place(self, value: float) -> float:
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """1, 2 and 5 of each power of ten; powers alone where there are many."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (1, 2, 5) if last - first < 4 else (1,)
        every = [s * 10.0**p for p in range(first, last + 1) for s in steps]
        return [t for t in every if self.low <= t <= self.high * 1.0001]


def _across(axis: Axis, label: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    found = [f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 16}" text-anchor="middle">'
             f"{escape(label)}</text>"]  # fmt: skip
    for tick in axis.ticks():
        x = _x(axis, tick)
        found.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>')
        found.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{_number(tick)}</text>')
    return [*found, f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none"/>']


def _up(axis: Axis, label: str) -> list[str]:
    found = [f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
             f'text-anchor="middle">{escape(label)}</text>']  # fmt: skip
    for tick in axis.ticks():
        y = _y(axis, tick)
        found.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        found.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{_number(tick)}</text>')
    return found


def _line(
    name: str, points: Sequence[tuple[float, float]], x: Axis, y: Axis, i: int
) -> list[str]:  # fmt: skip
    colour, at = COLOURS[i % len(COLOURS)], TOP + 8 + 18 * i
    places = [(_x(x, a), _y(y, b)) for a, b in points]
    path = " ".join(f"{a},{b}" for a, b in places)
    dots = "".join(f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in places)
    edge = WIDTH - RIGHT + 14
    key = f'<line x1="{edge}" x2="{edge + 16}" y1="{at}" y2="{at}" stroke="{colour}"/>'
    text = f'<text x="{edge + 22}" y="{at + 4}">{escape(name)}</text>'
    line = f'<polyline points="{path}" stroke="{colour}"/>'
    return [f'<g class="line">{line}{dots}{key}</g>{text}']


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _number(value: float) -> str:
    for scale, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:g}{prefix}"
    return f"{value:g}"
