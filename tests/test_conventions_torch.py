"""Conventions of PyTorch counters against what the counters answer for one layer at a time.

The answers are those of thop 0.1.1.post2209072238, ptflops 0.7.5 (both backends), fvcore
0.1.5.post20221221, torchinfo 1.8.0, calflops 0.3.2, DeepSpeed 0.19.8, torchprofile 0.1.0 and
FlopCounterMode of torch 2.13.0 on meta tensors, run on PyTorch 2.13.0.
"""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flopwise.graph import Node, Tensor
from support.layers import layer, value

IMAGE, ROWS, TOKENS = (1, 8, 10, 10), (4, 32), (4, 10, 32)


def conv(x: Any, w: Any, y: Any, *bias: Any, op: str = "conv", **attrs: Any) -> Node:
    return layer(op, x, w, *bias, y=y, **attrs)


def norm(op: str, *learned: Any) -> Node:
    statistics = [(8,), (8,)] if op == "batch_norm" else []
    return layer(op, [IMAGE, *statistics], *learned)


def recurrent(
    op: str, x: Any, hidden: int, layers: int = 1, directions: int = 1, p: int = 0
) -> Node:
    """A PyTorch recurrent layer, time first; x is (steps, batch, features)."""
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[op.removesuffix("_cell")]
    rows, out, weights, width = gates * hidden, p or hidden, [], x[-1]
    for _ in range(layers):
        one = [(rows, width), (rows, out), (rows,), (rows,), *([(p, hidden)] if p else [])]
        weights += one * directions
        width = out * directions
    named = {"hidden": hidden, "layers": layers, "directions": directions, "projection": p}
    states = [(layers * directions, x[1], s) for s in (out, hidden)][: 1 + (op == "lstm")]
    if op.endswith("_cell"):
        return layer(op, x, *weights, y=[(x[0], out)] * 2, hidden=hidden)
    return layer(op, x, *weights, y=[(*x[:2], width), *states], **named)


CONV = conv(IMAGE, (16, 8, 3, 3), (1, 16, 10, 10))
LINEAR3 = layer("linear", TOKENS, (64, 32), y=(4, 10, 64))
LINEAR3_BIAS = layer("linear", TOKENS, (64, 32), (64,), y=(4, 10, 64))
MATMUL = layer("matmul", TOKENS, (32, 64), y=(4, 10, 64))
PRODUCT = layer("matmul", [(2, 3, 4), (2, 4, 5)], y=(2, 3, 5))
HEADS = (2, 4, 16, 8)
ATTENTION = layer("attention", [HEADS, HEADS, HEADS], y=HEADS)
TRANSPOSED = {"op": "conv_transpose", "stride": 2}
SMALL = (1, 8, 5, 5)
LARGE = (1, 8, 20, 20)
PROJECTIONS = [layer("linear", (2, 16, 32), (32, 32), (32,), y=(2, 16, 32)) for _ in range(4)]

EMBEDDING = layer("embedding", (2, 7), (50, 32), y=(2, 7, 32))
BATCH_FIRST = replace(
    recurrent("lstm", (3, 10, 16), 32),
    attrs={"hidden": 32, "pattern": "n t i -> n t o, s n p, s n h"},
    outputs=tuple(Tensor(f"y{i}", s) for i, s in enumerate([(3, 10, 32), (1, 3, 32), (1, 3, 32)])),
)

