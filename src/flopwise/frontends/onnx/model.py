"""From ONNX messages to a Graph: names, order, sub-graphs and local functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from flopwise.errors import UnreadableModel, printable
from flopwise.frontends.lowering import Names
from flopwise.frontends.onnx.native import LOWERINGS, Native
from flopwise.frontends.onnx.order import in_order, place
from flopwise.frontends.onnx.schema import VALUE
from flopwise.frontends.onnx.tensors import sparse, stored, typed
from flopwise.frontends.wire import Message, Span, Wire
from flopwise.graph import Graph, Node, Shape, Tensor

INLINED = 100_000  # nodes of functions; those that call others could make any number

Key = tuple[str, str, str]


class Model:
    """What all blocks of a model share."""

    def __init__(self, wire: Wire, message: Message) -> None:
        self.wire = wire
        self.unique = Names()
        self.opsets = versions(message)
        self.functions: dict[Key, Message] = {
            function_key(f): f for f in message.get("functions", ())
        }
        self.inlined = 0
        self.generated = 0
        self.integers: dict[str, str] = {}  # what floats between quantised layers stand for
        self.products: Counter[str] = Counter()
        self.notes: list[str] = []


class Block:
    """A graph, a sub-graph or the body of a function: a scope of names, and its nodes."""

    def __init__(
        self, model: Model, outer: Block | None = None, opsets: Mapping[str, int] | None = None
    ) -> None:
        self.model, self.wire, self.outer = model, model.wire, outer
        self.opsets: Mapping[str, int] = opsets or (outer.opsets if outer else model.opsets)
        self.values: dict[str, Tensor] = {}
        self.stored: dict[str, Message] = {}
        self.messages: list[Message] = []
        self.nodes: list[Node] = []
        self.declared: Declared | None = None
        self.bindings: Mapping[str, Message] = outer.bindings if outer else {}
        self.calls: tuple[Key, ...] = outer.calls if outer else ()

    def find(self, name: str) -> Tensor | None:
        """The tensor of a name, here or further out; None for the absent operand ""."""
        if not name:
            return None
        block: Block | None = self
        while block is not None:
            if name in block.values:
                return block.values[name]
            block = block.outer
        raise UnreadableModel(f"nothing makes its operand '{name}'")

    def fresh(self, name: str) -> Tensor:
        """A new tensor that only we name."""
        return Tensor(self.model.unique(name), dtype="")

    def define(self, name: str) -> Tensor:
        """The tensor of an output. Raises UnreadableModel when it exists already."""
        if name and name in self.values:
            raise UnreadableModel(f"'{name}' is made twice")
        tensor = self.fresh(name or "unused")
        self.values[name] = tensor
        return tensor

    @cached_property
    def unblocked(self) -> dict[str, int]:
        """The channels of values that leave onnxruntime's layout of blocks."""
        leaving = (m for m in self.messages if m.get("op_type") == "ReorderOutput")
        return {
            m.get("input", [""])[0]: a.get("i", 0)
            for m in leaving for a in m.get("attribute", ()) if a.get("name") == "channels"
        }  # fmt: skip

    def states(self, name: str) -> bool:
        """Whether the file says of what shape a value is."""
        return self.declared is not None and name in self.declared.stated

    def lower(self, messages: list[Message]) -> None:
        """Every node in an order in which it can run."""
        self.messages = in_order(messages)
        for message in self.messages:
            self.model.inlined += bool(self.calls)
            if self.model.inlined > INLINED:
                raise UnreadableModel(f"more than {INLINED:,} nodes once functions are inlined")
            try:
                self._node(message)
            except UnreadableModel as error:
                if message.get("op_type") in ("If", "Loop", "Scan") or self.calls:
                    raise  # told already, where it is
                raise UnreadableModel(f"{place(message)}: {error}") from None
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                raise UnreadableModel(f"{place(message)}: does not fit ({error})") from None

    def _node(self, message: Message) -> None:
        attrs = {a.get("name", ""): a for a in message.get("attribute", ())}
        if self.bindings or self.calls:
            attrs = bound(attrs, self.bindings)
        native = Native(self, message, attrs)
        domain = message.get("domain", "")
        key = (domain, native.op, message.get("overload", ""))
        if key in self.model.functions:
            self._call(native, key)
            return
        lowering = LOWERINGS.get(("" if domain == "ai.onnx" else domain, native.op), Native.unknown)
        lowering(native)

    def _call(self, native: Native, key: Key) -> None:
        """Inline a local function."""
        function = self.model.functions[key]
        if key in self.calls:
            raise UnreadableModel(f"function '{key[1]}' calls itself")
        body = Block(self.model, None, {**self.opsets, **versions(function)})
        body.calls = (*self.calls, key)
        defaults = {a.get("name", ""): a for a in function.get("default", ())}
        body.bindings = {**defaults, **native.attrs}
        actual = dict(zip(function.get("input", ()), native.inputs))
        body.values = {k: actual.get(k) for k in function.get("input", ())}  # type: ignore[misc]
        body.nodes = self.nodes
        body.lower(function.get("node", []))
        for name, formal in zip(native.outputs, function.get("output", ())):
            self.values[name] = body.find(formal)  # type: ignore[assignment]

    def constants(self, message: Message) -> None:
        """The initializers of a graph."""
        for tensor in message.get("initializer", ()):
            self._constant(tensor.get("name", ""), tensor, stored)
        for tensor in message.get("sparse_initializer", ()):
            self._constant(tensor.get("values", {}).get("name", ""), tensor, sparse)

    def _constant(self, name: str, message: Message, read: Any) -> None:
        if name in self.values:
            raise UnreadableModel(f"initializer '{name}' is there twice")
        self.values[name] = read(self.wire, message, self.model.unique(name))
        self.stored[name] = message

    def subgraph(self, message: Message, name: str) -> Graph:
        """A graph inside a node, which sees the names around it."""
        block = Block(self.model, self)
        return block.graph(message, name)

    def inline(self, message: Message, actual: Sequence[Tensor]) -> list[Tensor]:
        """A graph whose nodes become nodes of this block; the tensors that it gives."""
        body = Block(self.model, self)
        body.constants(message)
        body.nodes = self.nodes
        formal = [value.get("name", "") for value in message.get("input", ())]
        body.values.update(zip(formal, actual))
        body.lower(message.get("node", []))
        return [body.output(value.get("name", "")) for value in message.get("output", ())]

    def graph(self, message: Message, name: str) -> Graph:
        """Lower a whole GraphProto."""
        self.constants(message)
        self.declared = Declared(self, message.get("value_info", []), message.get("output", []))
        inputs = []
        for value in message.get("input", ()):
            label = value.get("name", "")
            if label not in self.values:  # older files list initializers as inputs
                self.values[label] = typed(self.model.unique(label), value.get("type", {}), "input")
                inputs.append(self.values[label])
        self.lower(message.get("node", []))
        made = [self.output(value.get("name", "")) for value in message.get("output", ())]
        used = {t.name for n in self.nodes for t in n.inputs if t is not None}
        spare = [t for t in self.values.values() if t and t.role == "weight" and t.name not in used]
        return Graph(
            tuple(inputs), tuple(made), tuple(self.nodes), name, "onnx", tuple(spare),
            declared=self.declared,
        )  # fmt: skip

    def output(self, name: str) -> Tensor:
        try:
            return self.find(name) or Tensor("")
        except UnreadableModel:
            raise UnreadableModel(f"nothing makes the output '{name}'") from None


