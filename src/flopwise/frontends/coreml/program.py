"""From a MIL program to a Graph: functions, blocks, values by name."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.coreml.native import LOWERINGS, Native
from flopwise.frontends.coreml.program_values import data_of, typed
from flopwise.frontends.lowering import Names, on_sparse, reshaped
from flopwise.frontends.wire import Message, Wire
from flopwise.graph import BITS, Graph, Node, Tensor

LARGEST = 2**48  # elements; more is a lie


class Program:
    """What all blocks share."""

    def __init__(
        self, wire: Wire, message: Message, folder: Path, described: Message, request: Request
    ) -> None:
        self.wire, self.message, self.folder = wire, message, folder
        self.described, self.request = described, request
        self.unique = Names()
        self.sparse: dict[str, tuple[int, int]] = {}
        self.open = False

    def graph(self, stem: str) -> Graph:
        function = self._function()
        block = Block(self, None)
        inputs = [block.enter(n, "input") for n in function.get("inputs", ())]
        self.open = reshaped(inputs, self.request)
        blocks = {e.get("key", ""): e.get("value", {}) for e in function.get("blocks", ())}
        body = blocks.get(function.get("opset", ""), next(iter(blocks.values()), None))
        if not body:
            raise self.error("its function holds no block")
        outputs = block.lower(body)
        nodes = tuple(block.nodes)
        return Graph(
            tuple(inputs), tuple(outputs), nodes, stem, "coreml", notes=on_sparse(self.sparse)
        )

    def _function(self) -> Message:
        functions = {
            e.get("key", ""): e.get("value", {}) for e in self.message.get("functions", ())
        }
        name = self.described.get("default") or "main"
        found = functions.get(name, next(iter(functions.values()), None))
        if found is None:
            raise self.error("the program holds no function")
        return found

    def error(self, text: str) -> UnreadableModel:
        return UnreadableModel(f"{self.wire.where}: {text}")


class Block:
    """A scope of names: their tensors, and the numbers or text of constants."""

    def __init__(self, program: Program, outer: Block | None) -> None:
        self.program, self.outer = program, outer
        self.values: dict[str, Tensor] = {}
        self.data: dict[str, Any] = {}
        self.nodes: list[Node] = []

    def find(self, name: str) -> Tensor:
        """The tensor of a name, here or further out. Raises UnreadableModel."""
        block: Block | None = self
        while block is not None:
            if name in block.values:
                return block.values[name]
            block = block.outer
        raise self.program.error(f"nothing before it makes '{name}'")

    def known(self, name: str) -> Any:
        """The content of a constant; None where it is computed."""
        block: Block | None = self
        while block is not None:
            if name in block.values:
                return block.data.get(name)
            block = block.outer
        return None

    def enter(self, named: Message, role: str = "activation") -> Tensor:
        """A new tensor under the name in the file. Raises UnreadableModel when there is one."""
        name = named.get("name", "")
        if name in self.values:
            raise self.program.error(f"'{name}' is made twice")
        shape, dtype = typed(named.get("type", {}))
        if self.program.open and role == "activation":
            shape = None
        tensor = Tensor(self.program.unique(name), shape, dtype, role)
        self.values[name] = tensor
        return tensor

    def lower(self, body: Message) -> list[Tensor]:
        """The operations of a block in order; gives its results."""
        for place, operation in enumerate(body.get("operations", ())):
            self._operation(place, operation)
        return [self.find(name) for name in body.get("outputs", ())]

    def _operation(self, place: int, operation: Message) -> None:
        kind = operation.get("type", "")
        try:
            if kind == "const":
                self._constant(operation)
                return
            arguments = self._arguments(operation)
            outputs = [self.enter(named) for named in operation.get("outputs", ())]
            native = Native(self, kind, arguments, outputs, operation.get("blocks", ()))
            LOWERINGS.get(kind, Native.unknown)(native)
        except UnreadableModel as error:
            text = str(error).removeprefix(f"{self.program.wire.where}: ")
            raise self.program.error(
                text if text.startswith("operation") else f"operation {place} ({kind}): {text}"
            ) from None
        except (IndexError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise self.program.error(
                f"operation {place} ({kind}): does not fit ({error})"
            ) from None

    def _arguments(self, operation: Message) -> dict[str, list[str]]:
        """The names bound to each parameter; values given in place get a name of ours."""
        found: dict[str, list[str]] = {}
        for entry in operation.get("inputs", ()):
            names = found.setdefault(entry.get("key", ""), [])
            for binding in entry.get("value", {}).get("arguments", ()):
                place = binding.get("name", "")
                held = binding.get("value")
                names.append(place if held is None else self._inline(operation, entry, held))
        if operation.get("type", "").startswith("constexpr"):  # parameters were attributes at first
            for entry in operation.get("attributes", ()):
                if entry.get("key") != "name":
                    name = self._inline(operation, entry, entry.get("value", {}))
                    found.setdefault(entry.get("key", ""), []).append(name)
        return found

    def _inline(self, operation: Message, entry: Message, value: Message) -> str:
        outputs = operation.get("outputs") or [{}]
        name = f"{outputs[0].get('name', '')}/{entry.get('key', '')}"
        while name in self.values:
            name += "'"
        self._hold(name, value)
        return name

    def _constant(self, operation: Message) -> None:
        attributes = {e.get("key"): e.get("value", {}) for e in operation.get("attributes", ())}
        outputs = operation.get("outputs", ())
        if "val" not in attributes or len(outputs) != 1:
            raise self.program.error("a constant without value")
        self._hold(outputs[0].get("name", ""), attributes["val"])

    def _hold(self, name: str, value: Message) -> None:
        """A stored value: floats are weights once an operand is one, all else constants."""
        if name in self.values:
            raise self.program.error(f"'{name}' is made twice")
        shape, dtype = typed(value.get("type", {}))
        shape = shape if shape is not None else ()
        self._check(name, value, shape, dtype)
        data = data_of(self.program.wire, value, dtype)
        role = "weight" if "float" in dtype or dtype in STORED else "constant"
        array = None
        if data is not None and dtype in NUMBERS and not isinstance(data, str):
            import numpy

            array = numpy.array(data, dtype=object if dtype.startswith("int") else None)
            sizes = [s or 0 for s in shape]
            array = array.reshape(sizes) if array.size == prod(sizes) else None
        self.values[name] = Tensor(self.program.unique(name), shape, dtype, role, value=array)
        self.data[name] = data

    def _check(self, name: str, value: Message, shape: Sequence[int | None], dtype: str) -> None:
        """What a constant claims against what there is to hold it."""
        if None in shape or prod(s or 0 for s in shape) > LARGEST:
            raise self.program.error(f"constant '{name}' claims the shape {list(shape)}")
        blob = value.get("blob")
        if blob is None:
            return
        inside = blob.get("file", "").removeprefix("@model_path/")
        path = (self.program.folder / inside).resolve()
        if not path.is_relative_to(self.program.folder.resolve()):
            raise self.program.error(f"constant '{name}' lies outside of the package: {inside}")
        held = prod(s or 0 for s in shape) * BITS.get(dtype, 0) // 8
        if path.is_file() and blob.get("offset", 0) + held > path.stat().st_size:
            raise self.program.error(f"constant '{name}' leads out of {inside}")

    def inner(self, message: Message) -> Graph:
        """A block inside an operation, which sees the names around it."""
        block = Block(self.program, self)
        inputs = tuple(block.enter(named) for named in message.get("inputs", ()))
        outputs = tuple(block.lower(message))
        return Graph(inputs, outputs, tuple(block.nodes), "", "coreml")


STORED = {"int4", "uint4", "uint2", "uint1", "uint3", "uint6", "int8", "uint8"}
NUMBERS = {"int32", "int64", "int16", "bool", "float32", "float16", "uint16", "int8", "uint8"}
