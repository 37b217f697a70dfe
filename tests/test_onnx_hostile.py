"""Files that are broken, or lie: one clear line each, in bounded time and memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flopwise import api, ops, plugins
from flopwise.errors import FlopwiseError, UnreadableModel
from support.onnx_bytes import (
    INT64,
    field,
    function,
    integer,
    integers,
    model,
    node,
    sizes,
    subgraph,
    value,
    varint,
    weight,
)  # fmt: skip
from support.work import work

X, Y = value(11, "x", (1, 3, 8, 8)), value(12, "y", (1, 4, 8, 8))
CONV = node("Conv", "x w b", "c", integers("pads", 1, 1, 1, 1), name="/features/conv")
BRANCH = subgraph("then_branch", node("Relu", "c", "t") + value(12, "t", ()))
OTHER = subgraph("else_branch", node("Neg", "c", "e") + value(12, "e", ()))
WELL_FORMED = model(
    CONV + node("If", "flag", "r", BRANCH, OTHER) + node("Reshape", "r s", "y")
    + weight("w", (4, 3, 3, 3)) + weight("b", (4,)) + sizes("s", 1, 4, 8, 8)
    + weight("flag", (), b"\x01", 9) + X + Y
)  # fmt: skip


CALLS = 1_000_000  # of Python functions: about a second, four with the bookkeeping


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where the work takes more than so many calls or 64 MB; no clock, so no luck."""
    tracemalloc.start()
    try:
        with work(CALLS):
            yield
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 64 * 2**20


def read(folder: Path, data: bytes) -> None:
    """Count the file, in bounded time and memory."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    with bounded():
        api.count(path).to_dict()


def refused(folder: Path, data: bytes) -> str:
    """The one line that a file is refused with; empty when it is read after all."""
    try:
        read(folder, data)
    except FlopwiseError as error:
        assert str(error) and "\n" not in str(error)
        return str(error)
    return ""


@pytest.fixture(scope="module", autouse=True)
def _operators_are_imported() -> None:
    ops.find("conv")
    plugins.load_all("frontends")


def test_the_file_that_the_others_are_made_from_is_read(tmp_path: Path) -> None:
    read(tmp_path, WELL_FORMED)


@pytest.mark.parametrize("length", range(10, len(WELL_FORMED), 10))
def test_truncated_at_every_tenth_byte(tmp_path: Path, length: int) -> None:
    assert refused(tmp_path, WELL_FORMED[:length])


def test_lengths_that_lie(tmp_path: Path) -> None:
    """In place of every byte in turn: a hundred bytes, gigabytes, and numbers without an end."""
    lies = [b"\x7f", varint(2**31 - 1), varint(2**63), b"\xff" * 11]
    for place in range(len(WELL_FORMED)):
        lie = lies[place % len(lies)]
        refused(tmp_path, WELL_FORMED[:place] + lie + WELL_FORMED[place + 1 :])


@pytest.mark.parametrize("seed", range(4))
def test_random_damage(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        data = bytearray(WELL_FORMED)
        for _ in range(dice.choice((1, 2, 4, 8))):
            data[dice.randrange(len(data))] = dice.randrange(256)
        refused(tmp_path, bytes(data))


def one(op: str, *attributes: bytes, operands: str = "x", rest: bytes = b"") -> bytes:
    return model(node(op, operands, "y", *attributes) + rest + X + value(12, "y", ()))


CASES = {
    "2^60 elements, none stored": (
        one("Add", operands="x w", rest=weight("w", (2**30, 2**30), b"")),
        "'w' claims the shape [1073741824, 1073741824]",
    ),
    "2^60 elements, 16 bytes stored": (
        one("Add", operands="x w", rest=weight("w", (2**20, 2**20), bytes(16))),
        "claims 1,099,511,627,776 elements of float32 and holds 16 bytes",
    ),
    "a negative axis": (
        one("Add", operands="x w", rest=weight("w", (-3,), b"")), "claims the shape [-3]",
    ),
    "an input of ten digits": (
        model(node("Relu", "x", "y") + value(11, "x", (10**10,)) + value(12, "y", ())),
        "size 10,000,000,000 is more than 999,999,999",
    ),
    "an unknown type": (one("Cast", integer("to", 99)), "no tensor has data type 99"),
    "a cycle": (
        model(node("Add", "x b", "a") + node("Relu", "a", "b") + X + value(12, "b", ())), "a cycle",
    ),
    "an operand from nowhere": (one("Relu", operands="z"), "nothing makes its operand 'z'"),
    "an output from nowhere": (
        model(node("Relu", "x", "y") + X + value(12, "z", ())), "nothing makes the output 'z'",
    ),
    "a name given twice": (
        model(node("Relu", "x", "y") + node("Neg", "x", "y") + X + Y), "'y' is made twice",
    ),
    "an initializer that is there twice": (
        one("Add", operands="x w", rest=weight("w", (1,)) * 2), "'w' is there twice",
    ),
    "an operand that is missing": (one("Conv", operands="x"), "missing"),
    "a branch that is missing": (one("If"), "has no then_branch"),
    "a kernel that does not fit": (
        one("Conv", operands="x w", rest=weight("w", (4, 5, 3, 3))), "Conv",
    ),
    "a stride of zero": (
        one("Conv", integers("strides", 0, 0), operands="x w", rest=weight("w", (4, 3, 3, 3))),
        "Conv",
    ),
    "no group at all": (
        one("Conv", integer("group", 0), operands="x w", rest=weight("w", (4, 3, 3, 3))), "Conv",
    ),
    "a window of nothing": (one("MaxPool", integers("kernel_shape", 0, 0)), "a window of 0x0"),
    "more than there are": (
        one("TopK", operands="x k", rest=sizes("k", 9)), "the 9 largest of 8",
    ),
    "a size with 16,385 terms, of a product of sums": (
        model(
            node("Concat", "a b", "ab", integer("axis", 0)) + node("Shape", "ab", "s0")
            + b"".join(node("Mul", f"s{i} s{i}", f"s{i + 1}") for i in range(14))
            + node("Reshape", "x s14", "y")
            + value(11, "a", ("p", "q")) + value(11, "b", ("r", "q")) + X + value(12, "y", ())
        ),
        "a polynomial of more than 100,000 terms",
    ),
    "no graph": (field(1, 8) + field(2, "nothing"), "holds no graph"),
    "a function that calls itself": (
        model(
            node("F", "x", "y", domain="own") + X + value(12, "y", ()),
            function("F", "a", "b", node("F", "a", "b", domain="own", number=7)),
        ),
        "function 'F' calls itself",
    ),
    "functions that call each other": (
        model(
            node("F", "x", "y", domain="own") + X + value(12, "y", ()),
            function("F", "a", "b", node("G", "a", "b", domain="own", number=7)),
            function("G", "a", "b", node("F", "a", "b", domain="own", number=7)),
        ),
        "calls itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_line(tmp_path: Path, case: str) -> None:
    data, reason = CASES[case]
    assert reason in refused(tmp_path, data)


def test_functions_that_double_at_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty functions of two calls each would be 2^50 nodes."""
    monkeypatch.setattr("flopwise.frontends.onnx.model.INLINED", 5_000)
    functions = [
        function(
            f"F{i}", "a", "c",
            node(f"F{i + 1}", "a", "b", domain="own", number=7),
            node(f"F{i + 1}", "b", "c", domain="own", number=7),
        )
        for i in range(50)
    ]  # fmt: skip
    last = function("F50", "a", "b", node("Relu", "a", "b", number=7))
    graph = node("F0", "x", "y", domain="own") + X + value(12, "y", ())
    path = tmp_path / "model.onnx"
    path.write_bytes(model(graph, *functions, last))
    with bounded(), pytest.raises(UnreadableModel, match="more than 5,000 nodes once"):
        api.count(path)


