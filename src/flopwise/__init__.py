"""flopwise: what a neural network costs and how fast it runs, from its definition alone."""

from flopwise.api import count, load, reconcile, sweep
from flopwise.dims import symbol
from flopwise.errors import FlopwiseError

__all__ = ["FlopwiseError", "count", "load", "reconcile", "sweep", "symbol"]
