"""SavedModels and frozen graphs: costs by hand, calls, loops, hostile files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flopwise
from flopwise.dims import at
from flopwise.errors import FlopwiseError, UnknownName, UnknownSize, UnreadableModel
from support.tensorflow_files import Func, Nodes, Type, frozen, saved

ONES, TWOS = [1, 1, 1, 1], [1, 2, 2, 1]
FIRST = {"data_format": "NCHW"}
PADS = [0, 0, 1, 0, 2, 1, 0, 0]


def count(nodes: Nodes, folder: Path, **request: Any) -> Any:
    return flopwise.count(frozen(folder, nodes), **request)


# operator, operands (a shape, a weight as [shape], a constant as (numbers,) or a number in a
# set), attributes, shape of the result, multiply-accumulates by hand
X, Y = (2, 8, 9, 6), (2, 6, 8, 9)
COSTS: dict[str, tuple[str, list[Any], dict[str, Any], tuple[int, ...], int]] = {
    "same": ("Conv2D", [X, [(3, 3, 6, 4)]], {"strides": TWOS, "padding": "SAME"}, (2, 4, 5, 4),
             2 * 20 * 4 * 54),
    "valid": ("Conv2D", [X, [(3, 3, 6, 4)]], {"strides": ONES, "padding": "VALID"}, (2, 6, 7, 4),
              2 * 42 * 4 * 54),
    "groups": ("Conv2D", [X, [(3, 3, 2, 6)]], {"strides": ONES, "padding": "SAME"}, (2, 8, 9, 6),
               2 * 72 * 6 * 18),
    "dilated": ("Conv2D", [X, [(3, 3, 6, 4)]], {"strides": ONES, "padding": "VALID",
                "dilations": TWOS}, (2, 4, 5, 4), 2 * 20 * 4 * 54),
    "explicit": ("Conv2D", [X, [(3, 3, 6, 4)]], {"strides": ONES, "padding": "EXPLICIT",
                 "explicit_paddings": PADS}, (2, 7, 10, 4), 2 * 70 * 4 * 54),
    "channels first": ("Conv2D", [Y, [(3, 3, 6, 4)]], {"strides": [1, 1, 2, 2], "padding": "SAME",
                       **FIRST}, (2, 4, 4, 5), 2 * 20 * 4 * 54),
    "depthwise": ("DepthwiseConv2dNative", [X, [(3, 3, 6, 2)]], {"strides": ONES,
                  "padding": "SAME"}, (2, 8, 9, 12), 2 * 72 * 12 * 9),
    "3-d": ("Conv3D", [(1, 4, 5, 6, 2), [(2, 3, 3, 2, 7)]], {"strides": [1] * 5,
            "padding": "VALID"}, (1, 3, 3, 4, 7), 36 * 7 * 36),
    "transposed": ("Conv2DBackpropInput", [([2, 15, 18, 4],), [(3, 3, 4, 6)], X],
                   {"strides": TWOS, "padding": "SAME"}, (2, 15, 18, 4), 2 * 72 * 6 * 4 * 9),
    "matmul": ("MatMul", [(5, 7), [(3, 7)]], {"transpose_b": True}, (5, 3), 105),
    "matmul of data": ("MatMul", [(7, 5), (7, 3)], {"transpose_a": True}, (5, 3), 105),
    "batch matmul": ("BatchMatMulV2", [(4, 1, 5, 7), (2, 3, 7)], {"adj_y": True}, (4, 2, 5, 3),
                     8 * 105),
    "einsum": ("Einsum", [(2, 5, 6), [(6, 4, 3)]], {"equation": "bti,ihd->bthd"}, (2, 5, 4, 3),
               2 * 5 * 6 * 12),
    "fused conv": ("_FusedConv2D", [X, [(3, 3, 6, 4)], [(4,)]], {"strides": ONES, "padding": "SAME",
                   "fused_ops": ["BiasAdd", "Relu"]}, (2, 8, 9, 4), 2 * 72 * 4 * 54),
    "fused matmul": ("_FusedMatMul", [(5, 7), [(7, 3)], [(3,)]], {"fused_ops": ["BiasAdd",
                     "Tanh"]}, (5, 3), 105),
}  # fmt: skip


def written(nodes: Nodes, operands: list[Any]) -> list[str]:
    """Operands as the table above has them."""
    made = []
    for i, operand in enumerate(operands):
        if isinstance(operand, list):
            made.append(nodes.const(None, *operand[0]))
        elif isinstance(operand, set):
            made.append(nodes.const(*operand))
        elif isinstance(operand[0], list):
            made.append(nodes.const(operand[0], *operand[1:]))
        else:
            made.append(nodes.input(*operand, name=f"x{i}"))
    return made


@pytest.mark.parametrize("case", COSTS)
def test_costs_by_hand(tmp_path: Path, case: str) -> None:
    kind, operands, attrs, result, macs = COSTS[case]
    nodes = Nodes()
    nodes.op(kind, *written(nodes, operands), **attrs)
    profile = count(nodes, tmp_path)
    assert profile.total().mac == macs
    assert [t.shape for t in profile.graph.outputs] == [result]
    assert profile.coverage == 1
    weights = [o[0] for o in operands if isinstance(o, list)]
    assert profile.params == sum(int(numpy.prod(w)) for w in weights)


# the same, for operators without products: shape of the results, elementary operations
V = (2, 3, 4)
MOVES: dict[str, tuple[str, list[Any], dict[str, Any], list[tuple[int, ...]], int]] = {
    "max pool": ("MaxPool", [X], {"ksize": TWOS, "strides": TWOS, "padding": "SAME"},
                 [(2, 4, 5, 6)], 240 * 3),
    "average pool": ("AvgPool", [Y], {"ksize": [1, 1, 3, 3], "strides": [1, 1, 3, 3],
                     "padding": "VALID", **FIRST}, [(2, 6, 2, 3)], 72 * 9),
    "bias": ("BiasAdd", [Y, [(6,)]], FIRST, [Y], 864),
    "mean": ("Mean", [X, ([1, 2],)], {"keep_dims": True}, [(2, 1, 1, 6)], 864),
    "max": ("Max", [X, {-1}], {}, [(2, 8, 9)], 144 * 5),
    "relu6": ("Relu6", [V], {}, [V], 48),
    "squared difference": ("SquaredDifference", [V, (4,)], {}, [V], 48),
    "rsqrt": ("Rsqrt", [V], {}, [V], 48),
    "select": ("SelectV2", [V, V, V], {}, [V], 0),
    "transpose": ("Transpose", [V, ([2, 0, 1],)], {}, [(4, 2, 3)], 0),
    "reshape": ("Reshape", [V, ([-1, 6],)], {}, [(4, 6)], 0),
    "squeeze": ("Squeeze", [(1, 3, 1)], {"squeeze_dims": [2]}, [(1, 3)], 0),
    "expand": ("ExpandDims", [V, {-1}], {}, [(2, 3, 4, 1)], 0),
    "concat": ("ConcatV2", [V, V, {1}], {}, [(2, 6, 4)], 0),
    "pack": ("Pack", [V, V], {"axis": 1}, [(2, 2, 3, 4)], 0),
    "unpack": ("Unpack", [V], {"axis": 1, "num": 3}, [(2, 4)], 0),
    "split": ("Split", [{2}, V], {"num_split": 2}, [(2, 3, 2)], 0),
    "split by sizes": ("SplitV", [V, ([-1, 1],), {2}], {"num_split": 2}, [(2, 3, 3)], 0),
    "slice": ("Slice", [V, ([0, 1, 1],), ([2, -1, 2],)], {}, [(2, 2, 2)], 0),
    "pad": ("PadV2", [V, ([0, 0, 1, 2, 0, 3], 3, 2), [()]], {}, [(2, 6, 7)], 0),
    "mirror pad": ("MirrorPad", [V, ([0, 0, 1, 1, 0, 0], 3, 2)], {}, [(2, 5, 4)], 0),
    "tile": ("Tile", [V, ([1, 2, 3],)], {}, [(2, 6, 12)], 0),
    "gather": ("GatherV2", [V, ([0, 2],), {1}], {}, [(2, 2, 4)], 0),
    "fill": ("Fill", [([2, 5],), {0}], {}, [(2, 5)], 0),
    "range": ("Range", [{0}, {7}, {2}], {}, [(4,)], 0),
    "one hot": ("OneHot", [(2, 3), {5}, {1}, {0}], {"axis": -1}, [(2, 3, 5)], 0),
    "space to batch": ("SpaceToBatchND", [X, ([2, 3],), ([0, 0, 0, 0], 2, 2)], {},
                       [(12, 4, 3, 6)], 0),
    "batch to space": ("BatchToSpaceND", [(12, 4, 3, 6), ([2, 3],), ([0, 0, 0, 1], 2, 2)], {},
                       [(2, 8, 8, 6)], 0),
    "depth to space": ("DepthToSpace", [(1, 2, 3, 8)], {"block_size": 2}, [(1, 4, 6, 2)], 0),
    "nearest": ("ResizeNearestNeighbor", [X, ([16, 18],)], {}, [(2, 16, 18, 6)], 0),
    "bilinear": ("ResizeBilinear", [X, ([16, 18],)], {}, [(2, 16, 18, 6)], 3456 * 7),
}  # fmt: skip


@pytest.mark.parametrize("case", MOVES)
def test_shapes_and_operations_by_hand(tmp_path: Path, case: str) -> None:
    kind, operands, attrs, results, ops = MOVES[case]
    nodes = Nodes()
    nodes.op(kind, *written(nodes, operands), **attrs)
    profile = count(nodes, tmp_path)
    assert [t.shape for t in profile.graph.outputs] == results
    assert profile.coverage == 1
    if kind not in ("Rsqrt", "SelectV2"):
        assert profile.total().ops == ops


INDEX = st.one_of(
    st.just(None), st.integers(0, 1), st.integers(-2, -1),
    st.builds(slice, *[st.one_of(st.none(), st.integers(-3, 3))] * 2, st.sampled_from([1, 2, -1])),
)  # fmt: skip


@given(st.lists(INDEX, max_size=3), st.integers(0, 3), st.booleans())
def test_strided_slices_are_those_of_numpy(
    tmp_path_factory: pytest.TempPathFactory, parts: list[Any], place: int, dots: bool
) -> None:
    index = [*parts[:place], *([Ellipsis] if dots else []), *parts[place:]]
    wanted = numpy.zeros((3, 4, 5))[tuple(index)].shape
    begin, end, stride = [0] * len(index), [0] * len(index), [1] * len(index)
    masks = dict.fromkeys(("begin", "end", "ellipsis", "new_axis", "shrink_axis"), 0)
    for i, part in enumerate(index):
        if part is None or part is Ellipsis:
            masks["new_axis" if part is None else "ellipsis"] |= 1 << i
        elif isinstance(part, int):
            begin[i], end[i] = part, part + 1
            masks["shrink_axis"] |= 1 << i
        else:
            begin[i], end[i], stride[i] = part.start or 0, part.stop or 0, part.step
            masks["begin"] |= (part.start is None) << i
            masks["end"] |= (part.stop is None) << i
    nodes = Nodes()
    x = nodes.input(3, 4, 5)
    bounds = [nodes.const(v, len(index)) for v in (begin, end, stride)]
    nodes.op("StridedSlice", x, *bounds, **{f"{k}_mask": v for k, v in masks.items()})
    profile = count(nodes, tmp_path_factory.mktemp("slice"))
    assert [t.shape for t in profile.graph.outputs] == [wanted]


def test_slices_to_a_size_that_is_computed(tmp_path: Path) -> None:
    """x[:, 1:n // 2] as tf.function writes it: vectors packed of numbers and tensors."""
    nodes = Nodes()
    x = nodes.input(None, 9, 4)
    zero, one = nodes.const(0), nodes.const(1)
    sizes = [nodes.const([v]) for v in (1, 2, 1)]
    length = nodes.op("StridedSlice", nodes.op("Shape", x), *sizes, shrink_axis_mask=1)
    half = nodes.op("FloorDiv", length, nodes.const(2))
    bounds = [nodes.op("Pack", zero, one), nodes.op("Pack", zero, half), nodes.op("Pack", one, one)]
    y = nodes.op("StridedSlice", x, *bounds, begin_mask=1, end_mask=1)
    nodes.op("Slice", y, nodes.op("Pack", zero, one, zero), nodes.const([-1, 2, 3]), name="last")
    profile = count(nodes, tmp_path, inputs="2x9x4")
    assert [t.shape for t in profile.graph.outputs] == [(2, 2, 3)]
    assert profile.coverage == 1
    profile = count(nodes, tmp_path, inputs="2x12x4")
    assert [n.outputs[0].shape for n in profile.graph.nodes if n.origin == "StridedSlice"][-1] == (
        2, 5, 4,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "half"), [("1x7", (4,)), ("1x8", (4,)), ("1xN", None)])
