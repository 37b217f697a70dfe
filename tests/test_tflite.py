"""TFLite files, written here table by table, and the shared ones."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import flopwise
from flopwise import ops
from flopwise.errors import FlopwiseError, ShapeMismatch, UnknownSize, UnreadableModel
from flopwise.frontends.tflite.schema import OPERATORS, TABLES
from support.lite import Lite, Writer

SHARED = Path(__file__).parents[2] / "shared" / "models" / "tflite"
FILES = sorted(SHARED.glob("*.tflite"))


def count(model: Lite, tmp_path: Path, **request: Any) -> Any:
    return flopwise.count(model.write(tmp_path), **request)


def conv_net() -> Lite:
    """A convolution with a fused ReLU on 8 x 8 x 3, stride 2, padding SAME; classes after it."""
    m = Lite()
    x = m.input(1, 8, 8, 3, shape_signature=(-1, 8, 8, 3))
    w, b, y = m.weight(16, 3, 3, 3), m.weight(16), m.tensor(1, 4, 4, 16)
    m.op("CONV_2D", [x, w, b], [y], padding=0, stride_h=2, stride_w=2, fused=1)
    flat = m.op("RESHAPE", [y, m.ints(-1, 256)], [m.tensor(1, 256)])
    m.op("FULLY_CONNECTED", [flat, m.weight(10, 256), -1], [m.tensor(1, 10)])
    return m


def test_a_convolution_with_its_activation(tmp_path: Path) -> None:
    profile = count(conv_net(), tmp_path)
    assert profile.total().mac == 4 * 4 * 16 * 27 + 2560
    assert profile.by_op()["relu"].cmp == 256  # the fused activation is an operation too
    assert profile.total().add == 256  # the bias
    # 432 + 16 + 2,560 floats, and the two integers of the shape operand, which nothing trains.
    assert (profile.params, profile.trainable_params) == (3010, 3008)
    assert profile.coverage == 1


@pytest.mark.parametrize("batch", [2, 5])
def test_another_batch_is_inferred(tmp_path: Path, batch: int) -> None:
    profile = count(conv_net(), tmp_path, batch=batch)
    assert profile.graph.outputs[0].shape == (batch, 10)
    assert profile.total().mac == batch * (4 * 4 * 16 * 27 + 2560)


def test_other_sizes_that_cannot_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatch, match=r"RESHAPE.*do not reshape"):
        count(conv_net(), tmp_path, inputs="1x9x9x3")


def test_a_free_axis_needs_a_size(tmp_path: Path) -> None:
    m = Lite()
    x = m.input(1, 1, 1, 3, shape_signature=(-1, -1, -1, 3))
    w = m.weight(8, 3, 3, 3)
    m.op("CONV_2D", [x, w, -1], [m.tensor(1, 1, 1, 8)], padding=0, stride_h=1, stride_w=1)
    with pytest.raises(UnknownSize, match=r"t0_0.*--input"):
        count(m, tmp_path)
    assert count(m, tmp_path, inputs="1x5x7x3").total().mac == 5 * 7 * 8 * 27
    free = count(m, tmp_path, inputs="NxHxWx3").total().mac
    assert str(free) == "216*H*N*W"


# name, operands' shapes (weights after |), result, options, multiply-accumulates by hand
CONTRACTIONS: list[tuple[str, list[tuple[int, ...]], tuple[int, ...], dict[str, Any], int]] = [
    ("DEPTHWISE_CONV_2D", [(1, 6, 6, 4), (1, 3, 3, 8), (8,)], (1, 4, 4, 8),
     {"padding": 1, "stride_h": 1, "stride_w": 1, "depth_multiplier": 2}, 4 * 4 * 8 * 9),
    ("CONV_2D", [(2, 6, 6, 4), (8, 1, 1, 2), (8,)], (2, 6, 6, 8),
     {"padding": 1, "stride_h": 1, "stride_w": 1}, 2 * 36 * 8 * 2),
    ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5), (5,)], (1, 2, 2, 2, 5),
     {"padding": 1, "stride_d": 1, "stride_h": 1, "stride_w": 1}, 8 * 5 * 2 * 27),
    ("BATCH_MATMUL", [(3, 4, 5), (3, 5, 6)], (3, 4, 6), {"adj_x": False}, 3 * 4 * 5 * 6),
    ("BATCH_MATMUL", [(3, 5, 4), (3, 6, 5)], (3, 4, 6), {"adj_x": True, "adj_y": True}, 360),
    ("FULLY_CONNECTED", [(2, 3, 8), (4, 8), (4,)], (2, 3, 4), {"keep_num_dims": True}, 6 * 32),
    ("FULLY_CONNECTED", [(2, 3, 8), (4, 8)], (6, 4), {}, 6 * 32),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shapes", "result", "options", "macs"), CONTRACTIONS)
def test_contractions(
    tmp_path: Path, name: str, shapes: Any, result: Any, options: dict[str, Any], macs: int
) -> None:
    m = Lite()
    x = m.input(*shapes[0])
    m.op(name, [x, *(m.weight(*s) for s in shapes[1:])], [m.tensor(*result)], **options)
    assert count(m, tmp_path).total().mac == macs
    same = count(m, tmp_path, inputs=("N", *shapes[0][1:]) if name != "BATCH_MATMUL" else None)
    assert same.at(N=shapes[0][0]).total().mac == macs


@pytest.mark.parametrize(("padding", "size"), [(0, 8), (1, 9)])
def test_a_transposed_convolution_fits_any_size(tmp_path: Path, padding: int, size: int) -> None:
    m = Lite()
    shape, w, x = m.ints(1, size, size, 6), m.weight(6, 3, 3, 4), m.input(1, 4, 4, 4)
    y = m.tensor(1, size, size, 6)
    m.op("TRANSPOSE_CONV", [shape, w, x], [y], padding=padding, stride_h=2, stride_w=2)
    assert count(m, tmp_path).total().mac == 16 * 4 * 6 * 9
    wide = count(m, tmp_path, inputs="1x4x10x4")
    assert wide.graph.outputs[0].shape == (1, size, 20 + padding, 6)


def test_names_of_operators_are_those_of_the_schema() -> None:
    builtin = pytest.importorskip("tflite").BuiltinOperator
    for name, number in vars(builtin).items():
        if isinstance(number, int) and not name.startswith("PLACEHOLDER"):
            assert OPERATORS[number] == name


UNARY = (
    "ABS CEIL COS ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC NEG RELU RELU6"
    " RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE TANH SOFTMAX LOG_SOFTMAX"
    " L2_NORMALIZATION QUANTIZE DEQUANTIZE FAKE_QUANT LOGICAL_NOT"
)
BINARY = (
    "ADD SUB MUL DIV POW MAXIMUM MINIMUM FLOOR_DIV FLOOR_MOD SQUARED_DIFFERENCE ATAN2 EQUAL"
    " NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL LOGICAL_AND LOGICAL_OR BITWISE_XOR"
    " RIGHT_SHIFT PRELU ADD_N"
)


@pytest.mark.parametrize("name", [*UNARY.split(), *BINARY.split()])
def test_pointwise_operators_count_each_element(tmp_path: Path, name: str) -> None:
    m = Lite()
    dtype = "int8" if name == "DEQUANTIZE" else "float32"
    operands = [m.input(2, 3, 4, dtype=dtype)] + [m.weight(4)] * (name in BINARY.split())
    m.op(name, operands, [m.tensor(2, 3, 4)])
    profile = count(m, tmp_path)
    assert profile.coverage == 1
    assert profile.total().ops >= 24
    assert count(m, tmp_path, inputs="2x3x5" if name in UNARY.split() else "7x3x4").coverage == 1


@pytest.mark.parametrize(("length", "half"), [(9, 5), (10, 5), (11, 6)])
def test_halves_are_rounded_up(tmp_path: Path, length: int, half: int) -> None:
    """-(-n // 2), as texts of shape arithmetic have it: 9 // 2 towards zero is 4."""
    m = Lite()
    shape = m.op("SHAPE", [m.input(7)], [m.tensor(1, dtype="int32")])
    minus = m.op("NEG", [shape], [m.tensor(1, dtype="int32")])
    down = m.op("FLOOR_DIV", [minus, m.ints(2)], [m.tensor(1, dtype="int32")])
    size = m.op("NEG", [down], [m.tensor(1, dtype="int32")])
    m.op("FILL", [size, m.ints(0)], [m.tensor(4, dtype="int32")])
    assert count(m, tmp_path, inputs=str(length)).graph.outputs[0].shape == (half,)


def sliced(**masks: int) -> Callable[[Lite, int], int]:
    def build(m: Lite, x: int) -> int:
        begin, end, step = m.ints(1, 0, -1), m.ints(4, 9, -3), m.ints(2, 1, -1)
        return m.op("STRIDED_SLICE", [x, begin, end, step], [m.tensor(1)], **masks)

    return build


def simple(name: str, *operands: tuple[int, ...], **options: Any) -> Callable[[Lite, int], int]:
    """An operator whose other operands are integers."""

    def build(m: Lite, x: int) -> int:
        values = [m.ints(*v) for v in operands]
        data = [*values, x] if name == "SPLIT" else [x, *values]
        outputs = [m.tensor(1) for _ in range({"SPLIT": 2, "SPLIT_V": 2, "UNPACK": 6}.get(name, 1))]
        return m.op(name, data, outputs, **options)

    return build


X = numpy.zeros((6, 8, 10))
# What TFLite's reference kernels give, said in numpy; shapes are inferred, not read.
MOVES = [
    (sliced(), X[1:4:2, 0:9, -1:-3:-1]),
    (sliced(begin_mask=1, end_mask=2), X[:4:2, 0:, -1:-3:-1]),
    (sliced(begin_mask=4, end_mask=4), X[1:4:2, 0:9, ::-1]),
    (sliced(shrink_axis_mask=1), X[1, 0:9, -1:-3:-1]),
    (sliced(shrink_axis_mask=5), X[1, 0:9, -1]),
    (sliced(ellipsis_mask=2), X[1:4:2, ..., -1:-3:-1]),
    (sliced(ellipsis_mask=1), X[..., 0:9, -1:-3:-1]),
    (sliced(new_axis_mask=2), X[1:4:2, None, -1:-3:-1]),
    (sliced(new_axis_mask=2, ellipsis_mask=1), X[..., None, -1:-3:-1]),
    (sliced(new_axis_mask=4, ellipsis_mask=1), X[..., 0:9, None]),
    (simple("SLICE", (1, 2, 3), (2, -1, 4)), X[1:3, 2:, 3:7]),
    (simple("TRANSPOSE", (2, 0, 1)), X.transpose(2, 0, 1)),
    (simple("PAD", (1, 2, 0, 0, 3, 0)), numpy.zeros((9, 8, 13))),
    (simple("MIRROR_PAD", (0, 0, 1, 1, 0, 0)), numpy.zeros((6, 10, 10))),
    (simple("RESHAPE", (3, -1)), X.reshape(3, -1)),
    (simple("EXPAND_DIMS", (-1,)), X[..., None]),
    (simple("TILE", (1, 2, 3)), numpy.tile(X, (1, 2, 3))),
    (simple("REVERSE_V2", (1,)), X),
    (simple("SPLIT", (2,)), X[:, :, :5]),
    (simple("SPLIT_V", (3, -1), (1,)), X[:, :3]),
    (simple("UNPACK", num=6, axis=0), X[0]),
    (simple("PACK", axis=1), X[:, None]),
    (simple("SHAPE"), numpy.zeros(3)),
    (simple("RANK"), numpy.zeros(())),
    (simple("GATHER", (0, 1), axis=1), X[:, :2]),
    (simple("MEAN", (0, 2), keep_dims=True), X.mean((0, 2), keepdims=True)),
    (simple("SUM", (1,), keep_dims=False), X.sum(1)),
    (simple("ARG_MAX", (1,)), X.argmax(1)),
    (simple("BROADCAST_TO", (2, 6, 8, 10)), numpy.zeros((2, 6, 8, 10))),
    (simple("CUMSUM", (1,)), X),
    (simple("TOPK_V2", (4,)), X[..., :4]),
    (simple("ZEROS_LIKE"), X),
    (simple("SPACE_TO_BATCH_ND", (2,), (1, 1)), numpy.zeros((12, 5, 10))),
    (simple("BATCH_TO_SPACE_ND", (2,), (1, 0)), numpy.zeros((3, 15, 10))),
]


@pytest.mark.parametrize(("build", "expected"), MOVES)
def test_shapes_are_those_of_numpy(
    tmp_path: Path, build: Callable[[Lite, int], int], expected: numpy.ndarray
) -> None:
    m = Lite()
    x = m.input(6, 8, 10, shape_signature=(-1, -1, 10))
    build(m, x)
    profile = count(m, tmp_path, inputs="6x8x10")
    assert profile.graph.outputs[0].shape == expected.shape
    assert profile.coverage == 1


@pytest.mark.parametrize(
    ("name", "shape"), [("DEPTH_TO_SPACE", (1, 8, 12, 2)), ("SPACE_TO_DEPTH", (1, 2, 3, 32))]
)
def test_blocks_have_channels_last(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    m = Lite()
    m.op(name, [m.input(1, 1, 1, 8, shape_signature=(1, -1, -1, 8))], [m.tensor(1)], block_size=2)
    assert count(m, tmp_path, inputs="1x4x6x8").graph.outputs[0].shape == shape


@pytest.mark.parametrize(("name", "kind"), [("MAX_POOL_2D", "cmp"), ("AVERAGE_POOL_2D", "add")])
def test_pooling(tmp_path: Path, name: str, kind: str) -> None:
    m = Lite()
    k = {"filter_height": 3, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": 0}
    m.op(name, [m.input(1, 6, 6, 5)], [m.tensor(1, 3, 3, 5)], **k)
    assert getattr(count(m, tmp_path).total(), kind) == 3 * 3 * 5 * (3 * 2 - 1)


@pytest.mark.parametrize("time_major", [False, True])
def test_lstm(tmp_path: Path, time_major: bool) -> None:
    """28 steps of 28 features, 20 units: the figures of tflm_mnist_lstm."""
    m = Lite()
    x = m.input(*((28, 2, 28) if time_major else (2, 28, 28)))
    gates = [m.weight(20, 28) for _ in range(4)] + [m.weight(20, 20) for _ in range(4)]
    states = [m.tensor(2, 20, is_variable=True) for _ in range(2)]
    operands = [x, *gates, -1, -1, -1, *(m.weight(20) for _ in range(4)), -1, -1, *states]
    y = m.tensor(*((28, 2, 20) if time_major else (2, 28, 20)))
    m.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [y], fused=4, time_major=time_major)
    profile = count(m, tmp_path)
    assert profile.total().mac == 2 * 107520
    assert profile.params == 4 * 20 * (28 + 20 + 1)
    # Per step and unit: 3 sigmoids (4 each), 2 tanh (5 each), f c, i g, o tanh c, the sum of
    # the first two; per gate the sum of both products and the bias.
    assert profile.total().ops == 2 * (2 * 107520 - 28 * 160 + 28 * 20 * (12 + 10 + 4 + 8))


def test_lstm_with_projection_peepholes_and_coupled_gates(tmp_path: Path) -> None:
    m = Lite()
    x = m.input(1, 5, 8)
    data, state = [m.weight(6, 8) for _ in range(3)], [m.weight(6, 4) for _ in range(3)]
    cells = [-1, m.weight(6), m.weight(6)]
    bias = [-1, *(m.weight(6) for _ in range(3))]
    states = [m.tensor(1, 4, is_variable=True), m.tensor(1, 6, is_variable=True)]
    operands = [x, -1, *data, -1, *state, *cells, *bias, m.weight(4, 6), m.weight(4), *states]
    m.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [m.tensor(1, 5, 4)], fused=4)
    profile = count(m, tmp_path)
    assert profile.total().mac == 5 * (3 * 6 * (8 + 4) + 4 * 6)
    assert profile.coverage == 1


def test_rnn_svdf_and_both_directions(tmp_path: Path) -> None:
    m = Lite()
    x = m.input(3, 7)
    weights = [m.weight(5, 7), m.weight(5, 5), m.weight(5), m.tensor(3, 5, is_variable=True)]
    y = m.op("RNN", [x, *weights], [m.tensor(3, 5)], fused=4)
    features, time = m.weight(8, 5), m.weight(8, 10)
    state = m.tensor(3, 80, is_variable=True)
    z = m.tensor(3, 4)
    m.op("SVDF", [y, features, time, m.weight(4), state], [z], rank=2, fused=1)
    profile = count(m, tmp_path)
    assert profile.by_op()["rnn_cell"].mac == 3 * 5 * (7 + 5)
    assert profile.by_op()["svdf"].mac == 3 * 8 * (5 + 10)
    assert profile.by_op()["svdf"].add == 3 * 8  # one of each pair of filters, and the bias
    assert count(m, tmp_path, batch=6).total().mac == 2 * profile.total().mac


@pytest.mark.parametrize("merged", [False, True])
def test_bidirectional_rnn_gives_both_or_one(tmp_path: Path, merged: bool) -> None:
    m = Lite()
    operands = [m.input(2, 3, 7)]
    for _ in range(2):
        state = m.tensor(2, 5, is_variable=True)
        operands += [m.weight(5, 7), m.weight(5, 5), m.weight(5), state]
    outputs = [m.tensor(2, 3, 10)] if merged else [m.tensor(2, 3, 5), m.tensor(2, 3, 5)]
    m.op("BIDIRECTIONAL_SEQUENCE_RNN", operands, outputs, fused=4, merge_outputs=merged)
    assert count(m, tmp_path, batch=4).total().mac == 2 * 4 * 3 * 5 * 12


def test_custom_operators_are_told_by_name(tmp_path: Path) -> None:
    m = Lite()
    scratch = m.tensor(1, 99)  # nobody makes it: Vela's room to work in
    y = m.op("CUSTOM", [m.input(1, 4), scratch], [m.tensor(1, 4)], custom="Mine")
    m.op("RELU", [y], [m.tensor(1, 4)])
    profile = count(m, tmp_path)
    assert profile.not_counted() == {"CUSTOM Mine": 1}
    assert profile.coverage == 0.5


def test_a_shape_that_depends_on_data_stays_open(tmp_path: Path) -> None:
    m = Lite()
    found = m.tensor(1, 2, dtype="int64", shape_signature=(-1, 2))
    m.op("WHERE", [m.input(4, 5)], [found])
    m.op("CAST", [found], [m.tensor(1, 2, shape_signature=(-1, 2))])
    assert count(m, tmp_path).not_counted() == {"WHERE": 1, "CAST": 1}


def loop(limit: int | None, m: Lite) -> Lite:
    """i = 0; while i < limit: x = x w; i += 2. Without a limit it is an input."""
    i, x = m.ints(0, shape=()), m.input(1, 4)
    bound = m.input(dtype="int32") if limit is None else m.ints(limit, shape=())
    outs = [m.tensor(dtype="int32"), m.tensor(1, 4), m.tensor(dtype="int32")]
    m.op("WHILE", [i, x, bound], outs, cond_subgraph=1, body_subgraph=2)
    m.graph()
    a, _, c = m.input(dtype="int32"), m.input(1, 4), m.input(dtype="int32")
    m.op("LESS", [a, c], [m.tensor(dtype="bool")])
    m.graph()
    a, b, c = m.input(dtype="int32"), m.input(1, 4), m.input(dtype="int32")
    after = m.op("ADD", [a, m.ints(2, shape=())], [m.tensor(dtype="int32")])
    y = m.op("FULLY_CONNECTED", [b, m.weight(4, 4), -1], [m.tensor(1, 4)])
    m.graphs[-1]["outputs"] = [after, y, c]
    return m


def test_a_loop_that_counts(tmp_path: Path) -> None:
    profile = count(loop(9, Lite()), tmp_path)
    assert profile.total().mac == 5 * 16
    assert profile.total().cmp == 5  # the condition of each round
    assert count(loop(9, Lite()), tmp_path, batch=3).total().mac == 3 * 5 * 16
    assert profile.params == 16 + 3  # the matrix once; the start, the limit and the step


def test_a_loop_that_waits_for_data_is_a_symbol(tmp_path: Path) -> None:
    profile = count(loop(None, Lite()), tmp_path)
    assert str(profile.total().mac).startswith("16*trips_")
    assert "how often it runs is not known" in profile.graph.notes[0]


def branch(m: Lite) -> Lite:
    m.op("IF", [m.input(dtype="bool"), m.input(1, 4)], [m.tensor(1, 8)], then_subgraph=1,
         else_subgraph=2)  # fmt: skip
    for _ in range(2):
        m.graph()
        x = m.input(1, 4)
        if len(m.graphs) == 2:
            x = m.op("FULLY_CONNECTED", [x, m.weight(4, 4), -1], [m.tensor(1, 4)])
        m.op("FULLY_CONNECTED", [x, m.weight(8, 4), -1], [m.tensor(1, 8)])
    return m


def test_the_dearer_branch_is_counted(tmp_path: Path) -> None:
    assert count(branch(Lite()), tmp_path).total().mac == 16 + 32


def test_a_call_is_counted_where_it_stands(tmp_path: Path) -> None:
    m = Lite()
    x = m.op("CALL", [m.input(1, 4)], [m.tensor(1, 4)], subgraph=1)
    m.op("CALL", [x], [m.tensor(1, 4)], subgraph=1)
    m.graph()
    m.op("FULLY_CONNECTED", [m.input(1, 4), m.weight(4, 4), -1], [m.tensor(1, 4)])
    profile = count(m, tmp_path)
    assert (profile.total().mac, profile.params) == (32, 16)
    assert count(m, tmp_path, batch=3).total().mac == 96


def test_half_precision_weights_are_converted(tmp_path: Path) -> None:
    m = Lite()
    w = m.op("DEQUANTIZE", [m.weight(4, 4, dtype="float16")], [m.tensor(4, 4)])
    m.op("FULLY_CONNECTED", [m.input(1, 4), w, -1], [m.tensor(1, 4)])
    profile = count(m, tmp_path)
    assert (profile.params, profile.weight_bytes) == (16, 32)
    assert profile.total().mac == 16


def test_sparse_weights_count_whole_and_are_told(tmp_path: Path) -> None:
    m = Lite()
    w = m.weight(8, 8, data=bytes(40), sparsity={"traversal_order": [0, 1]})
    m.op("FULLY_CONNECTED", [m.input(1, 8), w, -1], [m.tensor(1, 8)])
    profile = count(m, tmp_path)
    assert profile.total().mac == 64
    assert "10 of their 64 elements" in profile.graph.notes[0]


def test_four_bit_weights(tmp_path: Path) -> None:
    m = Lite()
    w = m.weight(3, 5, dtype="int4", data=bytes(8))
    m.op("FULLY_CONNECTED", [m.input(1, 5, dtype="int8"), w, -1], [m.tensor(1, 3, dtype="int8")])
    profile = count(m, tmp_path)
    assert (profile.params, profile.weight_bytes) == (15, 8)


# Hostile files


def refused(data: bytes, tmp_path: Path) -> str:
    path = tmp_path / "hostile.tflite"
    path.write_bytes(data)
    with pytest.raises(FlopwiseError) as caught:
        flopwise.count(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_truncated_at_every_tenth_byte(tmp_path: Path) -> None:
    data = conv_net().bytes()
    for stop in range(10, len(data) - 40, 10):
        refused(data[:stop], tmp_path)


def test_noise_never_crashes(tmp_path: Path) -> None:
    data, random_ = bytearray(conv_net().bytes()), random.Random(0)
    path = tmp_path / "noise.tflite"
    for _ in range(300):
        noisy = bytearray(data)
        for _ in range(random_.choice((1, 4, 16))):
            noisy[random_.randrange(8, len(noisy))] = random_.choice((0, 1, 255, 127))
        path.write_bytes(noisy)
        try:
            flopwise.count(path)
        except FlopwiseError as error:
            assert "\n" not in str(error)


def test_a_length_that_lies(tmp_path: Path) -> None:
    data = bytearray(conv_net().bytes())
    place = data.index(struct.pack("<I4i", 4, 16, 3, 3, 3))
    struct.pack_into("<I", data, place, 2**31)
    assert "cut short" in refused(bytes(data), tmp_path)


def test_a_shape_that_lies(tmp_path: Path) -> None:
    data = bytearray(conv_net().bytes())
    place = data.index(struct.pack("<I4i", 4, 16, 3, 3, 3))
    struct.pack_into("<i", data, place + 4, 2**31 - 1)
    assert "has a buffer of 1,728 bytes" in refused(bytes(data), tmp_path)


def broken(change: Callable[[Lite], Any]) -> bytes:
    m = branch(Lite())
    change(m)
    return m.bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.graphs[1]["operators"][0].update(inputs=[2, 1, -1]), "a cycle"),
        (lambda m: m.graphs[1]["operators"][0].update(outputs=[0]), "made twice"),
        (lambda m: m.graphs[1]["operators"][0].update(inputs=[99, 1, -1]), "tensor 99"),
        (lambda m: m.graphs[0]["operators"][0].update(opcode_index=77), "operator code 77"),
        (lambda m: m.graphs[0].update(inputs=[5]), "names tensor 5"),
        (lambda m: m.graphs[0]["tensors"][1].update(buffer=50), "no buffer 50"),
        (lambda m: m.graphs[0]["tensors"][1].update(type=99), "no known type"),
        (lambda m: m.graphs[0]["tensors"][1].update(shape=(1, -7)), "an axis of -7"),
        (lambda m: m.op("CALL", [0], [m.tensor(1)], subgraph=2), "calls itself"),
        (lambda m: m.op("CALL", [0], [m.tensor(1)], subgraph=9), "no sub-graph 9"),
        (lambda m: m.op("CONV_2D", [0], [m.tensor(1)]), "does not fit"),
        (lambda m: m.graphs.clear(), "no sub-graph"),
    ],
)
def test_broken_files(tmp_path: Path, change: Callable[[Lite], Any], message: str) -> None:
    assert message in refused(broken(change), tmp_path)


