"""Counters of ONNX files."""

from __future__ import annotations

from typing import Any

from flopwise.conventions import (
    Convention,
    by_result,
    macs,
    nothing,
    per_input,
    per_output,
    same,
    window,
)
from flopwise.counts import Counts
from flopwise.dims import Dim, prod
from flopwise.graph import Node, Shape, Tensor
from flopwise.ops.recurrent import GATES

# What onnx-tool takes an elementary function for, in multiplications.
EXP, LOG, SIN, SQRT, DIV = 32, 43, 39, 24, 4
TANH = EXP + 2 + DIV


def grouped_result(n: Dim, f: Dim, y: Shape, g: Dim, k: Shape, bias: int) -> Any:
    """Every output times the taps of the output channels of a group, and a bias."""
    return n * f * prod(y) * (g * prod(k) + bias)


def folded(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """One per element for each operand but the first."""
    return max(len(inputs) - 1, 1) * outputs[0].size


def sum_and_divide(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """One per input, a division per output."""
    return inputs[0].size + DIV * outputs[0].size


def layer_norm(x: Shape) -> Any:
    """7 per element; an addition, a square root and a division per row of the last axis."""
    return 7 * prod(x) + (1 + SQRT + DIV) * prod(x[:-1])


def lrn(n: Dim, c: Dim, x: Shape, size: Dim) -> Any:
    """A square per neighbour, an addition, a power and a division per element."""
    return n * c * prod(x) * (size + 1 + EXP + DIV)


def blending(outputs: tuple[Tensor, ...], mode: str = "nearest") -> Any:
    """4 per element of linear enlarging, 8 of cubic."""
    price = {"linear": 4, "bilinear": 4, "cubic": 8, "bicubic": 8}.get(mode, 0)
    return price * outputs[0].size


def attention(q: Dim, d: Dim, k: Dim, v: Dim, b: Shape = (), h: Dim = 1) -> Any:
    """Both products, an exponential and a division per score."""
    return prod(b) * h * q * k * (d + v + EXP + DIV)


UNITS = {"lstm": 4 + 3 * EXP + 2 * TANH + 4, "gru": 3 + 2 * EXP + TANH + 5}


def recurrent(
    node: Node, counts: Counts, t: Any = 1, n: Any = 1, h: Any = None, hidden: Any = None,
    directions: int = 1, bias: int = 1, biases: int = 2,
) -> Any:  # fmt: skip
    """The products, one per bias, and the gates of one direction."""
    hidden = hidden or h
    rows = GATES[node.op] * hidden * directions * bias * biases
    return counts.mac + t * n * (rows + UNITS[node.op] * hidden)


ONNX_TOOL = Convention(
    "onnx-tool",
    "multiply-adds and biases; every other operation weighed by its price in multiplications: "
    "division 4, square root 24, exponential 32, tanh 76, logarithm 43",
    "https://github.com/ThanatosShinji/onnx-tool/blob/main/onnx_tool/node.py",
    "1.0.1",
    {"mac": 1, "add": 1},
    frozenset({"conv", "linear"}),
    {
        **same(macs, ("matmul", "einsum")),
        "conv_transpose": grouped_result,
        **same(attention, ("attention",)),
        **same(recurrent, ("lstm", "gru")),
        "batch_norm": per_output(1 + SQRT + DIV + 1 + 1),
        "instance_norm": per_output(1 + 1 + 1 + DIV),
        "layer_norm": layer_norm,
        "lrn": lrn,
        **same(per_output(EXP + DIV), ("softmax",)),
        "log_softmax": per_output(EXP + DIV + 1 + LOG),
        **same(window, ("max_pool", "avg_pool")),
        "global_avg_pool": sum_and_divide,
        **same(per_input(), ("reduce_mean", "reduce_sum", "reduce_max", "reduce_prod")),
        "reduce_l2": per_input(1 + SQRT),
        "resize": blending,
        **same(folded, ("add", "sub", "mul")),
        **same(
            per_output(),
            (
                *(
                    "relu",
                    "max",
                    "min",
                    "mod",
                    "neg",
                    "abs",
                    "sign",
                    "floor",
                    "ceil",
                    "round",
                    "not",
                ),
                *("and", "or", "xor", "less", "less_equal", "greater", "greater_equal"),
                *("equal", "not", "cumsum"),
            ),
        ),
        **same(per_output(2), ("relu6", "clip", "leaky_relu", "prelu", "quantize", "dequantize")),
        **same(per_output(DIV), ("div", "reciprocal", "hard_sigmoid")),
        "hard_swish": per_output(5),
        **same(per_output(EXP), ("sigmoid", "exp", "pow")),
        "elu": per_output(EXP + 3),
        "silu": per_output(EXP + 1),
        "gelu": per_output(EXP + 2),
        "tanh": per_output(2 * TANH),
        "softplus": per_output(EXP + 1 + LOG),
        "log": per_output(LOG),
        "sqrt": per_output(SQRT),
        **same(per_output(SIN), ("sin", "cos")),
    },
    notes=(
        "transposed convolutions are counted by their result, with the output channels of a "
        "group for the input ones, and tanh twice (bugs)",
        "3-d pooling leaves out all but the first axis of the window (not reproduced)",
        "operators that it does not know raise; here they are zero",
    ),
)


def eleven(outputs: tuple[Tensor, ...], mode: str = "nearest") -> Any:
    """11 per element of linear enlarging."""
    return 11 * outputs[0].size if mode in ("linear", "bilinear") else 0


ONNX_OPCOUNTER = Convention(
    "onnx-opcounter",
    "multiply-adds; 2 per element of batch norm, 11 of linear enlarging, one per element of the "
    "result of any other operator but moves of data",
    "https://pypi.org/project/onnx-opcounter/0.0.4/",
    "0.0.4",
    {"mac": 1},
    frozenset({"conv", "linear", "matmul"}),
    {
        "conv_transpose": by_result,
        "batch_norm": per_output(2),
        "resize": eleven,
        **same(per_input(), ("relu", "add")),
        **same(
            nothing,
            (
                *("constant", "reshape", "slice", "shape_of", "gather", "embedding"),
                *("tile", "transpose", "sign", "squeeze", "unsqueeze", "split", "cast"),
                "scatter_nd",
            ),
        ),
    },
    otherwise=per_output(),
    notes=(
        "operators without a rule, recurrent ones, einsum and attention too, count one per "
        "element of their first result",
        "transposed convolutions are counted by their result (a bug)",
        "free sizes of the file count as 0 (not reproduced)",
    ),
)
