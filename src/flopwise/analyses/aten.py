"""What PyTorch's CPU kernels depend on, run eagerly: the sizes of each kind, and what it spends
time on (see `cases` and `terms`, where those of onnxruntime are).

Kinds have the names of the kernels in ATen. `last` is 2 where channels are the last axis in
memory, else 1; `turned` 2 where the right operand of a product lies transposed, else 1. `run`
is how many elements stay neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

Sizes = dict[str, int]
LANES = 16  # numbers of one vector, and the channels of a block of oneDNN

SIZES: dict[str, tuple[str, ...]] = {
    "mkldnn_conv": ("c", "f", "groups", "h", "w", "k", "wide", "stride", "last"),
    "image_conv": ("c", "f", "h", "w", "k", "stride"),
    "mkldnn_depthwise": ("c", "h", "w", "k", "wide", "stride", "last"),
    "slow_conv": ("c", "f", "groups", "h", "w", "k", "stride", "last"),
    "mkldnn_deconv": ("c", "f", "groups", "h", "w", "k", "stride"),
    "addmm": ("m", "n", "k"),
    "bmm": ("batch", "m", "n", "k", "turned"),
    "sdpa": ("heads", "queries", "keys", "width"),
    "native_layer_norm": ("rows", "length"),
    "native_group_norm": ("rows", "c", "length", "last"),
    "native_batch_norm": ("c", "length", "last"),
    "_softmax": ("outer", "length", "inner"),
    "mean": ("outer", "length", "inner"),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), ("c", "h", "w", "k", "stride", "last")),
    **dict.fromkeys(("upsample_bilinear", "upsample_nearest"), ("size", "scale")),
    **dict.fromkeys(("cat", "index", "pad", "clone_other", "rows", "columns", "mixed"),
                    ("size", "run")),
    "clone_rows": ("outer", "a", "b", "inner"),
    "clone_matrix": ("outer", "a", "b"),
    **dict.fromkeys(("clone", "scalar", "pair", "inplace pair"), ("size",)),
    "view": ("axes",), "call": ("deep",),
}  # fmt: skip


APART = ("run", "scale", "last")  # sizes that are no axes


def up(size: int) -> int:
    """Channels with the last block filled up."""
    return -(-size // LANES) * LANES


def _conv(s: Sizes) -> tuple[float, float]:
    groups, plane = s.get("groups", 1), s["h"] * s["w"]
    weights = s["c"] * up(s["f"]) * groups * s["k"]
    moved = groups * plane * (s["c"] * s["stride"] ** 2 + s["f"]) + weights
    return 2.0 * weights * plane, float(moved)


def _depthwise(s: Sizes) -> tuple[float, float]:
    outputs = up(s["c"]) * s["h"] * s["w"]
    return 2.0 * outputs * s["k"], float(outputs * (1 + s["stride"] ** 2))


def _product(s: Sizes) -> tuple[float, float]:
    m, n, k, batch = s["m"], s["n"], s["k"], s.get("batch", 1)
    return 2.0 * batch * m * up(n) * k, float(batch * (m * k + n * k + m * n))


def _attention(s: Sizes) -> tuple[float, float]:
    heads, q, k, width = s["heads"], s["queries"], s["keys"], s["width"]
    return 4.0 * heads * q * k * width, float(heads * (2 * q + 2 * k) * width)


def _pool(s: Sizes) -> tuple[float, float]:
    outputs = s["c"] * s["h"] * s["w"]
    return float(outputs * s["k"]), float(outputs * (1 + s["stride"] ** 2))


def _all(s: Sizes) -> tuple[float, float]:
    """Once over everything."""
    size = float(prod(v for name, v in s.items() if name not in APART))
    return size, 2 * size


WORK: dict[str, Callable[[Sizes], tuple[float, float]]] = {
    **dict.fromkeys(SIZES, _all),
    **dict.fromkeys(("mkldnn_conv", "image_conv", "slow_conv", "mkldnn_deconv"), _conv),
    "mkldnn_depthwise": _depthwise, "sdpa": _attention,
    **dict.fromkeys(("addmm", "bmm"), _product),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("view", "call"), lambda s: (1.0, 1.0)),
}  # fmt: skip


def _conv_terms(s: Sizes) -> dict[str, float]:
    """Plain layouts are put into blocks and back, weights in any case, at every call."""
    groups, plane, last = s.get("groups", 1), s["h"] * s["w"], s.get("last", 1) == 2
    weights, outputs = s["c"] * s["f"] * groups * s["k"], groups * s["f"] * plane
    inputs = groups * s["c"] * plane * s["stride"] ** 2
    return {
        "weights": weights, "outputs": outputs, "inputs": inputs,
        "inputs, channels last": inputs * last, "outputs, channels last": outputs * last,
        "groups": groups, "rows": groups * s["h"] * up(s["f"]),
        "rows of taps": groups * s["h"] * up(s["f"]) * s["c"] * s["k"],
        "passes over outputs": outputs * -(-s["c"] // LANES),
    }  # fmt: skip


def _slow_terms(s: Sizes) -> dict[str, float]:
    """Unfolded unless it is one tap, then multiplied."""
    plane, groups = s["h"] * s["w"], s["groups"]
    return {
        "groups": groups, "weights": s["c"] * s["f"] * groups * s["k"],
        "outputs": groups * s["f"] * plane, "inputs": groups * s["c"] * plane,
        "unfolded": groups * s["c"] * plane * s["k"] * (s["k"] * s["stride"] > 1),
        "whole tiles": groups * up(s["f"]) * up(plane) * s["c"] * s["k"],
        "one column": groups * s["c"] * s["f"] * s["k"] * (plane == 1),
        "outputs, channels last": groups * s["f"] * plane * (s["last"] == 2),
    }  # fmt: skip


def _depthwise_terms(s: Sizes) -> dict[str, float]:
    outputs, last = s["h"] * s["w"] * up(s["c"]), s["last"] == 2
    inputs = outputs * s["stride"] ** 2
    return {
        "outputs": outputs, "rows": s["h"] * up(s["c"]), "inputs": inputs,
        "rows of taps": s["h"] * up(s["c"]) * s["k"], "weights": up(s["c"]) * s["k"],
        "taps in strides": outputs * s["k"] * (s["stride"] > 1),
        "outputs, channels last": outputs * last, "inputs, channels last": inputs * last,
    }  # fmt: skip


def _product_terms(s: Sizes) -> dict[str, float]:
    m, n, k, batch = s["m"], s["n"], s["k"], s.get("batch", 1)
    return {
        "products": batch, "rows": batch * m, "outputs": batch * m * n, "left": batch * m * k,
        "right": batch * n * k, "whole tiles": batch * up(n) * up(m) * k,
        "right of one row": n * k * (m == 1),
        "right, transposed": batch * n * k * (s.get("turned", 1) == 2),
    }  # fmt: skip


def _attention_terms(s: Sizes) -> dict[str, float]:
    scores = s["heads"] * s["queries"] * s["keys"]
    return {"heads": s["heads"], "rows": s["heads"] * s["queries"], "scores": scores}


def _pool_terms(s: Sizes) -> dict[str, float]:
    outputs, last = s["c"] * s["h"] * s["w"], s["last"] == 2
    return {
        "rows": s["c"] * s["h"], "outputs": outputs, "outputs, channels last": outputs * last,
        "taps, channels last": outputs * s["k"] * last,
    }  # fmt: skip


def _across_terms(s: Sizes) -> dict[str, float]:
    """Along the last axis in memory, or many columns side by side."""
    size, across = s["outer"] * s["length"] * s["inner"], s["inner"] > 1
    return {
        "results": s["outer"] * s["inner"], "rows": s["outer"], "in rows": size * (not across),
        "in columns": size * across, "columns' starts": s["outer"] * s["length"] * across,
    }  # fmt: skip


def _norm_terms(s: Sizes) -> dict[str, float]:
    size, last = prod(v for n, v in s.items() if n != "last"), s.get("last", 1) == 2
    return {"rows": s.get("rows", s.get("c", 1)), "channels last": size * last}


def _moved_terms(s: Sizes) -> dict[str, float]:
    return {"runs": s["size"] / s["run"]} if "run" in s else {}


def _turned_terms(s: Sizes) -> dict[str, float]:
    return {
        "matrices": s["outer"], "rows": s["outer"] * s["a"],
        "runs": s["outer"] * s["a"] * s["b"], "columns": s["outer"] * s["b"],
    }  # fmt: skip


TERMS: dict[str, Callable[[Sizes], dict[str, float]]] = {
    **dict.fromkeys(SIZES, _moved_terms),
    **dict.fromkeys(("mkldnn_conv", "image_conv", "mkldnn_deconv"), _conv_terms),
    "slow_conv": _slow_terms, "mkldnn_depthwise": _depthwise_terms, "sdpa": _attention_terms,
    **dict.fromkeys(("addmm", "bmm"), _product_terms),
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _pool_terms),
    **dict.fromkeys(("_softmax", "mean"), _across_terms),
    **dict.fromkeys(
        ("native_layer_norm", "native_group_norm", "native_batch_norm"), _norm_terms
    ),
    **dict.fromkeys(("clone_rows", "clone_matrix"), _turned_terms),
    "call": lambda s: {"modules": s["deep"]},
}  # fmt: skip