def test_halves_are_rounded_up(tmp_path: Path, size: str, half: Any) -> None:
    """-(-n // 2)"""
    nodes = Nodes()
    sizes = [nodes.const([v]) for v in (1, 2, 1)]
    shape = nodes.op("Shape", nodes.input(1, None))
    length = nodes.op("StridedSlice", shape, *sizes, shrink_axis_mask=1)
    down = nodes.op("FloorDiv", nodes.op("Neg", length), nodes.const(2))
    nodes.op("Fill", nodes.op("Pack", nodes.op("Neg", down)), nodes.const(0))
    (output,) = count(nodes, tmp_path, inputs=size).graph.outputs
    if half is None:
        assert [at(output.shape[0], {"N": n}) for n in (7, 8)] == [4, 4]
    else:
        assert output.shape == half


def network() -> tuple[Nodes, list[bytes]]:
    """A signature that calls a function, which calls another, with what it has captured."""
    inner = Nodes("y", "kernel", "mean")
    kernel = inner.op("ReadVariableOp", "kernel", name="Conv2D/ReadVariableOp")
    y = inner.op("Conv2D", "y", f"{kernel}:value:0", strides=ONES, padding="SAME", name="Conv2D")
    scale = inner.const(None, 4)
    mean = inner.op("ReadVariableOp", "mean")
    y = inner.op("FusedBatchNormV3", f"{y}:output:0", f"{scale}:output:0", f"{scale}:output:0",
                 f"{mean}:value:0", f"{mean}:value:0", is_training=False)  # fmt: skip
    outer = Nodes("x", "kernel", "mean")
    z = outer.op("StatefulPartitionedCall", "x", "kernel", "mean", f=Func("layer"),
                 name="block/conv/StatefulPartitionedCall")  # fmt: skip
    z = outer.op("Relu", f"{z}:output:0", name="block/Relu")
    nodes = Nodes()
    x = nodes.input(None, 8, 8, 3, name="serving_x")
    for name, shape in (("Variable_1", (3, 3, 3, 4)), ("Variable_2", (4,))):
        nodes.op("VarHandleOp", name=name, shape=shape, dtype=Type("float32"))
    nodes.op("StatefulPartitionedCall", x, "Variable_1", "Variable_2", f=Func("wrapper"),
             name="StatefulPartitionedCall")  # fmt: skip
    nodes.op("NoOp", "^StatefulPartitionedCall", name="saver")
    return nodes, [
        inner.function("layer", [f"{y}:y:0"]), outer.function("wrapper", [f"{z}:activations:0"])
    ]  # fmt: skip


