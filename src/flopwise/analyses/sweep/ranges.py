"""Which points a sweep visits: `batch=1:64:2`, `h,w=128:512:32`, `batch=1,2,4,8`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from operator import index
from typing import Any

from flopwise.dims import symbol
from flopwise.errors import FlopwiseError
from flopwise.sizes import LARGEST

MOST = 1_000_000


@dataclass(frozen=True)
class Vary:
    """Sizes that go together, by name, and the values that they take one after another."""

    names: tuple[str, ...]
    values: tuple[int, ...]


def parse_vary(text: str) -> Vary:
    """Read `NAME=START:STOP:STEP` (both ends included), `NAME=1:64:x2` (each twice the last)
    or `NAME=1,2,4`; several names before the `=` vary together. Raises FlopwiseError."""
    names, equals, values = text.partition("=")
    if not equals or not names.strip():
        raise FlopwiseError(f"--vary {text}: write NAME=START:STOP:STEP, as in batch=1:64:2")
    return vary(tuple(n.strip() for n in names.split(",")), values)


def parse_varies(given: Sequence[str] | Mapping[Any, Any]) -> tuple[Vary, ...]:
    """Texts as on the command line, or a dict of names and values as in Python."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        return separate(tuple(map(parse_vary, given)))
    pairs = [
        (tuple(n.strip() for n in key.split(",")) if isinstance(key, str) else tuple(key), values)
        for key, values in given.items()
    ]
    return separate(tuple(vary(names, values) for names, values in pairs))


def separate(varies: tuple[Vary, ...]) -> tuple[Vary, ...]:
    """The same, when there is something to vary, each name once and not too many points."""
    if not varies:
        raise FlopwiseError("nothing to vary: give --vary NAME=START:STOP:STEP")
    names = [n for v in varies for n in v.names]
    for name in names:
        if names.count(name) > 1:
            raise FlopwiseError(f"--vary: '{name}' is given twice")
    points = prod(len(v.values) for v in varies)
    if points > MOST:
        raise FlopwiseError(f"--vary: {points:,} points are more than {MOST:,}")
    return varies


def vary(names: tuple[str, ...], values: str | int | Iterable[int]) -> Vary:
    """Checked names and values. Raises FlopwiseError."""
    said = f"--vary {','.join(names)}"
    if not all(names):
        raise FlopwiseError(f"{said}: a name is empty")
    if isinstance(values, str):
        numbers = _range(values, said) if ":" in values else _list(values, said)
    else:
        numbers = [values] if isinstance(values, int) else [*values]
    for number in numbers:
        if not hasattr(number, "__index__") or not 0 < number <= LARGEST:
            raise FlopwiseError(f"{said}: {number} is no whole number from 1 to {LARGEST:,}")
    if not numbers:
        raise FlopwiseError(f"{said}: no values")
    return Vary(tuple(str(symbol(n)) for n in names), tuple(map(index, numbers)))


def grid(varies: Sequence[Vary]) -> dict[str, list[int]]:
    """The columns of all combinations, the last one varying fastest."""
    points = [*product(*(v.values for v in varies))]
    return {name: [point[i] for point in points] for i, v in enumerate(varies) for name in v.names}


def _list(text: str, said: str) -> list[int]:
    return [_number(part, said) for part in text.split(",")]


def _range(text: str, said: str) -> list[int]:
    parts = text.split(":")
    if len(parts) > 3:
        raise FlopwiseError(f"{said}={text}: write START:STOP:STEP")
    start, stop = (_number(p, said) for p in parts[:2])
    step = parts[2].strip() if len(parts) == 3 else "1"
    factor = step.startswith(("x", "*"))
    by = _number(step[1:] if factor else step, said)
    if start < 1 or stop < start or by < 1 + factor:
        raise FlopwiseError(
            f"{said}={text}: START is at least 1, STOP no less, and STEP at least 1 (x2 doubles)"
        )
    if not factor:
        count = (stop - start) // by + 1
        if count > MOST:
            raise FlopwiseError(f"{said}={text}: {count:,} points are more than {MOST:,}")
        return [*range(start, stop + 1, by)]
    values = [start]
    while values[-1] * by <= stop:
        values.append(values[-1] * by)
    return values


def _number(text: str, said: str) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        raise FlopwiseError(f"{said}: '{digits}' is no whole number")
    return int(digits)
