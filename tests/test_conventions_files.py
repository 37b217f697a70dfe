"""Conventions of counters of files and frameworks, one layer and one small network at a time."""

from typing import Any

import pytest

from flopwise.graph import Node
from support.layers import layer, value

IMAGE = (1, 8, 10, 10)
LARGE = (1, 8, 20, 20)
POOL = {"y": (1, 8, 5, 5), "k": 2, "stride": 2}
SPACE = {"y": (1, 8), "axes": (2, 3), "keep": False}


def batch_norm() -> Node:
    return layer("batch_norm", [IMAGE, (8,), (8,)], (8,), (8,))


# What cv2.dnn.Net.getFLOPS of opencv-python-headless 4.13.0.92, onnx-tool 1.0.1 and
# onnx-opcounter 0.0.4 answer for a model of this one layer (OpenCV: in a file of ONNX, Caffe
# or Darknet). None: it raises, or the layer is not of its formats.
ANSWERS: list[tuple[Node, int | None, int | None, int | None]] = [
    (layer("conv", IMAGE, (16, 8, 3, 3), (16,), y=(1, 16, 10, 10)), 232000, 116800, 115200),
    (layer("conv", IMAGE, (16, 8, 3, 3), y=(1, 16, 10, 10)), 232000, 115200, 115200),
    (layer("conv", IMAGE, (16, 2, 3, 3), y=(1, 16, 10, 10)), 232000, 28800, 28800),
    (layer("conv", (4, 8, 10, 10), (16, 8, 3, 3), y=(4, 16, 10, 10)), 928000, None, None),
    (layer("conv", (1, 8, 4, 5, 6), (16, 8, 3, 3, 3), y=(1, 16, 4, 5, 6)), 831360, None, None),
    (
        layer("conv_transpose", IMAGE, (8, 16, 4, 4), (16,), y=(1, 16, 20, 20), stride=2),
        *(204800, 1644800, 819200),
    ),
    (
        layer("conv_transpose", IMAGE, (8, 4, 4, 4), y=(1, 16, 20, 20), stride=2),
        *(204800, 409600, 204800),
    ),
    (layer("conv_transpose", (1, 6, 10, 10), (6, 32, 4, 4), y=(1, 32, 20, 20)), 115200, None, None),
    (layer("linear", (4, 32), (64, 32), (64,), y=(4, 64)), None, 8448, 8192),
    (layer("linear", (1, 800), (16, 800), (16,), y=(1, 16)), 38400, None, None),
    (layer("matmul", (4, 10, 32), (32, 64), y=(4, 10, 64)), 0, 81920, 81920),
    (
        layer("einsum", (4, 10, 32), (32, 64), y=(4, 10, 64), equation="bij,jk->bik"),
        *(None, 81920, 2560),
    ),
    (batch_norm(), 2400, 24800, 1600),
    (layer("scale", IMAGE, (8,), (8,)), 1600, None, None),
    (layer("instance_norm", IMAGE, (8,), (8,)), 0, 5600, 800),
    (layer("layer_norm", IMAGE, (10,), (10,)), 0, 7920, 800),
    (layer("lrn", IMAGE, size=5), 4700, 33600, 800),
    (layer("lrn", (2, 8, 10, 10), size=5), 8300, None, None),
    (layer("lrn", (1, 16, 10, 10), size=5), 9500, None, None),
    (layer("lrn", (1, 2, 10, 10), size=5), 1200, None, None),
    (layer("lrn", (1, 3, 10, 10), size=5), 1700, None, None),
    (layer("softmax", IMAGE, axis=1), 3200, 28800, 800),
    (layer("log_softmax", IMAGE, axis=1), 3200, 64000, 800),
    (layer("max_pool", IMAGE, **POOL), 800, 800, 200),
    (layer("avg_pool", IMAGE, **POOL), 1000, 800, 200),
    (layer("global_avg_pool", IMAGE, y=(1, 8, 1, 1)), 16, 832, 8),
    (layer("global_max_pool", IMAGE, y=(1, 8, 1, 1)), 8, None, 8),
    (layer("reduce_mean", IMAGE, **SPACE), 0, 800, 8),
    (layer("reduce_sum", IMAGE, **SPACE), None, 800, 8),
    (layer("reduce_l2", IMAGE, **SPACE), None, 20000, 8),
    (layer("resize", IMAGE, y=LARGE, mode="nearest"), 0, 0, 0),
    (layer("resize", IMAGE, y=LARGE, mode="linear"), None, 12800, 35200),
    (layer("resize", IMAGE, y=LARGE, mode="cubic"), None, 25600, None),
    (layer("concat", [IMAGE, IMAGE], y=(1, 16, 10, 10)), 0, 0, 1600),
    (layer("transpose", IMAGE, y=(1, 10, 10, 8), perm=(0, 2, 3, 1)), 0, 0, 0),
    (layer("flatten", IMAGE, y=(1, 800)), 0, 0, 800),
    *(
        (layer(op, [IMAGE, IMAGE]), opencv, tool, 800)
        for op, opencv, tool in [("add", 1600, 800), ("mul", 1600, 800), ("div", 1600, 3200)]
    ),
    (layer("add", [IMAGE, IMAGE, IMAGE]), 2400, 1600, 800),
    *(
        (layer(op, IMAGE), opencv, tool, 800)
        for op, opencv, tool in [
            *(("relu", 800, 800), ("leaky_relu", 800, 1600), ("relu6", 1600, 1600)),
            *(("sigmoid", 2400, 25600), ("tanh", 800, 60800), ("elu", 1600, 28000)),
            *(("selu", 800, None), ("celu", 800, None), ("softplus", 800, 60800)),
            *(("hard_sigmoid", 800, 3200), ("hard_swish", 800, 4000), ("exp", 2400, 25600)),
            *(("log", 800, 34400), ("sqrt", 800, 19200), ("sin", 800, 31200), ("erf", 800, 0)),
            *(("abs", 800, 800), ("neg", 1600, 800), ("floor", 800, 800), ("ceil", 800, 800)),
            *(("round", 1600, 800), ("reciprocal", 800, 3200), ("dropout", 0, 0)),
        ]
    ),
    *((layer(op, IMAGE), opencv, None, None) for op, opencv in [("mish", 2400), ("gelu", 80000)]),
    (layer("prelu", IMAGE, (8, 1, 1)), 800, 1600, 800),
]


