"""Counters of PyTorch that watch operators: fvcore and its kin, torchprofile, ptflops on ATen,
and torch's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.conventions import (
    Convention,
    Formula,
    affine,
    macs,
    matrices,
    per_input,
    per_output,
    same,
)
from flopwise.conventions.recurrent import RECURRENT, recurrent
from flopwise.counts import Counts
from flopwise.dims import Dim, prod
from flopwise.graph import Shape, Tensor

PRODUCTS = frozenset({"conv", "conv_transpose", "linear", "matmul", "einsum"})
CELLS = ("rnn_cell", "lstm_cell", "gru_cell")
ATTENTION = ("attention", "multi_head_attention")


def upsampling(nearest: int, linear: int) -> Formula:
    """A number of operations per element of an enlarged image, by the kind of blending."""

    def formula(outputs: tuple[Tensor, ...], mode: str = "nearest") -> Any:
        price = {"nearest": nearest, "linear": linear, "bilinear": linear}.get(mode, 0)
        return price * outputs[0].size

    return formula


FVCORE = Convention(
    "fvcore",
    "multiply-adds; 2 per element of batch norm, 5 of layer and group norm, one per element that "
    "enters adaptive pooling, 1 or 4 per element of an enlarged image",
    "https://github.com/facebookresearch/fvcore/blob/main/fvcore/nn/flop_count.py",
    "0.1.5.post20221221",
    {"mac": 1},
    PRODUCTS.union(CELLS),
    {
        "matmul": matrices(1),
        "batch_norm": affine(2, 1),
        **same(affine(5, 4), ("batch_norm_train", "layer_norm", "group_norm", "instance_norm")),
        # Caffe's Scale is the affine half of the batch norm before it.
        "scale": per_output(),
        **same(per_input(), ("adaptive_avg_pool", "global_avg_pool")),
        "resize": upsampling(nearest=1, linear=4),
        "grid_sample": per_output(4),
    },
    notes=(
        "fused attention, LSTM and GRU are zero, and listed among the operators not counted",
        'padding="same" is zero, and a matrix product that broadcasts its first operand counts '
        "one batch of it (bugs, not reproduced)",
    ),
)

MMENGINE = replace(
    FVCORE,
    name="mmengine",
    url="https://github.com/open-mmlab/mmengine/tree/v0.10.7/mmengine/analysis",
    version="0.10.7",
    overrides={**FVCORE.overrides, "matmul": macs},
    notes=("a fork of fvcore with the same prices; it also multiplies a matrix by a vector",),
)

TIMM = replace(
    FVCORE,
    name="timm",
    statement=f"{FVCORE.statement}; attention is counted",
    url="https://github.com/huggingface/pytorch-image-models/blob/a10ed11/results/"
    "benchmark-infer-amp-nhwc-pt113-cu117-rtx3090.csv",
    version="a10ed11",
    ops=PRODUCTS.union(CELLS, ATTENTION),
    notes=(
        "the column gmacs of its tables is fvcore on models with attention written out",
        "the column macts is our `activations`: the results of convolutions and matrix products",
    ),
)


def by_result(n: Dim, c: Dim, f: Dim, y: Shape, g: Dim, k: Shape) -> Any:
    """Every output times every tap: stride² too many, and groups ignored unless depthwise."""
    return n * f * prod(y) * (g if f == c else c) * prod(k)


def cell_products(counts: Counts, n: Shape, hidden: Any = None, h: Any = None) -> Any:
    """The matrix products, and the three products of gates."""
    return counts.mac + 3 * prod(n) * (hidden or h)


TORCHPROFILE = Convention(
    "torchprofile",
    "multiply-adds, attention included; one per element of normalisation, multiplication, mean "
    "and average pooling, 4 of bilinear enlarging",
    "https://github.com/zhijian-liu/torchprofile/blob/master/torchprofile/handlers.py",
    "0.1.0",
    {"mac": 1},
    (PRODUCTS - {"conv_transpose"}).union(ATTENTION, {"lstm"}),
    {
        "conv_transpose": by_result,
        **same(affine(1, 0), ("batch_norm", "layer_norm", "group_norm", "instance_norm")),
        **same(
            per_output(),
            (
                *("mul", "leaky_relu", "avg_pool", "adaptive_avg_pool", "global_avg_pool"),
                "reduce_mean",
            ),
        ),
        "lstm_cell": cell_products,
        "resize": upsampling(nearest=0, linear=4),
        "grid_sample": per_output(4),
    },
    notes=(
        "transposed convolutions are counted by their result (a bug)",
        'padding="same", torch.mm, GRU and RNN are zero with a warning; an LSTM with a projection '
        "takes its size for the hidden size; grouped-query attention raises (not reproduced)",
    ),
)

PTFLOPS_ATEN = Convention(
    "ptflops-aten",
    "multiply-adds and biases of convolutions and dense layers, matrix products; nothing else",
    "https://github.com/sovrasov/flops-counter.pytorch/blob/master/ptflops/aten_ops.py",
    "0.7.5",
    {"mac": 1, "add": 1},
    frozenset({"conv", "conv_transpose", "linear"}),
    {
        "matmul": matrices(1),
        "einsum": macs,
        **same(recurrent(mac=1), ("rnn", "gru", *CELLS)),
    },
    notes=(
        "fused attention and LSTM are zero on a CPU, where one operator computes them whole; "
        "other tensors are multiplied batch by batch",
        "a Linear with a bias that enters as a matrix and leaves as one is one operator (addmm); "
        "torch.baddbmm is not counted",
    ),
)

TORCH = Convention(
    "torch",
    "2 x the multiply-adds of convolutions, matrix products, attention and recurrent layers "
    "(torch.utils.flop_counter.FlopCounterMode)",
    "https://github.com/pytorch/pytorch/blob/v2.13.0/torch/utils/flop_counter.py",
    "2.13.0",
    {"mac": 2},
    PRODUCTS.union(CELLS, ATTENTION, RECURRENT),
    {"matmul": matrices(2)},
    notes=(
        "so it is on meta tensors; on a CPU without gradients fused attention, "
        "nn.MultiheadAttention and LSTM are zero",
        "products of a vector (mv, dot, outer) and addbmm are zero; causal attention is the full "
        "square; backward ignores the groups of a convolution (not reproduced)",
    ),
)
