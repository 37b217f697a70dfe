"""What lowerings of all formats share: tables of meanings, names told apart, nodes that move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from flopwise.errors import printable
from flopwise.frontends import Request
from flopwise.frontends.slicing import Slices
from flopwise.graph import Tensor


class Writer(Protocol):
    """A native operator that writes nodes of ours."""

    def emit(self, op: str, *inputs: Tensor | None, **attrs: Any) -> Tensor: ...

    def unknown(self) -> None: ...


class Reader(Writer, Protocol):
    """One whose operands come in an order."""

    @property
    def inputs(self) -> tuple[Tensor | None, ...]: ...


L = TypeVar("L", bound=Callable[..., Any])


def entering(table: dict[str, L]) -> Callable[..., Callable[[L], L]]:
    """A decorator that enters a lowering in the table, under names of native operators."""

    def lowers(*names: str) -> Callable[[L], L]:
        def enter(lowering: L) -> L:
            table.update(dict.fromkeys(names, lowering))
            return lowering

        return enter

    return lowers


def meaning(op: str, operands: int | None = None) -> Callable[[Reader], None]:
    """The lowering of what is one of our operators, operand by operand, or by the first ones."""

    def lower(n: Reader) -> None:
        n.emit(op, *n.inputs[:operands])

    return lower


def floor_div(n: Writer, x: Tensor, y: Tensor | None) -> None:
    """A quotient rounded down, so that -(-n // 2) is half of n rounded up: division of whole
    numbers alone rounds towards zero."""
    if x.dtype.startswith(("int", "uint")):
        exact = n.emit("div", x, y, part="div", truediv=True, dtype="float64")
        n.emit("cast", n.emit("floor", exact, part="floor"), dtype=x.dtype)
    else:
        n.emit("floor", n.emit("div", x, y, part="div"))


def move(n: Writer, infer: bool, op: str, *inputs: Tensor | None, **attrs: Any) -> None:
    """A node that only moves data. An attribute that is None is computed at run time: that
    matters only where shapes must be inferred (`infer`), and is unknown there."""
    if None in attrs.values() and infer:
        n.unknown()
    else:
        n.emit(op, *inputs, **{k: v for k, v in attrs.items() if v is not None})


def sliced(n: Writer, x: Tensor, s: Slices) -> None:
    """The slice, then axes dropped, then axes added, as far as there are any."""
    steps: list[tuple[str, dict[str, Any]]] = []
    if s.axes or not s.new:
        sides = {"axes": s.axes, "starts": s.starts, "ends": s.ends, "steps": s.steps}
        steps.append(("slice", sides))
    if s.dropped:
        steps.append(("squeeze", {"axes": list(s.dropped)}))
    if s.new:
        steps.append(("unsqueeze", {"axes": list(s.new)}))
    for op, attrs in steps[:-1]:
        x = n.emit(op, x, part=op, **attrs)
    op, attrs = steps[-1]
    n.emit(op, x, **attrs)


class Names:
    """Names told apart, each as one line can hold it: the next of a name is `name'1`."""

    def __init__(self) -> None:
        self.copies: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The name, or one like it that none has had before."""
        name = wanted = printable(name)
        while wanted in self.copies:
            self.copies[name] += 1
            wanted = f"{name}'{self.copies[name]}"
        self.copies[wanted] = 0
        return wanted


def module_path(name: str) -> tuple[str, ...]:
    """The module path in a name with slashes."""
    return tuple(filter(None, name.split("/")))


def typed(inputs: Iterable[Tensor | None], outputs: Sequence[Tensor], attrs: Any) -> Any:
    """The attributes, with the types of the results where they are not that of the operands."""
    kinds = tuple(t.dtype for t in outputs)
    if not kinds or kinds[0] == first_type(inputs):
        return attrs
    return {"dtype": kinds if len(set(kinds)) > 1 else kinds[0], **attrs}


def first_type(inputs: Iterable[Tensor | None]) -> str:
    """The type of the first operand that there is."""
    return next((t.dtype for t in inputs if t is not None), "float32")


def reshaped(inputs: Sequence[Tensor], request: Request) -> bool:
    """Whether stated shapes do not hold: an axis is free, or other sizes are asked for."""
    wanted, batch = request.inputs, request.batch
    if any(not t.known for t in inputs):
        return True
    given = [wanted.get(t.name, wanted.get("", t.shape)) for t in inputs]
    if any(shape != t.shape for shape, t in zip(given, inputs)):
        return True
    return batch is not None and any(t.shape and t.shape[0] != batch for t in inputs)


def on_sparse(sparse: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    """What a reader should know of sparse weights: elements (stored, logical) by name."""
    if not sparse:
        return ()
    stored, logical = (sum(side) for side in zip(*sparse.values()))
    return (
        f"{len(sparse)} sparse weights hold {stored:,} of their {logical:,} elements;"
        " all elements are counted",
    )
