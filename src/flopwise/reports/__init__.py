"""Reports: a profile as text. Formatting only; every number comes from the profile.

A report is a module with `render(profile, depth=None, width=None) -> str`.
"""

from __future__ import annotations

from typing import Any

from flopwise.dims import Expr

PREFIXES = (
    (10**24, "Y"), (10**21, "Z"), (10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"),
    (10**6, "M"), (10**3, "k"),
)  # fmt: skip
BINARY = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def exact(number: Any) -> str:
    """All digits, in groups of three; an expression as it is."""
    return str(number) if isinstance(number, Expr) else f"{number:,}"


def short(number: Any) -> str:
    """Four digits and a decimal prefix (1 G = 1e9)."""
    if isinstance(number, Expr):
        return str(number)
    for scale, prefix in PREFIXES:
        if abs(number) >= scale:
            return f"{number / scale:.4g} {prefix}"
    return f"{number:,}"


def memory(number: Any) -> str:
    """Bytes in binary units."""
    if isinstance(number, Expr):
        return f"{number} B"
    for scale, unit in BINARY:
        if abs(number) >= scale:
            return f"{number / scale:.4g} {unit}"
    return f"{number:,} B"


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def shape_text(shape: Any) -> str:
    return "?" if shape is None else "x".join("?" if s is None else str(s) for s in shape)
