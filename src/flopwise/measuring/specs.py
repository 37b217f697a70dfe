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
    "softplus": "Softplus", "square": "Square", "abs": "Abs", "reciprocal": "Reciprocal",
    "log": "Log", "elu": "Elu",
}  # fmt: skip
# Functions that onnxruntime applies in place, and whose results stay of a size when applied over
# and over: numbers that fade away are slow to compute with.
STEADY = frozenset({
    "relu", "sigmoid", "tanh", "clip", "leaky_relu", "hard_sigmoid", "elu", "softplus", "sqrt",
    "neg", "abs", "reciprocal",
})  # fmt: skip


@dataclass
class Spec:
    """One operator: data, weights (arrays or shapes), attributes, and what its domain is. `sums`:
    the second operand comes after the weights. `place`: the operand whose memory the result takes,
    as it does in a network where nothing else reads that operand."""

    op: str
    data: Sequence[tuple[int, ...]]
    weights: Sequence[Any] = ()
    attrs: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    sums: bool = False
    results: int = 1
    place: int | None = None


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
        "Conv", [data, (1, out, s["h"], s["w"])], [weight, (out,)], attrs, BLOCKED, True, place=1
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
    batch, m, n, k, turned = case.sizes
    left, right = turned in (2, 4), turned > 2
    data = [(batch, k, m) if left else (batch, m, k), (batch, n, k) if right else (batch, k, n)]
    if turned == 1:
        return Spec("MatMul", data)
    return Spec("FusedMatMul", data, (), {"transA": int(left), "transB": int(right)}, MICROSOFT)


def _einsum(case: Case) -> Spec:
    batch, m, n, k = case.sizes
    return Spec("Einsum", [(m, batch, k), (batch, n, k)], (), {"equation": "mbk,bnk->mbn"})


def _pool(case: Case) -> Spec:
    s = case.named
    plane, attrs = _window(s["h"], s["w"], _taps(s["k"]), s["stride"], 1)
    del attrs["group"]
    name = "AveragePool" if case.kind.endswith("avg_pool") else "MaxPool"
    if case.kind.startswith("plain"):
        if name == "AveragePool":
            del attrs["dilations"]
        return Spec(name, [(1, s["c"], *plane)], (), attrs)
    return Spec(name, [(1, _up(s["c"]), *plane)], (), attrs, BLOCKED)


def _global_pool(case: Case) -> Spec:
    c, length = case.sizes
    if case.kind == "plain_global_pool":
        return Spec("GlobalAveragePool", [(1, c, 1, length)])
    return Spec("GlobalAveragePool", [(1, _up(c), 1, length)], (), {}, BLOCKED)


def _reorder(case: Case) -> Spec:
    c, length = case.sizes
    last = int(case.kind.endswith("_last"))
    if case.kind.startswith("reorder_input"):
        c = c // 4 * 4 or 4
        shape = (1, 1, length, c) if last else (1, c, 1, length)
        return Spec("ReorderInput", [shape], (), {"channels_last": last}, BLOCKED)
    attrs = {"channels": c, "channels_last": last}
    return Spec("ReorderOutput", [(1, _up(c), 1, length)], (), attrs, BLOCKED)


def _norm(case: Case) -> Spec:
    rows, length = case.sizes
    if case.kind == "instance_norm":
        return Spec("InstanceNormalization", [(1, rows, length)], [(rows,), (rows,)])
    weights = [(length,), (length,)]
    if case.kind == "skip_norm":
        return Spec("SkipLayerNormalization", [(1, rows, length)] * 2, weights, {}, MICROSOFT)
    return Spec("LayerNormalization", [(rows, length)], weights)


def _batch_norm(case: Case) -> Spec:
    n, c, run = case.sizes
    shape = (n, c, run) if run > 1 else (n, c)
    return Spec("BatchNormalization", [shape], [(c,)] * 4)


def _reduce(case: Case) -> Spec:
    shape = case.sizes if case.sizes[2] > 1 else case.sizes[:2]
    if case.kind == "softmax_across":
        return Spec("Softmax", [case.sizes], (), {"axis": 1})
    name = "ReduceMean" if case.kind == "reduce" else "ReduceL2"
    return Spec(name, [shape], (), {"axes": [1], "keepdims": 1})