PROBES: dict[str, list[Node]] = {
    "conv2d_nobias": [CONV],
    "conv2d_bias": [conv(IMAGE, (16, 8, 3, 3), (1, 16, 10, 10), (16,))],
    "conv2d_batch4": [conv((4, 8, 10, 10), (16, 8, 3, 3), (4, 16, 10, 10))],
    "conv2d_groups4": [conv(IMAGE, (16, 2, 3, 3), (1, 16, 10, 10))],
    "conv2d_depthwise": [conv(IMAGE, (8, 1, 3, 3), IMAGE)],
    "conv2d_same": [CONV],
    "conv2d_same_k4": [conv(IMAGE, (16, 8, 4, 4), (1, 16, 10, 10))],
    "conv2d_circular": [CONV],
    "conv2d_s2d2": [conv(IMAGE, (16, 8, 3, 3), (1, 16, 5, 5))],
    "conv1d": [conv((1, 8, 20), (16, 8, 3), (1, 16, 20))],
    "conv3d": [conv((1, 8, 4, 5, 6), (16, 8, 3, 3, 3), (1, 16, 4, 5, 6))],
    "convT_s2_nobias": [conv(IMAGE, (8, 16, 4, 4), (1, 16, 20, 20), **TRANSPOSED)],
    "convT_s2_bias": [conv(IMAGE, (8, 16, 4, 4), (1, 16, 20, 20), (16,), **TRANSPOSED)],
    "convT_s2_groups4": [conv(IMAGE, (8, 4, 4, 4), (1, 16, 20, 20), **TRANSPOSED)],
    "convT_s2_depthwise": [conv(IMAGE, (8, 1, 4, 4), LARGE, **TRANSPOSED)],
    "conv_subclass": [CONV],
    "conv_weight_norm": [CONV],
    "F.conv2d_kw": [CONV],
    "torch.conv2d": [CONV],
    "F.conv_transpose2d": [conv(IMAGE, (8, 16, 4, 4), (1, 16, 20, 20), **TRANSPOSED)],
    "linear_2d_nobias": [layer("linear", ROWS, (64, 32), y=(4, 64))],
    "linear_2d_bias": [layer("linear", ROWS, (64, 32), (64,), y=(4, 64))],
    "linear_3d_nobias": [LINEAR3],
    "linear_3d_bias": [LINEAR3_BIAS],
    "linear_1d": [layer("linear", (32,), (64, 32), y=(64,))],
    "F.linear": [LINEAR3],
    "F.linear_bias": [LINEAR3_BIAS],
    "matmul_fn": [MATMUL],
    "matmul_op_@": [MATMUL],
    "matmul_method": [MATMUL],
    "matmul_4d_4d": [layer("matmul", [HEADS, (2, 4, 8, 16)], y=(2, 4, 16, 16))],
    "matmul_bcast": [layer("matmul", [(6, 32), (4, 32, 10)], y=(4, 6, 10))],
    "mm": [layer("matmul", ROWS, (32, 64), y=(4, 64))],
    "bmm": [PRODUCT],
    "addmm": [layer("matmul", ROWS, (32, 64), y=(4, 64)), layer("add", (4, 64), (64,))],
    "mv": [layer("matmul", ROWS, (32,), y=(4,))],
    "matmul_vec": [layer("matmul", TOKENS, (32,), y=(4, 10))],
    "dot": [layer("matmul", (32,), (32,), y=())],
    "einsum_bij,bjk": [
        layer("einsum", [(2, 3, 4), (2, 4, 5)], y=(2, 3, 5), equation="bij,bjk->bik")
    ],
    "einsum_3op": [
        layer("einsum", [(2, 3, 4), (2, 4, 5)], (5, 6), y=(2, 3, 6), equation="bij,bjk,kl->bil")
    ],
    "tensordot": [MATMUL],
    "sdpa": [ATTENTION],
    "sdpa_gqa": [layer("attention", [HEADS, (2, 2, 16, 8), (2, 2, 16, 8)], y=HEADS)],
    "sdpa_causal": [layer("attention", [HEADS, HEADS, HEADS], y=HEADS, causal=True)],
    "mha_need_weights": [
        *PROJECTIONS,
        layer("matmul", [HEADS, (2, 4, 8, 16)], y=(2, 4, 16, 16)),
        layer("softmax", (2, 4, 16, 16)),
        layer("matmul", [(2, 4, 16, 16), HEADS], y=HEADS),
    ],
    "mha_no_weights": [*PROJECTIONS, ATTENTION],
    "lstm": [recurrent("lstm", (10, 3, 16), 32)],
    "lstm_2l": [recurrent("lstm", (10, 3, 16), 32, layers=2)],
    "lstm_bi_2l": [recurrent("lstm", (10, 3, 16), 32, layers=2, directions=2)],
    "lstm_proj": [recurrent("lstm", (10, 3, 16), 32, p=8)],
    "gru": [recurrent("gru", (10, 3, 16), 32)],
    "rnn": [recurrent("rnn", (10, 3, 16), 32)],
    "lstmcell": [recurrent("lstm_cell", (3, 16), 32)],
    "lstm_bf": [BATCH_FIRST],
    "shared_linear_x3": [layer("linear", ROWS, (32, 32), y=ROWS)] * 3,
    "tied_emb_head": [EMBEDDING, layer("linear", (2, 7, 32), (50, 32), y=(2, 7, 50))],
    "raw_param_linear": [layer("linear", ROWS, (32, 32), y=ROWS)] * 2,
    "frozen_conv": [conv(IMAGE, (16, 8, 3, 3), (1, 16, 10, 10), (16,))],
    "embedding": [EMBEDDING],
    "bn2d_affine": [norm("batch_norm", (8,), (8,))],
    "bn2d_noaffine": [norm("batch_norm")],
    "layernorm": [layer("layer_norm", TOKENS, (32,), (32,))],
    "layernorm_noaffine": [layer("layer_norm", TOKENS)],
    "groupnorm": [layer("group_norm", IMAGE, (8,), (8,), groups=2)],
    "instnorm_affine": [norm("instance_norm", (8,), (8,))],
    "rmsnorm": [layer("rms_norm", TOKENS, (32,))],
    "relu_mod": [layer("relu", IMAGE)],
    "F.relu": [layer("relu", IMAGE)],
    "relu6": [layer("relu6", IMAGE)],
    "leaky": [layer("leaky_relu", IMAGE)],
    "prelu": [layer("prelu", IMAGE, (1,))],
    "gelu": [layer("gelu", IMAGE)],
    "silu": [layer("silu", IMAGE)],
    "sigmoid": [layer("sigmoid", IMAGE)],
    "tanh": [layer("tanh", IMAGE)],
    "hardswish": [layer("hard_swish", IMAGE)],
    "softmax_mod": [layer("softmax", IMAGE, axis=-1)],
    "F.softmax": [layer("softmax", IMAGE, axis=-1)],
    "maxpool2": [layer("max_pool", IMAGE, y=SMALL, k=2, stride=2)],
    "avgpool2": [layer("avg_pool", IMAGE, y=SMALL, k=2, stride=2)],
    "F.max_pool2d": [layer("max_pool", IMAGE, y=SMALL, k=2, stride=2)],
    "F.avg_pool2d": [layer("avg_pool", IMAGE, y=SMALL, k=2, stride=2)],
    "adapt_avg1": [layer("adaptive_avg_pool", IMAGE, y=(1, 8, 1, 1), size=1)],
    "mean": [layer("reduce_mean", IMAGE, y=(1, 8), axes=(2, 3), keep=False)],
    "up_nearest2": [layer("resize", IMAGE, y=LARGE, mode="nearest")],
    "up_bilinear2": [layer("resize", IMAGE, y=LARGE, mode="linear")],
    "F.interp_scale": [layer("resize", IMAGE, y=LARGE, mode="linear")],
    "F.interp_size": [layer("resize", IMAGE, y=LARGE, mode="linear")],
    "add_op": [layer("add", [IMAGE, IMAGE])],
    "torch.add": [layer("add", [IMAGE, IMAGE])],
    "torch.mul": [layer("mul", [IMAGE, IMAGE])],
    "mul_op": [layer("mul", [IMAGE, IMAGE])],
    "exp": [layer("exp", IMAGE)],
    "sum": [layer("reduce_sum", IMAGE, y=())],
    "dropout": [layer("dropout", IMAGE)],
    "pixelshuffle": [layer("depth_to_space", (1, 8, 10, 10), y=(1, 2, 20, 20), block=2)],
}

