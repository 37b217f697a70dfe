"""One training step as a graph: forward, backward, what is run again, and the update."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from flopwise import plugins
from flopwise.conventions import Convention
from flopwise.counts import ZERO, Counts
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.graph import Graph, Node, Tensor
from flopwise.ops import optimizers
from flopwise.ops.gradient import Autograd, smooth
from flopwise.passes.autocast import autocast
from flopwise.passes.backward import Segment, backward
from flopwise.passes.checkpoint import segments
from flopwise.passes.training import LOSSES, freeze, training, with_loss
from flopwise.passes.update import Kept, update
from flopwise.profile import Profile, Row, profile

PHASES = ("forward", "backward", "recomputation", "optimizer")
READINGS = ("flops", "macs", "ops")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, as far as it changes what a step costs.

    `amp` is the half precision of automatic mixed precision, empty for none; with `masters` the
    optimizer updates float32 copies of weights in half precision, and `states` is the type of what
    it keeps (empty: that of what it updates); `checkpoint` is one of
    `passes.checkpoint.CHECKPOINTING`, or the segments themselves.
    """

    optimizer: str = "adamw"
    loss: str = "none"
    frozen: tuple[str, ...] = ()
    accumulate: int = 1
    autograd: Autograd = field(default_factory=Autograd)
    foreach: bool = False
    amp: str = ""
    masters: bool = False
    checkpoint: str | tuple[Segment, ...] = "none"
    states: str = ""

    def __post_init__(self) -> None:
        _ = self.kept
        if self.loss not in LOSSES:
            raise UnknownName(f"no loss '{self.loss}'; {nearest(self.loss, list(LOSSES))}")
        if self.accumulate < 1:
            raise FlopwiseError(f"gradients cannot be accumulated over {self.accumulate} batches")

    @property
    def kept(self) -> Kept:
        return Kept(optimizers.find(self.optimizer), self.states, self.masters)


@dataclass(frozen=True)
class Training:
    """The graph of a step, and the learned tensors with their gradients; `by` tells
    where the backward is from, "rule" or "trace"."""

    forward: Graph
    graph: Graph
    learned: tuple[tuple[Tensor, Tensor], ...]
    recipe: Recipe
    by: str = "rule"

    @cached_property
    def profile(self) -> Profile:
        """The step, counted."""
        return profile(self.graph, reading("flops"))

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """What each phase computes, bytes included."""
        found = dict.fromkeys(PHASES, ZERO)
        for row in self.profile.rows:
            found[phase(row.node)] += row.total
            found["recomputation"] += again(row)
        return found

    def operations(self, reading: Convention) -> dict[str, Any]:
        """The same as numbers in one of the textbook readings."""
        return {name: counts.weigh(reading.weights) for name, counts in self.counts.items()}


def step(graph: Graph, recipe: Recipe = Recipe()) -> Training:
    """One step of training a network that is in inference or in training, or whose backward was
    traced already. Raises FlopwiseError when nothing in it learns."""
    if any(phase(node) == "backward" for node in graph.nodes):
        return _traced(graph, recipe)
    forward = with_loss(training(freeze(graph, recipe.frozen)), recipe.loss)
    forward = autocast(forward, recipe.amp, recipe.autograd.backend) if recipe.amp else forward
    rerun = recipe.checkpoint
    rerun = segments(forward, rerun) if isinstance(rerun, str) else rerun
    back = backward(forward, recipe.autograd, rerun)
    if not back.gradients:
        raise FlopwiseError(f"{graph.name or 'the model'}: no trainable weight to learn")
    whole = update(back.graph, back.gradients, recipe.kept, recipe.foreach)
    by_name = {t.name: t for t in whole.tensors()}
    learned = tuple((by_name[name], grad) for name, grad in back.gradients.items())
    return Training(forward, whole, learned, recipe)


def _traced(graph: Graph, recipe: Recipe) -> Training:
    """A step whose backward was traced: what learns takes an update."""
    forward = replace(graph, nodes=tuple(n for n in graph.nodes if phase(n) == "forward"))
    learned = {
        t.name: (t, Tensor(f"grad({t.name})", t.shape, t.dtype))
        for t in graph.tensors() if t.role == "weight" and t.trainable and smooth(t)
    }  # fmt: skip
    gradients = {name: grad for name, (_, grad) in learned.items()}
    whole = update(graph, gradients, recipe.kept, recipe.foreach)
    return Training(forward, whole, tuple(learned.values()), recipe, "trace")


def reading(name: str) -> Convention:
    """A textbook convention: those of tools say nothing of gradients. Raises UnknownName."""
    if name not in READINGS:
        raise UnknownName(f"training is counted in {', '.join(READINGS)}, not in '{name}'")
    found: Convention = plugins.load("conventions", name)
    return found


def phase(node: Node) -> str:
    """Which part of a step a node belongs to."""
    named = {"recompute": "recomputation"}
    found: str = node.attrs.get("phase", "forward")
    return named.get(found, found)


def again(row: Row) -> Counts:
    """Work of the forward that a fused gradient repeats."""
    repeated = row.node.attrs.get("again", ())
    return row.repeat * Counts(**dict(repeated)) if repeated else ZERO
