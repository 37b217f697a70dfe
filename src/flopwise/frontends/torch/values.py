"""What a trace knows of the values of tensors: those that follow from plain numbers.

Every tensor of a trace is a meta tensor: a shape without values. Those that a forward
derives from numbers alone (masks, positions, sizes), from small tensors of the module and
from inputs given as tensors are constants: when Python asks for their values, to branch on
them or to make a size of them, the calls that led to them are run again for real.
A tensor that existed before the trace is only ever copied.

What the network itself computes has no values, but for one thing: where it chooses (the
experts of a mixture), the choices are taken as even when they are asked for, and a note
says so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from flopwise.errors import UnknownValue
from flopwise.frontends.torch.quantized import Packages

META = torch.device("meta")
CPU = torch.device("cpu")
LARGEST = 2**26
LARGEST_WEIGHT = 2**16


CHOOSING = {"aten::topk", "aten::argmax", "aten::max"}


class Call(NamedTuple):
    """One operator as it ran. Calls that differ only in identities have equal keys."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any
    scope: tuple[str, ...]
    key: Any
    phase: str = ""


def shape_of(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor like this one."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return tensor.to(META)
    size, stride = tensor.size(), tensor.stride()
    return torch.empty_strided(size, stride, dtype=tensor.dtype, device=META)


def tensors(value: Any) -> list[torch.Tensor]:
    """The tensors among operands or results."""
    found: list[torch.Tensor] = []
    _gather(value, found)
    return found


def _gather(value: Any, found: list[torch.Tensor]) -> None:
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, (list, tuple)):
        for part in value:
            if part is not None:
                _gather(part, found)
    elif isinstance(value, dict):
        for part in value.values():
            _gather(part, found)


def _few(tensor: torch.Tensor) -> bool:
    """Whether there is a known number of elements, and not a great one."""
    return not tensor._has_symbolic_sizes_strides and tensor.numel() <= LARGEST


