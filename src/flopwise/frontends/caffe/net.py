"""Layers in file order to nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.caffe.text import Layer
from flopwise.frontends.prototext import Message
from flopwise.graph import Graph, Node, Tensor
from flopwise.sizes import LARGEST

Lower = Callable[["Emit", Layer, list[Tensor]], Any]
Shapes = list[tuple[str, "tuple[int | None, ...] | None"]]


@dataclass(frozen=True)
class Vocabulary:
    """What each layer type becomes, what the unknown ones do, and the shapes that a layer
    without bottoms brings in (None: it brings none)."""

    layers: Mapping[str, Lower]
    unknown: Lower
    inputs: Callable[[Layer], Shapes | None]


class Net:
    """The blobs so far; a top that is written again, in place, gets a new tensor."""

    def __init__(self, message: Message, phase: str, vocabulary: Vocabulary) -> None:
        self.top, self.phase, self.vocabulary = Layer(message), phase, vocabulary
        self.blobs: dict[str, Tensor] = {}
        self.used: set[str] = set()
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []
        self.names: set[str] = set()
        self.left_out: list[str] = []

    def graph(self, source: Path) -> Graph:
        """Lower every layer of the phase. Raises UnreadableModel naming the layer."""
        layers = [Layer(m) for m in self.top.all("layer") if isinstance(m, dict)]
        layers = [layer for layer in layers if self._included(layer)]
        if not layers:
            solved = self.top.text("net") or self.top.text("train_net")
            told = f"is a solver: give the net that it names, {solved}" if solved else ""
            raise UnreadableModel(f"{source}: {told or 'holds no layer'}")
        self._declared()
        tops = {t for layer in layers for t in layer.tops}
        for layer in layers:
            try:
                self._lower(layer, tops)
            except UnreadableModel as error:
                raise UnreadableModel(f"{source}: layer '{layer.name}': {error}") from None
        outputs = tuple(t for t in self.blobs.values() if t.name not in self.used)
        inputs = tuple(t for t in self.inputs if t.name in self.used)
        notes = [f"left out, not part of the network: {', '.join(self.left_out)}"]
        return Graph(
            inputs,
            tuple(t for t in outputs if t.role != "input"),
            tuple(self.nodes),
            self.top.text("name", source.stem),
            "caffe",
            notes=tuple(notes if self.left_out else ()),
        )

    def _declared(self) -> None:
        """Inputs stated at the top of the file: `input` with `input_dim` or `input_shape`."""
        dims = self.top.numbers("input_dim")
        shapes = [tuple(Layer(s).numbers("dim")) for s in self.top.all("input_shape")]
        for i, name in enumerate(self.top.all("input")):
            shape = tuple(dims[4 * i : 4 * i + 4]) or (shapes[i] if i < len(shapes) else None)
            self.input(str(name), shape)

    def _included(self, layer: Layer) -> bool:
        include, exclude = (
            [self._matches(Layer(r)) for r in layer.all(side)] for side in ("include", "exclude")
        )
        return any(include) if include else not any(exclude)

    def _matches(self, rule: Layer) -> bool:
        """The phase; no stage; level 0, as a net has it that is told nothing else."""
        phase = rule.text("phase", self.phase) in (self.phase, PHASES.get(self.phase))
        level = rule.number("min_level", 0) <= 0 <= rule.number("max_level", 0)
        return phase and level and not rule.all("stage")

    def input(self, name: str, shape: tuple[int | None, ...] | None) -> None:
        """Declare an input blob; unknown axes are None."""
        for size in shape or ():
            if size is not None and not 0 < size <= LARGEST:
                raise UnreadableModel(f"input '{name}': {size} is not between 1 and {LARGEST:,}")
        self.blobs[name] = Tensor(name, shape, role="input")
        self.inputs.append(self.blobs[name])

    def _lower(self, layer: Layer, tops: set[str]) -> None:
        if not layer.bottoms and (shapes := self.vocabulary.inputs(layer)) is not None:
            for name, shape in shapes:
                self.input(name, shape)
            return
        for bottom in layer.bottoms:
            if bottom in tops and bottom not in self.blobs:
                raise UnreadableModel(
                    f"its bottom '{bottom}' is made only by a later layer (a cycle?)"
                )
            if bottom not in self.blobs:  # an input whose size has to be given
                self.input(bottom, None)
        x = [self.blobs[b] for b in layer.bottoms]
        if layer.type in NOT_NETWORK:
            self.left_out.append(layer.type)
            return
        lower = self.vocabulary.layers.get(layer.type, self.vocabulary.unknown)
        lower(Emit(self, layer), layer, x)


PHASES = {"TRAIN": "0", "TEST": "1"}

# Losses, measures and outputs belong to a training run, not to the network.
NOT_NETWORK = {
    "Accuracy", "EuclideanLoss", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss",
    "ContrastiveLoss", "SmoothL1Loss", "MultiBoxLoss", "DetectionEvaluate", "Silence",
    "HDF5Output", "CenterLoss", "TripletLoss",
}  # fmt: skip


class Emit:
    """Writes the nodes of one layer."""

    def __init__(self, net: Net, layer: Layer) -> None:
        self.net, self.layer = net, layer
        self.blobs = 0

    def __call__(
        self, op: str, *inputs: Tensor | None, part: str = "", tops: int = 1, **attrs: Any
    ) -> Tensor:
        """One node; without `part` it writes the layer's first `tops` tops (0: all)."""
        layer = self.layer
        outputs = [self._output(f"{layer.name}/{part}")] if part else self._tops(tops)
        name = layer.name + (f"/{part}" if part else "")
        self.net.used.update(t.name for t in inputs if t is not None)
        scope = tuple(filter(None, name.split("/")))
        node = Node(op, inputs, tuple(outputs), attrs, name, scope, f"{layer.type} layer")
        self.net.nodes.append(node)
        return outputs[0]

    def _tops(self, count: int) -> list[Tensor]:
        tops = self.layer.tops or [self.layer.name]
        tops = tops if count == 0 else tops[:count]
        outputs = [self._output(t) for t in tops]
        self.net.blobs.update(zip(tops, outputs))
        return outputs

    def to(self, top: str) -> Emit:
        """The same layer, writing another top."""
        self.layer = Layer({**self.layer.message, "top": [top]})
        return self

    def _output(self, name: str) -> Tensor:
        unique = name if name not in self.net.names else f"{name}@{self.layer.name}"
        while unique in self.net.names:
            unique += "'"
        self.net.names.add(unique)
        return Tensor(unique)

    def weight(self, kind: str, shape: Any = None, trainable: bool = True) -> Tensor:
        """The next parameter blob; layers that name the same param share it."""
        params = self.layer.all("param")
        spec = params[self.blobs] if self.blobs < len(params) else {}
        shared = Layer(spec).text("name") if isinstance(spec, dict) else str(spec)
        self.blobs += 1
        name = shared or f"{self.layer.name}.{kind}"
        return Tensor(name, shape, role="weight", trainable=trainable)
