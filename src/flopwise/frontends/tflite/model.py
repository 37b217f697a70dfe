"""From TFLite tables to a Graph: tensors, constants, operators in order, sub-graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from flopwise.dims import ceildiv
from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST, Request
from flopwise.frontends.lowering import Names, on_sparse, reshaped
from flopwise.frontends.tflite.flatbuffer import Flatbuffer, Table
from flopwise.frontends.tflite.native import LOWERINGS, Native
from flopwise.frontends.tflite.schema import OPERATORS, OPTIONS, TYPES
from flopwise.graph import BITS, Graph, Node, Tensor
from flopwise.pattern import show

CALLS = 10_000  # of sub-graphs, which could call each other any number of times
LARGEST = 1_000_000  # nodes, those of all calls together
SMALL = 4096  # bytes of an integer constant whose values are kept, for shape arithmetic

INDEX_TYPES = ("int32", "int64", "bool", "string", "uint32", "uint64")  # unless quantised
STATEFUL = ("VAR_HANDLE", "READ_VARIABLE", "HASHTABLE", "HASHTABLE_SIZE")


class Model:
    """What all sub-graphs of a file share."""

    def __init__(self, buffer: Flatbuffer, request: Request) -> None:
        self.buffer, self.request = buffer, request
        self.table = buffer.root("Model")
        self.subgraphs: Sequence[Table] = self.table["subgraphs"]
        if not self.subgraphs:
            raise UnreadableModel(f"{buffer.where}: holds no sub-graph")
        self.unique = Names()
        self.used: set[str] = set()
        self.weights: dict[Any, Tensor] = {}
        self.stored: set[int] = set()
        self.sparse: dict[str, tuple[int, int]] = {}
        self.calls: tuple[int, ...] = (0,)
        self.nodes = self.blocks = 0
        self.main = Block(self, 0)
        self.open = self._open()

    def graph(self, name: str) -> Graph:
        """The first sub-graph; constants that only shapes depend on are kept beside it."""
        graph = self.main.graph()
        kept = [t for t in self.weights.values() if t.role == "weight"]
        idle = tuple(t for t in kept if t.name not in self.used)
        return replace(graph, name=name, weights=idle, notes=on_sparse(self.sparse))

    def _open(self) -> bool:
        """Whether other sizes are asked for than those that the file was made with."""
        main = self.main
        inputs = [main.tensors[i] for i in main.indices(main.table["inputs"], "an input")]
        return reshaped(inputs, self.request)

    def subgraph(self, index: int) -> Graph:
        """Another sub-graph, lowered anew for each call. Raises UnreadableModel."""
        if not 0 <= index < len(self.subgraphs):
            raise UnreadableModel(f"{self.buffer.where}: there is no sub-graph {index}")
        if index in self.calls:
            raise UnreadableModel(f"{self.buffer.where}: sub-graph {index} calls itself")
        if len(self.calls) >= DEEPEST:
            raise UnreadableModel(f"{self.buffer.where}: calls nested more than {DEEPEST} deep")
        self.blocks += 1
        if self.blocks > CALLS:
            raise UnreadableModel(f"{self.buffer.where}: more than {CALLS:,} calls of sub-graphs")
        self.calls = (*self.calls, index)
        graph = Block(self, index).graph()
        self.calls = self.calls[:-1]
        return graph

    def count(self, nodes: Sequence[Node]) -> None:
        """Keep count of nodes and of what they use. Raises UnreadableModel past LARGEST."""
        self.nodes += len(nodes)
        self.used.update(t.name for n in nodes for t in n.inputs if t is not None)
        if self.nodes > LARGEST:
            raise UnreadableModel(f"{self.buffer.where}: more than {LARGEST:,} operators")


class Block:
    """One sub-graph: its tensors by index, and its nodes."""

    def __init__(self, model: Model, index: int) -> None:
        self.model, self.where, self.index = model, model.buffer.where, index
        self.table = model.subgraphs[index]
        self.entries: Sequence[Table] = self.table["tensors"]
        self.tensors = [self._tensor(i, t) for i, t in enumerate(self.entries)]
        self.nodes: list[Node] = []

    def indices(self, indices: Sequence[int], what: str) -> list[int]:
        """Tensor numbers, checked; -1 stands for an absent operand."""
        for i in indices:
            if not -1 <= i < len(self.entries):
                raise UnreadableModel(f"{self.where}: {what} names tensor {i}, which is not there")
        return list(indices)

    def graph(self) -> Graph:
        model, table = self.model, self.table
        inputs = self.indices(table["inputs"], "an input")
        outputs = self.indices(table["outputs"], "an output")
        for i in inputs:
            self.tensors[i] = replace(self.tensors[i], role="input")
        if model.open:
            self._forget({*inputs} if self.index == 0 else set())
        made = {*inputs} | {i for i, t in enumerate(self.entries) if self._given(i, t)}
        for place, operator in enumerate(table["operators"]):
            self._operator(place, operator, made)
        ins, outs = ([self.tensors[i] for i in side if i >= 0] for side in (inputs, outputs))
        return Graph(tuple(ins), tuple(outs), tuple(self.nodes), table["name"], "tflite")

    def _given(self, i: int, entry: Table) -> bool:
        """Whether a tensor needs no operator to make it."""
        return self.tensors[i].role in ("weight", "constant") or bool(entry["is_variable"])

    def _forget(self, inputs: set[int]) -> None:
        for i, tensor in enumerate(self.tensors):
            if tensor.role not in ("weight", "constant") and i not in inputs:
                self.tensors[i] = replace(tensor, shape=None)

    def _operator(self, place: int, table: Table, made: set[int]) -> None:
        name, options = self._kind(table)
        where = f"{self.where}: operator {place} ({name})"
        inputs = self.indices(table["inputs"], f"operator {place} ({name})")
        outputs = self.indices(table["outputs"], f"operator {place} ({name})")
        scratch = name.startswith("CUSTOM")  # room to work in, which comes from nowhere (Vela)
        for i in inputs:
            if i >= 0 and i not in made and not scratch:
                raise UnreadableModel(f"{where}: no operator before it makes tensor {i} (a cycle?)")
        for i in outputs:
            if i < 0 or (i in made and not self.entries[i]["is_variable"]):
                raise UnreadableModel(f"{where}: tensor {i} is made twice")
            made.add(i)
        if not self.model.open:
            self._loosen(inputs, outputs)
        elif name in STATEFUL:
            for i in outputs:
                self.tensors[i] = replace(self.tensors[i], shape=self.entries[i]["shape"])
        native = Native(self, name, options, inputs, outputs)
        try:
            LOWERINGS.get(name, Native.unknown)(native)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableModel(f"{where}: does not fit ({error})") from None

    def _kind(self, table: Table) -> tuple[str, Table]:
        codes = self.model.table["operator_codes"]
        if table["opcode_index"] >= len(codes):
            raise UnreadableModel(
                f"{self.where}: there is no operator code {table['opcode_index']}"
            )
        code = codes[table["opcode_index"]]
        number = max(code["builtin_code"], code["deprecated_builtin_code"])
        name = OPERATORS[number] if 0 <= number < len(OPERATORS) else f"operator {number}"
        if name == "CUSTOM":
            return f"CUSTOM {code['custom_code']}".strip(), {}
        place = table["options"] or table["options_2"]
        text = OPTIONS.get(name, "")
        options = self.model.buffer.table(text, place) if place and text else {}
        return name, options

    def _loosen(self, inputs: list[int], outputs: list[int]) -> None:
        """Leave open what depends on data: free axes that come from no free axis before.

        The file holds 1 in their place, as it does for a free batch.
        """

        def free(i: int) -> bool:
            return i >= 0 and -1 in self.entries[i]["shape_signature"]

        def loose(i: int) -> bool:
            shape = self.tensors[i].shape
            return i >= 0 and (shape is None or None in shape)

        if any(free(i) and not loose(i) for i in inputs):
            return
        for i in filter(free, outputs):
            signature, tensor = self.entries[i]["shape_signature"], self.tensors[i]
            shape = tuple(None if s < 0 else s for s in signature)
            self.tensors[i] = replace(tensor, shape=shape)

    def _tensor(self, index: int, entry: Table) -> Tensor:
        number = entry["type"]
        if not 0 <= number < len(TYPES):
            raise UnreadableModel(f"{self.where}: tensor {index} is of no known type ({number})")
        shape: list[int | None] = [None if s == -1 else s for s in entry["shape"]]
        for size in shape:
            if size is not None and size < 0:
                raise UnreadableModel(f"{self.where}: tensor {index} has an axis of {size}")
        span = self._bytes(entry)
        if span is not None:
            return self._constant(index, entry, span)
        for axis, size in enumerate(entry["shape_signature"][: len(shape)]):
            if size < 0 and axis > 0 and index in self.table["inputs"]:
                shape[axis] = None
        name = self._name(index, entry)
        return Tensor(name, tuple(shape), _dtype(number))

    def _name(self, index: int, entry: Table) -> str:
        """The name in the file, told apart where another tensor has it too."""
        return self.model.unique(entry["name"] or f"tensor {index}")

    def _bytes(self, entry: Table) -> tuple[int, int] | None:
        """Where the buffer of a constant lies; None for all other tensors."""
        number, buffers = entry["buffer"], self.model.table["buffers"]
        if number >= len(buffers):
            raise UnreadableModel(f"{self.where}: there is no buffer {number}")
        buffer = buffers[number]
        if buffer["offset"] > 1:
            start, stop = buffer["offset"], buffer["offset"] + buffer["size"]
            if stop > self.model.buffer.size:
                raise UnreadableModel(f"{self.where}: buffer {number} leads out of the file")
            return (start, stop) if stop > start else None
        start, stop = buffer["data"] or (0, 0)
        return (start, stop) if stop > start else None

    def _constant(self, index: int, entry: Table, span: tuple[int, int]) -> Tensor:
        """A stored tensor. Those that share a buffer are one; in another shape it is the
        same numbers again, and no more parameters."""
        dtype, shape = _dtype(entry["type"]), entry["shape"]
        key = (entry["buffer"], shape, dtype)
        if key not in self.model.weights:
            name, again = self._name(index, entry), entry["buffer"] in self.model.stored
            self.model.stored.add(entry["buffer"])
            self._check(name, entry, dtype, span)
            scaled = entry["quantization"] and entry["quantization"]["scale"]
            learned = bool(scaled) or dtype not in INDEX_TYPES
            role, value = "constant" if again else "weight", self._value(entry, span)
            self.model.weights[key] = Tensor(name, shape, dtype, role, learned, value)
        return self.model.weights[key]

    def _check(self, name: str, entry: Table, dtype: str, span: tuple[int, int]) -> None:
        """A sparse weight holds fewer elements than its shape has, any other all of them."""
        held, shape = span[1] - span[0], entry["shape"]
        if entry["sparsity"]:
            self.model.sparse[name] = held // max(BITS[dtype] // 8, 1), prod(shape)
        elif BITS[dtype] and ceildiv(prod(shape) * BITS[dtype], 8) != held:
            raise UnreadableModel(
                f"{self.where}: constant '{name}' of shape {show(shape)} and type {dtype or '?'}"
                f" has a buffer of {held:,} bytes"
            )

    def _value(self, entry: Table, span: tuple[int, int]) -> Any:
        form = {"int32": "<i4", "int64": "<i8"}.get(_dtype(entry["type"]))
        if form is None or entry["sparsity"] or span[1] - span[0] > SMALL:
            return None
        import numpy

        data = numpy.frombuffer(self.model.buffer.data[span[0] : span[1]], form)
        return data.reshape(entry["shape"])


def _dtype(number: int) -> str:
    name = TYPES[number]
    return "" if name in ("resource", "variant") else name