ENDS = ({"image": ("serving_x", (None, 8, 8, 3))}, {"out": "StatefulPartitionedCall:0"})
OBJECTS = {
    "nodes": [{}, {"variable": {"trainable": 1, "name": "conv/kernel"}},
              {"variable": {"name": "norm/mean"}}],
    "functions": [{"key": "wrapper", "value": {"bound": [1, 2]}}],
}  # fmt: skip


def test_a_saved_model(tmp_path: Path) -> None:
    nodes, functions = network()
    path = saved(tmp_path, nodes, {"serving_default": ENDS}, functions, objects=OBJECTS)
    with pytest.raises(UnknownSize, match=r"'image' \(\?x8x8x3\).*--input image="):
        flopwise.count(path)
    for source in (path, path / "saved_model.pb"):
        profile = flopwise.count(source, batch=2)
        assert profile.total().mac == 2 * 64 * 4 * 27
        assert (profile.params, profile.trainable_params) == (112, 108)
        rows = [(r.node.name, r.node.op) for r in profile.rows]
        assert rows == [("block/conv/Conv2D", "conv"), ("block/conv/fusedbatchnormv3_4",
                        "batch_norm"), ("block/Relu", "relu")]  # fmt: skip
    assert [t.name for t in profile.graph.nodes[0].weights] == ["conv/kernel"]
    assert str(flopwise.count(path, batch="N").total().mac) == "6912*N"


