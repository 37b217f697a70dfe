"""TorchScript archives (`torch.jit.save`): read as data, and followed on shapes.

Nothing of torch's loader runs. The pickles are walked opcode by opcode (`pickled`), weights
are shapes whose bytes are never read (`package`, `parts`), and the code is parsed and
followed by an interpreter of our own (`code`, `interpreter`), which calls nothing but ATen
operators (`operators`), on meta tensors, under the same trace as any module's forward.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.torch.module import graph
from flopwise.frontends.torch.script import package, parts
from flopwise.frontends.torch.script.code import Code, Function
from flopwise.frontends.torch.script.interpreter import Interpreter
from flopwise.graph import Graph

MOST_RESULTS = 10_000


def graph_of(path: Path, request: Request) -> Graph:
    """Trace the forward of an archive. Raises FlopwiseError."""
    try:
        found = package.read(path)
        code = Code(found.code)
        maker = parts.Maker(found, code)
        model = maker.model(found.model)
        constants = [maker.constant(c) for c in found.constants]
        program = Program(model, code, constants)
        traced = maker.value(found.traced)
        return replace(graph(model, program.asked(request, traced)), name=path.stem)
    except UnreadableModel as error:
        raise UnreadableModel(f"{path}: {error}") from error.__cause__


class Program:
    """Gives the outermost module of an archive a forward that follows its code."""

    def __init__(self, model: parts.Part, code: Code, constants: list[Any]) -> None:
        found = code.kind(model.kind).methods.get("forward")
        if found is None:
            raise UnreadableModel(f"{model.kind} has no forward")
        if not any(True for _ in model.parameters()):
            constants = learned(model, constants)
        self._names = [a.arg for a in found.tree.args.args[1:]]

        def forward(*args: Any, **kwargs: Any) -> Any:
            interpreter = Interpreter(code, constants)
            return results(interpreter.call(found, [model, *args], kwargs))

        forward.__signature__ = signature(found)  # type: ignore[attr-defined]
        model.__dict__["forward"] = forward

    def asked(self, request: Request, traced: Any) -> Request:
        """The request, with the inputs of the trace where there is no other, and their types."""
        seen = traced.get("forward") if isinstance(traced, dict) else None
        if request.arguments is not None or not isinstance(seen, (list, tuple)):
            return request
        shapes = dict(request.inputs)
        if list(shapes) == [""]:
            shapes = {self._names[0]: shapes[""]} if self._names else shapes
        if not set(shapes) <= set(self._names) or not all(
            isinstance(size, int) for shape in shapes.values() for size in shape
        ):
            return request
        given = {
            name: like(example, shapes.get(name), request.batch)
            for name, example in zip(self._names, seen)
        }
        return replace(request, inputs={}, batch=None, arguments=given)


def like(example: Any, shape: Any, batch: Any) -> Any:
    """An input as it was when the model was traced, but for the sizes that are asked for."""
    if not isinstance(example, torch.Tensor):
        return example
    sizes = tuple(example.shape if shape is None else shape)
    sizes = (batch, *sizes[1:]) if batch is not None and sizes else sizes
    return torch.empty(sizes, dtype=example.dtype, device="meta")


def signature(function: Function) -> inspect.Signature:
    """That of a forward, without its module."""
    asked = function.tree.args
    names = [a.arg for a in asked.args]
    optional = names[len(names) - len(asked.defaults) :]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    empty = inspect.Parameter.empty
    try:
        return inspect.Signature(
            [inspect.Parameter(n, kind, default=... if n in optional else empty) for n in names[1:]]
        )
    except ValueError as error:
        raise UnreadableModel(f"code/{function.file}: {error}") from None


def learned(model: parts.Part, constants: list[Any]) -> list[Any]:
    """Of a frozen archive, which has no other weights, the constants of floats are weights."""
    found = []
    for i, constant in enumerate(constants):
        if isinstance(constant, torch.Tensor) and constant.is_floating_point() and constant.dim():
            constant = torch.nn.Parameter(constant)
            model.register_parameter(f"c{i}", constant)
        found.append(constant)
    return found


def results(value: Any) -> list[torch.Tensor]:
    """The tensors of a result. Raises UnreadableModel where there is no end of them."""
    found, stack, left = [], [value], MOST_RESULTS
    while stack:
        part, left = stack.pop(), left - 1
        if left < 0:
            raise UnreadableModel(f"a result of more than {MOST_RESULTS:,} parts")
        if isinstance(part, torch.Tensor):
            found.append(part)
        elif isinstance(part, dict):
            stack += reversed(part.values())
        elif isinstance(part, (list, tuple)):
            stack += reversed(part)
    return found
