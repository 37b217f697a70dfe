"""Cases of kernels as operators of ONNX, in onnxruntime's own domains where it fuses or lays out
channels in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

from flopwise import arrays as numpy
from flopwise.analyses.cases import BLOCKED, VECTOR, Case

MICROSOFT = "com.microsoft"
ACTIVATIONS = {1: "Relu", 2: "HardSwish", 3: "Sigmoid"}
NAMES = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "gelu": "Gelu", "erf": "Erf",
    "quick_gelu": "QuickGelu", "exp": "Exp", "sqrt": "Sqrt", "hard_sigmoid": "HardSigmoid",
    "hard_swish": "HardSwish", "leaky_relu": "LeakyRelu", "clip": "Clip", "neg": "Neg",
    "softplus": "Softplus", "square": "Square",
}  # fmt: skip


@dataclass
class Spec:
    """One operator: data, weights (arrays or shapes), attributes, and what its domain is."""

    op: str
    data: Sequence[tuple[int, ...]]
    weights: Sequence[Any] = ()
    attrs: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    sums: bool = False  # the second operand comes after the weights


def has(case: Case) -> bool:
    """Whether onnxruntime has such a kernel."""
    name = case.kind.split()[0]
    return name in BUILDERS and (name != "unary" or case.kind.split()[1] in NAMES)


def spec(case: Case) -> Spec:
    """The operator that is a case."""
    return BUILDERS[case.kind.split()[0]](case)


def _up(size: int) -> int:
    return -(-size // VECTOR) * VECTOR


def _window(h: int, w: int, k: tuple[int, int], stride: int, groups: int) -> tuple[Any, ...]:
    """The plane to read for a plane of h x w, and the attributes that say so."""
    pads = [(k[0] - 1) // 2, (k[1] - 1) // 2] if stride < max(k) or max(k) == 1 else [0, 0]
    plane = tuple(
        max((size - 1) * stride + taps - 2 * pad, taps - 2 * pad, 1)
        for size, taps, pad in zip((h, w), k, pads)
    )
    return plane, {
        "kernel_shape": list(k), "strides": [stride] * 2, "pads": pads * 2, "dilations": [1, 1],
        "group": groups,
    }  # fmt: skip


def _taps(area: int, wide: int = 0) -> tuple[int, int]:
    wide = wide or isqrt(area)
    return area // wide, wide


def _conv(case: Case) -> Spec:
    s = case.named
    groups, kind = s.get("groups", 1), case.kind
    c, f = s["c"], s.get("f", s["c"])
    plane, attrs = _window(s["h"], s["w"], _taps(s["k"], s.get("wide", 0)), s["stride"], groups)
    taps = tuple(attrs["kernel_shape"])
    if kind == "plain_conv":
        return Spec(
            "Conv", [(1, c * groups, *plane)], [(f * groups, c, *taps), (f * groups,)], attrs
        )
    if kind == "depthwise_conv":
        attrs["group"] = c = _up(c)
        data, weight, out = (1, c, *plane), (c, 1, *taps), c
    elif kind == "first_conv":
        data, weight, out = (1, c, *plane), (_up(f), c, *taps), _up(f)
    else:
        out = _up(f) * groups
        data, weight = (1, _up(c) * groups, *plane), (out, _up(c), *taps)
    attrs["activation"] = ACTIVATIONS[s.get("act", 1)]
    if s.get("add", 1) == 1:
        return Spec("Conv", [data], [weight, (out,)], attrs, BLOCKED)
    return Spec(
        "Conv", [data, (1, out, s["h"], s["w"])], [weight, (out,)], attrs, BLOCKED, sums=True
    )


def _conv_transpose(case: Case) -> Spec:
    s = case.named
    taps = _taps(s["k"])
    weight = (s["c"] * s["groups"], s["f"], *taps)
    attrs = {"kernel_shape": list(taps), "strides": [s["stride"]] * 2, "group": s["groups"]}
    return Spec("ConvTranspose", [(1, s["c"] * s["groups"], s["h"], s["w"])], [weight], attrs)


def _gemm(case: Case) -> Spec:
    m, n, k = case.sizes
    return Spec("Gemm", [(m, k)], [(n, k), (n,)], {"transB": 1})


def _matmul(case: Case) -> Spec:
    batch, m, n, k = case.sizes
    return Spec("MatMul", [(batch, m, k), (batch, k, n)])


def _pool(case: Case) -> Spec:
    s = case.named
    plane, attrs = _window(s["h"], s["w"], _taps(s["k"]), s["stride"], 1)
    del attrs["group"]
    if case.kind == "plain_pool":
        return Spec("MaxPool", [(1, s["c"], *plane)], (), attrs)
    return Spec("MaxPool", [(1, _up(s["c"]), *plane)], (), attrs, BLOCKED)


def _global_pool(case: Case) -> Spec:
    c, length = case.sizes
    return Spec("GlobalAveragePool", [(1, _up(c), 1, length)], (), {}, BLOCKED)


def _reorder(case: Case) -> Spec:
    c, length = case.sizes
    if case.kind == "reorder_input":
        return Spec(
            "ReorderInput", [(1, c // 4 * 4 or 4, 1, length)], (), {"channels_last": 0}, BLOCKED
        )
    attrs = {"channels": c, "channels_last": 0}
    return Spec("ReorderOutput", [(1, _up(c), 1, length)], (), attrs, BLOCKED)


def _norm(case: Case) -> Spec:
    rows, length = case.sizes
    return Spec("LayerNormalization", [(rows, length)], [(length,), (length,)])


def _batch_norm(case: Case) -> Spec:
    size, run = case.sizes
    channels = max(1, size // run)
    return Spec("BatchNormalization", [(1, channels, run)], [(channels,)] * 4)


def _reduce(case: Case) -> Spec:
    shape = case.sizes if case.sizes[2] > 1 else case.sizes[:2]
    return Spec("ReduceMean", [shape], (), {"axes": [1], "keepdims": 1})


def _transpose(case: Case) -> Spec:
    perms = {"transpose_rows": [1, 0, 2], "transpose_matrix": [0, 2, 1]}
    if case.kind in perms:
        return Spec("Transpose", [case.sizes], (), {"perm": perms[case.kind]})
    size, run = case.sizes
    near = max(1, round((size / run / 4) ** 0.5))
    return Spec("Transpose", [(near, near, 4, run)], (), {"perm": [2, 1, 0, 3]})


def _copy(case: Case) -> Spec:
    """Two halves side by side, in rows of a length."""
    size, run = case.sizes
    rows = max(1, size // run)
    half = max(1, run // 2)
    return Spec("Concat", [(rows, half), (rows, half)], (), {"axis": 1})


def _resize(case: Case) -> Spec:
    size, scale = case.sizes
    side = isqrt(scale)
    plane = max(1, isqrt(size // scale // 16))
    shape = (1, 16, plane, plane)
    if case.kind == "upsample":
        return Spec("Upsample", [shape], (), {"scales": [1, 1, side, side]}, BLOCKED)
    scales = numpy.array([1, 1, side, side], "float32")
    coordinates = "asymmetric" if case.kind == "resize_nearest" else "half_pixel"
    attrs = {
        "mode": "nearest" if case.kind == "resize_nearest" else "linear",
        "coordinate_transformation_mode": coordinates, "nearest_mode": "floor",
    }  # fmt: skip
    return Spec("Resize", [shape], [numpy.array([], "float32"), scales], attrs)


def _binary(case: Case) -> Spec:
    size, run = (*case.sizes, 1)[:2]
    rows = max(1, size // run)
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "binary": ((size,), (size,)), "binary_scalar": ((size,), (1,)),
        "binary_rows": ((rows, run), (run,)), "binary_channels": ((rows, run), (rows, 1)),
    }  # fmt: skip
    left, right = shapes[case.kind]
    return Spec("Mul", [left, right])


def _unary(case: Case) -> Spec:
    name = case.kind.split()[1]
    if name == "square":
        return Spec("Pow", [case.sizes], [numpy.array(2.0, "float32")])
    if name == "clip":
        return Spec("Clip", [case.sizes], [numpy.array(v, "float32") for v in (0.2, 0.8)])
    domain = MICROSOFT if name in ("gelu", "quick_gelu") else ""
    attrs = {"alpha": 1.0} if name == "quick_gelu" else {}  # as x sigmoid(x) is fused
    return Spec(NAMES[name], [case.sizes], (), attrs, domain)


BUILDERS: dict[str, Callable[[Case], Spec]] = {
    **dict.fromkeys(("conv", "first_conv", "depthwise_conv", "plain_conv"), _conv),
    "conv_transpose": _conv_transpose, "gemm": _gemm, "matmul": _matmul,
    "softmax": lambda c: Spec("Softmax", [c.sizes]), "norm": _norm, "reduce": _reduce,
    "batch_norm": _batch_norm, "pool": _pool, "plain_pool": _pool, "global_pool": _global_pool,
    **dict.fromkeys(("reorder_input", "reorder_output"), _reorder),
    **dict.fromkeys(("transpose_rows", "transpose_matrix", "transpose_other"), _transpose),
    "copy": _copy,
    **dict.fromkeys(("resize", "resize_nearest", "upsample"), _resize),
    **dict.fromkeys(("binary", "binary_scalar", "binary_rows", "binary_channels"), _binary),
    "unary": _unary,
}  # fmt: skip
