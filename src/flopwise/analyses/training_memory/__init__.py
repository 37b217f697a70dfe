"""What a training step holds: weights, gradients, optimizer states, and what the forward keeps.

    peak = weights + master copies + optimizer states + the most that lives beside them

What lives beside them follows from the graph of the whole step: an activation lives from the
operator that makes it to the last gradient that reads it, a gradient of a weight until the update.
The step is one of many: optimizer states are there from its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from flopwise import ops
from flopwise.analyses.liveness import walk
from flopwise.analyses.training.step import Recipe, Training, phase, step
from flopwise.analyses.training_memory.explain import Formula, formulas
from flopwise.analyses.training_memory.fit import Fit
from flopwise.analyses.training_memory.peak import highest
from flopwise.analyses.training_memory.static import Static, static
from flopwise.dims import Dim, Expr
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph, Node

ACTIVATIONS, COPIES, FLOWING = "saved activations", "weight copies", "activation gradients"
GRADIENTS, AGAIN, TEMPORARY = "gradients", "recomputed", "optimizer temporaries"
WORKSPACE = "workspace"  # of the operator that runs: weights made whole
BY_PHASE = {"forward": ACTIVATIONS, "recomputation": AGAIN, "backward": FLOWING,
            "optimizer": TEMPORARY}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """One operator of the step, its phase, and the bytes alive while it runs, of all kinds."""

    name: str
    op: str
    phase: str
    live_bytes: Dim


@dataclass(frozen=True, slots=True)
class Living:
    """A tensor that lives at the peak."""

    name: str
    kind: str
    bytes: Dim


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step.

    `saved_bytes` is what the forward leaves for the backward, `saved_by_op` the same by the
    operator that made it; `at_peak` the bytes by kind at the peak, and `live_at_peak` what
    lives then beside the weights and states, largest first.
    """

    name: str
    recipe: Recipe
    static: Static
    saved_bytes: Dim
    saved_by_op: Mapping[str, Dim]
    peak_bytes: Dim
    peak_at: str
    peak_phase: str
    at_peak: Mapping[str, Dim]
    live_at_peak: tuple[Living, ...]
    timeline: tuple[Moment, ...]
    fit: Fit | None = None
    formulas: tuple[Formula, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)

    @property
    def weights_bytes(self) -> Dim:
        """Weights, buffers and constants as stored."""
        return self.static.weights_bytes

    @property
    def totals(self) -> dict[str, Dim | None]:
        """Bytes of each kind that there is, in all; None for what comes and goes."""
        fixed = self.static
        stay: dict[str, Dim | None] = {
            "weights": fixed.weights_bytes, "master weights": fixed.master_bytes,
            GRADIENTS: fixed.gradients_bytes, "optimizer states": fixed.optimizer_bytes,
            ACTIVATIONS: self.saved_bytes,
        }  # fmt: skip
        passing = dict.fromkeys(kind for kind in self.at_peak if kind not in stay)
        return {kind: size for kind, size in stay.items() if size != 0} | passing


def training_memory(graph: Graph, recipe: Recipe = Recipe()) -> TrainingMemory:  # noqa: B008
    """What one training step of a network holds. Raises FlopwiseError when nothing learns."""
    return of_step(step(graph, recipe))


def of_step(training: Training) -> TrainingMemory:
    """The same of a step that is a graph already. Raises FlopwiseError for a traced backward,
    which does not tell what the forward keeps."""
    if training.by == "trace":
        raise FlopwiseError("what a step keeps is known by rule: load it with mode='train-forward'")
    fixed, recipe = static(training), training.recipe
    graph = stepped(training)
    moments = tuple(_moments(graph, fixed.always(recipe)))
    peak, place = highest([moment.live_bytes for moment in moments])
    turn = next(i for i, m in enumerate(moments) if m.phase in ("backward", "recomputation"))
    living = {
        at.index: {**at.live, WORKSPACE: at.workspace}
        for at in walk(graph, held=True)
        if at.index in (place, turn)
    }
    kinds = _kinds(training)
    saved = {n: b for n, b in living[turn].items() if kinds.get(n) == ACTIVATIONS}
    alive = [Living(n, kinds.get(n, "inputs"), b) for n, b in living[place].items() if b != 0]
    found = TrainingMemory(
        training.forward.name, recipe, fixed, sum(saved.values(), 0), _by_op(training, saved),
        peak, moments[place].name, moments[place].phase, _parts(fixed, recipe, alive),
        tuple(sorted(alive, key=_rank)), moments,
        notes=tuple(_notes(training)), unknown=_unknown(graph),
    )  # fmt: skip
    return replace(found, formulas=tuple(formulas(found)))


