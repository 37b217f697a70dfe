"""Factors and offsets: Scale and Bias."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.caffe.net import Emit
from flopwise.frontends.caffe.text import Layer
from flopwise.graph import Tensor


def scale(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """A learned factor per channel, or that of a second bottom, and an offset."""
    p = layer.sub("scale_param")
    weight = x[1] if len(x) > 1 else emit.weight("weight")
    bias = emit.weight("bias") if p.flag("bias_term", False) else None
    emit("scale", x[0], weight, bias, **_spread(p, len(x) > 1))


def bias(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """A learned offset, or a second bottom."""
    offset = x[1] if len(x) > 1 else emit.weight("bias")
    emit("scale", x[0], None, offset, **_spread(layer.sub("bias_param"), len(x) > 1))


# The axes of a factor or an offset: `num_axes` of them from `axis` on (-1: all that follow).
SPANS = {(0, 1): "n", (0, 2): "n c", (0, -1): "n c *x", (1, 1): "c", (1, -1): "c *x"}


def _spread(p: Layer, given: bool) -> dict[str, Any]:
    """How a factor or an offset lies on the data, where not along channels. That of a bottom
    has the axes that it has: two from the first on, as excitations are, or channels."""
    axis, axes = p.number("axis", 1), p.number("num_axes", 1)
    axes = 2 - axis if given else axes
    if axes and (axis, axes) not in SPANS:
        raise UnreadableModel(f"{axes} axes from axis {axis} on are not known here")
    over = SPANS[axis, axes] if axes else ""
    if over == "c":
        return {}
    return {"pattern": f"n c *x, weight?: {over}, bias?: {over} -> n c *x"}
