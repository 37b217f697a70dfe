"""What frameworks and compilers say of their own models: Paddle, TensorFlow, X-CUBE-AI."""

from __future__ import annotations

from typing import Any

from flopwise.conventions import (
    Convention,
    by_result,
    flops,
    macs,
    per_input,
    per_output,
    same,
    window,
)
from flopwise.counts import Counts, divide
from flopwise.dims import Dim, floordiv, prod
from flopwise.graph import Shape, Tensor
from flopwise.ops.contraction import each


def biased_by_result(n: Dim, c: Dim, f: Dim, y: Shape, g: Dim, k: Shape, bias: int) -> Any:
    """The rule of a convolution put on a transposed one: stride² too many, and the bias."""
    return by_result(n, c, f, y, g, k) + n * f * prod(y) * bias


def adaptive(n: Dim, c: Dim, x: Shape, y: Any = None) -> Any:
    """Per result the elements that it averages, rounded down, and a division."""
    y = y or (1,) * len(x)
    return n * c * prod(y) * (prod(floordiv(a, b) for a, b in zip(x, y)) + 1)


PADDLE = Convention(
    "paddle",
    "multiply-adds of convolutions with their biases, and of dense layers without; 2 per element "
    "of batch norm, one per result of average pooling (paddle.flops of a dynamic model)",
    "https://github.com/PaddlePaddle/Paddle/blob/v3.3.1/python/paddle/hapi/dynamic_flops.py",
    "3.3.1",
    {"mac": 1, "add": 1},
    frozenset({"conv"}),
    {
        "conv_transpose": biased_by_result,
        "linear": macs,
        "batch_norm": per_output(2),
        "leaky_relu": per_input(),
        "avg_pool": per_output(),
        **same(adaptive, ("adaptive_avg_pool", "global_avg_pool")),
    },
    notes=(
        "layers without a rule, and all that a forward computes by functions, are zero",
        "transposed convolutions are counted by their result (a bug)",
    ),
)


def gradient(n: Dim, c: Dim, f: Dim, y: Shape, k: Shape, stride: Any = 1, bias: int = 0) -> Any:
    """2 per output and tap over the stride; one per bias."""
    outputs = n * f * prod(y)
    return divide(2 * outputs * c * prod(k), prod(each(stride, len(y)))) + outputs * bias


def folded_norm(n: Dim, c: Dim, x: Shape) -> Any:
    """A product and a sum per element, 6 per channel to fold the statistics into them."""
    return 2 * n * c * prod(x) + 6 * c


def reduced(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """One per input but the first of each result."""
    return inputs[0].size - outputs[0].size


def elementwise(counts: Counts, outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> Any:
    """One per element for each operand but the first."""
    return max(len(inputs) - 1, 1) * outputs[0].size


TENSORFLOW = Convention(
    "tensorflow",
    "2 x the multiply-adds and one per bias; each element under a pooling window, 5 per element "
    "of softmax, one of arithmetic (tf.profiler, float_operation)",
    "https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/profiler/internal/flops_registry.py",
    "2.21.0",
    {"mac": 2, "add": 1},
    frozenset({"conv", "linear"}),
    {
        "matmul": flops,
        "conv_transpose": gradient,
        "batch_norm": folded_norm,
        "softmax": per_output(5),
        **same(window, ("max_pool", "avg_pool")),
        **same(per_input(), ("global_avg_pool", "reduce_mean")),
        **same(reduced, ("reduce_sum", "argmax")),
        **same(elementwise, ("add", "sub", "mul", "div", "max", "min")),
        **same(
            per_output(),
            (
                *("pow", "reciprocal", "square", "log", "neg", "less", "less_equal"),
                *("greater", "greater_equal", "equal", "not_equal"),
            ),
        ),
        "rsqrt": per_output(2),
    },
    notes=(
        "activations, exponentials, einsum and other poolings have no rule: zero",
        "batch norm as Keras 3 writes it out; the fused one of TensorFlow 2.15 and before is zero",
        "shapes must be whole: a free batch, and most SavedModels, count 0 (not reproduced)",
    ),
)


def with_filters(counts: Counts, f: Dim, bias: int) -> Any:
    """The multiply-adds, and one bias per filter: not per output."""
    return counts.mac + f * bias


def with_rows(counts: Counts, o: Dim, bias: int) -> Any:
    """The multiply-adds, and one bias per feature."""
    return counts.mac + o * bias


X_CUBE_AI = Convention(
    "x-cube-ai",
    "multiply-adds and one bias per output channel; one per element of ReLU, 15 of softmax "
    "(the MACC of a report of ST Edge AI Core)",
    "https://github.com/mlcommons/tiny/blob/606f456/benchmark/reference_submissions/"
    "streaming_wakeword/sww_ref_l4r5zi/X-CUBE-AI/App/sww_model_generate_report.txt",
    "1.0.0",
    {},
    frozenset(),
    {
        "conv": with_filters,
        "linear": with_rows,
        "relu": per_output(),
        "softmax": per_output(15),
    },
    notes=(
        "closed source: read off a report of one network, whose layers are these four; what it "
        "makes of others is not known, and is zero here",
    ),
)