def peak_bytes(training: Training) -> Dim:
    """The peak alone."""
    top, _ = highest([at.bytes for at in walk(stepped(training), held=True)])
    return static(training).always(training.recipe) + top


def _moments(graph: Graph, always: Dim) -> Iterator[Moment]:
    for at in walk(graph, held=True):
        named = str(at.node.attrs.get("of", at.node.op))
        yield Moment(at.node.name, named, phase(at.node), always + at.bytes)


def stepped(training: Training) -> Graph:
    """The graph whose lives are followed. Where gradients join sums that are there from the start
    and to the end, each ends where it is made."""
    if training.recipe.accumulate == 1:
        return training.graph
    graph, names = training.graph, {grad.name for _, grad in training.learned}

    def there(node: Node) -> Node:
        if phase(node) != "optimizer":
            return node
        inputs = tuple(t and replace(t, role="buffer") for t in node.inputs)
        return node.between(inputs, node.outputs)

    outputs = tuple(t for t in graph.outputs if t.name not in names)
    return replace(graph, nodes=tuple(map(there, graph.nodes)), outputs=outputs)


def _kinds(training: Training) -> dict[str, str]:
    """What each tensor of the step is, by its name."""
    found = {t.name: "inputs" for t in training.graph.inputs}
    for node in training.graph.nodes:
        copies = node.op == "cast" and all(t and t.role == "weight" for t in node.inputs)
        kind = COPIES if copies else BY_PHASE[phase(node)]
        found |= {t.name: kind for t in node.outputs}
    return found | {grad.name: GRADIENTS for _, grad in training.learned} | {WORKSPACE: WORKSPACE}


def _by_op(training: Training, saved: Mapping[str, Dim]) -> dict[str, Dim]:
    """Saved bytes by the operator that made them; what is kept for a gradient alone (masks,
    statistics) under `keep`."""
    makers = {t.name: n.op for n in training.graph.nodes for t in n.outputs}
    found: dict[str, Dim] = {}
    for name, size in saved.items():
        found[makers[name]] = found.get(makers[name], 0) + size
    return dict(sorted(found.items(), key=lambda item: _weight(item[1])))


def _parts(fixed: Static, recipe: Recipe, alive: list[Living]) -> dict[str, Dim]:
    """Bytes by kind at the peak."""
    found: dict[str, Dim] = {
        "weights": fixed.weights_bytes, "master weights": fixed.master_bytes,
        "optimizer states": fixed.optimizer_bytes,
        GRADIENTS: fixed.gradients_bytes if recipe.accumulate > 1 else 0,
    }  # fmt: skip
    for tensor in alive:
        found[tensor.kind] = found.get(tensor.kind, 0) + tensor.bytes
    return {kind: size for kind, size in found.items() if size != 0}


def _rank(tensor: Living) -> tuple[bool, int]:
    return _weight(tensor.bytes)


def _weight(size: Dim) -> tuple[bool, int]:
    """Largest first, and free sizes before numbers."""
    return (False, 0) if isinstance(size, Expr) else (True, -size)


def _notes(training: Training) -> Iterator[str]:
    if training.recipe.loss == "none":
        yield "the loss is outside the graph: --loss cross-entropy adds it"


def _unknown(graph: Graph) -> dict[str, int]:
    """Operators whose results, or whose gradients, are not known."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        if ops.find(node.op) is None or not all(t.known for t in node.outputs):
            origin = node.origin or node.op
            found[origin] = found.get(origin, 0) + 1
    return found