def test_one_signature_of_several(tmp_path: Path) -> None:
    nodes, functions = network()
    path = saved(tmp_path, nodes, {"a": ENDS, "b": ENDS}, functions)
    with pytest.raises(UnknownName, match="signatures a, b: choose by --signature NAME"):
        flopwise.count(path, batch=1)
    assert flopwise.count(path, batch=1, signature="b").total().mac == 6912
    with pytest.raises(UnknownName, match="no signature 'c'"):
        flopwise.count(path, batch=1, signature="c")
    with pytest.raises(UnknownName, match="a bare graph has none"):
        flopwise.count(frozen(tmp_path, *loop(7)), signature="b")
    with pytest.raises(UnreadableModel, match="has no signature"):
        flopwise.count(saved(tmp_path, nodes, {}, functions), batch=1)
    with pytest.raises(UnknownName, match="--signature: not for caffe"):
        flopwise.count("examples/alexnet.prototxt", signature="b")


def loop(limit: int | None, indices: bool = True) -> tuple[Nodes, list[bytes]]:
    """h = h W, so many times, each written to a list; without a limit for as long as any is
    true of the data."""
    test = Nodes("i", "list", "h", "w", "most")
    if limit is None:
        go = test.op("Any", "h", f"{test.const([0, 1])}:output:0")
    else:
        go = test.op("Less", "i", "most")
    body = Nodes("i", "list", "h", "w", "most")
    w = body.op("ReadVariableOp", "w")
    y = f"{body.op('MatMul', 'h', f'{w}:value:0')}:product:0"
    i = body.op("AddV2", "i", f"{body.const(1)}:output:0")
    place = "i" if indices else f"{body.const(0)}:output:0"
    rows = body.op("TensorListSetItem", "list", place, y)
    kept = [body.op("Identity", name) for name in ("w", "most")]
    results = [f"{i}:z:0", f"{rows}:output_handle:0", y, *(f"{k}:output:0" for k in kept)]
    nodes = Nodes()
    h = nodes.input(2, 5)
    handle = nodes.op("VarHandleOp", name="kernel", shape=(5, 5), dtype=Type("float32"))
    most = nodes.const(limit or 0)
    rows = nodes.op("TensorListReserve", nodes.const([-1, 5]), most if indices else nodes.const(1))
    nodes.op("StatelessWhile", nodes.const(0), rows, h, handle, most, cond=Func("test"),
             body=Func("body"), name="while")  # fmt: skip
    nodes.op("TensorListStack", "while:1", name="stacked")
    return nodes, [test.function("test", [f"{go}:z:0"]), body.function("body", results)]


