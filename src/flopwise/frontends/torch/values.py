"""What a trace knows of each tensor: its shape alone, or its values too.

Weights and activations are seen as meta tensors, which have no values. What a forward
builds from plain numbers (masks, positions, sizes) keeps its values as long as it is
small, so that Python can branch on it. A tensor that existed before the trace
is never written to: the trace works on a copy, or on a meta tensor of its shape.
"""

from __future__ import annotations

from typing import Any

import torch

SMALL = 65_536
META = torch.device("meta")
CPU = torch.device("cpu")
_WHOLE = frozenset(
    {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
)  # fmt: skip


def keeps_values(tensor: torch.Tensor) -> bool:
    """Whether the values of such a tensor are worth keeping: small, and whole or single."""
    size = tensor.numel()
    return size <= 1 or (size <= SMALL and tensor.dtype in _WHOLE)


def shape_of(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor like this one."""
    if tensor.layout is not torch.strided:
        return tensor.to(META)
    return torch.empty_strided(
        tensor.size(), tensor.stride(), dtype=tensor.dtype, device=META
    )  # fmt: skip


class Values:
    """The stand-ins of tensors during one trace, by identity; all kept alive with it."""

    def __init__(self) -> None:
        self._stand_in: dict[int, torch.Tensor] = {}
        self._meta: dict[int, torch.Tensor] = {}
        self._overwritten: dict[int, None] = {}
        self._kept: list[torch.Tensor] = []
        self.original: dict[int, torch.Tensor] = {}

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """What the trace computes on in place of `tensor`."""
        found = self._stand_in.get(id(tensor))
        if found is None:
            return self._foreign(tensor)
        if self._overwritten and found.device != META and self._storage(found) in self._overwritten:
            return self.meta(found)
        return found

    def _foreign(self, tensor: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            real = keeps_values(tensor) and tensor.layout is torch.strided
            own = tensor.detach().to(CPU, copy=True) if real else shape_of(tensor)
        self._stand_in[id(tensor)] = own
        self._kept.append(tensor)
        self.original[id(own)] = tensor
        return self.own(own)

    def own(self, tensor: torch.Tensor) -> torch.Tensor:
        """Remember a tensor that the trace itself made."""
        self._stand_in[id(tensor)] = tensor
        self._kept.append(tensor)
        return tensor

    def meta(self, tensor: torch.Tensor) -> torch.Tensor:
        """The meta tensor that stands for a real one of the trace."""
        found = self._meta.get(id(tensor))
        if found is None:
            found = self._meta[id(tensor)] = shape_of(tensor)
            self._kept += (tensor, found)
            self.original[id(found)] = tensor
        return found

    def overwrite(self, tensor: torch.Tensor) -> torch.Tensor:
        """Forget the values of a real tensor (and of its views): unknown ones were written."""
        self._overwritten[self._storage(tensor)] = None
        return self.meta(tensor)

    def source(self, tensor: torch.Tensor) -> torch.Tensor:
        """The user's tensor that this one stands for, or itself."""
        while id(tensor) in self.original:
            tensor = self.original[id(tensor)]
        return tensor

    @staticmethod
    def _storage(tensor: torch.Tensor) -> Any:
        return tensor.untyped_storage().data_ptr()