class Values:
    """Stand-ins of the tensors from outside, and which tensors are constants."""

    def __init__(self) -> None:
        self.original: dict[int, torch.Tensor] = {}
        self._stand_in: dict[int, torch.Tensor] = {}
        self._made_by: dict[int, Call | None] = {}  # of each constant
        self._group: dict[int, int] = {}  # tensors that share memory, by one of them
        self._writes: dict[int, list[Call]] = {}  # by group
        self._order: dict[int, int] = {}  # of calls
        self._known: dict[int, torch.Tensor] = {}
        self._chosen: dict[int, Call] = {}
        self._kept: list[Any] = []
        self.notes: dict[str, None] = {}
        self.packages = Packages()

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """The meta tensor that the trace uses in place of one from outside."""
        found = self._stand_in.get(id(tensor))
        if found is None:
            found = self._stand_in[id(tensor)] = shape_of(tensor)
            if tensor.layout is not torch.strided:  # meta tensors forget how many there are
                found.stored_elements = tensor._nnz()  # type: ignore[attr-defined]
            self._kept += (tensor, found)
            self.original[id(found)] = tensor
            most = LARGEST_WEIGHT if isinstance(tensor, torch.nn.Parameter) else LARGEST
            if tensor.layout is torch.strided and tensor.numel() <= most:
                self._made_by[id(found)] = None
        return found

    def adopt(self, tensor: torch.Tensor, original: torch.Tensor) -> None:
        """Let a meta tensor made elsewhere stand for one from outside."""
        self._stand_in[id(original)] = tensor
        self.original[id(tensor)] = original
        self._kept += (tensor, original)

    def source(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor from outside that this one stands for, or itself."""
        return self.original.get(id(tensor), tensor)

    def constant(self, tensor: torch.Tensor) -> bool:
        """Whether the values can be had."""
        return id(tensor) in self._made_by

    def enter(self, call: Call, written: tuple[int, ...], views: bool, random: bool) -> None:
        """Note what a call did to constants: made, looked at anew, overwritten or spoiled."""
        operands = tensors((call.args, call.kwargs))
        derived = not random and all(id(t) in self._made_by for t in operands)
        results = tensors(call.outputs)
        chosen = results[-1:] if call.func._schema.name in CHOOSING else ()
        if not derived and any(t.dtype is torch.int64 for t in chosen):
            self._made_by[id(results[-1])] = None
            self._chosen[id(results[-1])] = call
        for i in written:
            if i < len(call.args) and isinstance(call.args[i], torch.Tensor):
                self._write(call.args[i], call if derived else None)
        if not derived or not all(map(_few, results)):
            return
        self._order[id(call)] = len(self._order)
        self._kept.append(call)
        for result in results:
            if not any(result is t for t in operands):
                self._made_by[id(result)] = call
        if views and operands:
            root = self._root(operands[0])
            self._group.update((id(result), root) for result in results)

    def learn(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """Keep a value that had to be computed anyway."""
        self._made_by[id(tensor)] = None
        self._known[id(tensor)] = value
        self._kept.append(tensor)

    def value(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values of a constant, to be read only. Raises UnknownValue for any other."""
        if not self.constant(tensor):
            raise UnknownValue("the values of a tensor that depend on data")
        calls: dict[int, Call] = {}
        self._collect(tensor, len(self._order), calls)
        ordered = sorted(calls.values(), key=lambda call: self._order[id(call)])
        found: dict[int, torch.Tensor] = {}
        for call in ordered:
            self._again(call, found)
        return found[id(tensor)] if id(tensor) in found else self._given(tensor)

    def _collect(self, tensor: torch.Tensor, before: int, calls: dict[int, Call]) -> None:
        """The calls that a value depends on, without those that came later."""
        stack = [(tensor, before)]
        while stack:
            current, limit = stack.pop()
            maker = self._made_by.get(id(current))
            writes = self._writes.get(self._root(current), ())
            for call in (*((maker,) if maker is not None else ()), *writes):
                order = self._order[id(call)]
                if order < limit and id(call) not in calls:
                    calls[id(call)] = call
                    stack += [(t, order) for t in tensors((call.args, call.kwargs))]

    def _again(self, call: Call, found: dict[int, torch.Tensor]) -> None:
        """Run a call for real."""

        def real(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                if id(value) not in found:
                    found[id(value)] = self._given(value).clone()
                return found[id(value)]
            if isinstance(value, torch.device):
                return CPU
            if type(value) in (list, tuple):
                return type(value)(map(real, value))
            return value

        kwargs = {k: real(v) for k, v in call.kwargs.items()}
        outputs = call.func(*real(call.args), **kwargs)
        for made, shape in zip(tensors(outputs), tensors(call.outputs)):
            found[id(shape)] = made

    def _given(self, tensor: torch.Tensor) -> torch.Tensor:
        known = self._known.get(id(tensor))
        if known is not None:
            return known
        if id(tensor) in self._chosen:
            return self._even(tensor)
        return self.original[id(tensor)].detach().to(CPU)

    def _even(self, tensor: torch.Tensor) -> torch.Tensor:
        """Choices along the last axis, each equally often."""
        call = self._chosen[id(tensor)]
        scores = tensors(call.args)[0]
        choices = scores.shape[-1] if scores.dim() else 1
        where = ".".join(call.scope) or "the forward"
        self.notes[f"{where}: choices among {choices} are taken as even; they depend on data"] = (
            None
        )
        return torch.arange(tensor.numel()).remainder(choices).view(tensor.shape).to(tensor.dtype)

    def _root(self, tensor: torch.Tensor) -> int:
        return self._group.get(id(tensor), id(tensor))

    def _write(self, tensor: torch.Tensor, call: Call | None) -> None:
        """Add a write to the memory of a tensor; one that is not a constant's spoils it."""
        if id(tensor) not in self._made_by:
            return
        root = self._root(tensor)
        if call is not None:
            self._writes.setdefault(root, []).append(call)
            return
        for member in [root, *(i for i, r in self._group.items() if r == root)]:
            self._made_by.pop(member, None)
