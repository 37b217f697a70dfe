"""Packed weights of checkpoints: several stored tensors that are one of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from flopwise.graph import Tensor

Found = tuple[str, tuple[int, ...], tuple[str, ...]] | None


def unpacked(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The tensors of the model: logical shapes, with the bytes of all that stores them.

    Known are MXFP4 (`_blocks`, `_scales`), GPTQ and AWQ (`qweight`, `qzeros`, `scales`),
    bitsandbytes in four bits (`absmax`, `quant_state`) and scales of eight-bit weights.
    """
    rest = dict(tensors)
    found = []
    for name, tensor in tensors.items():
        for rule in RULES:
            made = rule(name, rest)
            if made is not None:
                whole, shape, parts = made
                stored = sum(rest.pop(part).bytes for part in parts)
                dtype = "float8" if tensor.dtype == "float8" else "uint4"
                found.append(replace(tensor, name=whole, shape=shape, dtype=dtype, stored=stored))
                break
    return [*found, *rest.values()]


def _mxfp4(name: str, tensors: Mapping[str, Tensor]) -> Found:
    """Blocks of bytes of two elements each, and a scale for each block."""
    stem = name.removesuffix("_blocks")
    if stem == name or name not in tensors or f"{stem}_scales" not in tensors:
        return None
    *outer, blocks, size = _sizes(tensors[name])
    return stem, (*outer, blocks * size * 2), (name, f"{stem}_scales")


def _gptq(name: str, tensors: Mapping[str, Tensor]) -> Found:
    """Words of 32 bits along the inputs (GPTQ, which lists the groups of all inputs) or along
    the outputs (AWQ)."""
    stem = name.removesuffix(".qweight")
    scales = tensors.get(f"{stem}.scales")
    if stem == name or name not in tensors or scales is None:
        return None
    parts = (name, *(n for n in (f"{stem}.{p}" for p in _PARTS) if n in tensors))
    rows, columns = _sizes(tensors[name])
    outputs = _sizes(scales)[-1]
    groups = tensors.get(f"{stem}.g_idx")
    inputs = _sizes(groups)[0] if groups is not None else rows
    by_inputs = groups is not None and columns == outputs
    by_outputs = groups is None and columns != outputs
    return (f"{stem}.weight", (outputs, inputs), parts) if by_inputs or by_outputs else None


def _bitsandbytes(name: str, tensors: Mapping[str, Tensor]) -> Found:
    """Bytes of two elements each, beside the state that says how they were made."""
    if name not in tensors or f"{name}.absmax" not in tensors:
        return None
    parts = tuple(n for n in tensors if n.startswith(f"{name}."))
    rows, columns = (*_sizes(tensors[name]), 1)[:2]
    return name, (rows * columns * 2,), (name, *parts)


def _scaled(name: str, tensors: Mapping[str, Tensor]) -> Found:
    """Weights of eight bits with scales of their blocks, channels or as a whole."""
    if name not in tensors or tensors[name].dtype not in ("float8", "int8"):
        return None
    parts = tuple(n for n in (f"{name}{s}" for s in _SCALES) if n in tensors)
    return (name, _sizes(tensors[name]), (name, *parts)) if parts else None


_PARTS = ("qzeros", "scales", "g_idx")
_SCALES = ("_scale_inv", "_scale", ".SCB")
RULES: tuple[Callable[[str, Mapping[str, Tensor]], Found], ...] = (
    _mxfp4, _gptq, _bitsandbytes, _scaled,
)  # fmt: skip


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    return tensor.sizes  # type: ignore[return-value]
