"""Sections in file order to nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.darknet.cfg import Section
from flopwise.graph import Graph, Node, Tensor

Lower = Callable[["Emit", Section, Tensor], Tensor]

LAYERS: dict[str, Lower] = {}


def layer(*types: str) -> Callable[[Lower], Lower]:
    """Enter the decorated function as the lowering of sections."""

    def enter(lower: Lower) -> Lower:
        LAYERS.update(dict.fromkeys(types, lower))
        return lower

    return enter


def unknown(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """A section that we have no meaning for: listed, never silently nothing."""
    return emit("unknown", x)


class Net:
    """The layers so far, by their number, as routes and shortcuts name them."""

    def __init__(self, sections: list[Section]) -> None:
        self.net, self.sections = sections[0], sections[1:]
        self.input = Tensor("data", shape_of(self.net), role="input")
        self.outputs: list[Tensor] = []
        self.nodes: list[Node] = []

    def graph(self, source: Path) -> Graph:
        """Lower every section. Raises UnreadableModel naming the layer."""
        current = self.input
        for i, section in enumerate(self.sections):
            try:
                lower = LAYERS.get(section.type, unknown)
                current = lower(Emit(self, section, i), section, current)
            except UnreadableModel as error:
                place = f"{source}:{section.line}: layer {i} [{section.type}]"
                raise UnreadableModel(f"{place}: {error}") from None
            self.outputs.append(current)
        read = {t.name for n in self.nodes for t in n.inputs if t is not None}
        outputs = tuple(t for t in self.outputs if t.name not in read)
        return Graph((self.input,), outputs, tuple(self.nodes), source.stem, "darknet")


def shape_of(net: Section) -> tuple[int | None, ...]:
    """One image, or one row of `inputs` where the file states no image."""
    image = [net.size(k) if net.text(k) else None for k in ("channels", "height", "width")]
    if image == [None, None, None] and net.text("inputs"):
        return (1, net.size("inputs"))
    return (1, *image)


class Emit:
    """Writes the nodes of one layer, whose parts are named after it: convolutional_0/leaky."""

    def __init__(self, net: Net, section: Section, index: int) -> None:
        self.net, self.section, self.index = net, section, index
        self.name = f"{section.type}_{index}"

    def __call__(
        self, op: str, *inputs: Tensor | None, part: str = "", outputs: int = 1, **attrs: Any
    ) -> Tensor:
        """One node; its first output."""
        return self.all(op, *inputs, part=part, outputs=outputs, **attrs)[0]

    def all(
        self, op: str, *inputs: Tensor | None, part: str = "", outputs: int = 1, **attrs: Any
    ) -> tuple[Tensor, ...]:
        """One node; all its outputs."""
        name = self.name + (f"/{part}" if part else "")
        made = tuple(Tensor(f"{name}:{i}" if i else name) for i in range(outputs))
        scope = tuple(name.split("/"))
        origin = f"[{self.section.type}]"
        self.net.nodes.append(Node(op, inputs, made, attrs, name, scope, origin))
        return made

    def weight(self, name: str, shape: Any = None, trainable: bool = True) -> Tensor:
        """A stored array of this layer, or of the one whose name it begins with."""
        owner = "" if "." in name else f"{self.name}."
        return Tensor(owner + name, shape, role="weight", trainable=trainable)

    def other(self, number: int) -> Tensor:
        """The output of another layer: from the first, or if negative back from this one."""
        place = number if number >= 0 else self.index + number
        if not 0 <= place < self.index:
            raise UnreadableModel(
                f"it reads layer {number}, and there are {self.index} layers before it"
            )
        return self.net.outputs[place]

    def others(self, key: str) -> list[Tensor]:
        """The outputs of the layers that an option lists."""
        if not (numbers := self.section.integers(key)):
            raise UnreadableModel(f"{key} is missing")
        return [self.other(number) for number in numbers]
