"""Pointwise layers of ncnn, and reductions."""

from __future__ import annotations

from flopwise.errors import UnreadableModel
from flopwise.frontends.ncnn.native import Native, lowers, same_meaning
from flopwise.graph import Tensor

same_meaning({
    "AbsVal": "abs", "BNLL": "softplus", "CELU": "celu", "Clip": "clip", "ELU": "elu",
    "Erf": "erf", "HardSigmoid": "hard_sigmoid", "HardSwish": "hard_swish", "Mish": "mish",
    "SELU": "selu", "Shrink": "softshrink", "Sigmoid": "sigmoid", "Softplus": "softplus",
    "Swish": "silu", "TanH": "tanh", "Threshold": "threshold",
})  # fmt: skip

UNARY = (
    "abs", "neg", "floor", "ceil", "square", "sqrt", "rsqrt", "exp", "log", "sin", "cos", "tan",
    "asin", "acos", "atan", "reciprocal", "tanh", "log10", "round", "trunc",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "div", "max", "min", "pow", "sub", "div", "pow", "atan2", "atan2",
)  # fmt: skip
ELTWISE = ("mul", "add", "max")
REDUCTIONS = (
    "reduce_sum", "reduce_l1", "reduce_sum_square", "reduce_mean", "reduce_max", "reduce_max",
    "reduce_prod", "reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp",
)  # fmt: skip


def choice(n: Native, kinds: tuple[str, ...]) -> str:
    """What parameter 0 chooses."""
    if not 0 <= n.integer(0) < len(kinds):
        raise UnreadableModel(f"operation {n.integer(0)} is none of ncnn's {len(kinds)}")
    return kinds[n.integer(0)]


@lowers("UnaryOp")
def unary(n: Native) -> None:
    n.emit(choice(n, UNARY), n.inputs[0])


@lowers("BinaryOp")
def binary(n: Native) -> None:
    """The smaller of two blobs lies along the outer axes of the other; a vector along the
    outermost or the innermost, whichever fits."""
    op = choice(n, BINARY)
    if n.integer(1) or len(n.inputs) < 2:
        n.emit(op, n.inputs[0])
    elif n.ranks[0] == n.ranks[1]:
        n.emit(op, *n.inputs)
    elif min(n.ranks) == 1:
        n.emit(op, *n.inputs, like=int(n.ranks[1] > n.ranks[0]), rank=max(n.ranks))
    else:
        low, operands = int(n.ranks[1] < n.ranks[0]), list(n.inputs)
        axes = [*range(1 + min(n.ranks), 1 + max(n.ranks))]
        operands[low] = n.emit("unsqueeze", operands[low], part="axes", axes=axes)
        n.emit(op, *operands, rank=max(n.ranks))


@lowers("Eltwise")
def eltwise(n: Native) -> None:
    """A weighted sum multiplies first."""
    op, weights = choice(n, ELTWISE), n.array(1)
    operands = list(n.inputs)
    for i, weight in enumerate(weights[: len(operands)] if op == "add" else ()):
        if weight != 1:
            operands[i] = n.emit("mul", operands[i], part=f"weight {i}")
    n.emit(op, *operands)


@lowers("ReLU")
def relu(n: Native) -> None:
    n.emit("leaky_relu" if n.real(0) else "relu", n.inputs[0])


@lowers("PReLU")
def prelu(n: Native) -> None:
    n.emit("prelu", n.inputs[0], n.weight("slope", n.integer(0)), like=0)


@lowers("GELU")
def gelu(n: Native) -> None:
    n.emit("gelu_tanh" if n.integer(0) else "gelu", n.inputs[0])


@lowers("GLU")
def glu(n: Native) -> None:
    """One half times the sigmoid of the other."""
    halves = [Tensor(f"{n.name}/half {i}") for i in range(2)]
    n.write("split", (n.inputs[0],), tuple(halves), "split", {"axis": n.axis(0)})
    n.emit("mul", halves[0], n.emit("sigmoid", halves[1], part="sigmoid"))


def affine(n: Native, scale: int, shift: int) -> Tensor:
    """shift + x scale, as far as it changes anything."""
    x = n.inputs[0]
    x = n.emit("mul", x, part="scale") if n.real(scale, 1.0) != 1 else x
    return n.emit("add", x, part="shift") if n.real(shift) else x


@lowers("Exp", "Log")
def exponential(n: Native) -> None:
    x = affine(n, 1, 2)
    if n.real(0, -1.0) == -1:
        n.emit(n.kind.lower(), x)
    elif n.kind == "Exp":
        n.emit("exp", n.emit("mul", x, part="base"))
    else:
        n.emit("mul", n.emit("log", x, part="log"))


@lowers("Power")
def power(n: Native) -> None:
    x = affine(n, 1, 2)
    n.emit("pow" if n.real(0, 1.0) != 1 else "identity", x)


@lowers("Dropout")
def dropout(n: Native) -> None:
    n.emit("mul" if n.real(0, 1.0) != 1 else "dropout", n.inputs[0])


@lowers("Reduction")
def reduction(n: Native) -> None:
    """Over all axes, or over some; of all of them one element is left."""
    op, keep = choice(n, REDUCTIONS), bool(n.integer(4))
    axes = n.axes(3) if not n.integer(1, 1) else [*range(1, n.rank + 1)]
    x = n.inputs[0]
    if n.real(2, 1.0) != 1:
        x = n.emit("mul", x, part="coefficient")
    rank = n.rank if keep else n.rank - len(axes)
    if rank:
        n.emit(op, x, axes=axes, keep=keep, rank=rank)
    else:
        whole = n.emit(op, x, part="all", axes=axes, keep=False)
        n.emit("unsqueeze", whole, axes=[1], rank=1)


@lowers("CumulativeSum")
def cumulative_sum(n: Native) -> None:
    n.emit("cumsum", n.inputs[0], axis=n.axis(0))


@lowers("ArgMax")
def arg_max(n: Native) -> None:
    flat = n.emit("flatten", n.inputs[0], part="flatten", axis=1)
    n.emit("top_k", flat, k=n.integer(1, 1), rank=1)


@lowers("Quantize", "Dequantize")
def quantize(n: Native) -> None:
    op, dtype = n.kind.lower(), "int8" if n.kind == "Quantize" else "float32"
    n.emit(op, n.inputs[0], n.scales("scale", n.integer(0, 1)), like=0, dtype=dtype)


@lowers("Requantize")
def requantize(n: Native) -> None:
    scale = n.scales("scale_in", n.integer(0, 1))
    x = n.emit("dequantize", n.inputs[0], scale, part="dequantize", like=0, dtype="float32")
    kinds = {1: "relu", 2: "leaky_relu", 3: "clip", 4: "sigmoid", 5: "mish", 6: "hard_swish"}
    x = n.emit(kinds[n.integer(3)], x, part="activation") if n.integer(3) else x
    n.emit("quantize", x, n.scales("scale_out", n.integer(1, 1)), like=0, dtype="int8")
