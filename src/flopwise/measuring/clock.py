"""Time what runs on a machine that others use too.

Wall time counts the others' turns, and even the processor time of a thread stretches when
a neighbour shares the core, its caches or its clock. A small matrix product, run just before
and just after, stretches likewise: what is reported is the thread time of the work over that of
the product, times what the product takes when nothing disturbs it. The processor time of several
threads says nothing, since they wait for each other awake: theirs is wall time, read again where
the system took a processor away meanwhile, or where the product just after took too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from flopwise.analyses.cases import Case
from flopwise.analyses.terms import work

Work = Callable[[], object]

BRIEF = 1e-3  # s: shorter work is repeated until a reading takes as long
TRIES = 4  # of a reading by the wall that was interrupted
DISTURBED = 1.4  # times its least seconds: a product by the wall that lacked a processor
PATIENCE, PAUSE = 100, 0.01  # readings of it, so many seconds apart, until it is taken as it is
QUIET = 0.1  # the undisturbed product: the quantile of its readings that is taken for it
EFFORT, LIMIT = 4e8, 3e9  # operations of all copies of a kernel: or so, and at most
COPIES, MOST = 24, 96  # copies, and those that weights or results may ask for
WEIGHTS = 8e6  # elements of all copies' weights together: more than caches hold for long


def copies(case: Case, stored: int, most: int = COPIES) -> int:
    """How many of a kernel, each with its own weights, run in turn: as in a network, where the
    weights of a layer were last read a whole run ago."""
    operations = work(case)[0]
    cold = min(WEIGHTS / stored, LIMIT / operations, MOST) if stored else 1.0
    return max(1, round(max(min(most, EFFORT / operations), cold)))


def interruptions() -> int:
    """How often the system took a processor away from this process; 0 where it does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@dataclass
class Clock:
    """Seconds of undisturbed running. `product` is the calibration matrix product; `threads`
    more than one are timed by the wall, which takes a quiet machine."""

    product: Work
    threads: int = 1
    readings: list[float] = field(default_factory=list)
    least: float = float("inf")

    def read(self, run: Work, times: int = 1) -> float:
        """Seconds of one run, as they come; of several threads the least interrupted of a few."""
        if self.threads == 1:
            return _taken(run, times, time.thread_time)
        least, best = float("inf"), 0.0
        for _ in range(TRIES):
            before = interruptions()
            taken = _taken(run, times, time.perf_counter)
            cut = interruptions() - before
            least, best = (cut, taken) if cut < least else (least, best)
            if not cut:
                break
        return best

    def ratios(self, run: Work, rounds: int, limit: float = 2.0) -> list[float]:
        """How many products each round takes, within `limit` seconds or so."""
        run()
        once = self.read(run)
        times = max(1, round(BRIEF / max(once, 1e-7)))
        found: list[float] = []
        started = time.perf_counter()
        before = self.rule()
        lost = 0
        while len(found) < rounds and (len(found) < 3 or time.perf_counter() - started < limit):
            taken = self.read(run, times)
            after = self.product_now()
            if self.disturbed(after) and lost < PATIENCE:
                lost, before = lost + 1, self.rule()
                continue
            self.readings.append(after)
            found.append(2 * taken / (before + after))
            before = after
        return found

    def rule(self) -> float:
        """Seconds of the product; with several threads, once nothing disturbs it."""
        taken = self.product_now()
        for _ in range(PATIENCE):
            if not self.disturbed(taken):
                break
            time.sleep(PAUSE)
            taken = self.product_now()
        return taken

    def disturbed(self, product: float) -> bool:
        """Whether others had the processors of several threads while the product ran."""
        return self.threads > 1 and product > DISTURBED * self.least

    def product_now(self) -> float:
        """The product as it comes, its operands brought back to the nearest cache first."""
        self.product()
        taken = self.read(self.product, 2)
        self.least = min(self.least, taken)
        return taken

    @property
    def unit(self) -> float:
        """Seconds of the product when nothing disturbs it."""
        ordered = sorted(self.readings)
        return ordered[int(QUIET * len(ordered))] if ordered else self.read(self.product)

    def products(self, run: Work, rounds: int = 7) -> float:
        """The median number of products; `unit` times it is seconds."""
        return median(self.ratios(run, rounds))


def _taken(run: Work, times: int, now: Callable[[], float]) -> float:
    start = now()
    for _ in range(times):
        run()
    return (now() - start) / times
