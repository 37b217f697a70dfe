"""Pointwise operators, each its textbook expression, counted by running it on a tally."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import reduce
from typing import Any

from flopwise import dims
from flopwise.counts import Counts
from flopwise.dims import Dim, prod
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule
from flopwise.ops.broadcasting import broadcast
from flopwise.tally import (
    absolute,
    bit,
    erf,
    exp,
    less,
    log,
    maximum,
    minimum,
    sqrt,
    tally,
    trig,
    where,
)  # fmt: skip


def sigmoid(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def tanh(x: Any) -> Any:
    return 2 / (1 + exp(-2 * x)) - 1


def softplus(x: Any) -> Any:
    return log(1 + exp(x))


def hard_sigmoid(x: Any) -> Any:
    return minimum(maximum(0.2 * x + 0.5, 0), 1)


def power(x: Any, y: Any) -> Any:
    return exp(y * log(x))


def quantize(x: Any, scale: Any, zero: Any) -> Any:
    return minimum(maximum(bit(x / scale) + zero, 0), 255)


POINTWISE: dict[str, Callable[..., Any]] = {
    # arithmetic
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "mod": lambda x, y: x - bit(x / y) * y,
    "neg": lambda x: -x,
    "abs": lambda x: absolute(x),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "sqrt": lambda x: sqrt(x),
    "rsqrt": lambda x: 1 / sqrt(x),
    "pow": power,
    "exp": lambda x: exp(x),
    "exp2": lambda x: exp(x * 0.7),
    "expm1": lambda x: exp(x) - 1,
    "log": lambda x: log(x),
    "log1p": lambda x: log(1 + x),
    "log2": lambda x: log(x) * 1.4,
    "logaddexp": lambda x, y: log(exp(x) + exp(y)),
    "erf": lambda x: erf(x),
    "fma": lambda x, y, z: x * y + z,
    "complex_mul": lambda x, y: x * y - x * y,  # each of the two parts
    # trigonometry
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan"), lambda x: trig(x)),
    "sinh": lambda x: (exp(x) - exp(-x)) / 2,
    "cosh": lambda x: (exp(x) + exp(-x)) / 2,
    "asinh": lambda x: log(x + sqrt(x * x + 1)),
    "acosh": lambda x: log(x + sqrt(x * x - 1)),
    "atanh": lambda x: log((1 + x) / (1 - x)) / 2,
    "atan2": lambda x, y: trig(x / y),
    # comparison and selection
    "max": lambda x, y: maximum(x, y),
    "min": lambda x, y: minimum(x, y),
    "clip": lambda x: minimum(maximum(x, 0), 1),
    "sign": lambda x: less(x, 0),
    "where": lambda c, x, y: where(c, x, y),
    **dict.fromkeys(
        ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
        lambda x, y: less(x, y),
    ),
    "impute": lambda x: where(less(x, x), 0, x),
    "isnan": lambda x: less(x, x),
    "isinf": lambda x: less(x, x),
    # rounding and logic
    **dict.fromkeys(
        ("round", "floor", "ceil", "trunc", "not", "bitwise_not"), lambda x: bit(x)
    ),
    **dict.fromkeys(
        ("and", "or", "xor", "bitwise_and", "bitwise_or", "bitwise_xor", "shift"),
        lambda x, y: bit(x, y),
    ),
    # activations
    "relu": lambda x: maximum(x, 0),
    "relu6": lambda x: minimum(maximum(x, 0), 6),
    "threshold": lambda x: where(less(x, 1), 0, x),
    "leaky_relu": lambda x: maximum(x, 0.1 * x),
    "prelu": lambda x, a: maximum(x, a * x),
    "elu": lambda x: where(less(x, 0), 0.5 * (exp(x) - 1), x),
    "celu": lambda x: where(less(x, 0), 0.5 * (exp(x / 0.5) - 1), x),
    "selu": lambda x: 1.05 * where(less(x, 0), 1.67 * (exp(x) - 1), x),
    "sigmoid": sigmoid,
    "logsigmoid": lambda x: -softplus(-x),
    "hard_sigmoid": hard_sigmoid,
    "tanh": tanh,
    "hard_tanh": lambda x: minimum(maximum(x, -1), 1),
    "tanhshrink": lambda x: x - tanh(x),
    "softshrink": lambda x: where(less(absolute(x), 0.5), 0, x - 0.5),
    "hardshrink": lambda x: where(less(absolute(x), 0.5), 0, x),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + absolute(x)),
    "silu": lambda x: x * sigmoid(x),
    "hard_swish": lambda x: x * (minimum(maximum(x + 3, 0), 6) / 6),
    "mish": lambda x: x * tanh(softplus(x)),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / 1.41)),
    "gelu_tanh": lambda x: 0.5 * x * (1 + tanh(0.8 * (x + 0.04 * (x * x * x)))),
    "quick_gelu": lambda x: x * sigmoid(1.7 * x),
    # activations of Darknet
    "ramp": lambda x: x * less(0, x) + 0.1 * x,
    "loggy": lambda x: 2 / (1 + exp(-x)) - 1,
    "plse": lambda x: where(
        less(x, -4), 0.01 * (x + 4), where(less(4, x), 0.01 * (x - 4) + 1, 0.125 * x + 0.5)
    ),
    "leaky_hard_tanh": lambda x: where(
        less(x, 0), 0.001 * x, where(less(1, x), 0.001 * (x - 1) + 1, x)
    ),
    "hard_mish": lambda x: where(less(0, x), x, where(less(-2, x), x * x / 2 + x, 0)),
    # quantisation
    "quantize": quantize,
    "dequantize": lambda x, scale, zero: (x - zero) * scale,
}  # fmt: skip

BOOLEAN = {
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "and", "or", "xor", "not", "isnan", "isinf",
}  # fmt: skip

# Native spellings differ by format; extra operands (bounds, alpha) are scalars.
_TALLIES: dict[str, Counts] = {}


def per_element(name: str) -> Counts:
    """The counts of one element of a pointwise operator."""
    if name not in _TALLIES:
        _TALLIES[name] = tally(POINTWISE[name])
    return _TALLIES[name]


def _enter(name: str, arity: int) -> None:
    @op(name, dtype="bool" if name in BOOLEAN else 1 if name == "where" else "")
    def pointwise(
        inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], overlap: bool = False
    ) -> Counts:
        folded = max(len(inputs) - 1, 1) if arity == 2 else 1
        elements = common(*inputs) if overlap else outputs[0].size
        return elements * folded * per_element(name)

    pointwise.__doc__ = f"Per output element: {inspect.getdoc(POINTWISE[name]) or name}."


def common(*operands: Tensor) -> Dim:
    """The elements that all operands have; Darknet's shortcuts add maps of unlike sizes."""
    return prod(reduce(dims.minimum, sizes) for sizes in zip(*(t.sizes for t in operands)))


@rule("shape")
def pointwise_shape(inputs: tuple[Tensor, ...], like: int | None = None) -> list[Shape]:
    """Operands broadcast; `like` takes the shape of one operand (per-channel ones aside)."""
    if like is not None:
        return [inputs[like].sizes]
    return [broadcast(*(t.sizes for t in inputs if t is not None))]


@op("prelu_channels", "n c *x, slope: a -> n c *x")
def prelu_channels(n: Dim, c: Dim, x: Shape) -> Counts:
    """max(x, a x) with a learned slope per channel, or one in all."""
    return n * c * prod(x) * per_element("prelu")


@rule("axes", "prelu_channels")
def slopes(c: Dim, a: Any = None) -> dict[str, Dim]:
    return {"a": 1 if a == 1 else c}


for _name, _expression in POINTWISE.items():
    _enter(_name, len(inspect.signature(_expression).parameters))
    rule("shape", _name)(pointwise_shape)
