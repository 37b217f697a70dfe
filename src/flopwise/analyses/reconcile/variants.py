"""The same network altered as published ones differ: strides, rounding, image size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

from flopwise.analyses.reconcile.claim import Claim
from flopwise.analyses.reconcile.features import features
from flopwise.analyses.reconcile.readings import Variant
from flopwise.dims import Dim, symbol
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph, Node
from flopwise.passes.infer import infer
from flopwise.profile import Profile, profile

SIDES = (224, 256, 299, 320, 384, 448, 512, 192, 160, 128, 227, 240, 260, 288, 300, 331, 380, 416,
         456, 528, 600, 608, 640, 800, 1024, 1280)  # fmt: skip

# The graph at another image size (height, width).
Rebuild = Callable[[Dim, Dim], Graph]


def variants(
    base: Profile, claim: Claim, rebuild: Rebuild | None, said: list[str] | None = None
) -> Iterator[Variant]:
    """The network itself, then altered ones; an alteration that does not fit is left out. Why
    no other input size could be tried is entered in `said`."""
    batch, size = _batch(base.graph), _side(base.graph)
    own = f"{size[0]} x {size[1]}" if size else ""
    elsewhere = claim.size is not None and claim.size != size
    yield Variant((), 2.5 if elsewhere else 0.0, features(base), batch, own)
    if claim.unit not in ("macs", "flops", "", "activations"):
        return
    for words, instead, cost, change in ALTERATIONS:
        nodes = change(base.graph)
        if nodes != base.graph.nodes and (altered := _counted(base, nodes)) is not None:
            yield Variant((words,), cost, features(altered), batch, own, instead)
    if rebuild is not None and size is not None:
        try:
            free = profile(rebuild(symbol("height"), symbol("width")), base.convention)
        except FlopwiseError as error:
            (said if said is not None else []).append(str(error))
        else:
            yield from _resized(base, claim, free, rebuild)


def _batch(graph: Graph) -> int:
    first = graph.inputs[0].sizes[:1] if graph.inputs else ()
    return first[0] if first and isinstance(first[0], int) else 1


def _side(graph: Graph) -> tuple[Dim, Dim] | None:
    """Height and width of the one image that goes in."""
    images = [t.sizes for t in graph.inputs if len(t.sizes) == 4]
    return images[0][2:] if len(images) == 1 and images[0][1] in (1, 3, 4) else None


def _counted(base: Profile, nodes: tuple[Node, ...]) -> Profile | None:
    """The profile of altered nodes, their shapes inferred anew."""
    opened = tuple(
        replace(n, outputs=tuple(replace(t, shape=None, value=None) for t in n.outputs))
        for n in nodes
    )
    try:
        graph = infer(replace(base.graph, nodes=opened))
        altered = profile(graph, base.convention)
    except FlopwiseError:
        return None
    return altered if len(altered.unknown) == len(base.unknown) else None


def _resized(base: Profile, claim: Claim, free: Profile, rebuild: Rebuild) -> Iterator[Variant]:
    """One symbolic count, read at every side that people use."""
    found, own, batch = features(free), _side(base.graph), _batch(base.graph)
    for height, width in dict.fromkeys([*filter(None, [claim.size]), *((s, s) for s in SIDES)]):
        if (height, width) == own or (claim.size and (height, width) != claim.size):
            continue
        try:
            at = found.at(height=height, width=width)
            holds = free.graph.holds(height=height, width=width)
        except ZeroDivisionError:  # a size that the network cannot take
            continue
        if isinstance(at.macs, int) and at.params == base.params:
            cost = 0.0 if claim.size else 2.5
            size = f"{height} x {width}"
            instead = f"{own[0]} x {own[1]}" if own else ""
            again = partial(_again, base, rebuild, (height, width), (at.macs, at.ops))
            yield Variant((f"at an input of {size}",), cost, at, batch, size, instead,
                          *() if holds else (cache(again),))  # fmt: skip


def _again(base: Profile, rebuild: Rebuild, size: tuple[int, int], found: tuple[Dim, Dim]) -> bool:
    """Whether a count at the numbers gives what the symbolic one gave, where that was decided by
    another size: some networks take one size only, or pad at some sizes."""
    try:
        counted = profile(rebuild(*size), base.convention).total()
    except FlopwiseError:
        return False
    return (counted.mac, counted.ops) == found


def _strides(graph: Graph, early: bool) -> tuple[Node, ...]:
    """Move a stride of 2 between the 1x1 and the 3x3 convolution of a bottleneck."""
    nodes = {n.name: n for n in graph.nodes}
    after = _next_convolution(graph)
    for node in graph.nodes:
        follower = nodes.get(after.get(node.name, ""))
        if follower is None or _kernel(node) != 1 or _kernel(follower) != 3:
            continue
        first, second = _stride(nodes[node.name]), _stride(follower)
        if (first, second) == ((1, 2) if early else (2, 1)):
            for name, stride in ((node.name, second), (follower.name, first)):
                changed = {**nodes[name].attrs, "stride": stride}
                nodes[name] = replace(nodes[name], attrs=changed)
    return tuple(nodes[n.name] for n in graph.nodes)


def _next_convolution(graph: Graph) -> dict[str, str]:
    """The convolution that each convolution feeds, past norms and activations."""
    source: dict[str, str] = {}
    found: dict[str, str] = {}
    for node in graph.nodes:
        data = node.inputs[0] if node.inputs else None
        origin = source.get(data.name, "") if data is not None else ""
        if node.op == "conv":
            found.setdefault(origin, node.name)
            origin = node.name
        elif len([t for t in node.inputs if t is not None and t.role == "activation"]) > 1:
            origin = ""
        source.update((t.name, origin) for t in node.outputs)
    return found


def _kernel(node: Node) -> Dim:
    if node.op != "conv" or len(node.weights) == 0 or len(node.weights[0].sizes) != 4:
        return 0
    return node.weights[0].sizes[-1]


def _stride(node: Node) -> Any:
    stride = node.attrs.get("stride", 1)
    return stride[0] if isinstance(stride, (tuple, list)) and len(set(stride)) == 1 else stride


def _rounding(graph: Graph, ceil: bool) -> tuple[Node, ...]:
    """Round every pooling window up, or down."""

    def change(node: Node) -> Node:
        if node.op not in ("max_pool", "avg_pool"):
            return node
        return replace(node, attrs={**node.attrs, "ceil": ceil})

    return tuple(map(change, graph.nodes))


ALTERATIONS: tuple[tuple[str, str, float, Callable[[Graph], tuple[Node, ...]]], ...] = (
    ("stride on the 1x1 convolution (ResNet v1)", "v1.5", 0.25, lambda g: _strides(g, early=True)),
    ("stride on the 3x3 convolution (ResNet v1.5)", "v1", 0.25, lambda g: _strides(g, early=False)),
    ("pooling windows rounded down", "windows rounded up", 2.0, lambda g: _rounding(g, ceil=False)),
    ("pooling windows rounded up", "windows rounded down", 2.0, lambda g: _rounding(g, ceil=True)),
)
