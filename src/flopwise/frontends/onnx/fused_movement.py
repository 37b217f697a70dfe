"""com.microsoft and its layouts: indexing, pooling, and the NCHWc blocks of onnxruntime."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.fused import MICROSOFT, activation, finish, microsoft
from flopwise.frontends.onnx.indexing import number
from flopwise.frontends.onnx.layers import window
from flopwise.frontends.onnx.native import Native, lowers, same_meaning

NCHWC = "com.microsoft.nchwc"
NHWC = "com.ms.internal.nhwc"

same_meaning({"Range": "range", "GatherND": "gather_nd", "Pad": "pad"}, domain=MICROSOFT)
same_meaning({
    "GlobalAveragePool": "global_avg_pool", "GlobalMaxPool": "global_max_pool",
}, domain=NCHWC)  # fmt: skip


@microsoft("ExpandDims")
def expand_dims(n: Native) -> None:
    axis = number(n, 1)
    if axis is None:
        raise UnreadableModel("its axis is no constant")
    n.emit("unsqueeze", n.given(0), axes=(axis,))


@microsoft("Trilu")
def trilu(n: Native) -> None:
    n.emit("triangle", n.given(0))


@microsoft("Unique")
def unique(n: Native) -> None:
    n.emit("unique", n.given(0), dtype=("", "int64", "int64"), most=n.free())


@microsoft("TorchEmbedding")
def embedding(n: Native) -> None:
    n.emit("gather", n.given(0), n.given(1))


@microsoft("UnfoldTensor")
def unfold(n: Native) -> None:
    size, step = n.integer("size"), n.integer("step", 1)
    n.emit("unfold_axis", n.given(0), axis=n.integer("dim", -1), size=size, step=step)


@microsoft("GridSample")
def grid_sample(n: Native) -> None:
    n.emit("grid_sample", *n.inputs, mode=n.text("mode", "bilinear"))


@microsoft("NhwcMaxPool", "MaxpoolWithMask")
def max_pool(n: Native) -> None:
    layout = "n *x c -> n *y c" if n.op == "NhwcMaxPool" else None
    attrs = {"k": n.integers("kernel_shape"), "ceil": bool(n.integer("ceil_mode")), **window(n)}
    n.emit("max_pool", n.given(0), pattern=layout, **attrs)


@lowers("Conv", domain=NCHWC)
def blocked_conv(n: Native) -> None:
    """Data, weight, bias, and what is added before the activation; channels in blocks."""
    attrs: dict[str, Any] = {"groups": n.integer("group", 1), **window(n)}
    other, function = n.input(3), activation(n)
    steps: list[tuple[str, Any]] = [("add", (other,))] if other is not None else []
    steps += [(function, ())] if function else []
    if not steps:
        n.emit("conv", *n.inputs[:3], **attrs)
    else:
        finish(n, n.emit("conv", *n.inputs[:3], part="conv", **attrs), steps)


@lowers("MaxPool", "AveragePool", domain=NCHWC)
def blocked_pool(n: Native) -> None:
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool"}[n.op]
    attrs = {"k": n.integers("kernel_shape"), "ceil": bool(n.integer("ceil_mode")), **window(n)}
    n.emit(op, n.given(0), **attrs)


@lowers("Upsample", domain=NCHWC)
def blocked_upsample(n: Native) -> None:
    n.emit("resize", n.given(0), scale=n.integers("scales"), mode=n.text("mode", "nearest"))


@lowers("ReorderInput", domain=NCHWC)
def reorder_input(n: Native) -> None:
    """To blocks of channels; from channels last where it says so."""
    last = n.integer("channels_last")
    n.emit("copy", n.given(0), pattern="n *x c -> n c *x" if last else None)


@lowers("ReorderOutput", domain=NCHWC)
def reorder_output(n: Native) -> None:
    """Back to the plain layout; channels that filled up the last block are dropped."""
    channels, last = n.integer("channels"), n.integer("channels_last")
    n.emit("unblock", n.given(0), channels=channels, last=bool(last) or None)
