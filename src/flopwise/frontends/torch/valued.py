"""Operators whose results have a shape that hangs on the values of one operand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from flopwise.frontends.torch.values import META

Tensor = torch.Tensor
Value = Callable[[Tensor], Tensor]
VALUED: dict[str, Callable[..., Any]] = {}


def valued(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a rule, whose first argument gives the values of a tensor or raises
    UnknownValue; NotImplemented leaves the operator to its usual rule."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        VALUED.update((f"aten::{name}", function) for name in names)
        return function

    return enter


@valued("_pack_padded_sequence")
def pack(value: Value, x: Tensor, lengths: Tensor, batch_first: bool) -> Any:
    """The steps of all sequences one after another; torch wants their numbers on the CPU."""
    known = value(lengths)
    running = torch.arange(int(known.max()))[:, None] < known[None]
    return x.new_empty((int(known.sum()), *x.shape[2:])), running.sum(1)


@valued("_pad_packed_sequence")
def unpack(
    value: Value, data: Tensor, sizes: Tensor, batch_first: bool, padding: Any, total: int
) -> Any:
    known = value(sizes)
    steps, batch = max(len(known), total), int(known[0])
    shape = (batch, steps) if batch_first else (steps, batch)
    lengths = (known[:, None] > torch.arange(batch)[None]).sum(0)
    return data.new_empty((*shape, *data.shape[1:])), lengths


@valued("index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_")
def masked(value: Value, x: Tensor, indices: Any, *others: Any) -> Any:
    """Places in stead of boolean masks: how many there are is a value."""
    if not any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
        return NotImplemented
    places: list[Any] = []
    for index in indices:
        if index is None or index.dtype not in (torch.bool, torch.uint8):
            places.append(index)
            continue
        found = int(value(index).count_nonzero())
        places += [torch.empty((found,), dtype=torch.int64, device=META)] * index.dim()
    if others:
        return x
    return torch.ops.aten.index.Tensor(x, places)


@valued("masked_select")
def selected(value: Value, x: Tensor, mask: Tensor) -> Any:
    shape = torch.broadcast_shapes(x.shape, mask.shape)
    return x.new_empty((int(value(mask).expand(shape).count_nonzero()),))


@valued("repeat_interleave")
def repeated(
    value: Value, x: Tensor, repeats: Any = None, dim: Any = None, *, output_size: Any = None
) -> Any:
    """Each element as often as `repeats` says."""
    if not isinstance(repeats, Tensor) or output_size is not None:
        return NotImplemented
    flat = x.flatten() if dim is None else x
    axis = 0 if dim is None else dim % x.dim()
    total = int(value(repeats).expand(flat.shape[axis]).sum())
    return flat.new_empty((*flat.shape[:axis], total, *flat.shape[axis + 1 :]))
