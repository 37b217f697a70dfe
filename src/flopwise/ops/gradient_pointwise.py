"""Gradients of pointwise operators: each derivative written out, counted by running it.

A derivative takes `g`, the gradient of the result, and what it needs of the forward, which
is therefore kept: the operands `x`, `y`, `z` or the result `out`. Which of two equal forms
is written is PyTorch's choice (tools/autograd/derivatives.yaml, v2.8), since it decides what
is kept. None: no gradient flows to that operand.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from flopwise.counts import ZERO, Counts
from flopwise.graph import Tensor
from flopwise.ops import rule
from flopwise.ops.gradient import Gradient, Tensors, Wants, present, stopped, summed
from flopwise.ops.pointwise import BOOLEAN, POINTWISE, common
from flopwise.tally import absolute, erf, exp, less, log, sqrt, tally, trig, where

Derivative = Callable[..., Any] | None


def same(g: Any) -> Any:
    """The gradient of the result as it is."""
    return g


def negative(g: Any) -> Any:
    return -g


def inside(g: Any, x: Any) -> Any:
    """Where the operand is within the bounds of a clamp, 0 elsewhere."""
    return where(less(0, x) and less(x, 6), g, 0)


def positive(g: Any, x: Any) -> Any:
    return where(less(0, x), g, 0)


def sigmoid(g: Any, out: Any) -> Any:
    return g * out * (1 - out)


def tanh(g: Any, out: Any) -> Any:
    return g * (1 - out * out)


def silu(g: Any, x: Any) -> Any:
    s = 1 / (1 + exp(-x))
    return g * s * (1 + x * (1 - s))


def gelu(g: Any, x: Any) -> Any:
    return g * (0.5 * (1 + erf(x * 0.7)) + x * (exp(x * x * -0.5) * 0.4))


def gelu_tanh(g: Any, x: Any) -> Any:
    t = 2 / (1 + exp(-2 * (0.8 * (x + 0.04 * (x * x * x))))) - 1
    return g * (0.5 * (1 + t) + 0.5 * x * ((1 - t * t) * (0.8 * (1 + 0.13 * (x * x)))))


def mish(g: Any, x: Any) -> Any:
    s, t = 1 / (1 + exp(-x)), 2 / (1 + exp(-2 * log(1 + exp(x)))) - 1
    return g * (t + x * s * (1 - t * t))


def elu(g: Any, x: Any) -> Any:
    return where(less(x, 0), g * 0.5 * exp(x), g)


def leaky(g: Any, x: Any) -> Any:
    return where(less(x, 0), g * 0.1, g)


DERIVATIVES: dict[str, tuple[Derivative, ...]] = {
    "add": (same, same),
    "sub": (same, negative),
    "mul": (lambda g, y: g * y, lambda g, x: g * x),
    "div": (lambda g, y: g / y, lambda g, x, y: -g * ((x / y) / y)),
    "neg": (negative,),
    "abs": (lambda g, x: where(less(x, 0), -g, g),),
    "square": (lambda g, x: g * (2 * x),),
    "reciprocal": (lambda g, out: -g * (out * out),),
    "sqrt": (lambda g, out: g / (2 * out),),
    "rsqrt": (lambda g, out: -0.5 * g * (out * out * out),),
    "pow": (lambda g, x, y: g * (y * exp((y - 1) * log(x))), lambda g, x, out: g * (out * log(x))),
    "exp": (lambda g, out: g * out,),
    "exp2": (lambda g, out: g * out * 0.7,),
    "expm1": (lambda g, out: g * (out + 1),),
    "log": (lambda g, x: g / x,),
    "log1p": (lambda g, x: g / (x + 1),),
    "log2": (lambda g, x: g / (x * 0.7),),
    "logaddexp": (lambda g, x, y: g / (1 + exp(y - x)), lambda g, x, y: g / (1 + exp(x - y))),
    "erf": (lambda g, x: 1.13 * exp(-(x * x)) * g,),
    "fma": (lambda g, y: g * y, lambda g, x: g * x, same),
    "complex_mul": (lambda g, y: g * y - g * y, lambda g, x: g * x - g * x),
    "sin": (lambda g, x: g * trig(x),),
    "cos": (lambda g, x: g * -trig(x),),
    "tan": (lambda g, out: g * (1 + out * out),),
    "asin": (lambda g, x: g / sqrt(1 - x * x),),
    "acos": (lambda g, x: -g / sqrt(1 - x * x),),
    "atan": (lambda g, x: g / (1 + x * x),),
    "sinh": (lambda g, x: g * ((exp(x) + exp(-x)) / 2),),
    "cosh": (lambda g, x: g * ((exp(x) - exp(-x)) / 2),),
    "asinh": (lambda g, x: g / sqrt(x * x + 1),),
    "acosh": (lambda g, x: g / sqrt(x * x - 1),),
    "atanh": (lambda g, x: g / (1 - x * x),),
    "atan2": (lambda g, x, y: g * y / (x * x + y * y), lambda g, x, y: -g * x / (x * x + y * y)),
    "max": (lambda g, x, y: where(less(x, y), 0, g), lambda g, x, y: where(less(x, y), g, 0)),
    "min": (lambda g, x, y: where(less(x, y), g, 0), lambda g, x, y: where(less(x, y), 0, g)),
    "where": (None, lambda g, x: where(x, g, 0), lambda g, x: where(x, 0, g)),
    "impute": (lambda g, x: where(less(x, x), 0, g),),
    "mod": (same, None),
    "relu": (lambda g, out: where(less(0, out), g, 0),),
    **dict.fromkeys(("clip", "relu6", "hard_tanh"), (inside,)),
    "threshold": (positive,),
    "leaky_relu": (leaky,),
    "prelu": (
        lambda g, x, y: where(less(x, 0), g * y, g), lambda g, x: where(less(x, 0), g * x, 0),
    ),
    "elu": (elu,),
    "celu": (elu,),
    "selu": (lambda g, x: where(less(x, 0), g * 1.7 * exp(x), g * 1.05),),
    "sigmoid": (sigmoid,),
    "logsigmoid": (lambda g, x: g / (1 + exp(x)),),
    "hard_sigmoid": (lambda g, x: where(less(-3, x) and less(x, 3), g * 0.2, 0),),
    "tanh": (tanh,),
    "tanhshrink": (lambda g, x, out: g - tanh(g, x - out),),
    **dict.fromkeys(
        ("softshrink", "hardshrink"), (lambda g, x: where(less(absolute(x), 0.5), 0, g),)
    ),
    "softplus": (lambda g, x: g / (1 + exp(-x)),),
    "softsign": (lambda g, x: g / ((1 + absolute(x)) * (1 + absolute(x))),),
    "silu": (silu,),
    "hard_swish": (
        lambda g, x: where(less(x, -3), 0, where(less(x, 3), g * (x / 3 + 0.5), g)),
    ),
    "mish": (mish,),
    "gelu": (gelu,),
    "gelu_tanh": (gelu_tanh,),
    "quick_gelu": (lambda g, x: silu(g, 1.7 * x),),
    "ramp": (lambda g, x: g * less(0, x) + 0.1 * g,),
    "loggy": (lambda g, out: g * 0.5 * (1 - out * out),),
    "plse": (lambda g, x: where(less(absolute(x), 4), g * 0.125, g * 0.01),),
    "leaky_hard_tanh": (lambda g, x: where(less(0, x) and less(x, 1), g, g * 0.001),),
    "hard_mish": (lambda g, x: where(less(0, x), g, where(less(-2, x), g * (x + 1), 0)),),
}  # fmt: skip

SCALED: tuple[Derivative, ...] = (same, lambda g: g * 0.5)  # x + a y, a plain number a
FLAT = ("sign", "round", "floor", "ceil", "trunc", "quantize", "dequantize", *BOOLEAN,
        "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "shift")  # fmt: skip
rule("gradient", *FLAT)(stopped)


@cache
def cost(derivative: Callable[..., Any]) -> tuple[Counts, frozenset[str]]:
    """The counts per element of a derivative, and what it needs."""
    return tally(derivative), frozenset(inspect.signature(derivative).parameters) - {"g"}


def _enter(name: str, derivatives: tuple[Derivative, ...]) -> None:
    @rule("gradient", name)
    def pointwise(
        inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, overlap: bool = False
    ) -> Gradient:
        result = outputs[0]
        total, saved, passes = ZERO, dict[str, Tensor](), set[int]()
        rules = SCALED if name == "fma" and len(inputs) < 3 else derivatives
        for i, operand in present(inputs, wants):
            derivative = rules[min(i, len(rules) - 1)]
            if derivative is None:
                continue
            each, needs = cost(derivative)
            size = common(operand, result) if overlap else result.size
            total += size * each + (Counts() if overlap else summed(operand, result))
            if derivative is same and operand.size == result.size:
                passes.add(i)
            needed = _needed(needs, inputs, result)
            if needs and len(inputs) > len(rules):  # of a product of many, all the others
                needed = tuple(t for j, t in enumerate(inputs) if t is not None and j != i)
            saved |= {t.name: t for t in needed if t is not None}
        return Gradient(total, tuple(saved.values()), passes=frozenset(passes))

    pointwise.__doc__ = f"The derivative of {name}, per element of the result."


def _needed(needs: frozenset[str], inputs: Tensors, result: Tensor) -> Tensors:
    """The tensors that a derivative names."""
    named = {**dict(zip("xyz", inputs)), "out": result}
    return tuple(t for name in sorted(needs) if (t := named.get(name)) is not None)


for _name in POINTWISE:
    if _name in DERIVATIVES:
        _enter(_name, DERIVATIVES[_name])


@rule("gradient", "prelu_channels")
def prelu_channels(
    inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], wants: Wants
) -> Gradient:
    """As prelu; the slope of a channel takes the sum over all its elements."""
    first, second = DERIVATIVES["prelu"]
    assert first is not None and second is not None
    size = outputs[0].size
    total = size * cost(first)[0] if 0 in wants else ZERO
    if 1 in wants:
        total += size * cost(second)[0] + summed(inputs[1], outputs[0])
    return Gradient(total, inputs)