def _transpose(case: Case) -> Spec:
    perms = {"transpose_rows": [0, 2, 1, 3], "transpose_matrix": [0, 2, 1]}
    if case.kind in perms:
        return Spec("Transpose", [case.sizes], (), {"perm": perms[case.kind]})
    size, run = case.sizes
    near = max(1, round((size / run / 4) ** 0.5))
    return Spec("Transpose", [(near, near, 4, run)], (), {"perm": [2, 1, 0, 3]})


def _whole(*values: int) -> Any:
    return numpy.array(values, "int64")


def _copy(case: Case) -> Spec:
    """Rows of a length: two halves side by side, within a margin, out of longer rows, two parts
    of a row, or every other one."""
    size, run = case.sizes
    rows = max(1, size // run)
    half, inner = max(1, run // 2), max(1, run - 2)
    if case.kind == "pad":
        return Spec("Pad", [(rows, inner)], [_whole(0, 1, 0, run - inner - 1)])
    if case.kind == "slice":
        return Spec("Slice", [(rows, run + 16)], [_whole(8), _whole(run + 8), _whole(1)])
    if case.kind == "split":
        return Spec("Split", [(rows, 2 * half)], [_whole(half, half)], {"axis": 1}, results=2)
    if case.kind == "gather":
        return Spec("Gather", [(2 * rows, run)], [_whole(*range(0, 2 * rows, 2))], {"axis": 0})
    return Spec("Concat", [(rows, half), (rows, half)], (), {"axis": 1})


def _spread(case: Case) -> Spec:
    size, scale = case.sizes
    plane = max(1, isqrt(size // scale // 16))
    return Spec("DepthToSpace", [(1, 16 * scale, plane, plane)], (), {"blocksize": isqrt(scale)})


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
        "mode": {"resize_nearest": "nearest", "resize_cubic": "cubic"}.get(case.kind, "linear"),
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
    return Spec("Add", shapes[case.kind], place=int(case.kind == "binary"))


def _unary(case: Case) -> Spec:
    name = case.kind.split()[1]
    if name == "square":
        return Spec("Pow", [case.sizes], [numpy.array(2.0, "float32")])
    if name == "clip":
        bounds = [numpy.array(v, "float32") for v in (0.2, 0.8)]
        return Spec("Clip", [case.sizes], bounds, place=0)
    domain = MICROSOFT if name in ("gelu", "quick_gelu") else ""
    attrs = {"alpha": 1.0} if name == "quick_gelu" else {}  # as x sigmoid(x) is fused
    return Spec(NAMES[name], [case.sizes], (), attrs, domain, place=0 if name in STEADY else None)


BUILDERS: dict[str, Callable[[Case], Spec]] = {
    **dict.fromkeys(("conv", "first_conv", "depthwise_conv", "plain_conv"), _conv),
    "conv_transpose": _conv_transpose, "gemm": _gemm, "matmul": _matmul, "einsum": _einsum,
    "softmax": lambda c: Spec("Softmax", [c.sizes]), "batch_norm": _batch_norm,
    **dict.fromkeys(("norm", "skip_norm", "instance_norm"), _norm),
    **dict.fromkeys(("reduce", "reduce_slow", "softmax_across"), _reduce),
    **dict.fromkeys(("pool", "plain_pool", "avg_pool", "plain_avg_pool"), _pool),
    **dict.fromkeys(("global_pool", "plain_global_pool"), _global_pool),
    **dict.fromkeys(
        ("reorder_input", "reorder_output", "reorder_input_last", "reorder_output_last"), _reorder
    ),
    **dict.fromkeys(("transpose_rows", "transpose_matrix", "transpose_other"), _transpose),
    **dict.fromkeys(("copy", "pad", "slice", "split", "gather"), _copy),
    "depth_to_space": _spread,
    **dict.fromkeys(("resize", "resize_nearest", "resize_cubic", "upsample"), _resize),
    **dict.fromkeys(("binary", "binary_scalar", "binary_rows", "binary_channels"), _binary),
    "unary": _unary,
}  # fmt: skip
