"""flopwise: what a neural network costs and how fast it runs, from its definition alone."""

from flopwise.api import (
    compare,
    count,
    effective_macs,
    explain,
    generate,
    load,
    memory,
    plan,
    reconcile,
    sweep,
    train,
)
from flopwise.counts import Counts
from flopwise.dims import symbol
from flopwise.errors import FlopwiseError
from flopwise.rules import rule

__all__ = [
    "Counts",
    "FlopwiseError",
    "compare",
    "count",
    "effective_macs",
    "explain",
    "generate",
    "load",
    "memory",
    "plan",
    "reconcile",
    "rule",
    "sweep",
    "symbol",
    "train",
]
