"""Shape arithmetic: constants and sizes with symbols flow through operators exactly."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from flopwise import ops
from flopwise.counts import Counts
from flopwise.dims import Expr, symbol
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer
from support.single import constant, shapes, single

N, H = symbol("N"), symbol("H")


def folded(op: str, *operands: Any, **attrs: Any) -> Any:
    """The value of the output as nested lists; None where it was not folded."""
    tensors = [constant(o) if isinstance(o, (list, int)) else o for o in operands]
    value = single(op, *tensors, **attrs).outputs[0].value
    return None if value is None else value.tolist()


# What each operator makes of plain numbers, as the documentation of ONNX has it.
NUMBERS: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("identity", [[1, 2]], {}, [1, 2]),
    ("add", [[1, 2], 3], {}, [4, 5]),
    ("sub", [[1, 2], [3, 5]], {}, [-2, -3]),
    ("mul", [[2, 3], [4]], {}, [8, 12]),
    ("div", [[7, -7, 6], 2], {}, [3, -3, 3]),
    ("mod", [[7, -7], 3], {"fmod": False}, [1, 2]),
    ("mod", [[7, -7], 3], {"fmod": True}, [1, -1]),
    ("pow", [[2, 3], 2], {}, [4, 9]),
    ("neg", [[2, -3]], {}, [-2, 3]),
    ("abs", [[2, -3]], {}, [2, 3]),
    ("max", [[1, 5], [3, 2], [2, 2]], {}, [3, 5]),
    ("min", [[1, 5], [3, 2]], {}, [1, 2]),
    ("clip", [[1, 5, 9], 2, 6], {}, [2, 5, 6]),
    ("equal", [[1, -1], -1], {}, [False, True]),
    ("less", [[1, 2], 2], {}, [True, False]),
    ("greater_equal", [[1, 2], 2], {}, [False, True]),
    ("and", [[1, 0], [1, 1]], {}, [True, False]),
    ("not", [[1, 0]], {}, [False, True]),
    ("where", [[1, 0], [5, 6], [7, 8]], {}, [5, 8]),
    ("gather", [[10, 20, 30], 1], {}, 20),
    ("gather", [[[1, 2], [3, 4]], [1, 0]], {"axis": 1}, [[2, 1], [4, 3]]),
    ("gather", [[10, 20, 30], [-1]], {}, [30]),
    ("gather_elements", [[[1, 2], [3, 4]], [[0, 0], [1, 0]]], {"axis": 1}, [[1, 1], [4, 3]]),
    ("gather_nd", [[[1, 2], [3, 4]], [[0, 0], [1, 1]]], {}, [1, 4]),
    ("concat", [[1, 2], [3]], {"axis": 0}, [1, 2, 3]),
    ("stack", [[1, 2], [3, 4]], {"axis": 1}, [[1, 3], [2, 4]]),
    ("slice", [[1, 2, 3, 4], [1], [3]], {}, [2, 3]),
    ("slice", [[1, 2, 3, 4], [-1], [-(2**63)], [0], [-1]], {}, [4, 3, 2, 1]),
    ("slice", [[1, 2, 3, 4]], {"starts": (0,), "ends": (2**63 - 1,), "steps": (2,)}, [1, 3]),
    ("squeeze", [[[1], [2]]], {"axes": (1,)}, [1, 2]),
    ("unsqueeze", [[1, 2]], {"axes": (0,)}, [[1, 2]]),
    ("reshape", [[1, 2, 3, 4], [2, -1]], {}, [[1, 2], [3, 4]]),
    ("transpose", [[[1, 2], [3, 4]]], {}, [[1, 3], [2, 4]]),
    ("expand", [[1], [2, 2]], {}, [[1, 1], [1, 1]]),
    ("tile", [[1, 2], [2]], {}, [1, 2, 1, 2]),
    ("reduce_prod", [[2, 3, 4]], {"keep": False}, 24),
    ("reduce_sum", [[[1, 2], [3, 4]]], {"axes": (0,), "keep": False}, [4, 6]),
    ("reduce_max", [[2, 5, 4]], {}, [5]),
    ("reduce_min", [[2, 5, 4]], {}, [2]),
    ("cumsum", [[1, 2, 3]], {"axis": 0, "exclusive": False, "reverse": False}, [1, 3, 6]),
    ("cumsum", [[1, 2, 3]], {"axis": 0, "exclusive": True, "reverse": False}, [0, 1, 3]),
    ("cumsum", [[1, 2, 3]], {"axis": 0, "exclusive": False, "reverse": True}, [6, 5, 3]),
    ("range", [2, 9, 3], {}, [2, 5, 8]),
    ("scatter_nd", [[1, 2, 3], [[1]], [9]], {}, [1, 9, 3]),
    ("scatter", [[1, 2, 3], [2, 0], [8, 9]], {"axis": 0}, [9, 2, 8]),
    ("nonzero", [[[1, 0], [1, 1]]], {}, [[0, 1, 1], [0, 0, 1]]),
    ("nonzero", [[0, 5]], {"rows": True}, [[1]]),
    ("compress", [[5, 6, 7], [0, 1, 1]], {}, [6, 7]),
    ("one_hot", [[1, 5]], {"depth": 3}, [[0, 1, 0], [0, 0, 0]]),
    ("one_hot", [[-1], 2, [4, 7]], {}, [[4, 7]]),
    ("one_hot", [[1], 2, [4, 7]], {}, [[4, 7]]),
    ("select", [[5, 6, 7]], {"index": 1}, 6),
    ("constant_of_shape", [[2]], {"fill": 7}, [7, 7]),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "value"), NUMBERS)
def test_plain_numbers(op: str, operands: list[Any], attrs: dict, value: Any) -> None:
    assert folded(op, *operands, **attrs) == value


@pytest.mark.parametrize(("op", "operands", "attrs", "value"), NUMBERS)
def test_results_are_python_numbers(op: str, operands: list, attrs: dict, value: Any) -> None:
    node = single(op, *map(constant, operands), **attrs)
    assert all(type(v) in (int, bool) for v in node.outputs[0].value.ravel().tolist())
    assert node.outputs[0].shape == numpy.shape(value)


# Sizes with symbols. None: the symbol decides it, so nothing is folded.
SYMBOLS: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("add", [[N, 2], 3], {}, [N + 3, 5]),
    ("mul", [[N, H], [H, 2]], {}, [N * H, 2 * H]),
    ("div", [[2 * H, H], 2], {}, [H, H // 2]),
    ("div", [[N * H], [H]], {}, [N]),
    ("mod", [[2 * H], 2], {}, [0]),
    ("pow", [[H], 2], {}, [H * H]),
    ("max", [[H], 1], {}, [H]),
    ("equal", [[N, 4, -1], -1], {}, [False, False, True]),
    ("equal", [[((H + 1) // 2) * (N // 2)], -1], {}, [False]),
    ("cast", [[N - H]], {"dtype": "int64"}, [N - H]),
    ("equal", [[N], 1], {}, None),
    ("equal", [[N], [N]], {}, [True]),
    ("less", [[N], 1], {}, [False]),
    ("less", [[N], 8], {}, None),
    ("where", [[1, 0], [N, N], [1, 1]], {}, [N, 1]),
    ("abs", [[H]], {}, [H]),
    ("sqrt", [[H]], {}, None),
    ("gather", [[N, 3, H], [2, 0]], {}, [H, N]),
    ("gather", [[N, 3, H], 2], {}, H),
    ("select", [[N, 3, H]], {"index": 0}, N),
    ("squeeze", [[N]], {"axes": (0,)}, N),
    ("unsqueeze", [N], {"axes": (0,)}, [N]),
    ("add", [N, 1], {}, N + 1),
    ("reduce_prod", [[N]], {"keep": False}, N),
    ("gather", [[1, 2], [N]], {}, None),
    ("concat", [[N], [3, H]], {"axis": 0}, [N, 3, H]),
    ("slice", [[N, 3, H], [1], [3]], {}, [3, H]),
    ("reduce_prod", [[N, 3, H]], {"keep": False}, 3 * N * H),
    ("reduce_sum", [[[N, 1], [H, 2]]], {"axes": (0,)}, [[N + H, 3]]),
    ("reduce_max", [[N, 1]], {}, [N]),
    ("cumsum", [[N, 1], 0], {"exclusive": False, "reverse": False}, [N, N + 1]),
    ("cumsum", [[N, 1]], {"axis": 0}, None),
    ("scatter_nd", [[1, 2], [[0]], [N]], {}, [N, 2]),
    ("tile", [[N], [2]], {}, [N, N]),
    ("range", [0, N, 1], {}, None),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "value"), SYMBOLS)
def test_symbols(op: str, operands: list[Any], attrs: dict, value: Any) -> None:
    assert folded(op, *map(constant, operands), **attrs) == value


def test_shapes_become_values() -> None:
    assert folded("shape_of", (N, 3, H)) == [N, 3, H]
    assert folded("shape_of", (N, 3, H), start=-1) == [H]
    assert folded("size_of", (N, 3, H)) == 3 * N * H
    assert folded("rank_of", (N, 3, H)) == 3


def test_a_range_up_to_a_symbol_has_its_length() -> None:
    operands = [constant(v) for v in (0, N, 2)]
    assert shapes("range", *operands) == [((N + 1) // 2,)]


# A size that goes through floats, as Resize and Interpolate are exported.
@pytest.mark.parametrize(
    ("size", "factor", "result"),
    [(H, 2.0, 2 * H), (H, 0.5, H // 2), (H, 1.5, 3 * H // 2), (7, 0.5, 3), (7, 2.0, 14)],
)
def test_through_floats_and_back(size: Any, factor: float, result: Any) -> None:
    nodes, x = [], constant([size])
    factor_ = constant([factor], "float32")
    for i, (op, extra, attrs) in enumerate(
        [("cast", (), {"dtype": "float32"}), ("mul", (factor_,), {}), ("floor", (), {}),
         ("cast", (), {"dtype": "int64"})]
    ):  # fmt: skip
        nodes.append(Node(op, (x, *extra), (Tensor(f"t{i}"),), attrs))
        x = nodes[-1].outputs[0]
    out = infer(Graph((), (x,), tuple(nodes))).outputs[0]
    assert (out.value.tolist(), out.dtype) == ([result], "int64")


def test_flatten_by_shape_arithmetic() -> None:
    """Shape, Gather, Mul, Concat, Reshape: how older exporters flatten."""
    x = Tensor("x", (N, 64, H, 2 * H), role="input")
    names = ("shape", "first", "rest", "product", "row", "target", "flat")
    s, first, rest, product, row, target, flat = map(Tensor, names)
    nodes = (
        Node("shape_of", (x,), (s,)),
        Node("gather", (s, constant([0])), (first,)),
        Node("slice", (s, constant([1]), constant([2**31 - 1])), (rest,)),
        Node("reduce_prod", (rest,), (product,), {"keep": False}),
        Node("unsqueeze", (product,), (row,), {"axes": (0,)}),
        Node("concat", (first, row), (target,), {"axis": 0}),
        Node("reshape", (x, target), (flat,)),
    )
    assert infer(Graph((x,), (flat,), nodes)).outputs[0].shape == (N, 128 * H * H)


def test_expand_to_a_shape_with_wildcards() -> None:
    """Where(Equal(shape, -1), ones, shape): how PyTorch exports `expand`."""
    shape = constant([N, -1, 4])
    is_open = Tensor("open", dtype="bool")
    target, wide = Tensor("target"), Tensor("wide")
    nodes = (
        Node("equal", (shape, constant([-1])), (is_open,)),
        Node("where", (is_open, constant([1, 1, 1]), shape), (target,)),
        Node("expand", (Tensor("x", (N, 3, 1)), target), (wide,)),
    )
    assert infer(Graph((), (wide,), nodes)).outputs[0].shape == (N, 3, 4)


def test_large_constants_are_not_kept() -> None:
    assert folded("constant_of_shape", [64, 65], fill=0) is None
    assert folded("constant_of_shape", [64, 64], fill=0) is not None
    assert folded("tile", constant([1] * 64), constant([65])) is None


DATA = Tensor("data", (4,), "int64")


# An operand whose value is data leaves the results open instead of failing; nothing is
# counted, but for views, which cost nothing whatever their size.
@pytest.mark.parametrize(
    ("op", "operands", "attrs"),
    [
        ("reshape", [(2, 3), DATA], {}),
        ("expand", [(2, 3), DATA], {}),
        ("tile", [(2, 3), DATA], {}),
        ("slice", [(2, 3), DATA, DATA], {}),
        ("pad", [(2, 3), DATA], {}),
        ("split", [(4, 3), DATA], {}),
        ("squeeze", [(4, 1), DATA], {}),
        ("unsqueeze", [(4, 1), DATA], {}),
        ("reduce_sum", [(4, 1), DATA], {}),
        ("top_k", [(4, 9), DATA], {}),
        ("range", [DATA, DATA, DATA], {}),
        ("constant_of_shape", [DATA], {}),
        ("one_hot", [(4,), DATA], {}),
        ("resize", [(1, 3, 4, 4), None, None, DATA], {}),
        ("nonzero", [(4, 3)], {}),
        ("unique", [(4,)], {}),
        ("compress", [(4,), DATA], {}),
        ("nms", [(1, 9, 4), (1, 2, 9)], {}),
    ],
)
def test_sizes_that_are_data_stay_open(op: str, operands: list[Any], attrs: dict) -> None:
    node = single(op, *operands, **attrs)
    assert node.outputs[0].shape is None
    entry = ops.find(op)
    assert entry is not None
    assert ops.count(node) == (Counts() if entry.view else None)


def test_a_symbol_is_no_number_by_chance() -> None:
    assert isinstance(folded("add", [N], [1])[0], Expr)


def test_an_attribute_that_a_rule_does_not_know_stops_it() -> None:
    """It may change what the operator means: better open than wrong."""
    assert folded("concat", [1], [2], axis=0) == [1, 2]
    assert folded("concat", [1], [2], axis=0, interleaved=True) is None


def test_a_value_that_disagrees_with_the_shape_is_dropped() -> None:
    node = Node("add", (constant([1]), constant([1, 2])), (Tensor("y", (1,), "int64"),))
    assert infer(Graph((), (), (node,))).nodes[0].outputs[0].value is None


def test_no_axes_reduce_nothing_unless_told() -> None:
    assert shapes("reduce_sum", (2, 3), constant([])) == [(2, 3)]
    assert shapes("reduce_sum", (2, 3), constant([]), none_is_all=True) == [(1, 1)]