@pytest.mark.parametrize(("indices", "rows"), [(True, 7), (False, 1)])
def test_a_loop_of_known_length_fills_a_list(tmp_path: Path, indices: bool, rows: int) -> None:
    profile = flopwise.count(frozen(tmp_path, *loop(7, indices)))
    assert profile.total().mac == 7 * 50
    assert profile.params == 25
    assert profile.coverage == 1
    assert [t.shape for t in profile.graph.outputs] == [(rows, 2, 5)]


def test_a_loop_of_unknown_length_is_told(tmp_path: Path) -> None:
    profile = flopwise.count(frozen(tmp_path, *loop(None)))
    assert str(profile.total().mac) == "50*trips_while"
    assert any("how often it runs is not known" in note for note in profile.graph.notes)


def test_the_dearer_branch_is_counted(tmp_path: Path) -> None:
    once, twice = Nodes("h", "w"), Nodes("h", "w")
    y = once.op("MatMul", "h", "w")
    first = once.function("once", [f"{y}:product:0"])
    y = twice.op("MatMul", f"{twice.op('MatMul', 'h', 'w')}:product:0", "w")
    second = twice.function("twice", [f"{y}:product:0"])
    nodes = Nodes()
    flag, h = nodes.input(name="flag", dtype="bool"), nodes.input(2, 5)
    nodes.op("If", flag, h, nodes.const(None, 5, 5), then_branch=Func("once"),
             else_branch=Func("twice"))  # fmt: skip
    assert flopwise.count(frozen(tmp_path, nodes, [first, second])).total().mac == 100


