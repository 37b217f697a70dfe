"""Totals with free sizes are those of any numbers put in their place."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flopwise import api
from flopwise.profile import Profile
from flopwise.sizes import parse_name
from support.onnx_bytes import INT64, integer, integers, model, node, sizes, value, weight

# A model with free axes, and sizes that it can run at. Some are multiples, since the networks
# halve and double their maps and add what must be of one size.
MODELS: dict[str, Any] = {
    "rapidocr_ch_PP-OCRv4_det_infer": lambda n, h, w: {"x": (n, 3, 32 * h, 32 * w)},
    "rapidocr_ch_ppocr_mobile_v2.0_cls_infer": lambda n, h, w: {"x": (n, 3, 48, 32 * w)},
    "basic_pitch_nmp": lambda n, h, w: {"serving_default_input_2:0": (n, 43844, 1)},
}


@pytest.mark.parametrize("name", MODELS)
def test_symbolic_totals_equal_concrete_ones(shared: Path, name: str) -> None:
    path, shape = shared / "models" / "onnx" / f"{name}.onnx", MODELS[name]
    from flopwise.dims import symbol

    free = api.count(path, shape(symbol("n"), symbol("h"), symbol("w")))
    assert free.coverage == 1.0, free.not_counted()
    dice = random.Random(name)
    for _ in range(3):
        drawn = {k: dice.randint(1, 9) for k in "nhw"}
        numbers = api.count(path, shape(*drawn.values())).total()
        assert free.total().at(**drawn) == numbers


def test_axes_keep_the_names_of_the_file(shared: Path) -> None:
    """Without a size from the user, totals are expressions in the model's own names."""
    profile = api.count(shared / "models" / "onnx" / "basic_pitch_nmp.onnx")
    assert str(profile.total().mac) == "524079648*unk__749"


def test_a_size_given_to_one_input_is_that_of_all(shared: Path) -> None:
    """`batch` is an axis of two inputs of this model."""
    path = shared / "models" / "onnx" / "silero_vad_16k_op15.onnx"
    profile = api.count(path, {"input": (3, 576), "sr": (16000,)})
    assert [t.shape for t in profile.graph.inputs] == [(3, 576), (2, 3, 128), ()]


def first_axis(source: str, name: str) -> bytes:
    """The first size of a tensor, as exporters ask for it: of one axis."""
    return (
        node("Shape", source, f"{name}.shape") + node("Gather", f"{name}.shape zero", f"{name}.n")
        + node("Unsqueeze", f"{name}.n axis0", name)
    )  # fmt: skip


# Every position of a strided convolution against every other one.
IMAGES = model(
    node("Conv", "x w", "c", integers("strides", 2, 2), integers("pads", 1, 1, 1, 1))
    + node("MaxPool", "c", "p", integers("kernel_shape", 2, 2), integers("strides", 2, 2),
           integer("ceil_mode", 1))
    + first_axis("p", "n") + node("Concat", "n eight rest", "s", integer("axis", 0))
    + node("Reshape", "p s", "r") + node("Transpose", "r", "t", integers("perm", 0, 2, 1))
    + node("MatMul", "t r", "y")
    + weight("w", (8, 3, 3, 3)) + weight("zero", (), bytes(8), INT64) + sizes("axis0", 0)
    + sizes("eight", 8) + sizes("rest", -1)
    + value(11, "x", ("batch", 3, "height", "width")) + value(12, "y", ("batch", "l", "l"))
)  # fmt: skip

