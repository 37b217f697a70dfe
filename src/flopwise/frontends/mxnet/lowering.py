"""Nodes of a symbol in file order to nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.mxnet.symbol import Symbol, SymbolFile
from flopwise.graph import Graph, Node, Shape, Tensor
from flopwise.sizes import LARGEST

Lower = Callable[["Emit", Symbol, list[Tensor]], Any]

DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")

# A variable that has an initial value, or a rate to learn it by, is learned.
LEARNED = ("__init__", "__lr_mult__", "__wd_mult__", "lr_mult", "wd_mult")


@dataclass(frozen=True, slots=True)
class Native:
    """A native operator: how it is lowered, how many operands it takes at least, which
    of them are weights or running statistics, and which it only reads to learn."""

    lower: Lower
    least: int = 1
    weights: tuple[int, ...] = ()
    buffers: tuple[int, ...] = ()
    unused: tuple[int, ...] = ()


OPERATORS: dict[str, Native] = {}


def native(*names: str, **operands: Any) -> Callable[[Lower], Lower]:
    """Enter the decorated function as the lowering of native operators."""

    def enter(lower: Lower) -> Lower:
        OPERATORS.update(dict.fromkeys(names, Native(lower, **operands)))
        return lower

    return enter


def unknown(emit: Emit, s: Symbol, x: list[Tensor]) -> None:
    """An operator that we have no meaning for: listed, never silently nothing."""
    if s.op == "Custom":
        emit = emit.renamed(f"Custom ({s.text('op_type')})")
    emit("unknown", *x, outputs=emit.net.read[s.id] + 1)


def entry(s: Symbol) -> Native:
    """The entry of a node's operator, that of unknown ones included."""
    name = plain(s.op)
    if s.text("sample_type") == "bilinear":
        name += "_bilinear"
    return OPERATORS.get(s.op) or OPERATORS.get(name) or Native(unknown, least=0)


PREFIXES = ("sparse_", "npi_", "npx_", "np_", "contrib_", "scatter_", "broadcast_", "elemwise_")


def plain(op: str) -> str:
    """The operator without what tells its storage, its version and the kind of operands:
    _Plus, _plus_scalar, elemwise_add, broadcast_plus and _npi_add all add."""
    name = op.lower().lstrip("_")
    while prefix := next((p for p in PREFIXES if name.startswith(p)), ""):
        name = name[len(prefix) :].lstrip("_")
    return name.removesuffix("scalar").rstrip("_")


# How many operands quantised operators have; 0: a third of what they read.
RANGED = {
    "quantized_conv": 3, "quantized_fully_connected": 3, "quantized_elemwise_add": 2,
    "quantized_batch_norm": 5, "quantized_concat": 0,
}  # fmt: skip


