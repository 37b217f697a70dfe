"""From the elements of an IR to a Graph: ports, edges, constants, bodies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flopwise.dims import ceildiv, prod
from flopwise.errors import UnreadableModel, printable
from flopwise.frontends import Request
from flopwise.frontends.lowering import Names, reshaped
from flopwise.frontends.openvino.native import LOWERINGS, Native
from flopwise.frontends.openvino.xml import Element
from flopwise.graph import BITS, Graph, Node, Tensor

OLDEST = 10
SMALL, FEW = 4096, 64  # bytes of integers and of floats whose values are read
TYPES = {
    "f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "i64": "int64",
    "i32": "int32", "i16": "int16", "i8": "int8", "i4": "int4", "u64": "uint64", "u32": "uint32",
    "u16": "uint16", "u8": "uint8", "u4": "uint4", "u2": "uint2", "boolean": "bool", "bool": "bool",
    "nf4": "nf4", "string": "string", "f8e4m3": "float8", "f8e5m2": "float8", "f4e2m1": "float4",
    "f8e8m0": "float8", "fp64": "float64", "fp32": "float32", "fp16": "float16",
}  # fmt: skip
INDEX_TYPES = {"int64", "int32", "uint64", "uint32", "int16", "uint16", "bool", "string"}
FORMS = {
    "int32": "<i4", "int64": "<i8", "bool": "?", "int8": "i1", "uint8": "u1", "float32": "<f4",
    "float16": "<f2", "float64": "<f8",
}  # fmt: skip

Port = tuple[str, str]


def dtype_of(text: str) -> str:
    """Our name of an element type or a precision; "" for one that has no size of its own."""
    return TYPES.get(text.lower(), "")


class Model:
    """What the network and the bodies inside it share."""

    def __init__(self, root: Element, path: Path, request: Request) -> None:
        self.root, self.where, self.request = root, str(path), request
        self.weights = path.with_suffix(".bin")
        self.unique = Names()
        self.stored: dict[Any, Tensor] = {}
        version = root.attrs.get("version", "")
        if not version.isdigit() or int(version) < OLDEST:
            raise UnreadableModel(
                f"{path}: IR version {version or '?'}; {OLDEST} and later are read"
                " (OpenVINO 2020.1 on)"
            )
        self.open = False

    def graph(self, stem: str) -> Graph:
        block = Block(self, self.root, "")
        self.open = reshaped(block.parameters(), self.request)
        graph = block.graph()
        missing = self.open and not self.weights.is_file()
        notes = (f"{self.weights.name} is not at hand: shapes that it holds are not known",)
        name = self.root.attrs.get("name") or stem
        return replace(graph, name=name, format="openvino", notes=notes if missing else ())

    def error(self, text: str) -> UnreadableModel:
        return UnreadableModel(f"{self.where}: {text}")


class Block:
    """A network, or the body of a layer: its layers by number, and its nodes."""

    def __init__(self, model: Model, element: Element, prefix: str) -> None:
        self.model, self.prefix = model, prefix
        self.layers: dict[str, Element] = {}
        for layer in element.all("layers", "layer"):
            number = layer.attrs.get("id", "")
            if number in self.layers:
                raise model.error(f"layer {number} is there twice")
            self.layers[number] = layer
        if not self.layers:
            raise model.error("holds no layer")
        self.sources = self._edges(element)
        self.values: dict[Port, Tensor] = {}
        self.nodes: list[Node] = []

    def _edges(self, element: Element) -> dict[Port, Port]:
        """Which output port feeds which input port."""
        sources: dict[Port, Port] = {}
        for edge in element.all("edges", "edge"):
            a = edge.attrs
            start = a.get("from-layer", ""), a.get("from-port", "")
            end = a.get("to-layer", ""), a.get("to-port", "")
            for number in (start[0], end[0]):
                if number not in self.layers:
                    raise self.model.error(f"an edge names layer '{number}', which is not there")
            if end in sources:
                raise self.model.error(f"port {end[1]} of layer {end[0]} has two edges")
            sources[end] = start
        return sources

    def parameters(self) -> list[Tensor]:
        """The inputs, in the order of the file."""
        return [self._parameter(k, e) for k, e in self.layers.items() if _kind(e) == "Parameter"]

    def graph(self) -> Graph:
        inputs, outputs = self.parameters(), []
        for number in self._order():
            layer = self.layers[number]
            kind = _kind(layer)
            if kind == "Const":
                self._constant(number, layer)
            elif kind == "Result":
                outputs += self.operands(number)
            elif kind != "Parameter":
                self._lower(number, layer, kind)
        results = tuple(t for t in outputs if t is not None)
        return Graph(tuple(inputs), results, tuple(self.nodes), self.prefix)

    def _order(self) -> Iterator[str]:
        """Layers after those that feed them; in the order of the file as far as that goes."""
        waits = dict.fromkeys(self.layers, 0)
        feeds: dict[str, list[str]] = {k: [] for k in self.layers}
        for (end, _), (start, _) in self.sources.items():
            waits[end] += 1
            feeds[start].append(end)
        ready = deque(k for k, count in waits.items() if not count)
        done = 0
        while ready:
            number = ready.popleft()
            done += 1
            yield number
            for end in feeds[number]:
                waits[end] -= 1
                if not waits[end]:
                    ready.append(end)
        if done < len(self.layers):
            stuck = next(k for k, count in waits.items() if count)
            name = self.layers[stuck].attrs.get("name", stuck)
            raise self.model.error(f"layer '{name}' waits for itself (a cycle)")

    def operands(self, number: str) -> list[Tensor | None]:
        """What the input ports of a layer are fed with."""
        found: list[Tensor | None] = []
        for port in self.layers[number].all("input", "port"):
            source = self.sources.get((number, port.attrs.get("id", "")))
            if source is None:
                name = self.layers[number].attrs.get("name", number)
                raise self.model.error(f"layer '{name}': no edge feeds port {port.attrs.get('id')}")
            if source not in self.values:
                raise self.model.error(f"layer {source[0]} has no output port {source[1]}")
            found.append(self.values[source])
        return found

    def _lower(self, number: str, layer: Element, kind: str) -> None:
        inputs = self.operands(number)
        outputs = [self._output(layer, port) for port in layer.all("output", "port")]
        for port, tensor in zip(layer.all("output", "port"), outputs):
            self.values[number, port.attrs.get("id", "")] = tensor
        native = Native(self, layer, kind, inputs, outputs)
        try:
            LOWERINGS.get(kind, Native.unknown)(native)
        except (IndexError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            name = layer.attrs.get("name", number)
            raise self.model.error(f"layer '{name}' ({kind}): does not fit ({error})") from None

    def _output(self, layer: Element, port: Element) -> Tensor:
        ports = layer.all("output", "port")
        name = layer.attrs.get("name") or f"{_kind(layer)} {layer.attrs.get('id', '')}"
        name = name if len(ports) == 1 else f"{name}:{ports.index(port)}"
        shape = None if self.model.open else self._shape(port)
        dtype = dtype_of(port.attrs.get("precision", ""))
        return Tensor(self.model.unique(self.prefix + name), shape, dtype)

    def _shape(self, port: Element) -> tuple[int | None, ...]:
        return tuple(self._size(d.text) for d in port.all("dim"))

    def _size(self, text: str) -> int | None:
        """-1, a question mark and a range are free."""
        text = text.strip()
        if text in ("-1", "?") or ".." in text:
            return None
        if not text.isdigit() or len(text) > 18:
            raise self.model.error(f"'{text[:30]}' is no size")
        return int(text)

    def _parameter(self, number: str, layer: Element) -> Tensor:
        data = layer.find("data")
        text = data.attrs.get("shape", "") if data is not None else ""
        dtype = dtype_of(data.attrs.get("element_type", "") if data is not None else "")
        port = (number, next((p.attrs.get("id", "") for p in layer.all("output", "port")), "0"))
        if port not in self.values:
            shape = tuple(self._size(s) for s in text.split(",") if s.strip())
            loose = "..." in text or (self.prefix and self.model.open)
            name = self.model.unique(self.prefix + layer.attrs.get("name", number))
            role = "activation" if self.prefix else "input"
            self.values[port] = Tensor(name, None if loose else shape, dtype, role)
        return self.values[port]

    def _constant(self, number: str, layer: Element) -> None:
        data, ports = layer.find("data"), layer.all("output", "port")
        if data is None or not ports:
            raise self.model.error(f"constant '{layer.attrs.get('name', number)}' holds nothing")
        shape = tuple(
            int(self._size(s) or 0) for s in data.attrs.get("shape", "").split(",") if s.strip()
        )
        dtype = dtype_of(data.attrs.get("element_type", ""))
        start, held = (self._size(data.attrs.get(k, "0")) or 0 for k in ("offset", "size"))
        name = printable(self.prefix + layer.attrs.get("name", number))
        bits = BITS[dtype] if dtype else 0
        if bits and ceildiv(prod(shape) * bits, 8) != held:
            raise self.model.error(f"constant '{name}': {held:,} bytes for {list(shape)} {dtype}")
        key = (start, shape, dtype)
        if not self.prefix or key not in self.model.stored:
            role = "constant" if dtype in INDEX_TYPES else "weight"
            value = self._value(start, held, shape, dtype)
            self.model.stored[key] = Tensor(
                self.model.unique(name), shape, dtype, role, value=value
            )
        self.values[number, ports[0].attrs.get("id", "")] = self.model.stored[key]

    def _value(self, start: int, held: int, shape: tuple[int, ...], dtype: str) -> Any:
        """A small integer constant, or a few floats (scales), where the weights are at hand."""
        form, floats = FORMS.get(dtype), dtype.startswith("float")
        if form is None or held > (FEW if floats else SMALL) or not self.model.weights.is_file():
            return None
        import numpy

        with self.model.weights.open("rb") as file:
            file.seek(start)
            data = file.read(held)
        if len(data) < held:
            raise self.model.error(f"a constant leads out of {self.model.weights.name}")
        return numpy.frombuffer(data, form).reshape(shape)


def _kind(layer: Element) -> str:
    return layer.attrs.get("type", "")
