"""A training step: the forward with autograd, then the backward of its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.trace import Recorder
from flopwise.frontends.torch.values import shape_of, tensors

BACKWARD = "backward"


@contextmanager
def on_shapes(module: torch.nn.Module, recorder: Recorder) -> Iterator[None]:
    """Meta parameters in place of the real ones, wherever modules keep them: gradients come to
    leaves of their own kind. `untouched` puts the real ones back."""
    stand_ins: dict[int, torch.nn.Parameter] = {}
    for parameter in module.parameters():
        if not parameter.is_meta:
            with recorder.muted():
                leaf = torch.nn.Parameter(shape_of(parameter), parameter.requires_grad)
            stand_ins[id(parameter)] = leaf
            recorder.values.adopt(leaf, parameter)
    for part in module.modules():
        if isinstance(part, torch.jit.ScriptModule) and stand_ins:
            raise UnreadableModel(
                "a scripted module keeps its weights in C++: trace its training from Python"
            )
        for kept in (part.__dict__, *part.__dict__.values()):
            _substitute(kept, stand_ins)
    yield


def leaves(given: Any, recorder: Recorder) -> Any:
    """The arguments with shapes in place of real floats: these meet meta weights also where
    autograd takes an operator apart past the trace, as it does an LSTM."""
    kind = type(given)
    if kind is torch.Tensor and given.is_floating_point() and not given.is_meta:
        return recorder.values.stand_in(given).requires_grad_(given.requires_grad)
    if kind is dict:
        return {k: leaves(v, recorder) for k, v in given.items()}
    if kind in (list, tuple):
        return kind(leaves(v, recorder) for v in given)
    if isinstance(given, tuple) and hasattr(given, "_fields"):
        return kind(*(leaves(v, recorder) for v in given))
    return given


def _substitute(kept: Any, stand_ins: Mapping[int, torch.nn.Parameter]) -> None:
    if isinstance(kept, dict):
        for name, value in kept.items():
            if id(value) in stand_ins:
                kept[name] = stand_ins[id(value)]
    elif isinstance(kept, list):
        kept[:] = [stand_ins.get(id(value), value) for value in kept]


def backward(outputs: Any, recorder: Recorder, loss: Callable[[Any], Any] | None) -> None:
    """Run the backward of a loss: the given one of the outputs, the one that the model itself
    returns under that name, or else of every result, its gradient coming from outside."""
    if loss is not None:
        outputs = loss(outputs)
    elif isinstance(outputs, Mapping) and isinstance(outputs.get("loss"), torch.Tensor):
        outputs = outputs["loss"]
    ends = [t for t in tensors(outputs) if t.requires_grad]
    if not ends:
        raise UnreadableModel("no result of the forward has a gradient: no weight is trainable")
    with recorder.muted():
        seeds = list(map(shape_of, ends))
    recorder.phase = BACKWARD
    torch.autograd.backward(ends, seeds)
