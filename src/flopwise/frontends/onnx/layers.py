"""Contractions, pooling, normalisation and recurrent cells of ai.onnx."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.onnx.arithmetic import scalar
from flopwise.frontends.onnx.native import Native, lowers, same_meaning

same_meaning({
    "MatMul": "matmul", "GlobalAveragePool": "global_avg_pool", "GlobalMaxPool": "global_max_pool",
})  # fmt: skip


def padding(n: Native) -> Any:
    """`pads` holds all befores, then all afters; auto_pad in its place gives a rule."""
    automatic = n.text("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        return "same"
    pads = n.integers("pads")
    if automatic == "VALID" or not pads:
        return 0
    half = len(pads) // 2
    return tuple(zip(pads[:half], pads[half:]))


def window(n: Native) -> dict[str, Any]:
    """Stride, padding and dilation."""
    return {
        "stride": n.integers("strides") or 1, "pad": padding(n),
        "dilation": n.integers("dilations") or 1,
    }  # fmt: skip


@lowers("Conv")
def conv(n: Native) -> None:
    operands = n.given(0), n.given(1), n.input(2)
    n.emit("conv", *operands, groups=n.integer("group", 1), **window(n))


@lowers("ConvTranspose")
def conv_transpose(n: Native) -> None:
    attrs = {"groups": n.integer("group", 1), **window(n)}
    attrs["output_pad"] = n.integers("output_padding") or 0
    if shape := n.integers("output_shape"):
        attrs["y"] = shape
    n.emit("conv_transpose", n.given(0), n.given(1), n.input(2), **attrs)


def gemm_pattern(n: Native) -> str:
    """A and B, either of which may be transposed; a bias that broadcasts."""
    a = "i *n" if n.integer("transA") else "*n i"
    b = "o i" if n.integer("transB") else "i o"
    return f"{a}, weight: {b}, bias?: *_ -> *n o"


@lowers("Gemm")
def gemm(n: Native) -> None:
    """alpha A B + beta C, either transposed."""
    bias, alpha, beta = n.input(2), n.real("alpha", 1.0), n.real("beta", 1.0)
    if bias is not None and beta != 1:
        bias = n.emit("mul", bias, scalar(n, beta), part="beta") if beta else None
    attrs = {"pattern": gemm_pattern(n)}
    if alpha == 1:
        n.emit("linear", n.given(0), n.given(1), bias, **attrs)
        return
    product = n.emit("linear", n.given(0), n.given(1), None, part="product", **attrs)
    if bias is not None:
        product = n.emit("mul", product, scalar(n, alpha), part="alpha")
        n.emit("add", product, bias)
    else:
        n.emit("mul", product, scalar(n, alpha))


@lowers("MaxPool", "AveragePool", "LpPool")
def pool(n: Native) -> None:
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool", "LpPool": "lp_pool"}[n.op]
    ceil = bool(n.integer("ceil_mode"))
    attrs = {**window(n), "k": n.integers("kernel_shape"), "ceil": ceil}
    attrs |= {"p": n.integer("p", 2)} if n.op == "LpPool" else {}
    n.emit(op, n.given(0), dtype=("", "int64"), **attrs)


@lowers("GlobalLpPool")
def global_lp_pool(n: Native) -> None:
    n.emit("global_lp_pool", n.given(0), p=n.integer("p", 2))


@lowers("Einsum")
def einsum(n: Native) -> None:
    n.emit("einsum", *n.inputs, equation=n.text("equation"))


@lowers("Det")
def determinant(n: Native) -> None:
    n.emit("determinant", n.given(0))
