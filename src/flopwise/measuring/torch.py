"""Kernels and networks in PyTorch on the CPU, run eagerly, each as something to call."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable
from importlib import import_module
from math import isqrt, prod
from typing import Any
from urllib.parse import parse_qsl

from flopwise.analyses.cases import Case
from flopwise.errors import MissingPackage, UnreadableModel
from flopwise.measuring.clock import copies

PRODUCT = Case("gemm", (192, 192, 192))


def package() -> Any:
    """torch. Raises MissingPackage."""
    try:
        import torch
    except ImportError:
        raise MissingPackage("measuring with PyTorch needs torch: pip install torch") from None
    return torch


def version() -> str:
    return f"torch {package().__version__}"


def has(case: Case) -> bool:
    """Nothing is fused in eager mode, and nothing laid out in blocks."""
    fused = case.named.get("add", 1) > 1 or case.named.get("act", 1) > 1
    name = case.kind.split()[0]
    return name in BUILDERS and not fused and (name != "unary" or case.kind.split()[1] in UNARY)


def kernel(case: Case, threads: int = 1, times: int = 0) -> tuple[Callable[[], object], int]:
    """Something that runs a kernel, and how many times it does."""
    torch = package()
    torch.set_num_threads(threads)
    function, data, weights = BUILDERS[case.kind.split()[0]](torch, case)
    times = times or copies(case, sum(prod(w) for w in weights))
    given = [torch.rand(shape) for shape in data]
    learned = [[torch.rand(shape) * 0.1 for shape in weights] for _ in range(times)]

    def run() -> None:
        with torch.inference_mode():
            for weight in learned:
                function(*given, *weight)

    return run, times


def built(source: str) -> Any:
    """The module that `package.module:callable?name=value` gives, with real weights."""
    path, _, query = source.partition("?")
    name, colon, attribute = path.partition(":")
    if not colon:
        raise UnreadableModel(f"{source}: PyTorch runs package.module:callable, not this")
    try:
        made = getattr(import_module(name), attribute)
        given = {k: _value(v) for k, v in parse_qsl(query, keep_blank_values=True)}
        return (made if isinstance(made, package().nn.Module) else made(**given)).eval()
    except Exception as error:  # whatever a user's own code raises
        raise UnreadableModel(f"{source}: {' '.join(str(error).split())}") from error


def _value(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def network(module: Any, shapes: list[tuple[int, ...]], threads: int = 1) -> Callable[[], object]:
    """Something that runs a module on random images."""
    torch = package()
    torch.set_num_threads(threads)
    given = [torch.rand(shape) for shape in shapes]

    def run() -> None:
        with torch.inference_mode():
            module(*given)

    return run


def _conv(torch: Any, case: Case) -> tuple[Any, ...]:
    s = case.named
    taps, stride = isqrt(s["k"]), s["stride"]
    high, wide = (s["k"] // s["wide"], s["wide"]) if "wide" in s else (taps, taps)
    deep = case.kind == "depthwise_conv"
    groups = s["c"] if deep else s.get("groups", 1)
    c, f = (1, 1) if deep else (s["c"], s["f"])
    pads = ((high - 1) // 2, (wide - 1) // 2) if stride < max(high, wide) else (0, 0)
    plane = [max((size - 1) * stride + k - 2 * pad, k - 2 * pad, 1)
             for size, k, pad in zip((s["h"], s["w"]), (high, wide), pads)]  # fmt: skip

    def run(x: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.conv2d(x, w, b, stride, pads, 1, groups)

    return run, [(1, c * groups, *plane)], [(f * groups, c, high, wide), (f * groups,)]


def _conv_transpose(torch: Any, case: Case) -> tuple[Any, ...]:
    s = case.named
    taps, groups = isqrt(s["k"]), s["groups"]

    def run(x: Any, w: Any) -> Any:
        return torch.nn.functional.conv_transpose2d(x, w, None, s["stride"], 0, 0, groups)

    shape = (1, s["c"] * groups, s["h"], s["w"])
    return run, [shape], [(s["c"] * groups, s["f"], taps, taps)]


def _gemm(torch: Any, case: Case) -> tuple[Any, ...]:
    m, n, k = case.sizes
    return torch.nn.functional.linear, [(m, k)], [(n, k), (n,)]


def _matmul(torch: Any, case: Case) -> tuple[Any, ...]:
    batch, m, n, k = case.sizes
    return torch.matmul, [(batch, m, k), (batch, k, n)], []


def _attention(torch: Any, case: Case) -> tuple[Any, ...]:
    heads, q, k, d = case.sizes
    shapes = [(1, heads, q, d), (1, heads, k, d), (1, heads, k, d)]
    return torch.nn.functional.scaled_dot_product_attention, shapes, []


def _norm(torch: Any, case: Case) -> tuple[Any, ...]:
    rows, length = case.sizes

    def run(x: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.layer_norm(x, (length,), w, b)

    return run, [(rows, length)], [(length,), (length,)]


def _batch_norm(torch: Any, case: Case) -> tuple[Any, ...]:
    size, run_ = case.sizes
    channels = max(1, size // run_)

    def run(x: Any, mean: Any, variance: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.batch_norm(x, mean, variance, w, b)

    return run, [(1, channels, run_, 1)], [(channels,)] * 4


def _pool(torch: Any, case: Case) -> tuple[Any, ...]:
    s = case.named
    taps, stride = isqrt(s["k"]), s["stride"]
    plane = [max((size - 1) * stride + taps, 1) for size in (s["h"], s["w"])]

    def run(x: Any) -> Any:
        return torch.nn.functional.max_pool2d(x, taps, stride)

    return run, [(1, s["c"], *plane)], []


def _of(function: Callable[[Any, Any], Any], shapes: Callable[[Case], Any]) -> Any:
    """A builder for a function of data alone."""

    def build(torch: Any, case: Case) -> tuple[Any, ...]:
        return (lambda *x: function(torch, x)), shapes(case), []

    return build


def _rows(case: Case) -> list[tuple[int, ...]]:
    size, run = (*case.sizes, 1)[:2]
    rows = max(1, size // run)
    other = {"binary_rows": (run,), "binary_channels": (rows, 1), "binary_scalar": (1,)}
    return [(rows, run), other.get(case.kind, (rows, run))]


UNARY: dict[str, str] = {
    "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "gelu": "gelu", "exp": "exp",
    "sqrt": "sqrt", "hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish", "erf": "erf",
    "leaky_relu": "leaky_relu", "neg": "neg", "softplus": "softplus", "square": "square",
    "silu": "silu",
}  # fmt: skip


def _unary(torch: Any, case: Case) -> tuple[Any, ...]:
    name = UNARY[case.kind.split()[1]]
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    return function, [case.sizes], []


_mul = _of(lambda torch, x: x[0] * x[1], _rows)
BUILDERS: dict[str, Any] = {
    **dict.fromkeys(("conv", "first_conv", "depthwise_conv", "plain_conv"), _conv),
    "conv_transpose": _conv_transpose, "gemm": _gemm, "matmul": _matmul, "norm": _norm,
    "attention": _attention, "batch_norm": _batch_norm, "pool": _pool, "unary": _unary,
    "softmax": _of(lambda torch, x: torch.softmax(x[0], -1), lambda c: [c.sizes]),
    "reduce": _of(lambda torch, x: x[0].mean(1), lambda c: [c.sizes]),
    "global_pool": _of(lambda torch, x: x[0].mean(1), lambda c: [c.sizes]),
    "copy": _of(lambda torch, x: torch.cat(x, 1),
                lambda c: [(max(1, c.sizes[0] // c.sizes[1]), max(1, c.sizes[1] // 2))] * 2),
    "transpose_rows": _of(lambda torch, x: x[0].transpose(0, 1).contiguous(), lambda c: [c.sizes]),
    "transpose_matrix": _of(lambda torch, x: x[0].mT.contiguous(), lambda c: [c.sizes]),
    **dict.fromkeys(("binary", "binary_rows", "binary_channels", "binary_scalar"), _mul),
}  # fmt: skip
