"""Python code that reads the values of a tensor past the operators.

Formatting a tensor as text and handing it to numpy are no operators; on a meta tensor the one
gives its description and the other fails. A forward that does so is run again
under this mode, which gives the values of what is constant. It is not used from the
start, since it slows down each call of a function by a little.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from flopwise.frontends.torch.values import Values

READS = {
    torch.Tensor.__format__, torch.Tensor.__repr__, torch.Tensor.numpy, torch.Tensor.__array__,
    torch.Tensor.tolist,
}  # fmt: skip


class Reader(TorchFunctionMode):
    """Reads constants by their values."""

    def __init__(self, values: Values) -> None:
        super().__init__()
        self._values = values

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in READS and args[0].is_meta and self._values.constant(args[0]):
            with _disable_current_modes():
                return func(self._values.value(args[0]), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))
