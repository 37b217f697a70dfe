"""From a GraphDef and its functions to a Graph: nodes by name, calls in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST
from flopwise.frontends.lowering import Names
from flopwise.frontends.tensorflow.native import LOWERINGS, Native, data, lowers
from flopwise.frontends.tensorflow.schema import FUNCTION, HEADER
from flopwise.frontends.tensorflow.tensors import shape_of, stored
from flopwise.frontends.wire import Message, Span, Wire
from flopwise.graph import Node, Tensor

LARGEST = 500_000  # nodes and results, those of all calls together
CALLS = 10_000  # of functions, which could call each other any number of times
MISFITS = (IndexError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError)
CALL = re.compile(r"(Stateful)?PartitionedCall(_\d+)?$")  # says nothing of where a layer is

# The results of operators that have several, in order: functions name them.
_STATISTICS = ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2",
               "reserve_space_3")  # fmt: skip
RESULTS = {
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
                     "_FusedBatchNormEx"), _STATISTICS),
    "TopKV2": ("values", "indices"), "MaxPoolWithArgmax": ("output", "argmax"),
    "Switch": ("output_false", "output_true"), "Merge": ("output", "value_index"),
}  # fmt: skip


class Model:
    """What all blocks of a file share."""

    def __init__(self, wire: Wire, graph: Message, variables: Mapping[str, Message]) -> None:
        self.wire, self.variables = wire, variables
        self.functions: dict[str, tuple[Span, Message]] = {}
        for start, stop in graph.get("library", {}).get("function", ()):
            signature = wire.read(HEADER, start, stop, 0).get("signature", {})
            self.functions[signature.get("name", "")] = (start, stop), signature
        self.called: dict[str, Message] = {}
        self.unique = Names()
        self.weights: dict[str, Tensor] = {}
        self.packed: dict[str, Sequence[Tensor]] = {}  # what vectors are stacked from
        self.lists: dict[str, Tensor] = {}  # how many elements lists are made for
        self.nodes = self.calls = 0
        self.frozen = not any(n.get("op") in VARIABLES for n in graph.get("node", ()))

    def function(self, name: str) -> Message:
        """A function of the library, read when it is first called. Raises UnreadableModel."""
        if name not in self.functions:
            raise UnreadableModel(f"there is no function '{name}'")
        if name not in self.called:
            start, stop = self.functions[name][0]
            self.called[name] = self.wire.read(FUNCTION, start, stop, 0)
        return self.called[name]

    def results(self, op: str) -> Sequence[str]:
        """The names of the results of an operator that has several, or of a function."""
        if op in RESULTS or op not in self.functions:
            return RESULTS.get(op, ())
        return [a.get("name", "") for a in self.functions[op][1].get("output", ())]

    def count(self, nodes: int) -> None:
        """So many more nodes, or results of one. Raises UnreadableModel past LARGEST."""
        self.nodes += nodes
        if self.nodes > LARGEST:
            raise UnreadableModel(f"more than {LARGEST:,} nodes once functions are inlined")


class Block:
    """The nodes of a graph or of a function body, by name, and what they make."""

    def __init__(
        self, model: Model, messages: Sequence[Message], prefix: str = "",
        calls: tuple[str, ...] = (), bindings: Mapping[str, Message] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.prefix, self.calls = model, prefix, calls
        self.bindings = bindings or {}
        self.messages = {m.get("name", ""): m for m in messages}
        if len(self.messages) < len(messages):
            raise UnreadableModel("two nodes of one name")
        self.values: dict[str, Sequence[Tensor]] = {}
        self.places: dict[str, int] = {}
        self.nodes: list[Node] = []

    def bound(self, attribute: Message) -> Message:
        """An attribute, or the one that the caller has under its name."""
        return self.bindings.get(attribute.get("placeholder", ""), attribute)

    def used(self, name: str) -> int:
        """How many results of a node are asked for."""
        return self.places.get(name, 0) + 1

    def split(self, ref: str) -> tuple[str, int]:
        """A node's name and the place of its result: `name`, `name:1`, or `name:result:0`."""
        name, _, rest = ref.partition(":")
        result, _, index = rest.rpartition(":")
        place = int(index or 0)
        if result:
            results = self.model.results(self.messages.get(name, {}).get("op", ""))
            place += results.index(result) if result in results else 0
        return name, place

    def find(self, ref: str) -> Tensor:
        """The tensor of a reference. Raises UnreadableModel."""
        name, place = self.split(ref)
        if name not in self.values:
            raise UnreadableModel(f"nothing makes its operand '{name}'")
        made = self.values[name]
        if not 0 <= place < len(made):
            raise UnreadableModel(f"'{name}' has no result {place}")
        return made[place]

    def lower(self, refs: Sequence[str]) -> list[Tensor]:
        """The nodes that some results need, each after its operands; the results. What a loop of
        old hands back to its beginning follows, since nothing else needs its body."""
        order: dict[str, None] = {}
        pending = [*refs]
        while pending:
            self.handed_back: list[str] = []
            order |= dict.fromkeys(self._order(pending, order))
            pending = self.handed_back
        for name in order:
            self._node(self.messages[name])
        return [self.find(ref) for ref in refs]

    def _order(self, refs: Sequence[str], before: Iterable[str]) -> Iterator[str]:
        """A walk from the results back. Raises UnreadableModel at a cycle."""
        done, entered = {*self.values, *before}, set()
        stack = [*reversed([self._wanted(ref) for ref in refs])]
        while stack:
            name = stack.pop()
            if name in done or name not in self.messages:
                continue
            if name in entered:
                done.add(name)
                yield name
                continue
            entered.add(name)
            needed = [self._wanted(r) for r in self._needs(self.messages[name])]
            if any(n in entered and n not in done for n in needed):
                raise UnreadableModel(f"node '{name}': waits for its own result (a cycle)")
            stack += (name, *reversed(needed))

    def _needs(self, message: Message) -> Sequence[str]:
        """The operands, but for what a loop of old hands back to its beginning."""
        if message.get("op") != "Merge":
            return data(message)
        refs = data(message)
        message["input"] = kept = [r for r in refs if self._kind(r) != "NextIteration"]
        self.handed_back += [r for r in refs if r not in kept]
        return kept

    def _kind(self, ref: str) -> str:
        kind: str = self.messages.get(ref.partition(":")[0], {}).get("op", "")
        return kind

    def _wanted(self, ref: str) -> str:
        name, place = self.split(ref)
        self.places[name] = max(place, self.places.get(name, 0))
        return name

    def _node(self, message: Message) -> None:
        where = f"node '{self.prefix}{message.get('name', '')}' ({message.get('op', '')})"
        try:
            native = Native(self, message)
            if native.op in self.model.functions:
                self.call(native, {"name": native.op})
                return
            try:
                LOWERINGS.get(native.op, Native.unknown)(native)
            except NotImplementedError:  # a form of it that we have no meaning for
                native.unknown()
        except UnreadableModel as error:
            text = str(error)
            raise UnreadableModel(text if "node '" in text else f"{where}: {text}") from None
        except MISFITS as error:
            raise UnreadableModel(f"{where}: does not fit ({error})") from None

    def call(self, native: Native, function: Message) -> None:
        """The nodes of a function, in place of the call."""
        prefix = CALL.sub("", native.name)
        prefix = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
        body = self.enter(function, native.inputs, prefix, native.attrs)
        native.give(*body.results())
        self.nodes += body.nodes

    def enter(
        self, function: Message, operands: Sequence[Tensor], prefix: str,
        bindings: Mapping[str, Message] | None = None,
    ) -> Body:  # fmt: skip
        """The body of a function with its arguments bound. Raises UnreadableModel."""
        name = function.get("name", "")
        if name in self.calls:
            raise UnreadableModel(f"function '{name}' calls itself")
        if len(self.calls) >= DEEPEST:
            raise UnreadableModel(f"calls nested more than {DEEPEST} deep")
        inside = {a.get("key", ""): a.get("value", {}) for a in function.get("attr", ())}
        message, calls = self.model.function(name), (*self.calls, name)
        self.model.count(len(message.get("node", ())))
        self.model.calls += 1
        if self.model.calls > CALLS:
            raise UnreadableModel(f"more than {CALLS:,} calls of functions")
        return Body(self.model, message, operands, prefix, calls, {**(bindings or {}), **inside})


