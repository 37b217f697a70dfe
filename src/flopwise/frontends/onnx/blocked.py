"""com.microsoft.nchwc: the graph as onnxruntime lays it out for the CPU, channels in blocks.

Tensors stand here with the channels that the network has. The file fills the last block up
with filters of zeros, and what these compute is no part of the network; that memory holds whole
blocks is told by the attribute `block` where tensors enter this layout: the channels in one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from flopwise import arrays as numpy
from flopwise.frontends.onnx.fused import activation, finish
from flopwise.frontends.onnx.layers import window
from flopwise.frontends.onnx.native import Native, lowers, same_meaning

DOMAIN = "com.microsoft.nchwc"
BLOCK = 16  # the widest; 8 on other machines, which the same test tells
nchwc = partial(lowers, domain=DOMAIN)

same_meaning(
    {"GlobalAveragePool": "global_avg_pool", "GlobalMaxPool": "global_max_pool"}, domain=DOMAIN
)


@nchwc("Conv")
def conv(n: Native) -> None:
    """Data, weight, bias, and what is added before the activation."""
    x, other, function = n.given(0), n.input(3), activation(n)
    block = BLOCK if n.given(1).sizes[0] % BLOCK == 0 else BLOCK // 2
    weight, bias = (t and replace(t, shape=None) for t in (n.given(1), n.input(2)))
    op, attrs = kind(n)
    steps: list[tuple[str, Any]] = [("add", (other,))] if other is not None else []
    steps += [(function, ())] if function else []
    if steps:
        finish(n, n.emit(op, x, weight, bias, part=op, block=block, **attrs), steps)
    else:
        n.emit(op, x, weight, bias, block=block, **attrs)


def kind(n: Native) -> tuple[str, dict[str, Any]]:
    """The operator, and the sizes that fill in the shape of its weight."""
    f, g, *taps = n.given(1).sizes
    k, groups = tuple(n.integers("kernel_shape") or taps), n.integer("group", 1)
    if (f, g) != (groups, 1):
        f = filters(n) if groups == 1 else f
        return "conv", {"f": f, "k": k, "groups": groups, **window(n)}
    if set(k) == {1} and set(n.integers("strides") or (1,)) == {1}:
        return "scale", {}  # one tap per channel: what was a batch norm; no contraction
    # As many groups as channels; c and groups stand for one of them.
    pattern = "n f *x, weight: f g *k, bias?: f -> n f *y"
    return "conv", {"pattern": pattern, "c": 1, "groups": 1, "k": k, **window(n)}


def filters(n: Native) -> Any:
    """The filters that the network has: as the node that leaves the layout says, else those
    of the last block that hold more than zeros."""
    channels = n.block.unblocked.get(n.outputs[0])
    if channels is not None:
        return channels
    whole: Any = n.given(1).sizes[0]
    spans = n.block.stored.get(n.message["input"][1], {}).get("raw_data", ())
    if n.given(1).dtype != "float32" or len(spans) != 1:
        return whole
    start, stop = spans[0]
    size = min((stop - start) // whole * BLOCK, stop - start) // (4 * BLOCK) * 4 * BLOCK
    numbers = numpy.frombuffer(bytes(n.block.wire.data[stop - size : stop]), "<f4")
    used = [bool(column.any()) for column in numbers.reshape(-1, BLOCK).T]
    return whole - used[::-1].index(True) if True in used else whole


@nchwc("MaxPool", "AveragePool")
def pool(n: Native) -> None:
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool"}[n.op]
    attrs = {"k": n.integers("kernel_shape"), "ceil": bool(n.integer("ceil_mode")), **window(n)}
    n.emit(op, n.given(0), **attrs)


@nchwc("Upsample")
def upsample(n: Native) -> None:
    n.emit("resize", n.given(0), scale=n.integers("scales"), mode=n.text("mode", "nearest"))


def splits_block(n: Native) -> bool:
    """Whether a Reshape gives blocks an axis of their own, as onnxruntime does about an Add;
    here, where channels are those of the network, that changes nothing."""
    shape = n.given(1).value if len(n.inputs) > 1 else None
    sizes = shape.ravel().tolist() if shape is not None else []
    return DOMAIN in n.block.opsets and sizes in ([0, -1, 0, 0, 8], [0, -1, 0, 0, 16])


@nchwc("ReorderInput", "ReorderOutput")
def reorder(n: Native) -> None:
    """To and from blocks of channels, where channels may lie last."""
    last = {"ReorderInput": "n *x c -> n c *x", "ReorderOutput": "n c *x -> n *x c"}[n.op]
    block = BLOCK if n.op == "ReorderInput" else None
    n.emit("copy", n.given(0), pattern=last if n.integer("channels_last") else None, block=block)
