"""A writer of SavedModels and frozen GraphDefs for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from flopwise.frontends.tensorflow.schema import DTYPES, FUNCTION, GRAPH, SAVED_MODEL
from support.protobuf import encode

CODES = {name: code for code, name in reversed(DTYPES.items())}
RESOURCE = 20
Shape = Sequence[int | None]


class Func(NamedTuple):
    """The attribute that names a function."""

    name: str


class Type(NamedTuple):
    """The attribute that names a type."""

    dtype: str


def shape(sizes: Shape) -> dict[str, Any]:
    return {"dim": [{"size": -1 if s is None else s} for s in sizes]}


def attribute(value: Any) -> dict[str, Any]:
    """A Python value as an AttrValue; a tuple is a shape, a dict is a message of its own."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Func):
        return {"func": {"name": value.name}}
    if isinstance(value, Type):
        return {"type": CODES[value.dtype]}
    if isinstance(value, tuple):
        return {"shape": shape(value)}
    if isinstance(value, list):
        texts = bool(value) and isinstance(value[0], str)
        return {"list": {"s": [v.encode() for v in value]} if texts else {"i": value}}
    if isinstance(value, (bool, int)):
        return {"b" if isinstance(value, bool) else "i": value}
    return {"f": value} if isinstance(value, float) else {"s": str(value).encode()}


def tensor(value: Any, sizes: Shape, dtype: str) -> dict[str, Any]:
    """A TensorProto of integers, or of float zeros where there is no value."""
    forms = {"int32": "i", "int64": "q", "float32": "f"}
    numbers = [0] * prod(s or 0 for s in sizes) if value is None else value
    content = struct.pack(f"<{len(numbers)}{forms[dtype]}", *numbers)
    return {"dtype": CODES[dtype], "shape": shape(sizes), "content": content}


class Nodes:
    """The nodes of a graph, or of a function whose arguments are named."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.messages: list[dict[str, Any]] = []

    def op(self, kind: str, *inputs: str, name: str = "", **attrs: Any) -> str:
        name = name or f"{kind.lower().lstrip('_')}_{len(self.messages)}"
        entries = [{"key": k, "value": attribute(v)} for k, v in attrs.items()]
        message = {"name": name, "op": kind, "input": list(inputs), "attr": entries}
        self.messages.append(message)
        return name

    def input(self, *sizes: int | None, name: str = "x", dtype: str = "float32") -> str:
        return self.op("Placeholder", name=name, dtype=Type(dtype), shape=sizes)

    def variable(self, *sizes: int, name: str) -> str:
        handle = self.op("VarHandleOp", name=name, shape=sizes, dtype=Type("float32"))
        return self.op("ReadVariableOp", handle, name=f"{name}/Read")

    def const(self, value: Any = None, *sizes: int, dtype: str = "") -> str:
        """Integers, flat unless a shape is given; or float zeros of a shape."""
        if value is not None and not sizes and isinstance(value, list):
            sizes = (len(value),)
        numbers = [value] if isinstance(value, int) else value
        dtype = dtype or ("float32" if value is None else "int32")
        return self.op("Const", value={"tensor": tensor(numbers, sizes, dtype)})

    def function(self, name: str, returned: Sequence[str]) -> bytes:
        """The nodes as a FunctionDef."""
        signature = {
            "name": name,
            "input": [{"name": a, "type": RESOURCE} for a in self.arguments],
            "output": [{"name": f"out{i}", "type": 1} for i in range(len(returned))],
        }
        ret = [{"key": f"out{i}", "value": r} for i, r in enumerate(returned)]
        return encode(FUNCTION, {"signature": signature, "node": self.messages, "ret": ret})


def frozen(folder: Path, nodes: Nodes, functions: Sequence[bytes] = ()) -> Path:
    """A GraphDef in a file."""
    path = folder / "graph.pb"
    message = {"node": nodes.messages, "library": {"function": list(functions)}}
    path.write_bytes(encode(GRAPH, message))
    return path


Ends = tuple[Mapping[str, tuple[str, Shape]], Mapping[str, str]]


def saved(
    folder: Path, nodes: Nodes, signatures: Mapping[str, Ends], functions: Sequence[bytes] = (),
    **more: Any,
) -> Path:  # fmt: skip
    """The directory of a SavedModel; each signature maps inputs to (node, shape), outputs to
    a node."""
    entries = []
    for key, (inputs, outputs) in signatures.items():
        ins = [
            {"key": k, "value": {"name": f"{n}:0", "dtype": 1, "shape": shape(s)}}
            for k, (n, s) in inputs.items()
        ]
        outs = [{"key": k, "value": {"name": n}} for k, n in outputs.items()]
        entries.append({"key": key, "value": {"inputs": ins, "outputs": outs}})
    meta = {
        "info": {"tags": ["serve"]}, "signatures": entries,
        "graph": {"node": nodes.messages, "library": {"function": list(functions)}}, **more,
    }  # fmt: skip
    path = folder / "model"
    path.mkdir(exist_ok=True)
    (path / "saved_model.pb").write_bytes(
        encode(SAVED_MODEL, {"version": 1, "meta_graphs": [meta]})
    )
    return path
