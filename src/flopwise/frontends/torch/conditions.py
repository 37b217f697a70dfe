"""What a trace with free sizes decided by an example, and who asked."""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from flopwise.dims import Dim
from flopwise.graph import Condition

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">=": operator.ge, ">": operator.gt,
    "<=": operator.le,
}  # fmt: skip
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_ASKING = {
    __name__, "flopwise.frontends.torch.symbols", "torch", "torch.fx.experimental.sym_node",
}  # fmt: skip


class Conditions(dict[str, Condition]):
    """What was decided by example, by its words; only what a reader would want to know.

    Torch itself compares sizes also to lay out memory, which changes no count: of its
    questions only equalities are kept, of a model's code every one but inequality.
    """

    def note(self, left: Dim, sign: str, right: Dim, holds: bool) -> None:
        """Keep a condition, unless it only tells a size from 0 or 1."""
        shown = sign if holds else _OPPOSITE[sign]
        if right in (0, 1) or left in (0, 1) or shown == "!=":
            return
        if shown == "==" or not _asked_by_torch():
            self[f"{left} {shown} {right}"] = COMPARE[shown], left, right


def _asked_by_torch() -> bool:
    """Whether the code that compares sizes is torch's."""
    name = _asking().f_globals.get("__name__", "")
    return name.partition(".")[0] in ("torch", "flopwise")


def asked_by_index() -> bool:
    """Whether sizes are compared inside `x[...]`, where torch looks for slices of all rows."""
    frame = _asking()
    name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return "SUBSCR" in name or "SLICE" in name or name == "BINARY_OP"  # as Python 3.14 has it


def _asking() -> FrameType:
    """The frame that compares sizes."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _ASKING:
        frame = frame.f_back
    return frame