def growing(inside: bytes, depth: int) -> bytes:
    """A loop of a hundred iterations, each of which adds to what it carries."""
    outer = "xi" if depth else "x"
    ends = value(11, "i", (), INT64) + value(11, "ci", (), 9) + value(11, "xi", ("a", 3, 8, 8))
    ends += value(12, "co", (), 9) + value(12, "xo", ("b", 3, 8, 8))
    body = subgraph("body", node("Identity", "ci", "co") + inside + ends)
    return node("Loop", f"m c {outer}", "xo" if depth else "y", body)


@pytest.mark.parametrize("depth", [4, 30])
def test_loops_that_grow_in_loops_that_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """Unrolled they would be a hundred to the power of `depth`."""
    monkeypatch.setattr("flopwise.passes.infer.LARGEST", 2_000)
    graph = node("Concat", "xi x", "xo", integer("axis", 0))
    for level in reversed(range(depth)):
        graph = growing(graph, level)
    constants = weight("m", (), (100).to_bytes(8, "little"), INT64) + weight("c", (), b"\x01", 9)
    line = refused(tmp_path, model(graph + constants + X + value(12, "y", ())))
    assert "more than 2,000 steps" in line


def test_subgraphs_ten_thousand_deep(tmp_path: Path) -> None:
    """Written from the inside out, lengths first: a graph in an attribute in a node."""
    head, tail = [], value(12, "y", ())
    length = len(node("Relu", "x", "y") + tail)
    for _ in range(10_000):
        inner = [field(1, "then_branch"), varint(6 << 3 | 2) + varint(length)]
        attribute = sum(map(len, inner)) + length
        outer = [field(1, "x") + field(2, "y") + field(4, "If"), varint(5 << 3 | 2)]
        outer += [varint(attribute), *inner]
        whole = sum(map(len, outer)) + length
        head.append(b"".join([varint(1 << 3 | 2), varint(whole), *outer]))
        length += len(head[-1]) + len(tail)
    graph = b"".join(head[::-1]) + node("Relu", "x", "y") + tail * 10_001
    assert "nested more than 100 deep" in refused(tmp_path, model(graph + X))


def test_external_data_is_not_opened(tmp_path: Path) -> None:
    """Wherever it is said to lie."""
    told = field(13, field(1, "location") + field(2, "../../../../../../etc/passwd"))
    dims = b"".join(field(1, s) for s in (4, 3, 3, 3))
    outside = field(5, dims + field(2, 1) + field(8, "w") + told + field(14, 1))
    path = tmp_path / "model.onnx"
    path.write_bytes(one("Conv", operands="x w", rest=outside))
    profile = api.count(path)
    assert profile.params == 108
    assert profile.total().mac == 108 * 6 * 6


def test_names_that_a_line_cannot_hold(tmp_path: Path) -> None:
    line = refused(tmp_path, one("Relu", operands="no\nsuch\x1b[31mname"))
    assert "nothing makes its operand" in line


def test_nodes_in_any_order_are_sorted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(node("Relu", "c", "y") + CONV + weight("w", (4, 3, 3, 3))
                           + weight("b", (4,)) + X + Y))  # fmt: skip
    assert [row.node.op for row in api.count(path).rows] == ["conv", "relu"]
