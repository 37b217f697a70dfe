"""A roofline plot as SVG: intensity against rate, the device's roof, one dot per kernel."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10, sqrt

from flopwise.analyses.roofline import Kernel, Prediction
from flopwise.reports import short
from flopwise.reports.latency import duration

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 440, 70, 50, 40, 20
COLOURS = {"compute": "#c0392b", "memory": "#2471a3", "overhead": "#7d8a2e"}


class Axes:
    """Logarithmic axes: numbers to places."""

    def __init__(self, x: tuple[int, int], y: tuple[int, int]) -> None:
        self.x, self.y = x, y

    def place(self, intensity: float, rate: float) -> tuple[float, float]:
        """Where a kernel is, in the units of the picture."""
        across = (log10(intensity) - self.x[0]) / (self.x[1] - self.x[0])
        up = (log10(rate) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )


def render(found: Prediction) -> str:
    """The picture, to be written into a file. Kernels without operations or bytes are left out."""
    shown = [k for k in found.kernels if k.flops and k.bytes and k.time_s]
    roof = found.device.peak.get(found.dtype) or max(found.device.peak.values())
    ridge = roof / found.device.bandwidth
    points = [(k.flops / k.bytes, k.flops / k.time_s) for k in shown] or [(ridge, roof)]
    axes = Axes(
        _decades([ridge, *(x for x, _ in points)]), _decades([roof, *(y for _, y in points)])
    )
    title = f"{found.name} on {found.device.name}: {duration(found.latency_s)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        *_grid(axes),
        _roof(axes, ridge, roof),
        *(_dot(axes, k, found.latency_s) for k in shown),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts)


def _decades(values: list[float]) -> tuple[int, int]:
    return floor(log10(min(values)) - 0.2), ceil(log10(max(values)) + 0.2)


def _grid(axes: Axes) -> list[str]:
    lines = []
    base, top = 10.0 ** axes.y[0], 10.0 ** axes.y[1]
    for power in range(axes.x[0], axes.x[1] + 1):
        (x, y), (_, y2) = axes.place(10.0**power, base), axes.place(10.0**power, top)
        lines.append(f'<path d="M{x:.1f} {y:.1f}V{y2:.1f}" stroke="#ddd"/>')
        lines.append(
            f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{10.0**power:g}</text>'
        )
    for power in range(axes.y[0], axes.y[1] + 1):
        x, y = axes.place(10.0 ** axes.x[0], 10.0**power)
        lines.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        lines.append(
            f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{short(10.0**power)}</text>'
        )
    middle = (WIDTH + LEFT) / 2
    lines.append(
        f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">'
        "operations per byte read or written</text>"
    )
    lines.append(
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        "operations per second</text>"
    )
    return lines


def _roof(axes: Axes, ridge: float, roof: float) -> str:
    left, base = 10.0 ** axes.x[0], 10.0 ** axes.y[0]
    start = max(left, ridge * base / roof)
    a, b = axes.place(start, roof * start / ridge), axes.place(ridge, roof)
    return (
        f'<path d="M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}H{WIDTH - RIGHT}" '
        'fill="none" stroke="#333" stroke-width="1.5"/>'
    )


def _dot(axes: Axes, kernel: Kernel, total: float) -> str:
    x, y = axes.place(kernel.flops / kernel.bytes, kernel.flops / kernel.time_s)
    label = escape(f"{kernel.name}: {duration(kernel.time_s)}, bound by {kernel.bound}")
    radius = 2 + 18 * sqrt(kernel.time_s / total)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" '
        f'fill="{COLOURS[kernel.bound]}" fill-opacity="0.45"><title>{label}</title></circle>'
    )


def _legend() -> list[str]:
    return [
        f'<text x="{LEFT + 10}" y="{TOP + 16 + 16 * i}" fill="{colour}">bound by {bound}</text>'
        for i, (bound, colour) in enumerate(COLOURS.items())
    ]