def test_what_it_does_not_know_is_listed(tmp_path: Path) -> None:
    nodes = Nodes()
    x = nodes.input(2, 8, 8, 4)
    nodes.op("Mine", x)
    nodes.op("MaxPool", x, ksize=[1, 1, 1, 2], strides=[1, 1, 1, 2], padding="VALID")
    assert count(nodes, tmp_path).not_counted() == {"Mine": 1, "MaxPool": 1}


def test_a_loop_of_old_is_not_counted(tmp_path: Path) -> None:
    """Before functions, loops were cycles of nodes: how often they run is nowhere."""
    nodes = Nodes()
    start = nodes.op("Enter", nodes.input(2, 5))
    merged = nodes.op("Merge", start, "next", name="merge")
    nodes.op("NextIteration", nodes.op("MatMul", merged, nodes.const(None, 5, 5)), name="next")
    nodes.op("Exit", merged, name="end")
    profile = count(nodes, tmp_path)
    assert (profile.total().mac, profile.params) == (0, 25)
    assert profile.not_counted().keys() == {"Enter", "Merge", "MatMul", "NextIteration", "Exit"}


def test_hostile_graphs(tmp_path: Path) -> None:
    nodes = Nodes()
    nodes.op("Relu", "b", name="a")
    nodes.op("Relu", "a", name="b")
    nodes.op("Relu", "a", name="c")
    with pytest.raises(UnreadableModel, match=r"node '[ab]': waits for its own result"):
        count(nodes, tmp_path)
    again = Nodes("x")
    y = again.op("PartitionedCall", "x", f=Func("again"))
    nodes = Nodes()
    nodes.op("PartitionedCall", nodes.input(2), f=Func("again"))
    with pytest.raises(UnreadableModel, match="function 'again' calls itself"):
        flopwise.count(frozen(tmp_path, nodes, [again.function("again", [f"{y}:output:0"])]))
    with pytest.raises(UnreadableModel, match="there is no function 'again'"):
        count(nodes, tmp_path)


def test_functions_that_call_functions_many_times(tmp_path: Path) -> None:
    """Each calls the next ten times: 10 to the 12th nodes, if they were inlined."""
    functions = []
    for depth in range(12):
        level, y = Nodes("x"), "x"
        for _ in range(10):
            y = f"{level.op('PartitionedCall', y, f=Func(f'f{depth + 1}'))}:output:0"
        functions.append(level.function(f"f{depth}", [y]))
    functions.append(Nodes("x").function("f12", ["x"]))
    nodes = Nodes()
    nodes.op("PartitionedCall", nodes.input(2), f=Func("f0"))
    with pytest.raises(UnreadableModel, match="more than 10,000 calls of functions"):
        flopwise.count(frozen(tmp_path, nodes, functions))


