"""Pointwise layers of CoreML's neural networks, and reductions."""

from __future__ import annotations

from math import prod

from flopwise.frontends.coreml.network_native import Layer, lowers, same_meaning

same_meaning({
    "copy": "copy", "clip": "clip", "ceil": "ceil", "floor": "floor", "sign": "sign",
    "round": "round", "exp2": "exp2", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin",
    "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "erf": "erf", "equal": "equal",
    "notEqual": "not_equal", "lessThan": "less", "lessEqual": "less_equal",
    "greaterThan": "greater", "greaterEqual": "greater_equal", "logicalOr": "or",
    "logicalXor": "xor", "logicalNot": "not", "logicalAnd": "and", "modBroadcastable": "mod",
    "minBroadcastable": "min", "maxBroadcastable": "max", "addBroadcastable": "add",
    "powBroadcastable": "pow", "divideBroadcastable": "div", "multiplyBroadcastable": "mul",
    "subtractBroadcastable": "sub", "add": "add", "multiply": "mul", "max": "max", "min": "min",
    "whereBroadcastable": "where",
})  # fmt: skip

SIMPLE = {
    "linear": "fma", "relu": "relu", "leaky_relu": "leaky_relu", "threshold": "threshold",
    "tanh": "tanh", "scaled_tanh": "tanh", "sigmoid": "sigmoid", "hard_sigmoid": "hard_sigmoid",
    "elu": "elu", "softsign": "softsign", "softplus": "softplus",
}  # fmt: skip
UNARY = ("sqrt", "rsqrt", "reciprocal", "pow", "exp", "log", "abs", "max")


@lowers("activation")
def activation(n: Layer) -> None:
    """Slopes per channel, or one for all."""
    kind, x = next(iter(n.p)), n.inputs[0]
    if kind == "prelu":
        count = _held(n, "alpha")
        n.p = n.p["prelu"]
        n.emit("prelu", x, n.weight("alpha", count), like=0)
    elif kind == "parametric_softplus":
        count = _held(n, "alpha")
        n.p = n.p[kind]
        scaled = n.emit("mul", x, n.weight("beta", count), part="beta", like=0)
        soft = n.emit("softplus", scaled, part="softplus")
        n.emit("mul", soft, n.weight("alpha", count), like=0)
    elif kind == "scaled_tanh":
        inner = n.emit("mul", x, part="beta")
        n.emit("mul", n.emit("tanh", inner, part="tanh"))
    elif kind == "linear":
        n.emit("add", n.emit("mul", x, part="alpha"))
    else:
        n.emit(SIMPLE[kind], x)


def _held(n: Layer, name: str) -> int:
    """How many numbers the weights of an activation hold."""
    weights = next(iter(n.p.values()))[name]
    for kind, width in (("floats", 4), ("halves", 2)):
        if kind in weights:
            return int(sum(stop - start for start, stop in weights[kind]) // width)
    raise ValueError(f"{name} holds no numbers")


@lowers("unary")
def unary(n: Layer) -> None:
    """f(scale x + shift)"""
    x = n.inputs[0]
    x = n.emit("mul", x, part="scale") if n.p.get("scale", 0.0) not in (0.0, 1.0) else x
    x = n.emit("add", x, part="shift") if n.p.get("shift", 0.0) else x
    n.emit(UNARY[n.integer("kind")], x)


@lowers("gelu")
def gelu(n: Layer) -> None:
    n.emit(("gelu", "gelu_tanh", "quick_gelu")[n.integer("mode")], n.inputs[0])


@lowers("clampedReLU")
def clamped_relu(n: Layer) -> None:
    n.emit("clip", n.emit("leaky_relu", n.inputs[0], part="leak"))


@lowers("floorDivBroadcastable")
def floor_div(n: Layer) -> None:
    n.emit("floor", n.emit("div", *n.inputs, part="quotient"))


@lowers("average")
def average(n: Layer) -> None:
    n.emit("mul", n.emit("add", *n.inputs, part="sum"))


@lowers("dot")
def dot(n: Layer) -> None:
    """Over channels, or all of a vector."""
    axes = (-3,) if n.rank > 2 else (-1,)
    product = n.emit("mul", *n.inputs, part="product")
    n.emit("reduce_sum", product, axes=axes, keep=True)


@lowers("scale")
def scale(n: Layer) -> None:
    """Factors and offsets of the shape of a channel, an image, or all."""
    x = n.emit("mul", n.inputs[0], n.weight("scale", *_three(n, "shape")), part="scale")
    if n.integer("bias"):
        n.emit("add", x, n.weight("biases", *_three(n, "shapeBias")))
    else:
        n.emit("identity", x)


@lowers("bias")
def bias(n: Layer) -> None:
    n.emit("add", n.inputs[0], n.weight("biases", *_three(n, "shape")))


def _three(n: Layer, name: str) -> tuple[int, ...]:
    """A vector of channels lies along the third axis from the end."""
    shape = n.integers(name)
    return (*shape, 1, 1) if len(shape) == 1 and n.rank > 2 else shape


REDUCE = (
    "reduce_sum", "reduce_mean", "reduce_prod", "reduce_log_sum", "reduce_sum_square",
    "reduce_l1", "reduce_l2", "reduce_max", "reduce_min", "argmax",
)  # fmt: skip
AXES = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))
NAMED = {
    "L1": "l1", "L2": "l2", "Max": "max", "Min": "min", "Sum": "sum", "Prod": "prod",
    "Mean": "mean", "LogSum": "log_sum", "SumSquare": "sum_square", "LogSumExp": "log_sum_exp",
}  # fmt: skip


@lowers("reduce")
def reduce(n: Layer) -> None:
    n.emit(REDUCE[n.integer("mode")], n.inputs[0], axes=AXES[n.integer("axis")], keep=True)


@lowers(*(f"reduce{name}" for name in NAMED))
def reduce_axes(n: Layer) -> None:
    axes, keep = n.integers("axes"), bool(n.integer("keep"))
    whole = bool(n.integer("all")) or not axes
    rank = n.rank if keep else 1 if whole else n.rank - len(axes)
    op = f"reduce_{NAMED[n.kind.removeprefix('reduce')]}"
    n.emit(op, n.inputs[0], axes=None if whole else axes, keep=keep, rank=rank)


@lowers("argMax", "argMin")
def arg(n: Layer) -> None:
    keep = not n.integer("drop")
    op = "argmax" if n.kind == "argMax" else "argmin"
    n.emit(op, n.inputs[0], axes=(n.integer("axis"),), keep=keep, rank=n.rank - (not keep))


@lowers("cumSum")
def cumsum(n: Layer) -> None:
    n.emit("cumsum", n.inputs[0], axis=n.integer("axis"))


@lowers("argSort")
def argsort(n: Layer) -> None:
    n.emit("sort", n.inputs[0], axis=n.integer("axis"))


@lowers("topK")
def top_k(n: Layer) -> None:
    n.emit("top_k", n.inputs[0], axis=n.integer("axis"), k=n.integer("k", 1))


@lowers("loadConstant", "loadConstantND")
def load_constant(n: Layer) -> None:
    shape = n.integers("shape")
    shape = shape if n.kind.endswith("ND") or len(shape) != 3 else (1, *shape)
    data = n.weight("data", *shape) if prod(shape) else None
    n.emit("constant", data, rank=len(shape))
