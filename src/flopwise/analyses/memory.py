"""How much memory a forward pass holds: weights, live tensors over time, the peak and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flopwise import ops
from flopwise.analyses import buffers
from flopwise.analyses.callers import returns
from flopwise.analyses.liveness import KEPT, Instant, walk
from flopwise.analyses.scratch import BLOCKED, EAGER, ONNXRUNTIME, scratched
from flopwise.dims import Dim, Expr, floordiv, maximum, prod
from flopwise.errors import UnknownName, nearest
from flopwise.graph import BITS, Graph, Node, every_tensor
from flopwise.passes import runtimes

RUNTIMES = ("eager", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Moment:
    """One step in time: the operator that runs, and the bytes alive while it does."""

    name: str
    op: str
    live_bytes: Dim


@dataclass(frozen=True)
class Memory:
    """Bytes. `live_at_peak` are the tensors alive at the peak with their bytes, largest first.

    `feature_bytes` is every layer's output kept, activations in place: the "feature memory"
    of convnet-burden.
    """

    weights_bytes: Dim
    by_dtype: dict[str, Dim]
    peak_activation_bytes: Dim
    peak_at: str
    live_at_peak: tuple[tuple[str, Dim], ...]
    feature_bytes: Dim
    timeline: tuple[Moment, ...]

    @property
    def peak_bytes(self) -> Dim:
        """Weights and the most that lives beside them."""
        return self.weights_bytes + self.peak_activation_bytes


def memory(graph: Graph, runtime: str = "eager", fused: str = "", im2col: bool = False) -> Memory:
    """The memory of one forward pass, as a runtime plans its buffers; after the fusion of the
    runtime `fused`, where it is given. `im2col`: with the columns that a convolution by matrix
    product unfolds an image into, unless its window is one element.

    Raises UnknownName for a runtime that is not known.
    """
    graph = _worked(unfolded(graph) if im2col else graph, runtime, fused == runtime)
    graph = runtimes.find(fused).merged(graph) if fused else graph
    by_dtype = kept(graph)
    steps = list(_steps(graph, runtime))
    peak, place = _peak(steps)
    live = sorted(steps[place][1].items(), key=lambda item: _rank(item[1])) if steps else []
    return Memory(
        weights_bytes=sum(by_dtype.values(), 0),
        by_dtype=by_dtype,
        peak_activation_bytes=peak,
        peak_at=steps[place][0].name if steps else "",
        live_at_peak=tuple(live),
        feature_bytes=_features(graph),
        timeline=tuple(moment for moment, _ in steps),
    )


def kept(graph: Graph) -> dict[str, Dim]:
    """Bytes by dtype of what is there before an input comes and after."""
    by_dtype: dict[str, Dim] = {}
    for tensor in every_tensor(graph):
        if tensor.role in KEPT and tensor.known:
            by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + tensor.bytes
    return by_dtype


def unfolded(graph: Graph) -> Graph:
    """Convolutions with the workspace of im2col: a window for each output place, of one image
    and all of its channels (Chellapilla, Puri and Simard 2006, section 3)."""
    return replace(graph, nodes=tuple(map(_unfold, graph.nodes)))


def _unfold(node: Node) -> Node:
    entry = ops.find(node.op)
    known = all(t is None or t.known for t in (*node.inputs, *node.outputs))
    if node.op != "conv" or entry is None or not known:
        return node
    axes = ops.bind(node, entry)
    window = prod(axes["k"])
    if window == 1:
        return node
    columns = axes["c"] * window * prod(axes["y"])
    bits = BITS[node.outputs[0].dtype]
    return replace(node, attrs={**node.attrs, "workspace": floordiv(columns * bits, 8)})


def timeline(graph: Graph, runtime: str = "eager") -> tuple[Moment, ...]:
    """The bytes alive while each operator runs, without the search for the most, which between
    free sizes is long."""
    return tuple(moment for moment, _ in _steps(_worked(graph, runtime), runtime))


def _worked(graph: Graph, runtime: str, fused: bool = False) -> Graph:
    """The graph with what the kernels of a runtime need beside their results, as far as known.
    Of graphs that are to be `fused` too, the runtime may choose others."""
    if runtime not in RUNTIMES:
        raise UnknownName(f"no runtime '{runtime}'; {nearest(runtime, list(RUNTIMES))}")
    if runtime == "onnxruntime":
        return scratched(graph, BLOCKED if fused else ONNXRUNTIME)
    return scratched(graph, EAGER) if graph.format == "torch" else graph


def _rank(size: Dim) -> tuple[bool, int]:
    return (False, 0) if isinstance(size, Expr) else (True, -size)


def _peak(steps: list[tuple[Moment, dict[str, Dim]]]) -> tuple[Dim, int]:
    peak: Dim = 0
    place = 0
    for i, (moment, _) in enumerate(steps):
        higher = maximum(peak, moment.live_bytes)
        if higher != peak:
            peak, place = higher, i
    return peak, place


def _steps(graph: Graph, runtime: str) -> Iterator[tuple[Moment, dict[str, Dim]]]:
    """Each operator with the storages that live while it runs."""
    for at in _lived(graph, runtime):
        inside = _inside(at.node, runtime)
        yield Moment(at.node.name, at.node.op, at.bytes + inside), dict(at.live)


def _lived(graph: Graph, runtime: str) -> Iterator[Instant]:
    """By onnxruntime's plan; as Python holds them where it runs the modules; else in bare need."""
    if runtime == "onnxruntime":
        return buffers.walk(graph)
    if graph.format == "torch":
        return walk(graph, held=True, until=returns(graph))
    return walk(graph)


def _inside(node: Node, runtime: str) -> Dim:
    """The peak inside the body of a loop or a branch."""
    bodies = (*node.attrs.get("branches", ()), *filter(None, (node.attrs.get("body"),)))
    peak: Dim = 0
    for body in bodies:
        peak = maximum(peak, _peak(list(_steps(_worked(body, runtime), runtime)))[0])
    return peak


def _features(graph: Graph) -> Dim:
    """The outputs of all operators but views and single-operand activations."""
    total: Dim = 0
    for node in graph.nodes:
        entry = ops.find(node.op)
        alone = len([t for t in node.inputs if t is not None]) == 1
        if entry is not None and (entry.view or (entry.family == "pointwise" and alone)):
            continue
        total = total + sum((t.bytes for t in node.outputs if t.known), 0)
    return total
