"""The share of non-zero elements of each weight in an ONNX file: weight bytes are read here
alone, and only when effective counts are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from flopwise import arrays as numpy
from flopwise.errors import UnknownValue
from flopwise.frontends.onnx.schema import MODEL
from flopwise.frontends.onnx.tensors import RAW, dtype_of, is_float
from flopwise.frontends.wire import Message, Wire, open_map

PART = 2**24  # bytes at a time: a multiple of the width of every type


def densities(path: Path) -> dict[str, Fraction]:
    """By name; weights without zeros are left out. Raises UnknownValue where they lie elsewhere."""
    wire, found = open_map(path), {}
    for name, tensor in _stored(wire.message(MODEL).get("graph", {})):
        if tensor.get("location"):
            raise UnknownValue(
                f"{path}: '{name}' lies in another file; effective counts need the weights inside"
            )
        nonzero, total = map(sum, zip((0, 0), *_counted(wire, tensor)))
        if nonzero < total:
            found[name] = Fraction(nonzero, total)
    return found


def _stored(graph: Message) -> Iterator[tuple[str, Message]]:
    """Initializers, and the values of Constant nodes."""
    for tensor in graph.get("initializer", ()):
        yield tensor.get("name", ""), tensor
    for node in graph.get("node", ()):
        if node.get("op_type") == "Constant":
            for attribute in node.get("attribute", ()):
                if "t" in attribute:
                    yield node["output"][0], attribute["t"]


def _counted(wire: Wire, tensor: Message) -> Iterator[tuple[int, int]]:
    """Elements that are not zero, and all, part by part; of vectors and places in tables none."""
    dtype = dtype_of(tensor.get("dtype", 0))
    quantised = dtype in ("int8", "uint8", "int4", "uint4")  # zero is where their zero point is
    if len(tensor.get("dims", ())) < 2 or not (is_float(dtype) or quantised):
        return
    form = "<u2" if dtype == "bfloat16" else None if quantised else RAW.get(dtype)
    if form is None:
        raise UnknownValue(f"'{tensor.get('name', '')}' holds {dtype}, whose zeros are not counted")
    for field in ("raw_data", "float_data", "double_data"):
        for start, stop in tensor.get(field, ()):
            for place in range(start, stop, PART):
                yield _nonzero(numpy.frombuffer(wire.data[place : min(stop, place + PART)], form))
    for start, stop in tensor.get("int32_data", ()):
        yield _nonzero(numpy.array([*wire.varints(start, stop)], "<u2"))


def _nonzero(part: Any) -> tuple[int, int]:
    # Half floats by their bits are zero, of either sign, where all but the first are.
    part = part << 1 if part.dtype == "uint16" else part
    return int(numpy.count_nonzero(part)), part.size