class Body(Block):
    """The body of a function."""

    def __init__(
        self, model: Model, message: Message, operands: Sequence[Tensor], prefix: str,
        calls: tuple[str, ...], bindings: Mapping[str, Message],
    ) -> None:  # fmt: skip
        super().__init__(model, message.get("node", ()), prefix, calls, bindings)
        signature = message.get("signature", {})
        self.arguments = [a.get("name", "") for a in signature.get("input", ())]
        if len(self.arguments) != len(operands):
            wanted = len(self.arguments)
            raise UnreadableModel(f"{len(operands)} operands for {wanted} arguments")
        self.values.update((k, (t,)) for k, t in zip(self.arguments, operands))
        given = {r.get("key", ""): r.get("value", "") for r in message.get("ret", ())}
        self.returned = [given.get(a.get("name", ""), "") for a in signature.get("output", ())]

    def results(self) -> list[Tensor]:
        return self.lower(self.returned)


VARIABLES = ("VarHandleOp", "VariableV2", "Variable")


@lowers(*VARIABLES)
def variable(n: Native) -> None:
    """A handle stands for the tensor that it leads to."""
    model, key = n.block.model, n.text("shared_name") or n.name
    if key not in model.weights:
        shape, dtype = shape_of(n.attrs.get("shape", {}).get("shape", {})), n.dtype("dtype")
        said = model.variables.get(n.label, {"trainable": 1})
        name, learned = model.unique(said.get("name") or key), bool(said.get("trainable"))
        model.weights[key] = Tensor(name, shape, dtype or "float32", "weight", learned)
    n.give(model.weights[key])


@lowers("Const")
def const(n: Native) -> None:
    """In a frozen graph the weights are constants: floats with axes."""
    model, message = n.block.model, n.attrs["value"].get("tensor", {})
    place = str(id(message))  # a function may be called often: one weight
    if place not in model.weights:
        tensor = stored(model.wire, message, model.unique(n.name))
        learned = model.frozen and "float" in tensor.dtype and tensor.shape
        model.weights[place] = replace(tensor, role="weight") if learned else tensor
    n.give(model.weights[place])


@lowers("Placeholder", "PlaceholderWithDefault")
def placeholder(n: Native) -> None:
    """Inputs are bound before; what is left was never fed, as is a constant by default."""
    if n.inputs:
        n.give(n.given(0))
    else:
        raise UnreadableModel("an input that the signature does not name")


@lowers("PartitionedCall", "StatefulPartitionedCall")
def called(n: Native) -> None:
    n.block.call(n, n.attrs["f"].get("func", {}))
