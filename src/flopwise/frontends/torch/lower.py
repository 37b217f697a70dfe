"""From recorded calls to nodes with names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from flopwise.frontends.torch import aten
from flopwise.frontends.torch.arguments import Arguments
from flopwise.frontends.torch.higher import Body, Control
from flopwise.frontends.torch.ruled import counted
from flopwise.frontends.torch.symbols import dim
from flopwise.frontends.torch.trace import Recorder, replaced
from flopwise.frontends.torch.values import Call, tensors
from flopwise.graph import BITS, Graph, Node, Tensor
from flopwise.ops.gradient import Autograd, gradient, record

MOST_SHOWN = 8
DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.float16: "float16",
    torch.bfloat16: "bfloat16", torch.int64: "int64", torch.int32: "int32",
    torch.int16: "int16", torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool",
    torch.complex32: "complex32", torch.complex64: "complex64", torch.complex128: "complex128",
    torch.quint8: "uint8", torch.qint8: "int8", torch.qint32: "int32",
    torch.quint4x2: "uint4", torch.quint2x4: "uint2",
}  # fmt: skip


def dtype_name(dtype: torch.dtype) -> str:
    """Our name of a dtype; every form of 8 bits of float is `float8`."""
    name = DTYPES.get(dtype) or str(dtype).removeprefix("torch.")
    for family in ("float8", "float4"):
        name = family if name.startswith(family) else name
    return name


def lower(module: torch.nn.Module, recorder: Recorder, given: Arguments, outputs: Any) -> Graph:
    """The graph of a trace, with every learned tensor, used or not."""
    names = _Names(module, recorder, given)
    inputs = tuple(names.tensor(t) for t in given.inputs.values())  # before any is overwritten
    nodes = tuple(node for call in recorder.calls for node in names.nodes(call))
    used = {t.name for node in nodes for t in node.inputs if t is not None}
    return Graph(
        inputs=inputs,
        outputs=tuple(names.tensor(t) for t in tensors(outputs)),
        nodes=nodes,
        name=type(module).__name__,
        format="torch",
        traced=True,
        notes=(*_notes(recorder), *_conditions(given)),
        weights=tuple(t for t in names.stored if t.name not in used),
        orders=names.orders,
        conditions=tuple(given.conditions.values()),
    )


def _notes(recorder: Recorder) -> tuple[str, ...]:
    """What was assumed of the data."""
    taken = (
        f"{line}: a condition that depends on data is taken as {str(value).lower()}"
        for line, value in recorder.decisions.items()
    )
    return (*recorder.values.notes, *taken)


def _conditions(given: Arguments) -> tuple[str, ...]:
    """Where an expression in free sizes holds, beside the example it was decided by."""
    found = list(given.conditions)
    shown = "; ".join(found[:MOST_SHOWN])
    more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return (f"the counts hold where {shown}{more}",) if found else ()


def plain(value: Any) -> Any:
    """Our sizes in place of torch's."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return dim(value)


