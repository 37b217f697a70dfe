"""Effective counts: the multiply-accumulates whose weight is not zero.

Hardware does not skip zeros by itself; the dense count stays beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from flopwise import ops
from flopwise.profile import Profile

# Operators whose results are zero wherever an operand is.
HANDED_ON = ("mul", "cast", "transpose", "copy", "contiguous")


def effective_macs(profile: Profile, densities: Mapping[str, Fraction]) -> Any:
    """MACs times the share of non-zero elements of the operand that has most zeros.

    `densities` has that share by weight name; masks hand it on to what they multiply.
    """
    share = dict(densities)
    total: Any = 0
    for row in profile.rows:
        known = [share[t.name] for t in row.node.inputs if t is not None and t.name in share]
        least = min(known, default=Fraction(1))
        total += row.total.mac * least
        entry = ops.find(row.node.op)
        if least < 1 and entry is not None and (entry.view or row.node.op in HANDED_ON):
            share.update((t.name, least) for t in row.node.outputs)
    return int(total) if isinstance(total, Fraction) and total.denominator == 1 else total
