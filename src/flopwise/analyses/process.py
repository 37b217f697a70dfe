"""Kernel times between those that were measured: times that add up, and a Gaussian process.

What a kernel spends time on (`terms`) is priced by least squares of relative errors, no price
below zero; what is left of the nearest measured cases corrects it, so that every time comes
with how sure it is. Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning",
algorithm 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

from flopwise import arrays as numpy
from flopwise.analyses.cases import Case
from flopwise.analyses.terms import terms, work

Array = Any
ENOUGH = 160  # cases to find length scales by
FEW = 60  # cases from which on each size has a length scale of its own
LEAST = 1e-7  # s: no kernel is faster
SWEEPS = 300


def features(cases: Sequence[Case]) -> Array:
    """Logarithms of the sizes, of the work, and of the two together: one row for each case."""
    rows = []
    for case in cases:
        flops, moved = work(case)
        rows.append([log(v) for v in (*case.sizes, flops, moved, flops + 200 * moved)])
    return numpy.array(rows)


def amounts(cases: Sequence[Case]) -> Array:
    return numpy.array([list(terms(case).values()) for case in cases])


def prices(cases: Sequence[Case], seconds: Sequence[float]) -> Array:
    """Seconds of one of each term, none below zero."""
    return least(amounts(cases), numpy.array(seconds))


def least(table: Array, seconds: Array) -> Array:
    """Prices of columns by least squares of relative errors, none below zero: coordinate
    descent on the normal equations."""
    units = numpy.maximum(table.max(0), 1e-30)
    relative = table / units / seconds[:, None]
    gram, aim = relative.T @ relative, relative.sum(0)
    found = numpy.zeros(len(units))
    for _ in range(SWEEPS):
        for i in numpy.flatnonzero(gram.diagonal() > 0):
            found[i] = max(0.0, found[i] + (aim[i] - gram[i] @ found) / gram[i, i])
    return found / units


def added(cases: Sequence[Case], priced: Array) -> Array:
    """The logarithm of seconds by prices alone."""
    return numpy.log(numpy.maximum(amounts(cases) @ priced, LEAST))


@dataclass
class Process:
    """Inputs, and logarithms of seconds over what prices say, with what was fitted to them."""

    inputs: Array
    targets: Array
    scales: Array
    noise: float
    middle: Array = field(init=False)
    spread: Array = field(init=False)
    factor: Array = field(init=False)
    weights: Array = field(init=False)
    signal: float = field(init=False)

    def __post_init__(self) -> None:
        self.middle = self.inputs.mean(0)
        spread = self.inputs.std(0)
        self.spread = numpy.where(spread > 1e-9, spread, 1.0)
        self.signal = max(float(numpy.sqrt((self.targets**2).mean())), 0.02)
        kernel = self._kernel(self.inputs, self.inputs)
        kernel[numpy.diag_indices(len(kernel))] += self.noise**2
        self.factor = numpy.linalg.cholesky(kernel)
        self.weights = numpy.linalg.solve(kernel, self.targets)

    def _kernel(self, a: Array, b: Array) -> Array:
        """Matérn 3/2: kernel times have kinks, at caches and at blocks."""
        left, right = ((v - self.middle) / self.spread / self.scales for v in (a, b))
        squared = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
        distance = numpy.sqrt(3 * numpy.maximum(squared, 0))
        return self.signal**2 * (1 + distance) * numpy.exp(-distance)

    def likelihood(self) -> float:
        """The log marginal likelihood, but for constants."""
        logs = numpy.log(numpy.diag(self.factor)).sum()
        return float(-0.5 * self.targets @ self.weights - logs)

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """The logarithm of what to multiply prices by, and its deviation, noise of measuring
        aside."""
        kernel = self._kernel(inputs, self.inputs)
        half = numpy.linalg.solve(self.factor, kernel.T)
        variance = self.signal**2 - (half**2).sum(0)
        return kernel @ self.weights, numpy.sqrt(numpy.maximum(variance, 0))


@dataclass(frozen=True)
class Fit:
    """What a calibration found out about one kind of kernel."""

    prices: Array
    process: Process

    def predict(self, cases: Sequence[Case]) -> tuple[Array, Array]:
        """The logarithm of seconds, and its deviation."""
        mean, deviation = self.process.predict(features(cases))
        return added(cases, self.prices) + mean, deviation


def fit(cases: Sequence[Case], seconds: Sequence[float], floor: float) -> Fit:
    """Prices, then length scales and noise (`floor` at least) of the highest likelihood."""
    priced = prices(cases, seconds)
    every = max(1, -(-len(cases) // ENOUGH))  # a fit costs the cube of their number
    inputs, targets = features(cases), numpy.log(numpy.array(seconds)) - added(cases, priced)
    count = inputs.shape[1]
    best = Process(inputs[::every], targets[::every], numpy.full(count, 3.0), max(floor, 0.05))
    groups = [[i] for i in range(count)] if len(cases) >= FEW else [list(range(count))]
    for step in (2.0, 2.0, 1.4):
        for places in (*groups, []):
            for change in (step, 1 / step):
                best = max(best, _moved(best, places, change, floor), key=Process.likelihood)
    return Fit(priced, Process(inputs, targets, best.scales, best.noise))


def _moved(process: Process, places: list[int], change: float, floor: float) -> Process:
    """With some length scales changed, or else the noise."""
    scales, noise = process.scales.copy(), process.noise
    scales[places] = numpy.clip(scales[places] * change, 0.2, 50.0)
    if not places:
        noise = min(max(noise * change, floor), 0.5)
    return Process(process.inputs, process.targets, scales, noise)


def fitted(kind: str, table: Mapping[str, Any]) -> Fit:
    """What a device file holds of a kind."""
    cases = [Case(kind, tuple(row[:-1])) for row in table["samples"]]
    priced = numpy.array(table["prices"])
    seconds = numpy.array([row[-1] for row in table["samples"]])
    rest = numpy.log(seconds) - added(cases, priced)
    return Fit(priced, Process(features(cases), rest, numpy.array(table["scales"]), table["noise"]))
