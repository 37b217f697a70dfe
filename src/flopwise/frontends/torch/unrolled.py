"""Higher-order operators in a training step: branches that are known, loops turn by turn.

Autograd takes these operators apart before the trace sees them, each by a compiler of its own. What
they mean is what Python would do, and of that autograd has the true backward. Where only
data decides there is no such way, and the error says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.higher import truth
from flopwise.frontends.torch.trace import Recorder, place

MOST_TURNS = 10_000


class Unrolled(TorchFunctionMode):
    """Meets higher-order operators before autograd does."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        rule = RULES.get(func.name()) if isinstance(func, HigherOrderOperator) else None
        if rule is None:
            return func(*args, **(kwargs or {}))
        with self:
            return rule(self._recorder, *args, **(kwargs or {}))


def _known(recorder: Recorder, condition: Any, name: str) -> bool:
    found = truth(recorder, condition)
    if found is None:
        raise UnreadableModel(
            f"{place()}: in a training step, {name} on a condition that only data decides is not "
            "counted; give inputs as tensors, or count mode='train-forward'"
        )
    return found


def _branch(recorder: Recorder, condition: Any, true: Any, false: Any, operands: Any = ()) -> Any:
    return (true if _known(recorder, condition, "cond") else false)(*operands)


def _loop(
    recorder: Recorder, going: Any, step: Any, carried: Any, more: Any = (), **named: Any
) -> Any:
    for _ in range(MOST_TURNS):
        if not _known(recorder, going(*carried, *more), "while_loop"):
            return tuple(carried)
        carried = step(*carried, *more)
    raise UnreadableModel(f"{place()}: a while_loop of more than {MOST_TURNS:,} turns")


def _scan(recorder: Recorder, combine: Any, start: Any, sequences: Any, *rest: Any) -> Any:
    """`rest` ends in further operands; older releases have an axis before them."""
    more = next((r for r in reversed(rest) if isinstance(r, (tuple, list))), ())
    axis = next((r for r in rest if type(r) is int), 0)
    state, made = tuple(start), []
    for turn in range(_turns(sequences[0].shape[axis], "scan")):
        results = combine(*state, *(s.select(axis, turn) for s in sequences), *more)
        state = tuple(results[: len(state)])
        made.append(results[len(state) :])
    return (*state, *(torch.stack(each, axis) for each in zip(*made)))


def _map(recorder: Recorder, function: Any, sequences: Any, more: Any = ()) -> Any:
    turns = range(_turns(sequences[0].shape[0], "map"))
    made = [function(*(s[turn] for s in sequences), *more) for turn in turns]
    return tuple(torch.stack(each) for each in zip(*made))


def _turns(length: Any, name: str) -> int:
    if not isinstance(length, int) or length > MOST_TURNS:
        raise UnreadableModel(
            f"{place()}: in a training step, {name} over {length} turns is not counted: give at "
            f"most {MOST_TURNS:,}"
        )
    return length


RULES: dict[str, Callable[..., Any]] = {
    "cond": _branch, "while_loop": _loop, "scan": _scan, "map_impl": _map, "map": _map,
}  # fmt: skip
