"""Compressed weights of MIL: stored small, restored once when a model is loaded.

Scales, offsets and tables are kept with the weights, but are no parameters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.frontends.coreml.native import Native, lowers
from flopwise.graph import Tensor


@lowers("constexpr_cast")
def cast(n: Native) -> None:
    n.emit("cast", n.given("source_val"))


@lowers("constexpr_affine_dequantize")
def affine(n: Native) -> None:
    data = n.given("quantized_data")
    n.emit("dequantize", data, beside(n, "scale"), beside(n, "zero_point"), like=0)


@lowers("constexpr_blockwise_shift_scale")
def blockwise(n: Native) -> None:
    n.emit("dequantize", n.given("data"), beside(n, "scale"), beside(n, "offset"), like=0)


def beside(n: Native, name: str) -> Tensor | None:
    """What is stored to restore the weights with."""
    tensor = n.maybe(name)
    return tensor and replace(tensor, role="buffer")


@lowers("constexpr_lut_to_dense")
def palette(n: Native) -> None:
    """Indices into a table of 2^bits values; older files pack them into bytes."""
    lut, indices = replace(n.given("lut"), role="buffer"), n.given("indices")
    if indices.dtype == "uint8" and n.maybe("shape") is not None:
        shape = n.numbers("shape") or []
        dtype = _index(lut.size)
        indices = replace(indices, role="weight", shape=tuple(shape), dtype=dtype)
    out = n.outputs[0]
    if len(lut.sizes) > 1 or not out.known:
        n.movement("gather", lut, indices, axis=0, vectors=None)
    else:
        n.emit("gather", lut, indices, axis=0)


def _index(entries: Any) -> str:
    """The type of the smallest index into so many entries."""
    bits = max(entries - 1, 1).bit_length()
    return f"uint{bits}" if bits in (1, 2, 3, 4, 6, 8) else "uint8"


@lowers("constexpr_sparse_to_dense", "constexpr_lut_to_sparse",
        "constexpr_sparse_blockwise_shift_scale")  # fmt: skip
def sparse(n: Native) -> None:
    """What is not zero, and where it lies: counted whole, and told."""
    held = n.maybe("nonzero_data") or n.maybe("indices_nonzero_data")
    if held is None or not n.outputs[-1].known:
        n.unknown()
        return
    whole = n.outputs[-1]
    weight = replace(held, role="weight", shape=whole.shape, value=None)
    n.block.program.sparse[held.name] = _count(held), _count(whole)
    n.emit("copy", weight, to=n.outputs[-1:])
    for mask in n.outputs[:-1]:
        n.emit("constant", to=(mask,))


def _count(tensor: Tensor) -> int:
    """The elements of a tensor of numbers."""
    return int(str(tensor.size))
