"""Higher-order operators of torch: branches and loops, whose bodies are Python functions.

A condition that is known is followed as Python would. What hangs on data becomes a node
with the graphs of its bodies, each traced once: of branches the dearer counts, and a loop
whose end is data has a free number of trips. Scans and maps run as often as sequences are long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map_only

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.values import Call, shape_of, tensors

if TYPE_CHECKING:
    from flopwise.frontends.torch.trace import Recorder

Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}
MOST_TRIPS = 100_000


@dataclass(frozen=True)
class Body:
    """The calls of a function, from what enters to what it gives."""

    inputs: tuple[torch.Tensor, ...]
    calls: list[Call]
    given: Any

    @property
    def outputs(self) -> tuple[torch.Tensor, ...]:
        return tuple(tensors(self.given))


@dataclass(frozen=True)
class Control:
    """In a recorded call, what stands in the place of an operator: one of ours with bodies."""

    op: str
    bodies: tuple[Body, ...]
    attrs: dict[str, Any]

    def name(self) -> str:
        return f"higher_order::{self.op}"


def every(calls: Sequence[Call]) -> Iterator[Call]:
    """Calls with those inside of their bodies."""
    for call in calls:
        yield call
        for body in getattr(call.func, "bodies", ()):
            yield from every(body.calls)


def handles(*names: str) -> Callable[[Handler], Handler]:
    def enter(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, function))
        return function

    return enter


def run(recorder: Recorder, func: Any, args: Any, kwargs: Any) -> Any:
    """The results of a higher-order operator. Raises UnreadableModel for one without a rule."""
    handler = HANDLERS.get(func.name())
    if handler is None:
        raise UnreadableModel(
            f"the higher-order operator '{func.name()}' is not known here; call its body as it is"
        )
    with recorder:
        return handler(recorder, *args, **kwargs)


@handles("cond")
def branch(recorder: Recorder, condition: Any, true: Any, false: Any, operands: Any = ()) -> Any:
    known = truth(recorder, condition)
    if known is not None:
        return (true if known else false)(*operands)
    bodies = [_body(recorder, side, (), operands) for side in (true, false)]
    with recorder.muted():
        outputs = tree_map_only(torch.Tensor, shape_of, bodies[0].given)
    recorder.write(Control("if", tuple(bodies), {}), (condition,), {}, outputs)
    return outputs


@handles("while_loop")
def loop(
    recorder: Recorder, going: Any, step: Any, carried: Any, more: Any = (), **named: Any
) -> Any:
    for _ in range(MOST_TRIPS):
        known = truth(recorder, going(*carried, *more))
        if known is None:
            return _open_loop(recorder, going, step, carried, more)
        if not known:
            return tuple(carried)
        carried = step(*carried, *more)
    raise UnreadableModel(f"a while_loop of more than {MOST_TRIPS} iterations")


def _open_loop(recorder: Recorder, going: Any, step: Any, carried: Any, more: Any) -> Any:
    """A loop whose end hangs on data; the last condition is asked before the first trip too."""

    def trip(*state: Any) -> Any:
        results = step(*state, *more)
        return (going(*results, *more), *results)

    body = _body(recorder, trip, _like(recorder, carried), ())
    outputs = _like(recorder, body.outputs[1:])
    recorder.write(Control("loop", (body,), {}), tuple(carried), {}, outputs)
    return outputs


@handles("scan")
def scan(recorder: Recorder, combine: Any, start: Any, sequences: Any, *rest: Any) -> Any:
    """`rest` ends in further operands; older releases have an axis before them."""
    more = next((r for r in reversed(rest) if isinstance(r, (tuple, list))), ())
    axis = next((r for r in rest if type(r) is int), 0)
    state, slices = _like(recorder, start), _slices(recorder, sequences, axis)
    body = _body(recorder, combine, (*state, *slices), more)
    final, each = body.outputs[: len(start)], body.outputs[len(start) :]
    trips = sequences[0].shape[axis]
    outputs = (*_like(recorder, final), *_stacked(recorder, each, trips, axis))
    attrs = {"scans": len(sequences), "axes": (axis,) * len(sequences),
             "out_axes": (axis,) * len(each)}  # fmt: skip
    recorder.write(Control("scan", (body,), attrs), (*start, *sequences), {}, outputs)
    return outputs


@handles("map_impl", "map")
def over(recorder: Recorder, function: Any, sequences: Any, more: Any = ()) -> Any:
    body = _body(recorder, function, _slices(recorder, sequences, 0), more)
    outputs = _stacked(recorder, body.outputs, sequences[0].shape[0], 0)
    recorder.write(Control("map", (body,), {}), tuple(sequences), {}, outputs)
    return outputs


def truth(recorder: Recorder, condition: Any) -> bool | None:
    """A condition, where its value is known."""
    if not isinstance(condition, torch.Tensor):
        return bool(condition)
    values = recorder.values
    shape = condition if condition.is_meta else values.stand_in(condition)
    if not values.constant(shape):
        return None
    with _disable_current_modes():
        return bool(values.value(shape))


def _body(recorder: Recorder, function: Any, inputs: Any, more: Any) -> Body:
    """Trace a function to the side. `more` are operands that it shares with what is around it."""
    with recorder.aside() as calls:
        outputs = function(*inputs, *more)
    return Body(tuple(inputs), calls, outputs)


def _like(recorder: Recorder, given: Any) -> tuple[torch.Tensor, ...]:
    with recorder.muted():
        return tuple(map(shape_of, tensors(given)))


def _slices(recorder: Recorder, given: Any, axis: int) -> tuple[torch.Tensor, ...]:
    with recorder.muted():
        return tuple(shape_of(t.select(axis, 0)) for t in tensors(given))


def _stacked(
    recorder: Recorder, given: Any, trips: Any, axis: int
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    with recorder.muted():
        return tuple(
            t.new_empty((*t.shape[:axis], trips, *t.shape[axis:]), device="meta") for t in given
        )
