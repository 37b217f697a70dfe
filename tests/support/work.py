"""How much work a piece of code does, in calls of Python functions: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import FrameType


@contextmanager
def work(at_most: int) -> Iterator[None]:
    """Fail, at once, where there are more calls than that."""
    calls = count()

    def seen(_frame: FrameType, event: str, _argument: object) -> None:
        assert event != "call" or next(calls) < at_most, f"more than {at_most:,} calls"

    sys.setprofile(seen)
    try:
        yield
    finally:
        sys.setprofile(None)
