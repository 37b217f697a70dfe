"""flopwise: what a neural network costs and how fast it runs, from its definition alone."""

from flopwise.api import compare, count, explain, load, memory, reconcile, sweep
from flopwise.dims import symbol
from flopwise.errors import FlopwiseError

__all__ = [
    "FlopwiseError",
    "compare",
    "count",
    "explain",
    "load",
    "memory",
    "reconcile",
    "sweep",
    "symbol",
]
