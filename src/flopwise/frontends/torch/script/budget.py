"""How much an archive may ask for: its code is somebody else's, and may have no end."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel

MOST_STEPS = 1_000_000
MOST_CALLS = 40  # within each other; modules lie in each other a dozen deep
LONGEST = 1_000_000  # elements of a list, characters of a text
_WIDEST = 2**63


class Budget:
    """What is left of it. Raises UnreadableModel where nothing is."""

    def __init__(self) -> None:
        self._steps = MOST_STEPS
        self._calls = 0

    def spend(self, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise UnreadableModel(f"the archive's code runs for more than {MOST_STEPS:,} steps")

    def enter(self) -> None:
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise UnreadableModel(f"the archive's code calls itself more than {MOST_CALLS} deep")

    def leave(self) -> None:
        self._calls -= 1

    def bounded(self, value: Any) -> Any:
        """The value, unless it is longer or wider than any that TorchScript has."""
        if isinstance(value, (str, list, tuple, dict)):
            self.spend(len(value) // 16)
            if len(value) > LONGEST:
                raise UnreadableModel(f"a {type(value).__name__} of more than {LONGEST:,} parts")
        elif type(value) is int and not -_WIDEST <= value < _WIDEST:
            raise UnreadableModel("a number of more than 64 bits")
        return value