# Tokens attend to those before them and to a cache, under a mask made of ranges.
TEXTS = model(
    node("Gather", "table ids", "e") + node("Reshape", "e split", "h")
    + node("Transpose", "h", "q", integers("perm", 0, 2, 1, 3))
    + node("Concat", "past q", "present", integer("axis", 2))
    + node("Transpose", "present", "kt", integers("perm", 0, 1, 3, 2))
    + node("MatMul", "q kt", "a")
    + node("Shape", "present", "ps") + node("Gather", "ps two", "total")
    + node("Range", "zero total one", "columns") + node("Cast", "columns", "cf", integer("to", 1))
    + node("Shape", "a", "as") + node("Slice", "as s2 s4", "last")
    + node("Expand", "cf last", "wide") + node("ConstantOfShape", "last", "none")
    + node("Less", "wide none", "later") + node("Where", "later none wide", "mask")
    + node("Add", "a mask", "b") + node("Softmax", "b", "soft")
    + node("MatMul", "soft present", "y")
    + weight("table", (99, 8)) + sizes("split", 0, 0, 2, 4) + sizes("s2", 2) + sizes("s4", 4)
    + weight("two", (), (2).to_bytes(8, "little"), INT64) + weight("zero", (), bytes(8), INT64)
    + weight("one", (), (1).to_bytes(8, "little"), INT64)
    + value(11, "ids", ("batch", "sequence"), INT64)
    + value(11, "past", ("batch", 2, "past_sequence", 4))
    + value(12, "y", ("batch", 2, "sequence", 4))
    + value(12, "present", ("batch", 2, "past_sequence + sequence", 4))
)  # fmt: skip


def images(batch: int, height: int, width: int) -> int:
    """Multiply-accumulates of IMAGES, windows and positions walked one by one."""
    rows, columns = len(range(0, height, 2)), len(range(0, width, 2))
    places = len(range(0, rows, 2)) * len(range(0, columns, 2))
    return batch * (rows * columns * 8 * 27 + places * places * 8)


def texts(batch: int, sequence: int, past_sequence: int) -> int:
    """Multiply-accumulates of TEXTS: two products for each head, query and key."""
    return batch * 2 * sequence * (past_sequence + sequence) * 4 * 2


AXES = st.integers(1, 300)


@settings(max_examples=25, deadline=None)
@given(AXES, st.integers(3, 300), st.integers(3, 300))
def test_images_of_any_size(batch: int, height: int, width: int) -> None:
    check(IMAGES, {"x": (batch, 3, height, width)}, images, batch=batch, height=height, width=width)


@settings(max_examples=25, deadline=None)
@given(AXES, AXES, AXES)
def test_texts_of_any_length(batch: int, sequence: int, past: int) -> None:
    shapes = {"ids": (batch, sequence), "past": (batch, 2, past, 4)}
    check(TEXTS, shapes, texts, batch=batch, sequence=sequence, past_sequence=past)


def check(data: bytes, shapes: dict[str, Any], oracle: Callable[..., int], **axes: int) -> None:
    """The file with free sizes, put in afterwards, is the file at these sizes from the start."""
    numbers = counted(data, shapes).total()
    assert numbers.mac == oracle(**axes)
    assert counted(data).total().at(**axes) == numbers


def counted(data: bytes, shapes: Any = None) -> Profile:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        profile = api.count(path, shapes)
    assert profile.coverage == 1.0, profile.not_counted()
    return profile


def test_sums_of_axes_keep_their_names() -> None:
    profile = counted(TEXTS)
    assert str(profile.total().mac) == "16*batch*past_sequence*sequence + 16*batch*sequence**2"
    shapes = [tuple(map(str, t.sizes)) for t in profile.graph.outputs]
    assert shapes[1] == ("batch", "2", "past_sequence + sequence", "4")


@pytest.mark.parametrize(
    ("text", "size"),
    [("n", "n"), ("n - m", "-m + n"), ("n//2 + 1", "(n//2) + 1"), ("12", "12"), ("-n", "_n"),
     ("1/2", "_1_2"), ("-5", "_5"), ("n**9999999", "n__9999999"), ("()", "__")],
)  # fmt: skip
def test_names_of_sizes_in_files(text: str, size: str) -> None:
    """What could be a size is one; any other text is the name of one."""
    assert str(parse_name(text)) == size