class Net:
    """What the heads of a symbol depend on, lowered one by one."""

    def __init__(self, file: SymbolFile, request: Request) -> None:
        self.file, self.request = file, request
        self.values: dict[int, tuple[Tensor, ...]] = {}
        self.nodes: list[Node] = []
        self.names: set[str] = set()
        self.needed = self._needed()
        self.roles = self._roles()
        # The last output that anybody reads, for operators that do not tell how many they have.
        self.read = dict.fromkeys(range(len(file.nodes)), 0)
        for i, output in (*file.heads, *(pair for s in file.nodes for pair in s.inputs)):
            self.read[i] = max(self.read[i], output)

    def graph(self, source: Path) -> Graph:
        """Lower every node that is needed. Raises UnreadableModel naming the node."""
        for s in self.file.nodes:
            if s.id not in self.needed:
                continue
            try:
                self._lower(s)
            except UnreadableModel as error:
                raise UnreadableModel(
                    f"{source}: node {s.id} ('{s.name}', {s.op}): {error}"
                ) from None
        try:
            outputs = tuple(self.value(*head) for head in self.file.heads)
        except UnreadableModel as error:
            raise UnreadableModel(f"{source}: heads: {error}") from None
        read = {t.name for n in self.nodes for t in n.inputs if t is not None}
        variables = [s for s in self.file.nodes if s.op == "null" and s.id in self.needed]
        given = [self.values[s.id][0] for s in variables if s.id not in self.roles]
        # A learned variable of unknown size whose place does not tell it is asked for, too.
        inputs = {
            t.name: t for t in given if t.name in read and not (t.known and t.role == "weight")
        }
        name = source.name.removesuffix(".json").removesuffix("-symbol")
        return Graph(tuple(inputs.values()), outputs, tuple(self.nodes), name, "mxnet")

    def _needed(self) -> set[int]:
        """The nodes that the heads read; not through labels, nor initial states that are 0."""
        needed = {head for head, _ in self.file.heads}
        for s in reversed(self.file.nodes):
            if s.id in needed:
                unused = self._unused(s)
                needed |= {i for place, (i, _) in enumerate(s.inputs) if place not in unused}
        return needed

    def _unused(self, s: Symbol) -> tuple[int, ...]:
        name = plain(s.op)
        if name in RANGED:  # behind the operands stand the two ends of the range of each
            count = RANGED[name] - s.flag("no_bias") if RANGED[name] else len(s.inputs) // 3
            return tuple(range(count, len(s.inputs)))
        if s.op != "RNN":
            return entry(s).unused
        # Gluon concatenates the weights of a network before each use: as one vector they
        # follow from the sizes, one by one they may not (axes that are 0 in the file).
        packed = [1] if self._op(s, 1) in ("_rnn_param_concat", "_npi_rnn_param_concat") else []
        return (*packed, *(i for i in (2, 3) if self._op(s, i) in ("null", "_zeros", "_npi_zeros")))

    def _op(self, s: Symbol, place: int) -> str:
        return self.file.nodes[s.inputs[place][0]].op if place < len(s.inputs) else ""

    def _roles(self) -> dict[int, str]:
        """Weights and running statistics, by the place at which an operator takes them."""
        roles: dict[int, str] = {}
        for s in self.file.nodes:
            if s.id not in self.needed:
                continue
            known = entry(s)
            for place, (i, _) in enumerate(s.inputs):
                if place in known.weights or (known.lower is unknown and self._made_for(s, i)):
                    roles[i] = "weight"
                elif place in known.buffers:
                    roles.setdefault(i, "buffer")
        return roles

    def _made_for(self, s: Symbol, i: int) -> bool:
        """Whether a variable was made for one node: MXNet names it after that node."""
        variable = self.file.nodes[i]
        return variable.op == "null" and variable.name.startswith(f"{s.name}_")

    def _lower(self, s: Symbol) -> None:
        if s.op == "null":
            self.values[s.id] = (self._variable(s),)
            return
        known = entry(s)
        if len(s.inputs) < known.least:
            raise UnreadableModel(f"{len(s.inputs)} inputs, and it takes {known.least} at least")
        unused = self._unused(s)
        if known.lower is unknown:  # a range that what it reads does not tell
            ranges = (k for k, (i, n) in enumerate(s.inputs) if n >= len(self.values.get(i, ())))
            unused = (*unused, *(k for k in ranges if s.inputs[k][1] in (1, 2)))
        x: list[Any] = [
            None if place in unused else self.value(*source)
            for place, source in enumerate(s.inputs)
        ]
        known.lower(Emit(self, s), s, x)

    def value(self, i: int, output: int) -> Tensor:
        """One output of a node."""
        values = self.values[i]
        if output >= len(values):
            raise UnreadableModel(f"output {output} of '{self.file.nodes[i].name}' does not exist")
        return values[output]

    def _variable(self, s: Symbol) -> Tensor:
        """A weight or statistic by its place or by its attributes; else an input."""
        learned = any(key in s.attrs for key in LEARNED)
        role = self.roles.get(s.id) or ("weight" if learned else "input")
        frozen = s.number("__lr_mult__", s.number("lr_mult", 1)) == 0 or role == "buffer"
        code = s.integer("__dtype__", 0)
        dtype = DTYPES[code] if 0 <= code < len(DTYPES) else "float32"
        return Tensor(s.name, _shape(s), dtype, role, trainable=not frozen)


def _shape(s: Symbol) -> tuple[int | None, ...] | None:
    """`__shape__`, in which 0 and -1 stand for what is not known."""
    sizes = s.integers("__shape__")
    if not sizes:
        return None
    for size in sizes:
        if size is not None and not -1 <= size <= LARGEST:
            raise UnreadableModel(f"__shape__ holds {size}")
    return tuple(size if size is not None and size > 0 else None for size in sizes)


class Emit:
    """Writes the nodes of one native node."""

    def __init__(self, net: Net, symbol: Symbol) -> None:
        self.net, self.symbol = net, symbol

    def __call__(
        self, op: str, *inputs: Tensor | None, part: str = "", outputs: int = 1,
        filled: Shape | None = None, **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """One node; without `part` its outputs are those of the native node. `filled` is
        the shape of a constant that the file states."""
        s = self.symbol
        name = s.name + (f"/{part}" if part else "")
        made = tuple(self._output(name, i, filled) for i in range(outputs))
        if not part:
            self.net.values[s.id] = made
        scope = tuple(filter(None, name.split("/")))
        self.net.nodes.append(Node(op, inputs, made, attrs, name, scope, s.op))
        return made[0]

    def _output(self, name: str, i: int, shape: Shape | None) -> Tensor:
        unique = name if i == 0 else f"{name}:{i}"
        if unique in self.net.names:
            unique += f"@{self.symbol.id}"
        self.net.names.add(unique)
        return Tensor(unique, shape)

    def renamed(self, origin: str) -> Emit:
        """The same node, named more closely in messages."""
        self.symbol = replace(self.symbol, op=origin)
        return self
