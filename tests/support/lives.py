"""How many bytes of tensors there are while a PyTorch module runs: each storage from the operator
that makes it until Python lets it go."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Lives(TorchDispatchMode):
    """`peak` bytes at once, without those of `kept`."""

    def __init__(self, kept: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen = {t.untyped_storage()._cdata for t in kept}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(outputs):
            if isinstance(leaf, torch.Tensor):
                self.enter(leaf)
        return outputs

    def enter(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place not in self._seen:
            self._seen.add(place)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._leave, place, size)

    def _leave(self, place: int, size: int) -> None:
        self._seen.discard(place)
        self.now -= size


def peak(module: torch.nn.Module, *inputs: torch.Tensor) -> int:
    """The most bytes while a module runs without gradients; its caller keeps the inputs."""
    lives = Lives((*module.parameters(), *module.buffers()))
    with torch.no_grad(), lives:
        for tensor in inputs:
            lives.enter(tensor)
        module(*inputs)
    return lives.peak