def test_calls_nested_too_deep(tmp_path: Path) -> None:
    m = Lite()
    for index in range(300):
        m.op("CALL", [m.input(1)], [m.tensor(1)], subgraph=index + 1)
        m.graph()
    m.op("RELU", [m.input(1)], [m.tensor(1)])
    assert "deep" in refused(m.bytes(), tmp_path)


def test_calls_that_double_are_bounded(tmp_path: Path) -> None:
    m = Lite()
    for index in range(60):
        x = m.op("CALL", [m.input(1)], [m.tensor(1)], subgraph=index + 1)
        m.op("CALL", [x], [m.tensor(1)], subgraph=index + 1)
        m.graph()
    m.op("RELU", [m.input(1)], [m.tensor(1)])
    assert "10,000 calls" in refused(m.bytes(), tmp_path)


def test_shared_offsets_cannot_blow_a_file_up(tmp_path: Path) -> None:
    """Five thousand sub-graphs of two hundred tensors that are all the same table."""
    writer = Writer()
    root = writer.table(TABLES["Model"], {"version": 3, "subgraphs": [], "buffers": [{}]})
    struct.pack_into("<I", writer.out, 0, root)
    vtable = root - struct.unpack_from("<i", writer.out, root)[0]
    slot = root + struct.unpack_from("<H", writer.out, vtable + 4 + 2 * 2)[0]
    place = len(writer.out)
    struct.pack_into("<I", writer.out, slot, place - slot)
    writer.out += struct.pack("<I", 5000) + bytes(4 * 5000)
    tensors = [{"shape": (1,), "type": 0, "name": "x"}] * 200
    graph = writer.table(TABLES["SubGraph"], {"tensors": tensors})
    for at in range(place + 4, place + 4 + 4 * 5000, 4):
        struct.pack_into("<I", writer.out, at, graph - at)
    assert "shared offsets" in refused(bytes(writer.out), tmp_path)


