"""The honest readings of a count: what else people mean by it, and how common that is.

Each departure from plain reading (multiply-adds or twice as many, of every contraction, one
input, forward) has a cost: the less common, the higher. The costs are judgements that only
order the readings; they were set with the claims of docs/claims.md in view that are not held
out, and altered claims say how often a number without relation is explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

from flopwise.analyses.reconcile.claim import Claim
from flopwise.analyses.reconcile.features import Features
from flopwise.dims import Dim

DEAREST = 5.0
CUT, PADDED = 1.0, 1.5

# The counters whose numbers papers and model cards print; of others a paper says so.
QUOTED = ("fvcore", "thop", "thop-2019", "ptflops", "timm", "torch", "calflops", "mmengine", "mmcv")
CLASSES = (1000, 1001, 21841, 21843, 100, 10, 365)
BATCHES = (2, 4, 8, 10, 16, 32, 64, 128, 256)
LETTERS = {3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}

PLAIN = "multiply-adds"
FACTORS = (
    (PLAIN, 1, 0.0),
    ("FLOPs (2 per multiply-add)", 2, 0.0),
    ("multiply-adds of forward and backward (3 per multiply-add)", 3, 2.5),
    ("FLOPs of forward and backward (6 per multiply-add)", 6, 2.5),
)
# By unit: what it costs to read it as multiply-adds, or as two operations for each.
STATED = {"macs": (0.0, 2.5), "flops": (0.5, 0.5), "": (0.5, 0.5)}
WITHOUT = (
    ("attention", "without the products inside attention", 0.5),
    ("side", "without the auxiliary classifiers", 0.5),
    ("head", "without the classifier (features only)", 1.5),
)
EXTRA = {
    "bias": "with biases",
    "norm": "with normalisation (2 per element)",
    "activation": "with activations (1 per element)",
    "pool": "with pooling (1 per element under a window)",
    "elementwise": "with elementwise arithmetic",
    "softmax": "with softmax",
}
PARAMS = (
    ("statistics", "without stored batch-norm statistics", 0.5),
    ("folded", "with batch norms folded into convolutions", 1.0),
    ("norms", "without batch norms", 1.0),
    ("buffers", "with buffers", 1.5),
    ("tied", "with tied weights counted at each use", 1.5),
    ("head", "without the classifier", 1.0),
    ("embedding", "without embeddings", 1.0),
    ("side", "without auxiliary classifiers", 0.5),
)


@dataclass(frozen=True)
class Variant:
    """The network as it is, or altered: another input size, stride or rounding.

    `instead` says what the network has where `departures` say what it was altered to;
    `confirmed` whether the network, counted so, has these features: asked of what explains.
    """

    departures: tuple[str, ...]
    cost: float
    features: Features
    batch: int = 1
    size: str = ""
    instead: str = ""
    confirmed: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Sum:
    """times x (first, less the others of `core`) + more, and what is done to it after."""

    core: tuple[Any, ...]
    times: int = 1
    more: tuple[Any, ...] = ()
    after: tuple[tuple[str, float], ...] = ()

    @property
    def value(self) -> float:
        value = float(self.times * (2 * self.core[0] - sum(self.core)) + sum(self.more))
        for _, factor in self.after:
            value *= factor
        return value

    def then(self, words: str, factor: float) -> Sum:
        return Sum(self.core, self.times, self.more, (*self.after, (words, factor)))


@dataclass(frozen=True)
class Option:
    """One way to count: what is counted, how it departs from the plain way, and its price."""

    counted: str
    departures: tuple[str, ...]
    cost: float
    sum: Sum


@dataclass(frozen=True)
class Reading:
    """A value, comparable to the claim's, and the departures that lead to it.

    `unit` is what the claim's prefix means where that is no power of ten: "2^30", and
    `scaled` the value in it. It is `cut` where it may lie a digit above the claim, and `padded`
    with so many zeros that are no digits.
    """

    counted: str
    departures: tuple[str, ...]
    cost: float
    value: float
    sum: Sum
    variant: Variant
    unit: str = ""
    scaled: float = 0.0
    cut: bool = False
    padded: int = 0


def readings(variants: list[Variant], claim: Claim, tool: str = "") -> Iterator[Reading]:
    """Every reading of a claim up to a cost."""
    for variant in variants:
        left = DEAREST - variant.cost
        found = _options(variant.features, claim, tool)
        options = [o for o in found if o.cost <= left and o.sum.value > 0]
        ways = [*product(_batches(variant, claim), _prefixes(claim))]
        for option, (batch, prefix) in product(options, ways):
            cost = variant.cost + option.cost + batch[1] + prefix[1]
            if cost > DEAREST:
                continue
            total = option.sum.then(batch[2], batch[3]) if batch[0] else option.sum
            said = (*variant.departures, *option.departures, *filter(None, (batch[0], prefix[0])))
            value = total.value * prefix[3]
            scaled = value / 10**claim.power
            plain = Reading(option.counted, said, cost, value, total, variant, prefix[2], scaled)
            yield from _written(plain, claim.zeros)


def _written(plain: Reading, zeros: int) -> Iterator[Reading]:
    """The ways to write a number: rounded or cut, to its digits or to those before its zeros."""
    for padded, cut in product((0, zeros) if zeros else (0,), (False, True)):
        cost = plain.cost + PADDED * bool(padded) + CUT * cut
        digits = "the digits before its last zeros" if padded else "its digits"
        if cost <= DEAREST:
            words = f"cut to {digits}, not rounded" if cut else f"rounded to {digits}"
            said = (*plain.departures, *(words,) * (cut or padded > 0))
            yield replace(plain, departures=said, cost=cost, cut=cut, padded=padded)


def _options(f: Features, claim: Claim, tool: str) -> Iterator[Option]:
    if claim.unit in ("params", "active_params", "non_embedding_params"):
        yield from _params(f, claim.unit)
    elif claim.unit == "bytes":
        yield from _bytes(f)
    elif claim.unit == "activations":
        yield Option("the output elements of contractions", (), 0, Sum((f.activations,)))
    else:
        yield from _contractions(f, claim)
        yield from _tools(f, tool)


def _contractions(f: Features, claim: Claim) -> Iterator[Option]:
    """Contractions, some of them left out, and other operations added."""
    stated = STATED[claim.unit]
    for (counted, times, more), (words, core, cost) in product(FACTORS, _cores(f)):
        price = stated[times % 2 == 0] + more + cost
        yield Option(counted, words, price, Sum(core, times))
        for names in _extras(f) if times < 3 else ():
            added = tuple(f.extras[name] for name in names)
            yield Option(
                counted, (*words, *(EXTRA[name] for name in names)),
                price + 1.75 + len(names) / 2, Sum(core, times, added),
            )  # fmt: skip
    yield Option("every elementary operation, one by one", (), 1.5, Sum((f.ops,)))


def _cores(f: Features) -> Iterator[tuple[tuple[str, ...], tuple[Dim, ...], float]]:
    """Which contractions: all, or without one of the parts that are often left out."""
    yield (), (f.macs,), 0
    for name, words, cost in WITHOUT:
        if f.macs_without[name]:
            yield (words,), (f.macs, f.macs_without[name]), cost
    for classes, change in _classes(f, f.head):
        yield (f"for {classes} classes",), (f.macs, change), 2.5


def _extras(f: Features) -> Iterator[tuple[str, ...]]:
    names = [name for name, amount in f.extras.items() if amount]
    for count in range(1, len(names) + 1):
        yield from combinations(names, count)


def _classes(f: Features, head: Dim) -> Iterator[tuple[int, Dim]]:
    """The classifier with another number of classes, and how much less it is."""
    for classes in CLASSES:
        if f.classes and classes != f.classes:
            yield classes, head - head * classes // f.classes


def _tools(f: Features, tool: str) -> Iterator[Option]:
    for name, (value, head) in f.tools.items():
        named = 0.0 if name == tool else 2.0 if name in QUOTED else 3.0
        yield Option(f"what {name} prints", (), named, Sum((value,)))
        if head:
            without = ("without the classifier (features only)",)
            yield Option(f"what {name} prints", without, named + 1.5, Sum((value, head)))
        if name in QUOTED and name != tool:
            yield Option(f"twice what {name} prints", (), 3.0, Sum((value,), 2))


def _params(f: Features, unit: str) -> Iterator[Option]:
    """Learned parameters, with parts left out or added, one or two at a time."""
    active = unit == "active_params"
    words = "the parameters that one token uses"
    if active or f.active != f.params:
        cost = 0.0 if active else 1.5
        yield Option(words, (), cost, Sum((f.active,)))
        lookups = "without tables that are only looked up"
        if f.active_without_lookups:
            yield Option(words, (lookups,), cost + 0.5, Sum((f.active_without_lookups,)))
    if active:
        return
    known = "embedding" if unit == "non_embedding_params" else ""
    parts = [p for p in PARAMS if f.params_other[p[0]] and p[0] != known]
    base = (f.params, -f.params_other[known]) if known else (f.params,)
    said = ("without embeddings",) if known else ()
    for count in range(3):
        for chosen in combinations(parts, count):
            core = (*base, *(-f.params_other[name] for name, _, _ in chosen))
            departures = (*said, *(words for _, words, _ in chosen))
            cost = sum(price for _, _, price in chosen)
            yield Option("the learned parameters", departures, cost, Sum(core))
    for classes, change in _classes(f, f.params_head):
        yield Option(
            "the learned parameters", (*said, f"for {classes} classes"), 2.5, Sum((*base, change))
        )


def _bytes(f: Features) -> Iterator[Option]:
    """What the parameters take, with or without buffers, in the usual types."""
    for size, name, cost in ((4, "float32", 0.5), (2, "half precision", 1.5), (1, "int8", 2.0)):
        words = f"the bytes of the learned parameters in {name}"
        yield Option(words, (), cost, Sum((f.params,), size))
        if f.buffers:
            more = Sum((f.params, -f.buffers), size)
            yield Option(words, ("with buffers",), cost + 0.5, more)
    if f.stored not in (4 * f.params, 2 * f.params, f.params):
        yield Option("the bytes of the learned parameters as stored", (), 0.0, Sum((f.stored,)))


def _batches(variant: Variant, claim: Claim) -> list[tuple[str, float, str, float]]:
    """A network whose file states a batch is read per sample too; one of one sample, as a batch."""
    found = [("", 0.0, "", 1.0)]
    if claim.unit not in ("macs", "flops", "", "activations"):
        return found
    if variant.batch != 1:
        words = f"per sample of the batch of {variant.batch}"
        return [*found, (words, 0.5, f"/ {variant.batch}", 1 / variant.batch)]
    return found + [(f"for a batch of {n}", 3.0, f"x {n}", float(n)) for n in BATCHES]


def _prefixes(claim: Claim) -> list[tuple[str, float, str, float]]:
    """1 G is 1e9, or 2^30 as some tools have it; of bytes, either is common."""
    decimal = ("", 0.0, "", 1.0)
    if claim.power == 0:
        return [decimal]
    power = claim.power // 3 * 10
    words = f"1 {LETTERS.get(claim.power, 'G')} = 2^{power}"
    cost = 0.0 if claim.unit == "bytes" else 2.5
    return [decimal, (words, cost, f"2^{power}", float(1 / claim.binary))]