class Declared(Mapping[str, Shape]):
    """The shapes that a graph states of its values, read when first asked for: most files
    state thousands, and few are needed."""

    def __init__(self, block: Block, spans: list[Span], outputs: list[Message]) -> None:
        self.block, self.spans, self.outputs = block, spans, outputs

    @cached_property
    def stated(self) -> dict[str, Shape]:
        """Complete shapes by the name that a value has in the file."""
        wire = self.block.wire
        values = (wire.read(VALUE, a, b, 0) for a, b in self.spans)
        found = {}
        for value in (*self.outputs, *values):
            tensor = typed("", value.get("type", {}))
            if tensor.shape is not None and tensor.known:
                found[value.get("name", "")] = tensor.sizes
        return found

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The same by the name that the tensor has in our graph."""
        values = self.block.values
        return {values[name].name: s for name, s in self.stated.items() if name in values}

    def __getitem__(self, name: str) -> Shape:
        return self.shapes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.spans) + len(self.outputs)


def lower(wire: Wire, message: Message, stem: str) -> Graph:
    """A ModelProto. Raises UnreadableModel."""
    if "graph" not in message:
        raise UnreadableModel(f"{wire.where}: holds no graph")
    model = Model(wire, message)
    graph = message["graph"]
    try:
        lowered = Block(model).graph(graph, graph.get("name") or stem)
    except UnreadableModel as error:
        raise UnreadableModel(f"{wire.where}: {printable(str(error))}") from None
    return replace(lowered, notes=notes(model, message))


def notes(model: Model, message: Message) -> tuple[str, ...]:
    """What a reader of the totals should know of the file."""
    found = [*dict.fromkeys(model.notes)]
    for sides, number in model.products.items():
        found.append(
            f"{number} products are of dequantised operands ({sides}): integer operations in a "
            "runtime that fuses them"
        )
    if model.generated:
        found.append(
            f"{model.generated:,} floats are made by ConstantOfShape nodes: not stored in the "
            "file, so no parameters"
        )
    if "training" in message:
        found.append("its training graphs are not counted")
    return tuple(found)


def versions(message: Message) -> dict[str, int]:
    """Operator set versions by domain."""
    found = {o.get("domain", ""): o.get("version", 1) for o in message.get("opset", ())}
    if "ai.onnx" in found:
        found.setdefault("", found["ai.onnx"])
    return found


def function_key(function: Message) -> Key:
    return function.get("domain", ""), function.get("name", ""), function.get("overload", "")


def bound(attrs: dict[str, Message], bindings: Mapping[str, Message]) -> dict[str, Message]:
    """Attributes with references to those of the function filled in; unset ones left out."""
    return {
        name: bindings[ref] if (ref := attribute.get("ref")) else attribute
        for name, attribute in attrs.items()
        if not attribute.get("ref") or attribute["ref"] in bindings
    }