@pytest.mark.parametrize(
    ("tool", "place"), [("opencv", 0), ("onnx-tool", 1), ("onnx-opcounter", 2)]
)
def test_one_layer_at_a_time(tool: str, place: int) -> None:
    asked = [(node, answers[place]) for node, *answers in ANSWERS if answers[place] is not None]
    assert len(asked) > 50
    assert [(n.op, value(tool, n)) for n, _ in asked] == [(n.op, answer) for n, answer in asked]


def test_onnx_tool_lstm() -> None:
    """onnx-tool 1.0.1 on 10 steps of 3 sequences, 16 features, hidden size 32, both biases."""
    weights = (1, 128, 16), (1, 128, 32), (1, 256)
    pattern = "t n i, W: d g i, R: d g h, bias?: d b -> t d n h"
    node = layer("lstm", (10, 3, 16), *weights, y=(10, 1, 3, 32), hidden=32, pattern=pattern)
    assert value("onnx-tool", node) == 364800


def keyword_network(bias: bool) -> list[Node]:
    """The streaming wake word network of MLCommons Tiny: separable convolutions along time,
    batch norms folded into biases."""
    x, layers = (1, 40, 30), []
    for taps, f in ((3, 128), (5, 128), (10, 128), (15, 32)):
        n, c, t = x
        y = (n, c, t - taps + 1)
        learned = [(c,)] if bias else []
        layers.append(layer("conv", x, (c, 1, taps), *learned, y=y))
        x = (n, f, y[2])
        learned = [(f,)] if bias else []
        layers += [layer("conv", y, (f, c, 1), *learned, y=x), layer("relu", x)]
    dense = layer("linear", (1, 32), (3, 32), (3,), y=(1, 3))
    return [*layers, dense, layer("softmax", (1, 3))]


def test_x_cube_ai() -> None:
    """The report of ST Edge AI Core 1.0.0 in mlcommons/tiny at 606f456: macc=835,864."""
    assert value("macs", *keyword_network(bias=True)) == 826_368
    assert value("x-cube-ai", *keyword_network(bias=True)) == 835_864


def test_tensorflow_on_a_network_without_batch_norm() -> None:
    """tf.profiler of TensorFlow 2.15 on the same in Keras, whose fused batch norm is zero."""
    assert value("tensorflow", *keyword_network(bias=False)) == 1_652_754


def block(x: Any, f: int, stride: int) -> list[Node]:
    """Two 3 x 3 convolutions with batch norm beside a shortcut, as in the ResNet of
    MLCommons Tiny."""
    n, c, h, w = x
    y = (n, f, h // stride, w // stride)
    shortcut = [layer("conv", x, (f, c, 1, 1), (f,), y=y)] if stride > 1 else []
    return [
        *conv_norm(x, (f, c, 3, 3), y),
        layer("relu", y),
        *conv_norm(y, (f, f, 3, 3), y),
        *shortcut,
        layer("add", [y, y]),
        layer("relu", y),
    ]


def conv_norm(x: Any, weight: Any, y: Any) -> list[Node]:
    f = (weight[0],)
    return [layer("conv", x, weight, f, y=y), layer("batch_norm", [y, f, f], f, f)]


def test_tensorflow_on_a_residual_network() -> None:
    """tf.profiler of TensorFlow 2.21 (Keras 3) on the image classifier of MLCommons Tiny."""
    x = (1, 16, 32, 32)
    nodes = [*conv_norm((1, 3, 32, 32), (16, 3, 3, 3), x), layer("relu", x)]
    nodes += block(x, 16, 1) + block(x, 32, 2) + block((1, 32, 16, 16), 64, 2)
    nodes.append(layer("avg_pool", (1, 64, 8, 8), y=(1, 64, 1, 1), k=8, stride=8))
    nodes.append(layer("linear", (1, 64), (10, 64), (10,), y=(1, 10)))
    nodes.append(layer("softmax", (1, 10)))
    assert value("macs", *nodes) == 12_501_632
    assert value("tensorflow", *nodes) == 25_271_004


def test_paddle() -> None:
    """The example in the documentation of paddle.flops: LeNet, 347,560."""
    lenet = [
        layer("conv", (1, 1, 28, 28), (6, 1, 3, 3), (6,), y=(1, 6, 28, 28)),
        layer("relu", (1, 6, 28, 28)),
        layer("max_pool", (1, 6, 28, 28), y=(1, 6, 14, 14), k=2, stride=2),
        layer("conv", (1, 6, 14, 14), (16, 6, 5, 5), (16,), y=(1, 16, 10, 10)),
        layer("relu", (1, 16, 10, 10)),
        layer("max_pool", (1, 16, 10, 10), y=(1, 16, 5, 5), k=2, stride=2),
        layer("linear", (1, 400), (120, 400), (120,), y=(1, 120)),
        layer("linear", (1, 120), (84, 120), (84,), y=(1, 84)),
        layer("linear", (1, 84), (10, 84), (10,), y=(1, 10)),
    ]
    assert value("paddle", *lenet) == 347_560
