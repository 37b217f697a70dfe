"""Calls of functions and modules that have a rule: one node each, whatever runs inside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any

import torch

from flopwise import rules
from flopwise.errors import FlopwiseError
from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.trace import Recorder
from flopwise.frontends.torch.values import tensors
from flopwise.rules import Rule


class Ruled:
    """In a recorded call, what stands in the place of an ATen operator."""

    def __init__(self, rule: Rule, function: Callable[..., Any], module: Any = None) -> None:
        self.rule, self.function, self.module = rule, function, module

    def name(self) -> str:
        return self.rule.name

    def steps(self, args: Any, kwargs: Any) -> list[Step]:
        """One node, with the weights of a module among its operands."""
        bound = signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        weights: tuple[torch.Tensor, ...] = ()
        if self.module is not None:
            given["module"] = self.module
            weights = tuple(self.module.parameters())
        operands = (*tensors((args, kwargs)), *weights)
        return [Step("custom", operands, {"rule": self.rule, "given": given})]


@contextmanager
def ruled(module: torch.nn.Module, recorder: Recorder) -> Iterator[None]:
    """Put rules in place of forwards of modules, and of functions wherever they are imported."""
    undo = list(_functions(recorder)) if rules.RULES else []
    for part in module.modules() if rules.RULES else ():
        rule = rules.of_class(type(part))
        if rule is not None and not isinstance(part, torch.jit.ScriptModule):
            part.__dict__["forward"] = _instead(rule, part.forward, recorder, part)
    try:
        yield
    finally:
        for space, name, original in undo:
            space[name] = original


def _functions(recorder: Recorder) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Replace each function in every module that imported it."""
    for source, name, rule in rules.functions():
        original = getattr(sys.modules.get(source), name, None)
        if original is None:
            continue
        instead = _instead(rule, original, recorder)
        for loaded in list(sys.modules.values()):
            space = getattr(loaded, "__dict__", {})
            for key in [k for k, v in list(space.items()) if v is original]:
                space[key] = instead
                yield space, key, original


def _instead(
    rule: Rule, function: Callable[..., Any], recorder: Recorder, module: Any = None
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with recorder.muted():
            run = function if rule.result is None else rule.result
            first = (module,) if rule.result is not None and module is not None else ()
            outputs = run(*first, *args, **kwargs)
        recorder.write(Ruled(rule, function, module), args, kwargs, outputs)
        return outputs

    try:
        return wraps(function)(call)
    except AttributeError:
        return call


def counted(rule: Rule, given: dict[str, Any]) -> Any:
    """The counts that a rule gives for operands of ours. Raises FlopwiseError where it fails."""
    asked = signature(rule.count).parameters
    every = any(p.kind is p.VAR_KEYWORD for p in asked.values())
    try:
        return rule.count(**{k: v for k, v in given.items() if every or k in asked})
    except Exception as error:
        raise FlopwiseError(f"the rule of {rule.name}: {error}") from error
