"""Counters whose numbers stand in the tables of model collections: mmcv, imgclsmob, OpenVINO."""

from __future__ import annotations

from typing import Any

from flopwise.conventions import (
    Convention,
    Formula,
    affine,
    flops,
    macs,
    per_input,
    per_output,
    same,
)
from flopwise.conventions import window as elements
from flopwise.dims import Dim, floordiv, prod
from flopwise.graph import Shape, Tensor

POOLS = ("max_pool", "avg_pool")
GLOBAL_POOLS = (*("adaptive_max_pool", "adaptive_avg_pool", "global_max_pool", "global_avg_pool"),)

MMCV = Convention(
    "mmcv",
    "multiply-adds and biases of convolutions, multiply-adds of dense layers; 2 per element of "
    "normalisation (1 without factors), one of ReLU and its kin, one per element that enters a "
    "pooling",
    "https://github.com/open-mmlab/mmcv/blob/v1.7.2/mmcv/cnn/utils/flops_counter.py",
    "1.7.2",
    {"mac": 1, "add": 1},
    frozenset({"conv", "conv_transpose"}),
    {
        "linear": macs,
        **same(affine(2, 1), ("batch_norm", "layer_norm", "group_norm", "instance_norm")),
        "scale": per_output(),
        **same(per_output(), ("relu", "prelu", "elu", "leaky_relu", "relu6", "resize")),
        **same(per_input(), (*POOLS, *GLOBAL_POOLS)),
    },
    per_batch=True,
    notes=(
        "the tables of MMClassification, MMDetection and MMSegmentation up to their versions of "
        "2022 are its numbers; later ones are mmengine's",
        "modules alone: what a forward computes by functions or operators is zero, attention "
        "among it",
    ),
)


def half(times: int, of: str = "outputs") -> Formula:
    """Half a number of operations per element."""

    def formula(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
        return floordiv(times * (outputs if of == "outputs" else inputs)[0].size, 2)

    return formula


def half_conv(n: Dim, f: Dim, y: Shape, g: Dim, k: Shape, bias: int) -> Any:
    """Two per tap and position, but one less for every filter and channel without a bias."""
    return floordiv(n * f * g * (2 * prod(k) * prod(y) - (1 - bias)), 2)


def half_linear(n: Shape, i: Dim, o: Dim, bias: int) -> Any:
    """A dot product of i terms is 2i - 1 operations, and a bias one more."""
    return floordiv(prod(n) * o * (2 * i - (1 - bias)), 2)


def half_window(n: Dim, c: Dim, y: Shape, k: Any) -> Any:
    """Half an operation per element under each window."""
    return floordiv(elements(n, c, y, k), 2)


def half_adaptive(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """The window that its networks have in that place; none where nothing is pooled."""
    same_size = inputs[0].sizes == outputs[0].sizes
    return 0 if same_size else floordiv(inputs[0].size, 2)


IMGCLSMOB = Convention(
    "imgclsmob",
    "half of: 2 per multiply-add (without a bias, one less for each filter and channel), 4 per "
    "element of batch norm, one of ReLU and under a pooling window (its column FLOPs/2)",
    "https://github.com/osmr/imgclsmob/blob/c1a844dd/gluon/model_stats.py",
    "c1a844dd",
    {},
    frozenset(),
    {
        "conv": half_conv,
        "linear": half_linear,
        "conv_transpose": half(4, "inputs"),
        **same(half(4), ("batch_norm", "instance_norm", "sigmoid")),
        **same(half(1), ("relu", "relu6", "hard_sigmoid", "channel_shuffle")),
        **same(half(1), ("global_max_pool", "global_avg_pool")),
        **same(half_adaptive, ("adaptive_max_pool", "adaptive_avg_pool")),
        **same(half(2), ("leaky_relu", "hard_swish")),
        **same(half(3), ("elu", "prelu")),
        "silu": half(5),
        **same(half_window, POOLS),
    },
    notes=(
        "additions of branches and products with gates are zero; a transposed convolution is 4 "
        "per element that enters",
        "a global pooling is one operation per result, but most of its networks end in a window "
        "as large as the image: an adaptive pooling is taken for that",
    ),
)

OPENVINO = Convention(
    "openvino",
    "2 x the multiply-adds, and one per bias; batch norm is folded, which leaves a bias; 2 per "
    "element of ReLU, one of arithmetic and under a pooling window, 5 of softmax (GFLOPs of the "
    "Open Model Zoo)",
    "https://github.com/openvinotoolkit/model_analyzer/blob/d9fe351/model_analyzer/"
    "layer_provider.py",
    "d9fe351",
    {"mac": 2, "add": 1},
    frozenset({"conv", "conv_transpose", "linear"}),
    {
        **same(flops, ("matmul", "einsum", "attention", "attention_scores", "attention_values")),
        **same(elements, POOLS),
        **same(per_input(), GLOBAL_POOLS),
        **same(per_output(), ("batch_norm", "add", "sub", "mul", "div", "exp", "log")),
        **same(per_output(2), ("relu", "leaky_relu", "prelu")),
        **same(per_output(2), ("relu6", "hard_tanh", "clip")),
        **same(per_output(3), ("sigmoid", "elu", "softplus")),
        **same(per_output(4), ("hard_swish", "hard_sigmoid", "layer_norm")),
        **same(per_output(5), ("softmax", "silu")),
        "tanh": per_output(6),
        "mish": per_output(10),
    },
    notes=(
        "of a model that OpenVINO has converted: batch norm after a convolution is folded, and "
        "layer norm is 4 per element, as MVN, a factor and a term",
        "GELU and the softmax inside fused attention are not counted",
    ),
)
