"""What a user's own rule says of an operator, a function or a module."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts
from flopwise.ops import op


@op("custom")
def custom(amounts: tuple[tuple[str, Any], ...] = ()) -> Counts:
    """The counts that the rule named by `of` gave for this call."""
    return Counts(**dict(amounts))