@pytest.mark.skipif(not FILES, reason="needs ../shared, which only developers have")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_inferred_shapes_are_those_of_the_file(path: Path) -> None:
    """With a free batch all shapes are inferred; at 1 they are those that the file states."""
    stated = flopwise.count(path)
    shape = stated.graph.inputs[0].shape or ()
    free = flopwise.count(path, inputs=",".join(["N", *map(str, shape[1:])])).at(N=1)
    pairs = zip(stated.rows, free.rows)
    known = [(a, b) for a, b in pairs if b.counts is not None]
    assert len(known) >= len(stated.rows) - 2  # what follows a custom operator stays open
    for a, b in known:
        assert [t.shape for t in a.node.outputs] == [t.shape for t in b.node.outputs]
        assert a.counts == b.counts


@pytest.mark.parametrize("network", ["kws", "resnet8"])
def test_float_and_quantised_twins_cost_the_same(shared: Path, network: str) -> None:
    names = {"kws": ("float32", "int8"), "resnet8": ("float", "int8")}[network]
    files = [shared / f"models/tflite/mlctiny_{network}_{n}.tflite" for n in names]
    plain, quantised = (flopwise.count(f) for f in files)
    assert plain.total().mac == quantised.total().mac
    assert plain.params == quantised.params
    assert {t.dtype for t in quantised.weights if len(t.shape or ()) == 4} == {"int8"}


def test_the_onnx_twin_costs_the_same(shared: Path) -> None:
    lite = flopwise.count(shared / "models/tflite/basic_pitch_nmp.tflite")
    onnx = flopwise.count(shared / "models/onnx/basic_pitch_nmp.onnx", inputs="1x43844x1")
    assert lite.total().mac == onnx.total().mac == 524079648
    # TFLite holds one float once that ONNX holds twice.
    assert lite.trainable_params == onnx.params - 1


def test_all_our_words_exist() -> None:
    """Every operator that the tables name has an entry."""
    import inspect
    import re

    from flopwise.frontends.tflite import control, layers, moves, native, recurrent

    text = "".join(map(inspect.getsource, (control, layers, moves, recurrent)))
    named = set(re.findall(r'emit\(\s*"(\w+)"', text)) | set(native.FUSED.values())
    named |= set(re.findall(r'movement\("(\w+)"', text)) | set(layers.REDUCTIONS.values())
    for word in named - {"if", "loop"}:
        assert ops.find(word) is not None, word


def test_broken_is_unreadable_not_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(4))
    with pytest.raises(UnreadableModel, match="leads out of the file"):
        flopwise.count(path)
