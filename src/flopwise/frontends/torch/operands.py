"""The operands of a recorded call, and its results by their shapes alone."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.values import CPU, META, Values


class Operands:
    """Puts stand-ins in place of tensors, and notes what there is among the operands."""

    __slots__ = ("_values", "constant", "hashable", "key", "to_cpu")

    def __init__(self, values: Values) -> None:
        self._values = values
        self.constant = self.hashable = True
        self.to_cpu = False
        self.key: list[Any] = []

    def named(self, name: str, operand: Any) -> Any:
        self.key.append(name)
        return self.enter(operand)

    def enter(self, operand: Any) -> Any:
        if isinstance(operand, torch.Tensor):
            return self._tensor(operand)
        kind = type(operand)
        if kind in _HASHABLE:
            self.key.append(operand)
        elif kind is list or kind is tuple:
            self.key.append(len(operand))
            return kind(map(self.enter, operand))
        elif kind is float or kind is bool:
            self.key.append((kind, operand))
        elif kind is torch.SymInt:
            self.key.append(operand.node.value)
        elif kind is torch.device:
            self.to_cpu |= operand == CPU
            return META
        else:
            self.hashable = False
            if kind is torch.ScriptObject:
                return self._values.packages.of(operand)
        return operand

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_meta:
            tensor = self._values.stand_in(tensor)
        if self.constant and not self._values.constant(tensor):
            self.constant = False
        if tensor.layout is not torch.strided or tensor.is_complex():
            self.hashable = False
        elif tensor._has_symbolic_sizes_strides:
            self.key.append((expressions(tensor.shape), expressions(tensor.stride()), tensor.dtype))
        else:
            self.key.append((tensor.shape, tensor.stride(), tensor.dtype))
        return tensor


def expressions(sizes: Any) -> tuple[Any, ...]:
    """Sizes of which some are symbols, in a form that can be compared."""
    return tuple(s.node.value if isinstance(s, torch.SymInt) else s for s in sizes)


_HASHABLE = {int, str, type(None), torch.dtype, torch.memory_format, torch.layout}


def remembered(outputs: Any, args: Any) -> Any:
    """How to make such outputs again without running the operator; None: it must run."""
    if isinstance(outputs, torch.Tensor):
        for i, argument in enumerate(args):
            if argument is outputs:
                return i
        if not outputs.is_meta or outputs.layout is not torch.strided or outputs.is_complex():
            return None
        return (outputs.size(), outputs.stride(), outputs.dtype)
    if isinstance(outputs, (list, tuple)):
        parts = [remembered(part, args) for part in outputs]
        return None if any(p is None for p in parts) else (type(outputs), parts)
    return None


def remade(recipe: Any, args: Any) -> Any:
    """The outputs that `remembered` described."""
    if isinstance(recipe, int):
        return args[recipe]
    if isinstance(recipe[1], list):
        return recipe[0](remade(part, args) for part in recipe[1])
    size, stride, dtype = recipe
    return torch.empty_strided(size, stride, dtype=dtype, device=META)
