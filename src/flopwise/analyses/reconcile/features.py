"""What a network is made of, as far as readings of a count differ: a few totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flopwise import dims, plugins
from flopwise.dims import Dim
from flopwise.graph import Graph
from flopwise.profile import Profile, Row

FAMILIES = ("contraction", "attention", "recurrent")
LOOKUPS = ("embedding", "gather")


@dataclass(frozen=True)
class Features:
    """Totals of one variant of a network; sizes may still be symbols.

    `tools` holds the value in each known convention. `macs_*` and `params_*` are parts
    of `macs` and `params`.
    """

    macs: Dim
    ops: Dim
    bias: Dim
    attention: Dim
    head: Dim
    side: Dim
    activations: Dim
    params: Dim
    params_head: Dim
    params_side: Dim
    params_embedding: Dim
    params_shared: Dim
    buffers: Dim
    statistics: Dim
    classes: Dim
    tools: Mapping[str, Any] = field(default_factory=dict)

    def at(self, **sizes: Dim) -> Features:
        """The same with symbols replaced."""
        numbers = {k: dims.at(v, sizes) for k, v in vars(self).items() if k != "tools"}
        return Features(**numbers, tools={k: dims.at(v, sizes) for k, v in self.tools.items()})


def features(profile: Profile) -> Features:
    """Read the totals off a profile."""
    rows = [r for r in profile.rows if r.counts is not None]
    side = _side(profile.graph)
    head = _head([r for r in rows if r.node.outputs[0].name not in side])
    sums = _sums(rows, side)
    uses: Dim = sum((t.size for r in rows for t in r.node.weights), 0)
    single = sum((r.params for r in rows), 0)
    return Features(
        macs=profile.total().mac,
        ops=profile.total().ops,
        activations=profile.activations,
        head=head.total.mac if head else 0,
        params_head=head.params if head else 0,
        classes=head.node.outputs[0].sizes[-1] if head else 0,
        params=profile.params,
        params_shared=uses - single,
        buffers=profile.buffers,
        statistics=profile.params - profile.trainable_params,
        tools=_tools(profile),
        **sums,
    )


def _sums(rows: list[Row], side: set[str]) -> dict[str, Dim]:
    sums: dict[str, Dim] = dict.fromkeys(
        ("bias", "attention", "side", "params_side", "params_embedding"), 0
    )
    for row in rows:
        node, counts = row.node, row.total
        if counts.mac != 0:
            sums["bias"] += counts.add if node.op in ("conv", "linear", "conv_transpose") else 0
            sums["attention"] += counts.mac if _is_attention(row) else 0
        if node.outputs[0].name in side:
            sums["side"] += counts.mac
            sums["params_side"] += row.params
        if node.op in LOOKUPS:
            sums["params_embedding"] += row.params
    return sums


def _is_attention(row: Row) -> bool:
    """A fused attention, or a product of two activations."""
    return row.node.op == "attention" or (row.node.op == "matmul" and not row.node.weights)


def _head(rows: list[Row]) -> Row | None:
    """The last contraction with weights: the classifier, in a network that has one."""
    heads = [r for r in rows if r.total.mac != 0 and r.node.weights]
    return heads[-1] if len(heads) > 1 else None


def _side(graph: Graph) -> set[str]:
    """Tensors that lead to no main output: auxiliary classifiers. The last output is main."""
    if len(graph.outputs) < 2:
        return set()
    needed = {graph.outputs[-1].name}
    for node in reversed(graph.nodes):
        if any(t.name in needed for t in node.outputs):
            needed |= {t.name for t in node.inputs if t is not None}
    return {t.name for n in graph.nodes for t in n.outputs if t.name not in needed}


def _tools(profile: Profile) -> dict[str, Any]:
    """The value in every convention but the textbook ones."""
    found = {}
    for name, convention in plugins.load_all("conventions").items():
        if name in ("macs", "flops", "ops"):
            continue
        found[name] = replace(profile, convention=convention).value()
    return found
