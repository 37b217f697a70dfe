"""PyTorch's CPU kernels by kind, each as a function of data and weights (`torch` is handed in)."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

from flopwise.analyses.cases import Case


def builder(kind: str) -> Callable[[Any, Case], tuple[Any, ...]]:
    """What makes of a case a function, the shapes of its data, and those of its weights."""
    found: Any = BUILDERS.get(kind) or BUILDERS[kind.partition(" ")[0]]
    return found


def _plane(s: dict[str, int], high: int, wide: int) -> tuple[list[int], tuple[int, int]]:
    """The image that gives a result of h x w, and its padding."""
    stride = s["stride"]
    pads = ((high - 1) // 2, (wide - 1) // 2) if stride < max(high, wide) else (0, 0)
    return [max((size - 1) * stride + k - 2 * pad, k - 2 * pad, 1)
            for size, k, pad in zip((s["h"], s["w"]), (high, wide), pads)], pads  # fmt: skip


def _conv(torch: Any, case: Case) -> tuple[Any, ...]:
    s = case.named
    taps, deep = isqrt(s["k"]), case.kind == "mkldnn_depthwise"
    high, wide = (s["k"] // s["wide"], s["wide"]) if "wide" in s else (taps, taps)
    groups = s["c"] if deep else s.get("groups", 1)
    c, f = (1, 1) if deep else (s["c"], s["f"])
    plane, pads = _plane(s, high, wide)

    def run(x: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.conv2d(x, w, b, s["stride"], pads, 1, groups)

    return run, [(1, c * groups, *plane)], [(f * groups, c, high, wide), (f * groups,)]


def _deconv(torch: Any, case: Case) -> tuple[Any, ...]:
    s = case.named
    taps, groups = isqrt(s["k"]), s["groups"]

    def run(x: Any, w: Any) -> Any:
        return torch.nn.functional.conv_transpose2d(x, w, None, s["stride"], 0, 0, groups)

    shape = (1, s["c"] * groups, s["h"], s["w"])
    return run, [shape], [(s["c"] * groups, s["f"], taps, taps)]


def _addmm(torch: Any, case: Case) -> tuple[Any, ...]:
    m, n, k = case.sizes
    return torch.nn.functional.linear, [(m, k)], [(n, k), (n,)]


def _bmm(torch: Any, case: Case) -> tuple[Any, ...]:
    batch, m, n, k, turned = case.sizes
    if turned == 2:
        return (lambda a, b: torch.matmul(a, b.mT)), [(batch, m, k), (batch, n, k)], []
    return torch.matmul, [(batch, m, k), (batch, k, n)], []


def _sdpa(torch: Any, case: Case) -> tuple[Any, ...]:
    """Heads lie between rows and columns, as one product gives queries, keys and values."""
    heads, q, k, d = case.sizes

    def run(*operands: Any) -> Any:
        turned = (x.transpose(1, 2) for x in operands)
        return torch.nn.functional.scaled_dot_product_attention(*turned)

    return run, [(1, q, heads, d), (1, k, heads, d), (1, k, heads, d)], []


def _layer_norm(torch: Any, case: Case) -> tuple[Any, ...]:
    rows, length = case.sizes

    def run(x: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.layer_norm(x, (length,), w, b)

    return run, [(rows, length)], [(length,), (length,)]


def _group_norm(torch: Any, case: Case) -> tuple[Any, ...]:
    groups, c, length, _ = case.sizes

    def run(x: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.group_norm(x, groups, w, b)

    return run, [(1, groups * c, length, 1)], [(groups * c,)] * 2


def _batch_norm(torch: Any, case: Case) -> tuple[Any, ...]:
    c, length, _ = case.sizes

    def run(x: Any, mean: Any, variance: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.batch_norm(x, mean, variance, w, b)

    return run, [(1, c, length, 1)], [(c,)] * 4


def _pool(torch: Any, case: Case) -> tuple[Any, ...]:
    s = case.named
    taps = isqrt(s["k"])
    plane, pads = _plane(s, taps, taps)
    function = getattr(torch.nn.functional, case.kind)
    return (lambda x: function(x, taps, s["stride"], pads)), [(1, s["c"], *plane)], []


def _resize(torch: Any, case: Case) -> tuple[Any, ...]:
    size, scale = case.sizes
    plane = max(1, isqrt(size // scale // 16))
    mode = case.kind.removeprefix("upsample_")

    def run(x: Any) -> Any:
        return torch.nn.functional.interpolate(x, scale_factor=isqrt(scale), mode=mode)

    return run, [(1, 16, plane, plane)], []


def _index(torch: Any, case: Case) -> tuple[Any, ...]:
    size, run = case.sizes
    rows = max(1, size // run)
    length = max(2, min(rows, 4000))
    chosen = torch.randint(0, length, (rows,))
    return (lambda x, table: table[chosen]), [(1,)], [(length, run)]


def _mixed(torch: Any, case: Case) -> tuple[Any, ...]:
    """A sum of two that lie differently."""
    size, run = case.sizes
    side = max(1, isqrt(size // run))
    return (lambda a, b: a + b.transpose(0, 1)), [(side, side, run)] * 2, []


def _call(torch: Any, case: Case) -> tuple[Any, ...]:
    """One module inside another, and nothing in the innermost."""
    module = torch.nn.Identity()
    for _ in range(case.sizes[0] - 1):
        module = torch.nn.Sequential(module)
    return module, [(1,)], []


def _of(function: Callable[..., Any], shapes: Callable[[Case], Any]) -> Any:
    """A builder for a function of data alone."""

    def build(torch: Any, case: Case) -> tuple[Any, ...]:
        return (lambda *x: function(torch, *x)), shapes(case), []

    return build


def _flat(case: Case) -> list[tuple[int, ...]]:
    return [case.sizes]


def _columns(case: Case) -> list[tuple[int, ...]]:
    outer, length, inner = case.sizes
    return [(outer, length, inner) if inner > 1 else (outer, length)]


def _planes(case: Case) -> list[tuple[int, ...]]:
    return [(1, *case.sizes)]


def _same(case: Case) -> list[tuple[int, ...]]:
    return [case.sizes] * 2


def _rows(case: Case) -> list[tuple[int, ...]]:
    size, run = case.sizes
    rows = max(1, size // run)
    return [(rows, run), (run,) if case.kind == "rows" else (rows, 1)]


def _halves(case: Case) -> list[tuple[int, ...]]:
    size, run = case.sizes
    return [(max(1, size // run), max(1, run // 2))] * 2


def _other(case: Case) -> list[tuple[int, ...]]:
    size, run = case.sizes
    near = max(1, isqrt(max(1, size // run // 4)))
    return [(near, near, 4, run)]


FUNCTIONS = {
    "hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish", "clip": "hardtanh",
    "gelu_tanh": "gelu",
}  # fmt: skip


def _unary(torch: Any, case: Case) -> tuple[Any, ...]:
    way, name = case.kind.split()
    module, plain = torch.nn.functional, FUNCTIONS.get(name, name)
    if way == "inplace":
        named = getattr(torch, f"{plain}_", None)
        if named is not None:
            return named, [case.sizes], []
        return (lambda x: getattr(module, plain)(x, inplace=True)), [case.sizes], []
    function = getattr(torch, plain, None) or getattr(module, plain)
    if name == "gelu_tanh":
        return (lambda x: function(x, approximate="tanh")), [case.sizes], []
    return function, [case.sizes], []


BUILDERS: dict[str, Any] = {
    **dict.fromkeys(("mkldnn_conv", "image_conv", "mkldnn_depthwise", "slow_conv"), _conv),
    "mkldnn_deconv": _deconv, "addmm": _addmm, "bmm": _bmm, "sdpa": _sdpa, "index": _index,
    "native_layer_norm": _layer_norm, "native_group_norm": _group_norm, "mixed": _mixed,
    "native_batch_norm": _batch_norm, "call": _call,
    **dict.fromkeys(("max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("upsample_bilinear", "upsample_nearest"), _resize),
    **dict.fromkeys(("unary", "inplace"), _unary),
    "_softmax": _of(lambda torch, x: torch.softmax(x, 1), _columns),
    "mean": _of(lambda torch, x: x.mean((2, 3) if x.shape[3] == 1 else 2), _planes),
    "cat": _of(lambda torch, *x: torch.cat(x, 1), _halves),
    "pad": _of(lambda torch, x, y: torch.nn.functional.pad(x, (0, x.shape[1])), _halves),
    "clone": _of(lambda torch, x: x.clone(), _flat),
    "clone_rows": _of(lambda torch, x: x.transpose(1, 2).contiguous(), _flat),
    "clone_matrix": _of(lambda torch, x: x.transpose(1, 2).contiguous(), _flat),
    "clone_other": _of(lambda torch, x: x.permute(2, 1, 0, 3).contiguous(), _other),
    "pair": _of(lambda torch, a, b: a + b, _same),
    "inplace pair": _of(lambda torch, a, b: a.add_(b), _same),
    "scalar": _of(lambda torch, x: x * 0.5, _flat),
    "rows": _of(lambda torch, a, b: a * b, _rows),
    "columns": _of(lambda torch, a, b: a * b, _rows),
    "view": _of(lambda torch, x: x.transpose(0, 1), lambda c: [(2,) * c.sizes[0]]),
}  # fmt: skip
