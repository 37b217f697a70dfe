"""Counters that read model files: CalFlops, convnet-burden, netscope, Darknet, OpenCV."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.conventions import (
    Convention,
    Formula,
    flops,
    nothing,
    per_input,
    per_output,
    same,
    window,
)
from flopwise.counts import Counts, divide
from flopwise.dims import Dim, floordiv, maximum, minimum, prod
from flopwise.graph import Shape, Tensor
from flopwise.ops.contraction import each

POOLS = ("max_pool", "avg_pool", "lp_pool")
GLOBAL_POOLS = ("global_max_pool", "global_avg_pool", "global_lp_pool")


def batch_linear(n: Shape, i: Dim, o: Dim, bias: int) -> Any:
    """One matrix-vector product, with its bias, per image; other leading axes are left out."""
    return prod(n[:1]) * o * (i + bias)


CALFLOPS = Convention(
    "calflops-mxnet",
    "multiply-adds and biases of convolutions and dense layers, each element under a pooling "
    "window, one per ReLU",
    "https://github.com/Ldpe2G/DeepLearningForFun/tree/e717cbf/MXNet-Python/CalculateFlopsTool",
    "e717cbf",
    {"mac": 1, "add": 1},
    frozenset({"conv", "conv_transpose"}),
    {
        "linear": batch_linear,
        **same(window, POOLS),
        **same(per_input(), GLOBAL_POOLS),
        "relu": per_output(),
    },
    notes=(
        "its model size is 4 bytes times every argument but data and labels: the weight bytes "
        "of a float32 MXNet symbol, whose running statistics are not arguments",
        "ReLU is counted where it is an Activation layer, not as the operator relu",
        "the bias of a Deconvolution is read off the convolution before it (a bug, not reproduced)",
    ),
)


def stride_window(n: Dim, c: Dim, y: Shape, stride: Any = 1) -> Any:
    """Two operations per input that the windows start from: the stride, not the kernel."""
    return 2 * n * c * prod(y) * prod(each(stride, len(y)))


def burden_lrn(x: Shape = (), n: Dim = 1, c: Any = None) -> Any:
    """One per element, and 2 + 2c per position for the norm."""
    if c is None:
        n, c, x = x[0], x[1], x[2:]
    return n * c * prod(x) + n * (2 + 2 * c) * prod(x)


def each_operand(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Any:
    """One per element of the result and operand."""
    return len(inputs) * outputs[0].size


BURDEN = Convention(
    "convnet-burden",
    "fused multiply-adds and biases of convolutions and dense layers, 2 per ReLU, 2 per input of "
    "a pooling, one per addition and scaling by a map; batch norm is taken for merged",
    "https://github.com/albanie/convnet-burden/blob/9c7f31b/core/burden.m",
    "9c7f31b",
    {"mac": 1, "add": 1},
    frozenset({"conv", "conv_transpose", "linear"}),
    {
        **same(per_output(2), ("relu", "leaky_relu", "fma")),
        **same(stride_window, POOLS),
        **same(per_input(), GLOBAL_POOLS),
        **same(per_output(), ("add", "mul")),
        **same(burden_lrn, ("lrn", "l2_norm")),
        "resize": per_output(4),
        "max": each_operand,
    },
    notes=(
        "softmax and sigmoid are left out, since what an exponential costs is hard to say",
        "a Scale layer of Caffe is the affine half of a batch norm, and merged with it",
        "a transposed convolution takes the input channels of the filter for the output ones "
        "(equal in the networks it lists; not reproduced)",
    ),
)


def upscaled(n: Dim, c: Dim, f: Dim, y: Shape, k: Shape, stride: Any = 1) -> Any:
    """Every output times the share of the kernel that meets an input; groups are ignored."""
    return divide(n * c * f * prod(y) * prod(k), prod(each(stride, len(y))))


def lrn_taps(n: Dim, c: Dim, x: Shape, size: Dim) -> Any:
    """The squares of all neighbours of every element."""
    return n * c * prod(x) * size


LRN = ("lrn", "l2_norm")
ACTIVATIONS = ("relu", "leaky_relu", "relu6", "elu", "prelu", "dropout")
ELTWISE = ("add", "mul", "max")

NETSCOPE = Convention(
    "netscope",
    "multiply-accumulates of convolutions and dense layers, one per scaled element, local_size "
    "per element of local response normalisation (its MACC column)",
    "https://github.com/dgschwend/netscope/blob/8ae36d8/src/analyzer.coffee",
    "8ae36d8",
    {"mac": 1},
    frozenset({"conv", "linear"}),
    {
        "conv_transpose": upscaled,
        "scale": per_output(),
        "lrn": lrn_taps,
        "l2_norm": per_output(),
    },
    notes=(
        "every pooling is rounded up, also where the file asks to round down, and layers of an "
        "unknown type end all counting behind them (bugs, not reproduced)",
        "the operation of an Eltwise layer is read from the wrong field: always a sum",
        "the batch of the file is multiplied in",
    ),
)


def _column(name: str, what: str, formulas: dict[str, Formula]) -> Convention:
    statement = f"{what} (its {name.upper()} column)"
    return replace(
        NETSCOPE, name=f"netscope-{name}", statement=statement, ops=frozenset(), overrides=formulas
    )


NETSCOPE_COMP = _column(
    "comp",
    "comparisons: one per element under a max pooling window, per ReLU and per dropout",
    {"max_pool": window, "global_max_pool": per_input(), **same(per_output(), ACTIVATIONS)},
)
NETSCOPE_ADD = _column(
    "add",
    "additions: one per element under an average pooling window, of batch norm, softmax, "
    "local response normalisation and elementwise layers",
    {
        "avg_pool": window,
        "global_avg_pool": per_input(),
        **same(per_output(), ("batch_norm", "softmax", *LRN, *ELTWISE)),
    },
)
NETSCOPE_DIV = _column(
    "div",
    "divisions: one per element of batch norm and softmax, two of local response normalisation",
    {**same(per_output(), ("batch_norm", "softmax")), **same(per_output(2), LRN)},
)
NETSCOPE_EXP = _column(
    "exp",
    "exponentials: one per element of softmax and local response normalisation",
    same(per_output(), ("softmax", *LRN)),
)


def shortcut(counts: Counts) -> Any:
    """One per element for each map added."""
    return counts.add


DARKNET = Convention(
    "darknet",
    "2 x the multiply-adds of convolutions, one per element under a pooling window and per "
    "element of a shortcut, of one image (the BFLOPs that it prints, in 10⁹)",
    "https://github.com/AlexeyAB/darknet/blob/59596d78/src/convolutional_layer.c",
    "59596d78",
    {},
    frozenset(),
    {"conv": flops, "max_pool": window, "avg_pool": window, "add": shortcut},
    per_batch=True,
    notes=(
        "connected and recurrent layers have no BFLOPs; darknet-ops counts them",
        "convolutions of single bits (xnor=1) are divided by 32, which is not reproduced",
    ),
)


def ungrouped(n: Dim, c: Dim, f: Dim, y: Shape, k: Shape) -> Any:
    """2 per tap of every input channel: groups are ignored."""
    return 2 * n * f * prod(y) * c * prod(k)


DARKNET_OPS = Convention(
    "darknet-ops",
    "2 x the multiply-adds of convolutions and connected layers of one image (its command "
    "`darknet ops`, and the table of ImageNet networks at pjreddie.com)",
    "https://github.com/AlexeyAB/darknet/blob/59596d78/src/darknet.c",
    "59596d78",
    {"mac": 2},
    frozenset({"linear", "rnn", "gru", "lstm"}),
    {"conv": ungrouped},
    per_batch=True,
    notes=("a recurrent layer is counted for one step there, for the whole sequence here",),
)


def biased_ungrouped(n: Dim, c: Dim, f: Dim, y: Shape, k: Shape) -> Any:
    """Per output 2 per tap of every input channel and a bias, there or not."""
    return n * f * prod(y) * (2 * c * prod(k) + 1)


def input_squared(n: Dim, c: Dim, x: Shape, k: Shape) -> Any:
    """Per input 2 per tap of every *input* channel, which stands for the output's."""
    return 2 * n * c * prod(x) * c * prod(k)