class _Names:
    """Our tensors by the identity of torch's; a name for every node."""

    def __init__(self, module: torch.nn.Module, recorder: Recorder, given: Arguments) -> None:
        self._recorder = recorder
        self._known: dict[int, Tensor] = {}
        self._storage: dict[int, Tensor] = {}
        self._views: dict[Any, Tensor] = {}
        self._symbolic = given.symbolic
        self._special = {"gradient": self._gradient, "custom": self._custom}
        self._kept: list[aten.Step] = []
        self.orders: dict[str, tuple[int, ...]] = {}
        self._taken: Counter[str] = Counter()
        self._leaves = {
            name for name, m in module.named_modules() if not any(True for _ in m.children())
        }
        self.stored: list[Tensor] = []
        for role, named in (
            ("weight", module.named_parameters()),
            ("buffer", module.named_buffers()),
        ):
            for name, tensor in named:
                self._store(name, tensor, role)
        for name, tensor in recorder.values.packages.named(module):
            self._store(name, tensor, "weight")
        for name, tensor in given.inputs.items():
            self._known[id(tensor)] = self._new(name, tensor, "input")

    def _store(self, name: str, tensor: torch.Tensor, role: str) -> None:
        stored = self._new(name, tensor, role, tensor.requires_grad or role == "buffer")
        packed = getattr(tensor, "quant_state", None)  # as bitsandbytes has it
        if packed is not None:
            kind = getattr(packed, "quant_type", "uint4")
            kind = kind if kind in BITS else "uint4"
            stored = replace(
                stored,
                shape=tuple(packed.shape),
                dtype=kind,
                stored=tensor.numel() * tensor.itemsize,
            )
        self.stored.append(stored)
        self._known[id(tensor)] = stored
        if not tensor.is_meta and tensor.layout is torch.strided:
            self._storage.setdefault(tensor.data_ptr(), stored)

    def _new(
        self, name: str, t: torch.Tensor, role: str = "activation", trainable: bool = True
    ) -> Tensor:
        if t._has_symbolic_sizes_strides:
            shape = tuple(map(dim, t.shape))
        else:
            shape, order = tuple(t.shape), _order(t)
            if order != (*range(len(order)),):
                self.orders[name] = order
        return Tensor(name, shape, dtype_name(t.dtype), role, trainable)

    def tensor(self, tensor: torch.Tensor) -> Tensor:
        """The tensor that stands for one of torch's; a constant where nothing made it."""
        found = self._known.get(id(tensor))
        if found is None and self._views:
            found = self._views.get(_place(tensor))
        if found is None:
            source = self._recorder.values.source(tensor)
            found = self._known.get(id(source))
            if found is None and source is not tensor and not source.is_meta:
                found = self._same_storage(source)
            if found is None:
                found = self._new(f"constant{len(self._known)}", tensor, "constant")
            self._known[id(tensor)] = found
        return found

    def _same_storage(self, source: torch.Tensor) -> Tensor | None:
        """A weight reached past the module's attribute, as by `.data`."""
        if source.layout is not torch.strided:
            return None
        found = self._storage.get(source.data_ptr())
        return found if found is not None and found.shape == tuple(source.shape) else None

    def nodes(self, call: Call) -> Iterator[Node]:
        """The nodes of one call."""
        results = tensors(call.outputs)
        if isinstance(call.func, Control):
            yield self._control(call, call.func, results)
            return
        for step in aten.steps(call.func, call.args, call.kwargs, call.outputs):
            self._kept.append(step)  # identities of its tensors stay their own
            if step is aten.SAME:
                self._pass_on(call, results)
                continue
            inputs = tuple(None if t is None else self.tensor(t) for t in step.inputs)
            name = self._name(call)
            outputs = tuple(
                self._made(t, name if i == 0 else f"{name}:{i}")
                for i, t in enumerate(results if step.outputs is None else step.outputs)
            )
            origin = call.func.name().partition(".")[0]
            attrs = {**step.attrs, "inplace": True} if origin.endswith("_") else step.attrs
            if self._symbolic:
                attrs = {k: plain(v) for k, v in attrs.items()}
            if call.phase:
                attrs = {**attrs, "phase": call.phase}
            node = Node(step.op, inputs, outputs, attrs, name, call.scope, origin)
            yield self._special.get(step.op, _as_is)(node, step)

    def _control(self, call: Call, control: Control, results: list[torch.Tensor]) -> Node:
        """A branch or loop with its bodies, which see what is around them."""
        bodies = tuple(self._body(body, control.op) for body in control.bodies)
        attrs = dict(control.attrs)
        attrs |= {"branches": bodies} if control.op == "if" else {"body": bodies[0]}
        inputs: list[Tensor | None] = [self.tensor(t) for t in tensors(call.args)]
        inputs = [None, None, *inputs] if control.op == "loop" else inputs
        name = self._name(call)
        outputs = tuple(
            self._made(t, name if i == 0 else f"{name}:{i}") for i, t in enumerate(results)
        )
        return Node(control.op, tuple(inputs), outputs, attrs, name, call.scope, call.func.name())

    def _body(self, body: Body, op: str) -> Graph:
        place = f"body{len(self._known)}"
        inputs = [self._made(t, f"{place}.{i}") for i, t in enumerate(body.inputs)]
        nodes = tuple(node for call in body.calls for node in self.nodes(call))
        outputs = tuple(map(self.tensor, body.outputs))
        if op == "loop":  # whose body takes the number of the trip, and the condition
            inputs = [Tensor(f"{place}.trip", (), "int64"), Tensor(f"{place}.on", (), "bool"),
                      *inputs]  # fmt: skip
        return Graph(tuple(inputs), outputs, nodes)

    def _gradient(self, node: Node, step: aten.Step) -> Node:
        """A backward operator, by the gradient rule of the operator that it belongs to."""
        of: aten.Step = step.attrs["of"]
        operands = tuple(None if t is None else self.tensor(t) for t in of.inputs)
        results = tuple(map(self.tensor, of.outputs or ()))
        forward = Node(of.op, operands, results, of.attrs, node.name, node.scope, node.origin)
        found = gradient(forward, step.attrs["wants"], Autograd())
        if found is None:
            return replace(node, op="unknown", attrs={"phase": node.attrs.get("phase", "")})
        attrs = {k: v for k, v in node.attrs.items() if k != "wants"}
        attrs |= {"of": of.op, "amounts": record(found.counts), "again": record(found.again)}
        return replace(node, attrs={**attrs, "forward": forward})

    def _custom(self, node: Node, step: aten.Step) -> Node:
        """What a user's rule says."""
        rule = step.attrs["rule"]

        def ours(value: Any) -> Any:
            return self.tensor(value) if isinstance(value, torch.Tensor) else value

        counts = counted(rule, replaced(step.attrs["given"], ours))
        kept = {k: v for k, v in node.attrs.items() if k not in ("rule", "given")}
        return replace(node, attrs={**kept, "of": rule.name, "amounts": record(counts)})

    def _made(self, tensor: torch.Tensor, name: str) -> Tensor:
        made = self._known[id(tensor)] = self._new(name, tensor)
        if self._recorder.autograd:  # which makes its own objects of views
            self._views[_place(tensor)] = made
        return made

    def _pass_on(self, call: Call, results: list[torch.Tensor]) -> None:
        operands = tensors(call.args)
        for result in results:
            if operands and id(result) not in self._known:
                self._known[id(result)] = self.tensor(operands[0])

    def _name(self, call: Call) -> str:
        """The module's path; below it the operator, unless the module is nothing but that."""
        path = ".".join(call.scope)
        own = call.func.name().partition("::")[2].partition(".")[0].strip("_")
        name = path if path in self._leaves and path else f"{path}.{own}".lstrip(".")
        self._taken[name] += 1
        return name if self._taken[name] == 1 else f"{name}_{self._taken[name]}"


def _order(tensor: torch.Tensor) -> tuple[int, ...]:
    """The axes as they lie in memory, outermost first; those of 1 stay where they are."""
    if tensor.layout is not torch.strided:
        return ()
    places = [i for i, size in enumerate(tensor.shape) if size != 1]
    turned = iter(sorted(places, key=tensor.stride, reverse=True))
    return tuple(next(turned) if i in places else i for i in range(tensor.dim()))


def _as_is(node: Node, step: aten.Step) -> Node:
    return node


def _place(tensor: torch.Tensor) -> Any:
    """Where in memory a tensor lies, which tells views of equal shape apart."""
    if tensor.layout is not torch.strided or tensor._has_symbolic_sizes_strides:
        return id(tensor)
    memory = tensor.untyped_storage()._cdata
    return memory, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype
