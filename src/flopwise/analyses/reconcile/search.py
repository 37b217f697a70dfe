"""Which readings explain a claim, and how easily one would have done so by chance.

Readings are tried from the most common on. Each covers the claims that it would explain,
an interval as wide as the claim's own rounding. The share of all values within 40 % of the
claim that the readings up to some cost cover is the probability that a number without any
relation would have been explained just as well; past a small share, a hit means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flopwise.analyses.reconcile.claim import Claim
from flopwise.analyses.reconcile.readings import Reading

REACH = 0.4
CHANCE = 0.1


@dataclass(frozen=True)
class Explanation:
    """A reading that lands within the claim's rounding, with the chance of such a hit."""

    reading: Reading
    error: float
    chance: float


@dataclass(frozen=True)
class Verdict:
    """The explanations, likeliest first; `near` are hits too likely by chance to count;
    `unsearched` says why no other input size was tried, where none could be."""

    claim: Claim
    explanations: tuple[Explanation, ...]
    near: tuple[Explanation, ...]
    tried: int
    unsearched: str = ""

    @property
    def explained(self) -> bool:
        return bool(self.explanations)


def search(claim: Claim, readings: Iterable[Reading]) -> Verdict:
    """Rank the readings that land on the claim."""
    value, half = float(claim.value), float(claim.half)
    every = sorted(readings, key=lambda r: (r.cost, len(r.departures)))
    reach = [r for r in every if abs(r.value - value) <= REACH * value + 2 * half]
    covered: list[tuple[float, float]] = []
    found: list[Explanation] = []
    for cost in sorted({r.cost for r in reach}):
        level = [r for r in reach if r.cost == cost]
        covered = _union(covered + [_explains(r, half) for r in level], value)
        chance = sum(b - a for a, b in covered) / (2 * REACH * value)
        hits = [r for r in level if _hits(r, value, half) and r.variant.confirmed()]
        found += [Explanation(r, (r.value - value) / value, min(chance, 1.0)) for r in hits]
    found.sort(key=lambda e: (e.reading.cost, abs(e.error)))
    sure = [e for e in found if e.chance <= CHANCE or e.reading.cost <= 0.5]
    near = [e for e in found if e not in sure]
    return Verdict(claim, tuple(_distinct(sure)), tuple(_distinct(near)), len(every))


def _explains(reading: Reading, half: float) -> tuple[float, float]:
    """The claims that the reading would explain."""
    half *= 10**reading.padded
    if reading.cut:
        return reading.value - 2 * half, reading.value
    return reading.value - half, reading.value + half


def _hits(reading: Reading, value: float, half: float) -> bool:
    low, high = _explains(reading, half)
    return low - 1e-9 * value <= value <= high + 1e-9 * value


def _union(intervals: list[tuple[float, float]], value: float) -> list[tuple[float, float]]:
    """Disjoint intervals, cut to the neighbourhood of the claim."""
    low, high = value * (1 - REACH), value * (1 + REACH)
    joined: list[tuple[float, float]] = []
    for a, b in sorted((max(a, low), min(b, high)) for a, b in intervals):
        if b <= a:
            continue
        if joined and a <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], b))
        else:
            joined.append((a, b))
    return joined


def _distinct(found: list[Explanation]) -> list[Explanation]:
    """The plainest of the readings that come to the same number, and none that departs in
    everything a plainer one does and in more."""
    kept: dict[float, Explanation] = {}
    for explanation in found:
        more = set(explanation.reading.departures)
        plainer = (e.reading for e in kept.values())
        if not any(p.counted == explanation.reading.counted and more > set(p.departures)
                   for p in plainer):  # fmt: skip
            kept.setdefault(round(explanation.reading.value), explanation)
    return list(kept.values())
