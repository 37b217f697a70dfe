"""com.microsoft: indexing, pooling, transforms and views."""

from __future__ import annotations

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.fused import MICROSOFT, microsoft
from flopwise.frontends.onnx.indexing import number
from flopwise.frontends.onnx.layers import window
from flopwise.frontends.onnx.native import Native, same_meaning

same_meaning({"Range": "range", "GatherND": "gather_nd", "Pad": "pad"}, domain=MICROSOFT)


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
    n.emit("unique", n.given(0), dtype=("", "int64", "int64"), inverse=1, most=n.free())


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


@microsoft("Rfft")
def rfft(n: Native) -> None:
    """Of the last axis; results have their two parts last."""
    if n.integer("signal_ndim", 1) != 1:
        n.unknown()
        return
    x = n.emit("unsqueeze", n.given(0), part="parts", axes=(-1,))
    n.emit("dft", x, axis=-2, onesided=True)


@microsoft("Irfft")
def irfft(n: Native) -> None:
    if n.integer("signal_ndim", 1) != 1:
        n.unknown()
        return
    y = n.emit("dft", n.given(0), part="dft", axis=-2, onesided=True, inverse=True)
    n.emit("squeeze", y, axes=(-1,))
