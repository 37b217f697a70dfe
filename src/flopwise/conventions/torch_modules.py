"""Counters of PyTorch that hook modules or patch functions: thop, ptflops, torchinfo, calflops,
DeepSpeed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.conventions import (
    Convention,
    affine,
    by_result,
    flops,
    macs,
    matrices,
    per_input,
    per_output,
    same,
    window,
)
from flopwise.conventions.recurrent import ALL_RECURRENT, recurrent
from flopwise.counts import Counts, divide
from flopwise.dims import Dim, floordiv, prod
from flopwise.graph import Node, Shape, Tensor

POOLS = (
    *("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool"),
    *("global_max_pool", "global_avg_pool"),
)
ADAPTIVE = ("adaptive_avg_pool", "global_avg_pool")


def softmax_steps(x: Shape, axis: int = -1) -> Any:
    """Exponentials, the additions of their sum, and divisions."""
    return 3 * prod(x) - divide(prod(x), x[axis])


def in_and_out(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """The additions of adaptive pooling, one per input, and the divisions."""
    return inputs[0].size + outputs[0].size


def thop_upsampling(outputs: tuple[Tensor, ...], mode: str = "nearest") -> Any:
    """1 per element of nearest neighbours, 5 of linear, 11 of bilinear, 259 of bicubic."""
    linear, cubic = {3: 5, 4: 11}, {4: 224 + 35}
    rank = len(outputs[0].sizes)
    price = linear.get(rank, 0) if mode.endswith("linear") else cubic.get(rank, 0)
    return (1 if mode == "nearest" else price) * outputs[0].size


THOP = Convention(
    "thop",
    "multiply-adds of convolution, dense and recurrent modules; 4 per element of normalisation "
    "(2 without factors), about 3 of softmax, one per result of average pooling",
    "https://github.com/Lyken17/pytorch-OpCounter/tree/master/thop",
    "0.1.1.post2209072238",
    {"mac": 1},
    frozenset({"conv", "linear"}),
    {
        "conv_transpose": by_result,
        **same(affine(4, 2), ("batch_norm", "layer_norm", "instance_norm")),
        "scale": per_output(2),
        "prelu": per_input(),
        "softmax": softmax_steps,
        "avg_pool": per_output(),
        **same(in_and_out, ADAPTIVE),
        "resize": thop_upsampling,
        **same(recurrent(mac=1, row=1, unit={"gru": 4, "lstm": 4}), ALL_RECURRENT),
    },
    notes=(
        "modules alone: whatever a forward computes by functions or operators is zero, as are "
        "nn.MultiheadAttention, GroupNorm and subclasses of a known module (not reproduced)",
        "transposed convolutions are counted by their result (a bug)",
        "parameters are those of modules that have a rule",
    ),
)


def two_for_each(counts: Counts) -> Dim:
    """Multiplications and additions of dot products."""
    return 2 * counts.mac - counts.dot


def windows(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """Each result of adaptive pooling: its window, rounded down, and a division."""
    sides = zip(inputs[0].sizes[2:], outputs[0].sizes[2:])
    return outputs[0].size * (prod(floordiv(x, y) for x, y in sides) + 1)


def averages(n: Dim, c: Dim, y: Shape, k: Any) -> Any:
    """One per element under each window, and a division."""
    return window(n, c, y, k) + n * c * prod(y)


THOP_2019 = Convention(
    "thop-2019",
    "as thop counted when papers of 2019 and 2020 used it: multiply-adds and biases of "
    "convolutions, 2 per multiply-add of dense modules, 4 per element of batch norm, one per "
    "element under an average",
    "https://github.com/Lyken17/pytorch-OpCounter/blob/176c407/thop/count_hooks.py",
    "0.0.31",
    {"mac": 1, "add": 1},
    frozenset({"conv"}),
    {
        "conv_transpose": by_result,
        "linear": two_for_each,
        "batch_norm": per_output(4),
        "leaky_relu": per_input(),
        "avg_pool": averages,
        **same(windows, ADAPTIVE),
    },
    notes=(
        "modules alone: whatever a forward computes by functions or operators is zero",
        "other normalisations, recurrent modules, softmax and activations are zero; enlarging "
        "is not reproduced",
        "transposed convolutions are counted by their result (a bug)",
    ),
)


def deform(n: Dim, f: Dim, g: Dim, y: Shape, k: Shape, bias: int, modulated: int = 0) -> Any:
    """A convolution, and 24 per tap and position for the blending (25 with modulation)."""
    positions = n * prod(y)
    return positions * prod(k) * (f * g + 24 + modulated) + positions * f * bias


UNITS = {"rnn": 1, "gru": 7, "lstm": 10}

PTFLOPS = Convention(
    "ptflops",
    "multiply-adds and biases of one sample of the batch; 2 per element of batch and group norm, "
    "of ReLU and GELU, and per element that enters a pooling",
    "https://github.com/sovrasov/flops-counter.pytorch/blob/master/ptflops/pytorch_ops.py",
    "0.7.5",
    {"mac": 1, "add": 1},
    frozenset({"conv", "conv_transpose", "linear"}),
    {
        "matmul": macs,
        "deform_conv": deform,
        **same(affine(2, 1), ("batch_norm", "group_norm", "instance_norm")),
        **same(per_output(), ("scale", "layer_norm")),
        **same(per_output(2), ("relu", "prelu", "elu", "gelu", "resize")),
        # nn.ReLU6 calls hardtanh, and arrives under that name.
        **same(per_output(), ("relu6", "hard_tanh", "leaky_relu", "silu", "softmax")),
        **same(per_input(2), POOLS),
        **same(recurrent(mac=1, unit=UNITS), ALL_RECURRENT),
    },
    per_batch=True,
    notes=(
        "the backend `pytorch`; the backend `aten` is ptflops-aten",
        "activations and pooling count twice, once as a module and once as the function that it "
        "calls (a bug); called as a function they count once",
        "linear layers, convolutions and products called as functions, einsum and @ are zero; "
        "nn.MultiheadAttention has a rule of its own (not reproduced)",
        "the sum is divided by the first axis of the input, be it the batch or time; what "
        "functions add is not (a bug, not reproduced)",
    ),
)


def batch_times_params(node: Node, outputs: tuple[Tensor, ...]) -> Any:
    """Every parameter once per image: positions and tokens are left out."""
    return prod(outputs[0].sizes[:1]) * sum((t.size for t in node.weights), 0)


def steps_times_params(node: Node, outputs: tuple[Tensor, ...]) -> Any:
    """Every parameter once per step and sequence."""
    return prod(outputs[0].sizes[:2]) * sum((t.size for t in node.weights), 0)


def params_per_channel(n: Dim, c: Dim, weight: int, bias: int) -> Any:
    """The learned factors and offsets once per image."""
    return n * c * (weight + bias)


def positions_times_params(
    n: Dim, c: Dim, f: Dim, y: Shape, g: Dim, k: Shape, bias: int
) -> Any:  # fmt: skip
    """Every parameter once per position of the result: stride² too many."""
    return n * prod(y) * (c * g * prod(k) + f * bias)


TORCHINFO = Convention(
    "torchinfo",
    "parameters of a convolution times the positions of its result; of any other module times "
    "the batch, of a recurrent one times the steps",
    "https://github.com/TylerYep/torchinfo/blob/v1.8.0/torchinfo/layer_info.py",
    "1.8.0",
    {"mac": 1, "add": 1},
    frozenset({"conv"}),
    {
        "conv_transpose": positions_times_params,
        "batch_norm": params_per_channel,
        **same(
            batch_times_params,
            (
                *("linear", "layer_norm", "group_norm", "instance_norm", "rms_norm"),
                *("prelu", "embedding"),
            ),
        ),
        **same(steps_times_params, ALL_RECURRENT),
    },
    notes=(
        "a dense layer on tokens or positions counts as if there were one (a bug): transformers "
        "come out at a hundredth",
        "a module whose class name contains Conv is taken for a convolution (not reproduced)",
        "tied parameters are counted once per module that holds them",
    ),
)


FUNCTIONS = {
    **same(flops, ("linear", "einsum")),
    "matmul": matrices(2),
    "batch_norm": affine(2, 1),
    "scale": per_output(),
    **same(affine(5, 4), ("batch_norm_train", "layer_norm", "group_norm", "instance_norm")),
    **same(per_output(), ("relu", "prelu", "elu", "leaky_relu", "silu", "gelu", "softmax")),
    **same(per_input(), POOLS),
    **same(recurrent(mac=2, row=-2, unit=UNITS), ALL_RECURRENT),
}

DEEPSPEED = Convention(
    "deepspeed",
    "2 x multiply-adds, attention included, and biases of convolutions; 2 per element of batch "
    "norm, 5 of layer and group norm, one of most activations, pooling inputs and enlarging",
    "https://github.com/deepspeedai/DeepSpeed/blob/v0.19.8/deepspeed/profiling/flops_profiler/profiler.py",
    "0.19.8",
    {"mac": 2, "add": 1},
    frozenset({"conv", "conv_transpose"}),
    {
        **FUNCTIONS,
        **same(flops, ("attention", "multi_head_attention")),
        "resize": per_output(),
    },
    notes=(
        "functions alone: x + y and x * y are zero where torch.add and torch.mul count one",
        "the rule of F.interpolate with size= leaves out batch and channels, a matrix times a "
        'vector counts the length of the vector again, an even kernel with padding="same" loses '
        "a row (bugs, not reproduced)",
        "its MACs leave out recurrent layers and einsum",
    ),
)

CALFLOPS = replace(
    DEEPSPEED,
    name="calflops",
    statement="2 x multiply-adds, fused attention left out, and biases of convolutions; 2 per "
    "element of batch norm, 5 of layer and group norm, one of most activations and pooling inputs",
    url="https://github.com/MrYxJ/calculate-flops.pytorch/blob/main/calflops/pytorch_ops.py",
    version="0.3.2",
    overrides={**FUNCTIONS, "resize": per_input()},
    notes=(
        "torch.matmul counts; mm, bmm, baddbmm and @ are zero, as is fused attention",
        "enlarging counts the elements that enter: the scale is computed and dropped (a bug)",
        "transposed convolutions divide by the groups twice, and take the size of the result "
        "from the rule of a convolution for the bias (bugs, not reproduced)",
        "its MACs leave out recurrent layers and einsum",
    ),
)
