"""A writer of CoreML packages for tests: MIL programs and neural networks."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from flopwise.frontends.coreml.model import MODEL
from flopwise.frontends.coreml.schema import DTYPES
from support.protobuf import encode, varint

CODES = {name: code for code, name in DTYPES.items()}


class Name(str):
    """The name of a value, to be told from a text."""


def value_type(shape: Sequence[int | None], dtype: str = "float32") -> dict[str, Any]:
    """The type of a tensor; a free axis is None."""
    sizes = [{"unknown": {}} if s is None else {"constant": {"size": s}} for s in shape]
    return {"tensor": {"type": CODES[dtype], "rank": len(shape), "dimensions": sizes}}


def stored(value: Any) -> dict[str, Any]:
    """Integers, truth values, texts, or (for a tuple in a list) zeros of a shape."""
    if isinstance(value, list):
        return {"type": value_type(value[0]), "blob": {"file": "@model_path/weights/weight.bin",
                "offset": 64}}  # fmt: skip
    several = isinstance(value, tuple)
    first = value[0] if several and value else value
    shape = (len(value),) if several else ()
    numbers = value if several else (value,)
    if isinstance(first, str):
        return {"type": value_type(shape, "string"),
                "immediate": {"tensor": {"strings": {"values": list(numbers)}}}}  # fmt: skip
    if isinstance(first, float):
        data = struct.pack(f"<{len(numbers)}f", *numbers)
        return {"type": value_type(shape), "immediate": {"tensor": {"floats": {"values": data}}}}
    kind, dtype = ("bools", "bool") if isinstance(first, bool) else ("ints", "int32")
    data = b"".join(varint(int(n)) for n in numbers)
    return {"type": value_type(shape, dtype), "immediate": {"tensor": {kind: {"values": data}}}}


class Block:
    """Operations under construction, and the names they make."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.inputs: list[dict[str, Any]] = []
        self.operations: list[dict[str, Any]] = []
        self.outputs: list[str] = []
        self.count = 0

    def input(self, *shape: int | None, name: str = "", dtype: str = "float32") -> Name:
        name = Name(name or f"{self.prefix}x{len(self.inputs)}")
        self.inputs.append({"name": name, "type": value_type(shape, dtype)})
        return name

    def const(self, value: Any) -> Name:
        """A constant of numbers or texts, or a weight as [shape]."""
        self.count += 1
        name = Name(f"{self.prefix}c{self.count}")
        output = {"name": name, "type": stored(value)["type"]}
        attributes = [{"key": "val", "value": stored(value)}]
        self.operations.append({"type": "const", "outputs": [output], "attributes": attributes})
        return name

    def op(
        self, kind: str, *results: Sequence[int | None], dtype: str = "float32",
        blocks: Sequence[Block] = (), **arguments: Any,
    ) -> Any:  # fmt: skip
        """An operation; what is no Name, and no list of them, becomes a constant."""
        inputs = []
        for key, given in arguments.items():
            names = self._names(given)
            bound = [{"name": n} for n in names]
            inputs.append({"key": key, "value": {"arguments": bound}})
        made = []
        for _ in results:
            self.count += 1
            made.append(Name(f"{self.prefix}v{self.count}"))
        outputs = [{"name": n, "type": value_type(s, dtype)} for n, s in zip(made, results)]
        entry: dict[str, Any] = {"type": kind, "inputs": inputs, "outputs": outputs}
        if blocks:
            entry["blocks"] = [b.message() for b in blocks]
        self.operations.append(entry)
        self.outputs = made
        return made[0] if len(made) == 1 else made

    def _names(self, given: Any) -> list[str]:
        if isinstance(given, Name):
            return [given]
        if isinstance(given, list) and given and isinstance(given[0], Name):
            return list(given)
        return [self.const(given)]

    def message(self) -> dict[str, Any]:
        return {"inputs": self.inputs, "outputs": self.outputs, "operations": self.operations}


def program(block: Block) -> dict[str, Any]:
    """A Model of one function; its inputs are those of the block."""
    body = {"outputs": block.outputs, "operations": block.operations}
    blocks = [{"key": "CoreML7", "value": body}]
    function = {"inputs": block.inputs, "opset": "CoreML7", "blocks": blocks}
    functions = [{"key": "main", "value": function}]
    return {"version": 8, "description": {}, "program": {"version": 1, "functions": functions}}


def write(folder: Path, model: Mapping[str, Any], weights: int = 1 << 20) -> Path:
    """A package in a folder, with a file of that many bytes for the weights."""
    package = folder / "model.mlpackage"
    data = package / "Data" / "com.apple.CoreML"
    (data / "weights").mkdir(parents=True, exist_ok=True)
    with (data / "weights" / "weight.bin").open("wb") as file:
        file.truncate(weights)
    (data / "model.mlmodel").write_bytes(encode(MODEL, model))
    entry = {"path": "com.apple.CoreML/model.mlmodel", "name": "model.mlmodel"}
    manifest = {"itemInfoEntries": {"A": entry}, "rootModelIdentifier": "A"}
    (package / "Manifest.json").write_text(json.dumps(manifest))
    return package


def floats(*shape: int) -> dict[str, Any]:
    """The weights of a layer of a neural network: zeros of a shape."""
    return {"floats": bytes(4 * prod(shape))}
