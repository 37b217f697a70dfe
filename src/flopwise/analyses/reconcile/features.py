"""What a network is made of, as far as readings of a count differ: a few totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flopwise import dims, plugins
from flopwise.analyses.reconcile import parts
from flopwise.dims import Dim
from flopwise.graph import Graph
from flopwise.profile import Profile, Row

TEXTBOOK = ("macs", "flops", "ops")


@dataclass(frozen=True)
class Features:
    """Totals of one variant of a network; sizes may still be symbols.

    `macs_without` are parts of `macs`, `params_other` what may be added to `params` or (when
    negative) left out, and `extras` operations that are no multiply-adds. `tools` holds the
    value in each known convention and the classifier's share of it, `kinds` the sorts of
    contractions.
    """

    macs: Dim
    ops: Dim
    activations: Dim
    head: Dim
    params: Dim
    params_head: Dim
    classes: Dim
    active: Dim
    active_without_lookups: Dim
    stored: Dim
    buffers: Dim
    kinds: tuple[str, ...] = ()
    macs_without: Mapping[str, Dim] = field(default_factory=dict)
    params_other: Mapping[str, Dim] = field(default_factory=dict)
    extras: Mapping[str, Dim] = field(default_factory=dict)
    tools: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def at(self, **sizes: Dim) -> Features:
        """The same with symbols replaced."""

        def numbers(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {k: numbers(v) for k, v in value.items()}
            if isinstance(value, tuple):
                return tuple(map(numbers, value))
            return value if isinstance(value, str) else dims.at(value, sizes)

        return Features(**{k: numbers(v) for k, v in vars(self).items()})


def features(profile: Profile) -> Features:
    """Read the totals off a profile."""
    rows = [r for r in profile.rows if r.counts is not None]
    side = _side(profile.graph)
    head = parts.head([r for r in rows if r.node.outputs[0].name not in side])
    kinds = profile.parameters
    params_head = head.params if head else 0
    return Features(
        macs=profile.total().mac,
        ops=profile.total().ops,
        activations=profile.activations,
        head=head.total.mac if head else 0,
        params=profile.params,
        params_head=params_head,
        classes=head.node.outputs[0].sizes[-1] if head else 0,
        active=profile.params if kinds.active is None else kinds.active,
        active_without_lookups=kinds.active_without_lookups or 0,
        stored=profile.weight_bytes,
        buffers=profile.buffers,
        kinds=parts.kinds(rows, head),
        macs_without={
            "attention": sum((r.total.mac for r in rows if parts.is_attention(r)), 0),
            "side": sum((r.total.mac for r in rows if r.node.outputs[0].name in side), 0),
            "head": head.total.mac if head else 0,
        },
        params_other={
            "statistics": -(profile.params - profile.trainable_params),
            "folded": -parts.folded(rows),
            "norms": -sum((r.params for r in rows if r.node.op in parts.BATCH_NORMS), 0),
            "buffers": profile.buffers,
            "tied": _uses(rows) - sum((r.params for r in rows), 0),
            "head": -params_head,
            "embedding": -kinds.embedding,
            "side": -sum((r.params for r in rows if r.node.outputs[0].name in side), 0),
        },
        extras=parts.extras(rows),
        tools=_tools(profile, head),
    )


def _uses(rows: list[Row]) -> Dim:
    return sum((t.size for r in rows for t in r.node.weights), 0)


def _side(graph: Graph) -> set[str]:
    """Tensors that lead to no main output: auxiliary classifiers. The last output is main."""
    if len(graph.outputs) < 2:
        return set()
    needed = {graph.outputs[-1].name}
    for node in reversed(graph.nodes):
        if any(t.name in needed for t in node.outputs):
            needed |= {t.name for t in node.inputs if t is not None}
    return {t.name for n in graph.nodes for t in n.outputs if t.name not in needed}


def _tools(profile: Profile, head: Row | None) -> dict[str, tuple[Any, Any]]:
    """The value in every convention but the textbook ones, and the classifier's share."""
    found = {}
    for name, convention in plugins.load_all("conventions").items():
        if name not in TEXTBOOK:
            read = replace(profile, convention=convention)
            found[name] = read.value(), read.value_of(head) if head else 0
    return found
