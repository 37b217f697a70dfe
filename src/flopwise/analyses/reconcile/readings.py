"""The honest readings of a count: what else people mean by it, and how common that is.

Each departure from plain reading (multiply-accumulates or twice as many, of every
contraction, one input, forward) has a cost: the less common, the higher. The costs are
judgements that only order the readings; they were set with the table of docs/claims.md in
view, whose wrong claims say how often a number without relation is explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from flopwise.analyses.reconcile.claim import Claim
from flopwise.analyses.reconcile.features import Features

DEAREST = 5.0
CUT = 1.0

# The counters whose numbers papers and model cards print; of others a paper says so.
QUOTED = ("fvcore", "thop", "ptflops", "timm", "torch", "calflops", "mmengine")


@dataclass(frozen=True)
class Variant:
    """The network as it is, or altered: another input size, stride or rounding."""

    departures: tuple[str, ...]
    cost: float
    features: Features
    batch: int = 1


@dataclass(frozen=True)
class Option:
    """One way to read one thing; plain when it has no words."""

    words: str
    cost: float
    value: Any


@dataclass(frozen=True)
class Reading:
    """A value and the departures that lead to it."""

    departures: tuple[str, ...]
    cost: float
    value: float
    counted: str
    cut: bool = False


def readings(variants: list[Variant], claim: Claim, tool: str = "") -> Iterator[Reading]:
    """Every reading of a claim up to a cost."""
    for variant in variants:
        scopes = _params(variant.features) if claim.unit == "params" else (
            _activations(variant.features) if claim.unit == "activations"
            else [*_amounts(variant, claim, tool)]
        )  # fmt: skip
        for scope, batch, prefix in product(scopes, _batches(variant), _prefixes(claim)):
            cost = variant.cost + scope.cost + batch.cost + prefix.cost
            if cost > DEAREST:
                continue
            words = (*variant.departures, *filter(None, (batch.words, prefix.words)))
            value = float(scope.value) * batch.value * prefix.value
            if value > 0:
                counted, _, departure = scope.words.partition("|")
                departures = (*filter(None, departure.split("|")), *words)
                yield Reading(departures, cost, value, counted)
                if cost + CUT <= DEAREST:
                    cut = (*departures, "cut, not rounded, to its last digit")
                    yield Reading(cut, cost + CUT, value, counted, cut=True)


def _amounts(variant: Variant, claim: Claim, tool: str) -> Iterator[Option]:
    """Operations: contractions with parts left out, or a tool's own way of counting."""
    f = variant.features
    stated = {"macs": (0.0, 2.5), "flops": (0.5, 0.5), "": (0.5, 0.5)}[claim.unit]
    factors = [
        Option("multiply-accumulates", stated[0], 1),
        Option("FLOPs (2 per multiply-accumulate)", stated[1], 2),
        Option("FLOPs of forward and backward (6 per multiply-accumulate)", stated[1] + 2.5, 6),
    ]
    for factor, part in product(factors, _parts(f)):
        yield Option(
            f"{factor.words} of {part.words}", factor.cost + part.cost, factor.value * part.value
        )
    yield Option("every elementary operation, one by one", 1.5, f.ops)
    for name, value in f.tools.items():
        named = 0.0 if name == tool else 2.0 if name in QUOTED else 3.0
        yield Option(f"what {name} prints", named, value)
        if name in QUOTED and name != tool:
            words = f"twice what {name} prints"
            yield Option(words, 3.0, 2 * value)


def _parts(f: Features) -> Iterator[Option]:
    """Which contractions: all, or without one of the parts that are often left out."""
    everything = "all convolutions, matrix products and recurrent cells"
    yield Option(everything, 0, f.macs)
    without = [
        ("the products inside attention", f.attention, 0.5),
        ("the auxiliary classifiers", f.side, 0.5),
        ("the classifier (features only)", f.head, 1.5),
    ]
    for what, amount, cost in without:
        if amount:
            yield Option(f"all contractions|without {what}", cost, f.macs - amount)
    if f.bias:
        words = "all contractions|one more per output for bias"
        yield Option(words, 1.5, f.macs + f.bias)
    if f.classes:
        for classes in (1000, 1001, 21841, 21843, 100, 10, 365):
            if classes != f.classes:
                changed = f.macs + f.head * classes // f.classes - f.head
                yield Option(f"all contractions|for {classes} classes", 2.5, changed)


def _params(f: Features) -> list[Option]:
    found = [Option("learned parameters, each tensor once", 0, f.params)]
    other = [
        ("learned parameters|without stored batch-norm statistics", 0.5, -f.statistics),
        ("learned parameters|buffers counted too", 1.5, f.buffers),
        ("learned parameters|tied weights counted at each use", 1.5, f.params_shared),
        ("learned parameters|without the classifier", 1.0, -f.params_head),
        ("learned parameters|without embeddings", 1.0, -f.params_embedding),
        ("learned parameters|without auxiliary classifiers", 0.5, -f.params_side),
    ]
    found += [Option(words, cost, f.params + more) for words, cost, more in other if more != 0]
    if f.classes:
        for classes in (1000, 1001, 21841, 21843, 100, 10, 365):
            if classes != f.classes:
                changed = f.params + f.params_head * classes // f.classes - f.params_head
                words = f"learned parameters|for {classes} classes"
                found.append(Option(words, 2.5, changed))
    return found


def _activations(f: Features) -> list[Option]:
    return [Option("output elements of contractions", 0, f.activations)]


def _batches(variant: Variant) -> list[Option]:
    """A network whose file states a batch is read per sample too."""
    whole = Option("", 0.0, 1)
    if variant.batch == 1:
        return [whole]
    per_sample = Option(f"per sample of the batch of {variant.batch}", 0.5, 1 / variant.batch)
    return [whole, per_sample]


def _prefixes(claim: Claim) -> list[Option]:
    """1 G is 1e9, or 2^30 as some tools have it."""
    decimal = Option("", 0.0, 1.0)
    if claim.power == 0:
        return [decimal]
    binary = Option(
        f"1 {_LETTER.get(claim.power, 'G')} = 2^{claim.power // 3 * 10}",
        2.5,
        float(1 / claim.binary),
    )
    return [decimal, binary]


_LETTER = {3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
