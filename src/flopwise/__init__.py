"""flopwise: what a neural network costs and how fast it runs, from its definition alone."""

from flopwise.api import (
    compare,
    count,
    effective_macs,
    explain,
    load,
    memory,
    reconcile,
    sweep,
    train,
)
from flopwise.dims import symbol
from flopwise.errors import FlopwiseError

__all__ = [
    "FlopwiseError",
    "compare",
    "count",
    "effective_macs",
    "explain",
    "load",
    "memory",
    "reconcile",
    "sweep",
    "symbol",
    "train",
]
