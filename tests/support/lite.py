"""A writer of TFLite files for tests: the schema of the reader, read in the other direction."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from flopwise.frontends.tflite.flatbuffer import _FORMS, fields
from flopwise.frontends.tflite.schema import OPERATORS, OPTIONS, TABLES, TYPES

WIDTH = {"float32": 4, "float16": 2, "int32": 4, "int64": 8, "int8": 1, "uint8": 1, "bool": 1}


class Writer:
    """Tables before what they lead to, since offsets point forward; slots of eight bytes."""

    def __init__(self) -> None:
        self.out = bytearray(b"\0\0\0\0TFL3")

    def file(self, value: Mapping[str, Any]) -> bytes:
        place = self.table(TABLES["Model"], value)
        struct.pack_into("<I", self.out, 0, place)
        return bytes(self.out)

    def table(self, text: str, value: Mapping[str, Any]) -> int:
        slots = [f for f in fields(text) if value.get(f.name) is not None]
        count = max((f.slot for f in slots), default=-1) + 1
        vtable = len(self.out)
        offsets = [0] * count
        for i, field in enumerate(slots):
            offsets[field.slot] = 4 + 8 * i
        self.out += struct.pack(f"<{2 + count}H", 4 + 2 * count, 4 + 8 * len(slots), *offsets)
        place = len(self.out)
        self.out += struct.pack("<i", place - vtable) + bytes(8 * len(slots))
        for field in slots:
            self._field(field, place + offsets[field.slot], value[field.name])
        return place

    def _field(self, field: Any, slot: int, value: Any) -> None:
        if field.form is not None and not field.many:
            field.form.pack_into(self.out, slot, value)
            return
        if field.kind == "place":
            child = self.table(*value)
        elif field.kind == "text":
            child = self._vector(value.encode(), "B")
        elif field.kind == "span":
            child = self._vector(value, "B")
        elif field.form is not None:
            child = self._vector(value, _FORMS[field.kind])
        elif field.many:
            child = self._tables(TABLES[field.kind], value)
        else:
            child = self.table(TABLES[field.kind], value)
        struct.pack_into("<I", self.out, slot, child - slot)

    def _vector(self, values: Sequence[Any], form: str) -> int:
        place = len(self.out)
        self.out += struct.pack(f"<I{len(values)}{form}", len(values), *values)
        return place

    def _tables(self, text: str, values: Sequence[Any]) -> int:
        place = len(self.out)
        self.out += struct.pack("<I", len(values)) + bytes(4 * len(values))
        for i, value in enumerate(values):
            slot = place + 4 + 4 * i
            struct.pack_into("<I", self.out, slot, self.table(text, value) - slot)
        return place


class Lite:
    """A model under construction; `graph` starts the next sub-graph."""

    def __init__(self) -> None:
        self.buffers: list[dict[str, Any]] = [{}]
        self.codes: list[dict[str, Any]] = []
        self.graphs: list[dict[str, Any]] = []
        self.graph()

    def graph(self) -> int:
        empty: dict[str, Any] = {"tensors": [], "inputs": [], "outputs": [], "operators": []}
        self.graphs.append({**empty, "name": f"graph{len(self.graphs)}"})
        return len(self.graphs) - 1

    def tensor(self, *shape: int, dtype: str = "float32", **more: Any) -> int:
        """The number of a new tensor without content."""
        tensors = self.graphs[-1]["tensors"]
        name = f"t{len(self.graphs) - 1}_{len(tensors)}"
        tensors.append({"shape": shape, "type": TYPES.index(dtype), "name": name, **more})
        return len(tensors) - 1

    def input(self, *shape: int, **more: Any) -> int:
        number = self.tensor(*shape, **more)
        self.graphs[-1]["inputs"].append(number)
        return number

    def weight(self, *shape: int, dtype: str = "float32", data: bytes = b"", **more: Any) -> int:
        """A constant of zeros, or of given bytes."""
        self.buffers.append({"data": data or bytes(prod(shape) * WIDTH[dtype])})
        return self.tensor(*shape, dtype=dtype, buffer=len(self.buffers) - 1, **more)

    def ints(self, *values: int, shape: Sequence[int] | None = None) -> int:
        """A constant of int32 numbers; `shape` () for a scalar."""
        data = struct.pack(f"<{len(values)}i", *values)
        return self.weight(*((len(values),) if shape is None else shape), dtype="int32", data=data)

    def op(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], custom: str = "",
        **options: Any,
    ) -> int:  # fmt: skip
        """An operator; gives the first of its outputs."""
        number = OPERATORS.index(name)
        code = {"builtin_code": number, "deprecated_builtin_code": min(number, 127)}
        self.codes.append({**code, "custom_code": custom} if custom else code)
        entry = {"opcode_index": len(self.codes) - 1, "inputs": inputs, "outputs": outputs}
        if options:
            entry["options"] = (OPTIONS[name], options)
        self.graphs[-1]["operators"].append(entry)
        return outputs[0] if outputs else -1

    def bytes(self) -> bytes:
        for graph in self.graphs:
            graph["outputs"] = graph["outputs"] or self._last(graph)
        return Writer().file(
            {"version": 3, "operator_codes": self.codes, "subgraphs": self.graphs,
             "buffers": self.buffers}
        )  # fmt: skip

    def _last(self, graph: Mapping[str, Any]) -> Sequence[int]:
        return graph["operators"][-1]["outputs"] if graph["operators"] else []

    def write(self, folder: Path) -> Path:
        path = folder / "model.tflite"
        path.write_bytes(self.bytes())
        return path