def test_nodes_that_claim_a_billion_results(tmp_path: Path) -> None:
    for kind, attrs, ref in (("Unpack", {"num": 10**9}, "many"), ("Mine", {}, "many:999999999")):
        nodes = Nodes()
        nodes.op(kind, nodes.input(2, 3), name="many", **attrs)
        nodes.op("Relu", ref)
        with pytest.raises(UnreadableModel, match=r"many.*more than 500,000 nodes"):
            count(nodes, tmp_path)


def test_constants_that_lie(tmp_path: Path) -> None:
    for sizes, reason in (([4], "holds 8 bytes"), ([2**40, 2**40], "a shape of"), ([-1], "free")):
        nodes = Nodes()
        value = {"dtype": 3, "shape": {"dim": [{"size": s} for s in sizes]}, "content": bytes(8)}
        nodes.op("Identity", nodes.op("Const", value={"tensor": value}))
        with pytest.raises(UnreadableModel, match=reason):
            count(nodes, tmp_path)


def test_damaged_files_give_one_clear_line(tmp_path: Path) -> None:
    nodes, functions = network()
    path = saved(tmp_path, nodes, {"serving_default": ENDS}, functions, objects=OBJECTS)
    whole, file, chance = (
        (path / "saved_model.pb").read_bytes(),
        path / "saved_model.pb",
        random.Random(3),
    )
    for turn in range(300):
        data = bytearray(whole)
        if turn % 2:
            data = data[: chance.randrange(4, len(data))]
        for _ in range(turn % 5 + 1):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(data)
        try:
            flopwise.count(path, batch=1)
        except FlopwiseError as error:
            assert "\n" not in str(error)


def test_a_published_model(shared: Path) -> None:
    """MLPerf Tiny's keyword spotting: the products of the TFLite file that was made from it."""
    profile = flopwise.count(shared / "models/tf/mlctiny_kws_savedmodel", batch=1)
    assert (profile.total().mac, profile.coverage) == (2656768, 1)
    assert profile.params - profile.trainable_params == 2 * 9 * 64


def test_other_files_of_that_suffix(tmp_path: Path) -> None:
    path = tmp_path / "fingerprint.pb"
    for content in (b"\x08\x92\x01", b"no protobuf at all", b"\x12\x00"):
        path.write_bytes(content)
        with pytest.raises(UnreadableModel, match=r"fingerprint\.pb"):
            flopwise.count(path)


def test_what_tensorflow_writes(tmp_path: Path) -> None:
    """The same numbers by hand for files of the real exporter."""
    tf = pytest.importorskip("tensorflow")
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Input((12, 6)), layers.LSTM(8, return_sequences=True), layers.GRU(5),
         layers.Dense(3)]
    )  # fmt: skip
    model.export(str(tmp_path / "keras"), verbose=False)
    profile = flopwise.count(tmp_path / "keras", batch=2)
    assert profile.total().mac == 2 * (12 * (32 * 14 + 15 * 13) + 15)
    assert profile.params == model.count_params()
    assert profile.coverage == 1

    class Module(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(tf.zeros((6, 4, 8)))

        @tf.function(input_signature=[tf.TensorSpec((None, 5, 6), tf.float32)])
        def run(self, x: Any) -> Any:
            q = tf.einsum("bti,ihd->bthd", x, self.w)
            n = tf.shape(q)[1]
            return tf.einsum("bthd,bshd->bhts", q, q[:, : n // 2])

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "module"), signatures=module.run)
    profile = flopwise.count(tmp_path / "module", batch=3)
    assert profile.total().mac == 3 * (5 * 6 * 32 + 4 * 5 * 2 * 8)
    assert profile.params == 192