def three_per_product(n: Shape, i: Dim, o: Dim) -> Any:
    """3 per weight and row."""
    return 3 * prod(n) * i * o


def pool_mean(n: Dim, c: Dim, y: Shape, k: Any) -> Any:
    """The elements under a window and the division."""
    return n * c * prod(y) * (prod(each(k, len(y))) + 1)


def running_squares(n: Dim, c: Dim, x: Shape, size: Any) -> Any:
    """Squares, powers and products per element; a running sum along the channels, whose
    middle is counted for one image of the batch."""
    space, half = prod(x), floordiv(size - 1, 2)
    return n * (2 * minimum(half, c) + 4 * c) * space + maximum(2 * c - size, 0) * space


OPENCV = Convention(
    "opencv",
    "2 per multiply-add of convolutions (groups ignored) and 3 of dense layers, and a few per "
    "element of everything else (cv2.dnn.Net.getFLOPS)",
    "https://github.com/opencv/opencv/tree/4.13.0/modules/dnn/src/layers",
    "4.13.0",
    {},
    frozenset(),
    {
        "conv": biased_ungrouped,
        "conv_transpose": input_squared,
        "linear": three_per_product,
        "max_pool": window,
        "avg_pool": pool_mean,
        "global_max_pool": per_output(),
        "global_avg_pool": per_output(2),
        "lrn": running_squares,
        **same(per_output(3), ("batch_norm", "sigmoid", "silu", "mish", "exp")),
        **same(per_output(2), ("scale", "relu6", "clip", "elu", "neg", "round", "not")),
        **same(per_output(4), ("softmax", "log_softmax")),
        **same(each_operand, ("add", "sub", "mul", "div", "max", "min", "pow")),
        **same(
            per_output(),
            (
                *("relu", "leaky_relu", "prelu", "tanh", "hard_sigmoid", "hard_swish", "selu"),
                *("celu", "softplus", "softsign", "threshold", "abs", "log", "sqrt", "erf"),
                *("sin", "cos", "tan", "atan", "sign", "floor", "ceil", "reciprocal"),
            ),
        ),
        "gelu": per_output(100),
        **same(nothing, ("matmul", "layer_norm", "instance_norm", "reduce_mean", "resize")),
    },
    notes=(
        "Gemm and MatMul of an ONNX file are not counted; dense layers of Caffe, TensorFlow and "
        "Darknet files are",
        "the kernel of global pooling is not known yet when it is counted: one element",
        "a transposed convolution takes the input channels for the output ones (a bug)",
        "the window of a 1-d convolution is squared (a bug, not reproduced)",
        "local response normalisation within a channel is counted otherwise, 2 size² + 2 per "
        "element, which is not reproduced",
    ),
)
