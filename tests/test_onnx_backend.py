"""The models that the onnx package tests backends with, some two thousand."""

from __future__ import annotations

import functools
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from flopwise.conventions.textbook import MACS
from flopwise.errors import FlopwiseError
from flopwise.frontends import Request, read
from flopwise.passes.bind import bind
from flopwise.passes.infer import infer
from flopwise.profile import Profile, profile

onnx = pytest.importorskip("onnx")

# Sizes that follow from the data itself, of which the file states those of one run; or
# that differ between the elements of a sequence.
DATA = {
    "Compress", "Gradient", "If", "ImageDecoder", "Loop", "NonMaxSuppression", "NonZero",
    "Optional", "OptionalGetElement", "SequenceAt", "SequenceMap", "SplitToSequence",
    "StringNormalizer", "StringSplit", "Unique",
}  # fmt: skip
# Bodies that do more than the operator needs to: AffineGrid of two axes through three.
PADDED = {"test_affine_grid_2d", "test_affine_grid_2d_align_corners"}


@functools.cache
def cases() -> dict[str, Any]:
    """Every model by name. Small operands that the test data hold are made constants: in
    these files they are inputs, since a backend is tested, not a network."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {case.name: constant(case) for case in collect_testcases(None)}
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for path in sorted(folder.glob("**/model.onnx")):
        found[str(path.relative_to(folder).parent)] = onnx.load(path, load_external_data=False)
    return found


def constant(case: Any) -> Any:
    """The model with small operands as initializers."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    data = case.data_sets[0][0] if case.data_sets else ()
    for info, given in zip(case.model.graph.input, data):
        if not isinstance(given, numpy.ndarray | numpy.generic):
            continue
        array = numpy.asarray(given)
        kind = "f" if array.dtype.name == "bfloat16" else array.dtype.kind
        small = array.size <= 16 and array.ndim <= 1 if kind == "f" else True
        if kind in "iubf" and array.size <= 4096 and small:
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, info.name))
    return model


@functools.cache
def counted(name: str) -> Profile:
    """The counts of a model, without the shapes that it states."""
    request = Request()
    graph = replace(read(cases()[name], request), declared={})
    return profile(infer(bind(graph, request)), MACS)


@functools.cache
def stated(name: str) -> Profile:
    """The counts of a model, with what it states of shapes where a size is data."""
    request = Request()
    return profile(infer(bind(read(cases()[name], request), request)), MACS)


def operators(model: Any) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_every_model_is_read() -> None:
    """With what it states of shapes, all but those that need a size from the user."""
    refused, partial = {}, {}
    for name in cases():
        try:
            found = stated(name)
        except FlopwiseError as error:
            refused[name] = str(error)
            continue
        if found.coverage < 1:
            partial[name] = found.not_counted()
    assert len(cases()) > 2000
    assert not refused
    assert all(
        set(missing) == {"ai.onnx.preview.training::Gradient"} for missing in partial.values()
    )
    assert len(partial) == 2


def test_inferred_shapes_are_those_that_the_files_state() -> None:
    wrong, compared = [], 0
    for name, model in cases().items():
        if operators(model) & DATA or name.startswith("simple/test_expand_shape"):
            continue
        for info, tensor in zip(model.graph.output, counted(name).graph.outputs):
            stated = axes(info)
            if stated is None:
                continue
            compared += 1
            shape = tensor.shape or ()
            equal = len(shape) == len(stated) and all(
                b is None or a == b or not isinstance(a, int) for a, b in zip(shape, stated)
            )
            if tensor.shape is None or not equal:
                wrong.append((name, info.name, stated, tensor.shape))
    assert compared > 2000
    assert not wrong


def axes(info: Any) -> list[int | None] | None:
    """The sizes that a file states of a value, None where it leaves them open."""
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]


def test_operators_have_the_macs_of_their_bodies() -> None:
    """The package spells out some operators as graphs of simpler ones."""
    unequal, compared = [], 0
    for name in cases():
        plain = re.sub(r"_expanded.*", "", name)
        if plain == name or plain not in cases() or plain in PADDED:
            continue
        fused, unfused = counted(plain), counted(name)
        if fused.coverage == unfused.coverage == 1:
            compared += 1
            if fused.total().mac != unfused.total().mac:
                unequal.append((name, fused.total().mac, unfused.total().mac))
    assert compared > 450
    assert not unequal
