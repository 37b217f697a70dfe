"""The modules of an archive: their weights as shapes, their other attributes as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.script.code import Code
from flopwise.frontends.torch.script.package import Package
from flopwise.frontends.torch.script.pickled import Header, Record

MODULES = ("Module",)
STORED = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}  # fmt: skip


class Part(torch.nn.Module):
    """A module: the name of its class, and what it holds beside weights and modules. A call runs a
    method of its class, in its scope."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.held: dict[str, Any] = {}

    def forward(self, run: Callable[[], Any]) -> Any:
        return run()

    def get(self, name: str) -> Any:
        """An attribute that the archive has. Raises KeyError."""
        if name == "training":
            return self.training
        for kept in (self._parameters, self._buffers, self._modules, self.held):
            if name in kept:
                return kept[name]
        raise KeyError(name)

    def put(self, name: str, value: Any) -> None:
        if name == "training":
            self.training = bool(value)
        elif name in self._parameters or name in self._modules:
            raise UnreadableModel(f"a forward that replaces the weight or module {name}")
        elif name in self._buffers:
            self._buffers[name] = value
        else:
            self.held[name] = value


@dataclass(eq=False)
class Thing:
    """An object of a class that is no module."""

    kind: str
    held: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        return self.held[name]

    def put(self, name: str, value: Any) -> None:
        self.held[name] = value


class Maker:
    """Makes modules and values of what the pickle holds, each object once."""

    def __init__(self, package: Package, code: Code) -> None:
        self._code = code
        self._bytes = package.bytes
        self._made: dict[int, Any] = {}
        self._tensors: dict[Header, torch.Tensor] = {}
        self._learned: set[Header] = set()

    def model(self, found: Any) -> Part:
        self._learned = set(self._weights(found))
        made = self.value(found)
        if not isinstance(made, Part):
            raise UnreadableModel("data.pkl holds no module")
        return made

    def _weights(self, found: Any) -> Iterator[Header]:
        """Those that classes call parameters, which others may hold too."""
        stack, seen = [found], set()
        while stack:
            part = stack.pop()
            if not isinstance(part, Record) or id(part) in seen or not isinstance(part.state, dict):
                continue
            seen.add(id(part))
            stack += part.state.values()
            learned = self._code.kind(part.name).learned & part.state.keys()
            yield from (v for v in map(part.state.get, learned) if isinstance(v, Header))

    def value(self, found: Any) -> Any:
        """What stands for a value of the pickle while code runs."""
        if isinstance(found, Header):
            return self.tensor(found)
        if not isinstance(found, (Record, list, tuple, dict)):
            return found
        if id(found) not in self._made:
            self._made[id(found)] = None  # of what holds itself
            self._made[id(found)] = self._object(found)
        return self._made[id(found)]

    def _object(self, found: Any) -> Any:
        if isinstance(found, Record):
            return self._record(found)
        if isinstance(found, dict):
            return {k: self.value(v) for k, v in found.items()}
        return type(found)(self.value(v) for v in found)

    def _record(self, record: Record) -> Any:
        kind = self._code.kind(record.name)
        if not isinstance(record.state, dict):
            raise UnreadableModel(f"an object of {record.name} with a state of its own making")
        if kind.base not in MODULES:
            held = {k: self.value(v) for k, v in record.state.items()}
            return Thing(record.name, held)
        part = Part(record.name)
        part.training = bool(record.state.get("training", False))
        for name, value in record.state.items():
            if name != "training":
                self._attribute(part, str(name), self.value(value), name in kind.learned,
                                name in kind.buffers)  # fmt: skip
        return part

    def _attribute(self, part: Part, name: str, value: Any, learned: bool, buffer: bool) -> None:
        if isinstance(value, Part):
            part._modules[name] = value
        elif learned and (value is None or isinstance(value, torch.nn.Parameter)):
            part._parameters[name] = value
        elif buffer:
            part._buffers[name] = value
        else:
            part.held[name] = value

    def tensor(self, header: Header) -> torch.Tensor:
        """A shape; the same one for the same elements."""
        if header not in self._tensors:
            made = self._shape(header)
            if header in self._learned:
                made = torch.nn.Parameter(made, header.learns)
            self._tensors[header] = made
        return self._tensors[header]

    def _shape(self, header: Header) -> torch.Tensor:
        if header.kind not in STORED:
            raise UnreadableModel(f"a tensor of {header.kind}, which is not read here")
        dtype = STORED[header.kind]
        try:
            return torch.empty_strided(header.sizes, header.strides, dtype=dtype, device="meta")
        except RuntimeError as error:
            raise UnreadableModel(f"the tensor {header.storage}: {error}") from None

    def constant(self, header: Any) -> Any:
        """What code calls CONSTANTS.c0 and so on: a number, or a tensor with its values where
        it is small."""
        if not isinstance(header, Header) or header.storage not in self._bytes:
            return self.value(header)
        made = self.tensor(header)
        flat = torch.frombuffer(bytearray(self._bytes[header.storage]), dtype=made.dtype)
        last = header.offset + sum((n - 1) * s for n, s in zip(header.sizes, header.strides))
        if made.numel() and last >= flat.numel():
            raise UnreadableModel(f"constants/{header.storage} is shorter than its tensor")
        if not made.numel():
            return made
        real = flat.as_strided(header.sizes, header.strides, header.offset).clone()
        return real.item() if not header.sizes else real
