"""Numbers of few bits: scales found from the data itself."""

from __future__ import annotations

from flopwise.counts import Counts
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule
from flopwise.ops.pointwise import per_element

Tensors = tuple[Tensor, ...]


@op("dynamic_quantize")
def dynamic_quantize(inputs: Tensors) -> Counts:
    """The least and the greatest element (and 0) give scale and zero point; then quantise.

    scale = (max - min) / 255, zero = clip(round(0 - min / scale), 0, 255).
    """
    size = inputs[0].size
    return size * per_element("quantize") + Counts(cmp=2 * size + 2, add=2, div=2, bit=1)


@rule("shape", "dynamic_quantize")
def dynamic_shape(inputs: Tensors) -> list[Shape]:
    """The quantised tensor, its scale and its zero point."""
    return [inputs[0].sizes, (), ()]