COLUMNS = {
    "thop": "thop", "ptflops_pytorch": "ptflops", "ptflops_aten": "ptflops-aten",
    "fvcore": "fvcore", "torchinfo": "torchinfo", "calflops": "calflops",
    "deepspeed": "deepspeed", "torchprofile": "torchprofile", "fcm_meta": "torch",
}  # fmt: skip


CALLED = "modules are hooked: a layer called as a function, wrapped or subclassed is missed"
BARE = "only patched functions are counted, and this one is not patched"
ONCE = "counted once as a function; the convention has the module, which counts twice"
BATCH = "the convention divides all by the batch; the tool leaves out what functions add"
WRITTEN = "torch.add and torch.mul count where + and * do not; the convention has the latter"
MHA = "nn.MultiheadAttention has a rule of its own, or none"
MISSED = "an operator without a rule, which the same product spelled otherwise has"
BUG = "a bug that depends on more than the shapes of the operator"

FUNCTIONS = "conv_subclass conv_weight_norm F.conv2d_kw torch.conv2d F.conv_transpose2d"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "thop": {
        f"{FUNCTIONS} F.linear F.linear_bias F.softmax F.avg_pool2d": CALLED,
        "F.interp_scale F.interp_size raw_param_linear": CALLED,
        "mha_need_weights mha_no_weights": MHA,
        "lstm_proj": BUG,  # the projection is ignored
    },
    "ptflops_pytorch": {
        f"{FUNCTIONS} F.linear F.linear_bias tensordot raw_param_linear": CALLED,
        "matmul_op_@ mv matmul_vec dot": BARE,
        "matmul_fn matmul_method matmul_4d_4d matmul_bcast mm bmm addmm": BATCH,
        "F.relu F.max_pool2d F.avg_pool2d F.interp_scale F.interp_size": ONCE,
        "torch.add torch.mul": WRITTEN,
        "mha_need_weights mha_no_weights": MHA,
    },
    "ptflops_aten": {
        "addmm": WRITTEN,
        "lstm_proj": MISSED,  # only with a projection is it taken apart
        "mha_need_weights mha_no_weights": BUG,  # the bias of one projection, by its layout
    },
    "fvcore": {
        "conv2d_same conv2d_same_k4 tensordot": MISSED,
        "matmul_bcast": BUG,  # one batch of the second operand
    },
    "torchinfo": {
        "conv_weight_norm F.conv2d_kw torch.conv2d F.conv_transpose2d": CALLED,
        "F.linear F.linear_bias raw_param_linear": CALLED,
        "mha_need_weights mha_no_weights": MHA,
    },
    "calflops": {
        "torch.conv2d matmul_op_@ mm bmm tensordot mha_need_weights": BARE,
        "addmm torch.add torch.mul": WRITTEN,
        "conv2d_same_k4": BUG,  # padding="same" is halved, rounded down
        "convT_s2_bias convT_s2_groups4 convT_s2_depthwise": BUG,  # size and groups
        "matmul_bcast": BUG,  # one batch of the second operand
        "F.interp_size": BUG,  # batch and channels are left out
        "einsum_bij,bjk einsum_3op": BUG,  # one more than 2 x the products, from numpy
    },
    "deepspeed": {
        "torch.conv2d tensordot": BARE,
        "addmm torch.add torch.mul": WRITTEN,
        "conv2d_same_k4": BUG,  # padding="same" is halved, rounded down
        "matmul_bcast": BUG,  # one batch of the second operand
        "matmul_vec": BUG,  # the length of the vector twice
        "F.interp_size": BUG,  # batch and channels are left out
        "einsum_bij,bjk einsum_3op": BUG,  # one more than 2 x the products, from numpy
    },
    "torchprofile": {
        "conv2d_same conv2d_same_k4 mm mv dot tensordot": MISSED,
        "einsum_3op": BUG,  # the product of all axes at once
        "lstm_proj": BUG,  # the projection's size is taken for the hidden size
        "mha_need_weights mha_no_weights": WRITTEN,  # the scaling by sqrt(d) is a product
    },
    "fcm_meta": {},
}


@pytest.mark.parametrize("column", COLUMNS)
def test_one_layer_at_a_time(column: str, shared: Path) -> None:
    """Each answer of the tool is that of its convention, but for the exceptions above."""
    with (shared / "conventions_torch.csv").open() as file:
        answers = {row["layer"]: row[column] for row in csv.DictReader(file)}
    differing = {
        name
        for name, nodes in PROBES.items()
        if not answers[name].startswith("error")
        and value(COLUMNS[column], *nodes) != int(answers[name])
    }
    expected = {name for names in EXCEPTIONS[column] for name in names.split()}
    assert differing == expected
