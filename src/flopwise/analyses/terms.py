"""What a kernel spends time on: amounts of a few things whose times add up.

Every kernel starts, computes, and moves elements, some of them from beyond the nearest caches.
Kinds add what their inner loops are known to go through: rows, blocks of channels, functions
applied on the way out.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from flopwise.analyses import aten
from flopwise.analyses.cases import VECTOR, Case

NEAR, FAR = 2e5, 4e6  # elements that a core's own cache, and the shared one, hold
APART = ("k", "wide", "stride", "run", "scale", "act", "turned")  # sizes that are no axes
# Elements that rows are apart when they meet in few sets of the nearest cache (4 KiB a way).
ALIASED = {"strides of 4 KiB": 1024, "strides of 2 KiB": 512, "strides of 1 KiB": 256}
Sizes = dict[str, int]


def up(size: int) -> int:
    """Channels with the last block filled up."""
    return -(-size // VECTOR) * VECTOR


def work(case: Case) -> tuple[float, float]:
    """Operations, and elements read and written, blocks of channels filled up."""
    s, kind = case.named, case.kind
    if kind in WORK:
        return WORK[kind](s)
    size = float(prod(v for name, v in s.items() if name not in APART))
    return size * s.get("k", 1), size * (1 + s.get("stride", 1) ** 2)


def _blocked(s: Sizes) -> tuple[float, float]:
    weights = up(s["c"]) * up(s["f"]) * s["groups"] * s["k"]
    read, written = up(s["c"]) * s["stride"] ** 2, up(s["f"]) * s["add"]
    plane = s["h"] * s["w"]
    return 2.0 * weights * plane, float(s["groups"] * plane * (read + written) + weights)


def _depthwise(s: Sizes) -> tuple[float, float]:
    outputs = up(s["c"]) * s["h"] * s["w"]
    return 2.0 * outputs * s["k"], float(outputs * (s["stride"] ** 2 + s["add"]))


def _plain(s: Sizes) -> tuple[float, float]:
    groups, plane = s.get("groups", 1), s["h"] * s["w"]
    weights = s["c"] * up(s["f"]) * groups * s["k"]
    moved = groups * plane * (s["c"] * s["stride"] ** 2 + up(s["f"])) + weights
    return 2.0 * weights * plane, float(moved)


def _product(s: Sizes) -> tuple[float, float]:
    m, n, k, batch = s["m"], s["n"], s["k"], s.get("batch", 1)
    return 2.0 * batch * m * up(n) * k, float(batch * (m * k + n * k + m * n))


def _attention(s: Sizes) -> tuple[float, float]:
    heads, q, k, width = s["heads"], s["queries"], s["keys"], s["width"]
    return 4.0 * heads * q * k * width, float(heads * (q + 2 * k) * width)


WORK: dict[str, Callable[[Sizes], tuple[float, float]]] = {
    "conv": _blocked, "depthwise_conv": _depthwise, "attention": _attention,
    **dict.fromkeys(("first_conv", "plain_conv", "conv_transpose"), _plain),
    **dict.fromkeys(("gemm", "matmul", "einsum"), _product), **aten.WORK,
}  # fmt: skip


def terms(case: Case) -> dict[str, float]:
    """Amounts by name, the same names for all cases of a kind."""
    operations, moved = work(case)
    common = {
        "starts": 1.0, "operations": operations, "elements": moved,
        "beyond the near cache": max(0.0, moved - NEAR),
        "beyond the far cache": max(0.0, moved - FAR),
    }  # fmt: skip
    own = TERMS.get(case.kind, _runs)(case.named)
    return {name: float(amount) for name, amount in (common | own).items()}


def _functions(s: Sizes, outputs: int) -> dict[str, float]:
    """What is done to a result before it is written."""
    return {
        "cheap functions": outputs * (s["act"] == 2), "dear functions": outputs * (s["act"] == 3),
        "added": outputs * (s.get("add", 1) - 1),
    }  # fmt: skip


def _conv_terms(s: Sizes) -> dict[str, float]:
    filters = up(s["f"]) * s["groups"]
    outputs, blocks = s["h"] * s["w"] * filters, up(s["c"]) // VECTOR
    return {
        "outputs": outputs, "passes over outputs": outputs * blocks, "rows": s["h"] * filters,
        "rows of taps": s["h"] * filters * up(s["c"]) * s["k"],
        "weights": filters * up(s["c"]) * s["k"], **_functions(s, outputs),
    }  # fmt: skip


def _depthwise_terms(s: Sizes) -> dict[str, float]:
    channels = up(s["c"])
    outputs = s["h"] * s["w"] * channels
    return {
        "outputs": outputs, "rows": s["h"] * channels, "rows of taps": s["h"] * channels * s["k"],
        "taps in strides": outputs * s["k"] * (s["stride"] > 1), **_functions(s, outputs),
    }  # fmt: skip


def _plain_terms(s: Sizes) -> dict[str, float]:
    groups = s.get("groups", 1)
    outputs = groups * s["h"] * s["w"] * s["f"]
    functions = _functions(s, outputs) if "act" in s else {}
    return {
        "groups": groups, "rows": groups * s["h"] * s["f"], "outputs": outputs,
        "unfolded": groups * s["h"] * s["w"] * s["k"] * s["c"],
        "rows of taps": groups * s["h"] * s["f"] * s["c"] * s["k"], **functions,
    }  # fmt: skip


def _product_terms(s: Sizes) -> dict[str, float]:
    """MLAS computes six rows at a time."""
    m, n, k, batch = s["m"], s["n"], s["k"], s.get("batch", 1)
    return {
        "products": batch, "rows": batch * m, "outputs": batch * m * n, "left": batch * m * k,
        "right": batch * n * k, "whole tiles": batch * up(n) * k * 6 * -(-m // 6),
        "right of one row": n * k * (m == 1), **_aliased(2.0 * batch * m * n * k * (m > 1), k),
        "turned left": batch * m * k * (s.get("turned", 1) in (2, 4)),
        "turned right": batch * n * k * (s.get("turned", 1) > 2),
    }  # fmt: skip


def _reduce_terms(s: Sizes) -> dict[str, float]:
    """Along the last axis, or many columns side by side."""
    size, across = s["outer"] * s["length"] * s["inner"], s["inner"] > 1
    return {
        "results": s["outer"] * s["inner"], "in rows": size * (not across),
        "columns": s["inner"] * across, "of a few": size * across * (s["length"] < 8),
        "in columns": size * across, "columns' starts": s["outer"] * s["length"] * across,
    }  # fmt: skip


def _aliased(amount: float, stride: int) -> dict[str, float]:
    """The amount under the largest of the strides that divides a stride."""
    found = next((name for name, size in ALIASED.items() if stride % size == 0), "")
    return {name: amount * (name == found) for name in ALIASED}


def _transposed_terms(s: Sizes) -> dict[str, float]:
    size = s["outer"] * s["a"] * s["b"]
    return {
        "matrices": s["outer"], "rows": s["outer"] * s["a"], "columns": s["outer"] * s["b"],
        **_aliased(size, s["b"]),
    }  # fmt: skip


def _runs(s: Sizes) -> dict[str, float]:
    """Elements that stay neighbours go together."""
    return {"runs": s["size"] / s["run"], "written": s["size"]} if "run" in s else {}


TERMS: dict[str, Callable[[Sizes], dict[str, float]]] = {
    "conv": _conv_terms, "depthwise_conv": _depthwise_terms,
    **dict.fromkeys(("reduce", "reduce_slow", "softmax_across"), _reduce_terms),
    **dict.fromkeys(("first_conv", "plain_conv", "conv_transpose"), _plain_terms),
    **dict.fromkeys(("gemm", "matmul", "einsum"), _product_terms),
    **dict.fromkeys(
        ("softmax", "norm", "skip_norm", "instance_norm"), lambda s: {"rows": s["rows"]}
    ),
    "batch_norm": lambda s: {  # of planes one by one, of rows side by side
        "weights": s["c"], "planes": s["n"] * s["c"] * (s["length"] > 1),
        "rows": s["n"] * (s["length"] == 1)},
    **dict.fromkeys(("pool", "plain_pool", "avg_pool", "plain_avg_pool"), lambda s: {
        "rows": s["c"] * s["h"], "outputs": s["c"] * s["h"] * s["w"],
        "rows of taps": s["c"] * s["h"] * s["k"]}),
    "transpose_rows": lambda s: {"runs": s["outer"] * s["a"] * s["b"]},
    "transpose_matrix": _transposed_terms,
    **dict.fromkeys(
        ("reorder_input", "reorder_output", "reorder_input_last", "reorder_output_last",
         "global_pool", "plain_global_pool"), lambda s: {"planes": s["c"]},
    ),
    **aten.TERMS,
}  # fmt: skip
