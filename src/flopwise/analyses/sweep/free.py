"""Which sizes of a network to leave free: the batch, an image's height and width, or any axis
that has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flopwise import dims
from flopwise.dims import Dim, symbol, symbols
from flopwise.errors import FlopwiseError, UnknownName, UnknownSize
from flopwise.frontends import Request, read
from flopwise.graph import Graph, Shape
from flopwise.passes.bind import bind
from flopwise.passes.infer import infer
from flopwise.pattern import show

HEIGHT, WIDTH = ("h", "height"), ("w", "width")
CHANNELS = (1, 2, 3, 4)
LAST = ("tflite", "keras", "tensorflow", "savedmodel")  # formats that put channels last


@dataclass(frozen=True)
class Sized:
    """A network, and what was asked of its sizes with names in them; `first` is one point."""

    source: Any
    raw: Graph
    request: Request
    first: Mapping[str, int]

    @property
    def free(self) -> Graph:
        """The network with the names as free sizes. Raises FlopwiseError, naming the size
        that cannot be."""
        try:
            bound = _bound(self.source, self.request)
        except FlopwiseError as error:
            if not self.raw.traced:
                raise
            raise UnknownSize(
                f"{self._names} cannot be free here: {error}; --by-point counts each point by "
                "itself"
            ) from None
        try:
            return infer(bound)
        except FlopwiseError as error:
            raise type(error)(f"{self._culprit()} cannot be free here: {error}") from None

    def _culprit(self) -> str:
        """The first name that alone cannot be free."""
        for name in self.first:
            others = {other: size for other, size in self.first.items() if other != name}
            try:
                infer(_bound(self.source, _placed(self.request, others)))
            except FlopwiseError:
                return name
        return self._names

    @property
    def _names(self) -> str:
        return ", ".join(self.first)

    def at(self, sizes: Mapping[str, int]) -> Graph:
        """The network at given sizes, as if it had been loaded at them."""
        return infer(_bound(self.source, _placed(self.request, sizes)))


def _bound(source: Any, request: Request) -> Graph:
    """Read again for each request: what a file states of its insides holds at its own sizes."""
    return bind(read(source, request), request)


def _placed(request: Request, sizes: Mapping[str, int]) -> Request:
    inputs = {n: tuple(dims.at(a, sizes) for a in s) for n, s in request.inputs.items()}
    return replace(request, inputs=inputs, batch=dims.at(request.batch, sizes))


def sized(source: Any, request: Request, first: Mapping[str, int]) -> Sized:
    """Read a network and put names in place of sizes; `first` are the sizes of one point, for
    what can only be read at numbers. Raises UnknownName and UnknownSize."""
    once = _placed(request, first)
    raw = read(source, replace(once, batch=first["batch"]) if _batch(request, [*first]) else once)
    return Sized(source, raw, _named(raw, request, [*first]), first)


def _batch(request: Request, names: Sequence[str]) -> bool:
    """Whether `batch` stands for the first axis, not for an axis of that name."""
    return "batch" in names and "batch" not in _symbols(request.inputs.values())


def _named(raw: Graph, request: Request, names: Sequence[str]) -> Request:
    """The request with a symbol for every name."""
    shapes: dict[str, Any] = {t.name: t.shape for t in raw.inputs if t.shape is not None}
    given = dict(request.inputs)
    if "" in given and len(raw.inputs) == 1:
        given[raw.inputs[0].name] = given.pop("")
    shapes |= given
    missing = [n for n in names if n not in _symbols(shapes.values())]
    if "batch" in missing:
        if request.batch is not None:
            raise UnknownName("batch is both given and varied: leave out --batch")
        request = replace(request, batch=symbol("batch"))
        given = _batched(given)
    if images := [n for n in missing if n in HEIGHT + WIDTH]:
        name = _image(shapes, images)
        whole = shapes[name] if request.batch is None else (request.batch, *shapes[name][1:])
        given[name] = _sides(raw, given.get(name, whole), images)
    if unknown := [n for n in missing if n != "batch" and n not in HEIGHT + WIDTH]:
        told = ", ".join(f"{n}={show(_open(s))}" for n, s in shapes.items()) or "not in the model"
        raise UnknownName(
            f"no size '{unknown[0]}' (the inputs: {told}): "
            f"name an axis, as in --input NAME=1x{unknown[0]}"
        )
    for name, shape in shapes.items():
        if name not in given and _symbols([shape]) & set(names):
            given[name] = shape
    return replace(request, inputs={n: _first(s, request.batch) for n, s in given.items()})


def _symbols(shapes: Any) -> set[str]:
    return {s for shape in shapes for size in shape if size is not None for s in symbols(size)}


def _open(shape: Any) -> tuple[Any, ...]:
    return tuple("?" if size is None else size for size in shape)


def _batched(given: Mapping[str, Shape]) -> dict[str, Shape]:
    """Given shapes with the batch for their first axis, on which they must agree."""
    firsts = {shape[0] for shape in given.values() if shape}
    if len(firsts) > 1:
        raise UnknownSize(
            "which inputs have the batch? write batch in place of it, as in --input NAME=batchx3"
        )
    return {n: (symbol("batch"), *s[1:]) if s else s for n, s in given.items()}


def _first(shape: Any, batch: Dim | None) -> Any:
    """A shape with the batch where its first axis is free or open."""
    if batch is None or not shape or isinstance(shape[0], int):
        return shape
    return (batch, *shape[1:])


def _image(shapes: Mapping[str, Any], names: Sequence[str]) -> str:
    """The one input that is an image."""
    images = [n for n, s in shapes.items() if len(s) == 4]
    if len(images) != 1:
        told = "no input of four axes is known" if not images else "several inputs have four axes"
        raise UnknownSize(f"{told}: say where {names[0]} is, as in --input NAME=1x3xhxw")
    return images[0]


def _sides(raw: Graph, shape: Any, names: Sequence[str]) -> Shape:
    """The shape of an image with names for height and width."""
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    at = 1 if last and (not first or raw.format in LAST) else 2
    sides = list(shape)
    for name in names:
        sides[at + (name in WIDTH)] = symbol(name)
    return tuple(sides)
