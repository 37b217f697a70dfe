"""Calls of functions and modules that have a rule: one node each, whatever runs inside."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from inspect import signature
from typing import Any

import torch

from flopwise import rules
from flopwise.errors import FlopwiseError
from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.kernels import Kernel, shipped
from flopwise.frontends.torch.trace import Recorder
from flopwise.frontends.torch.values import tensors
from flopwise.rules import Rule


class Ruled:
    """In a recorded call, what stands in the place of an ATen operator."""

    def __init__(
        self, rule: Rule | Kernel, function: Callable[..., Any], outputs: Any, module: Any = None
    ) -> None:
        self.rule, self.function, self.module, self.outputs = rule, function, module, outputs

    def name(self) -> str:
        return self.rule.name

    def steps(self, args: Any, kwargs: Any) -> list[Step]:
        """One node, with the weights of a module among its operands; or those of a kernel."""
        if isinstance(self.rule, Kernel):
            return self.rule.steps(self.outputs, self._with_module(args), kwargs)
        bound = signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        weights: tuple[torch.Tensor, ...] = ()
        if self.module is not None:
            given["module"] = self.module
            weights = tuple(self.module.parameters())
        operands = (*tensors((args, kwargs)), *weights)
        return [Step("custom", operands, {"rule": self.rule, "given": given})]

    def _with_module(self, args: Any) -> Any:
        return args if self.module is None else (self.module, *args)


@contextmanager
def ruled(module: torch.nn.Module, recorder: Recorder) -> Iterator[None]:
    """Put rules in place of forwards of modules, and of functions wherever they are imported."""
    undo: list[Callable[[], Any]] = []
    try:
        kinds = {kind: _of_class(kind) for kind in set(map(type, module.modules()))}
        for part in module.modules():
            rule = kinds[type(part)]
            if rule is not None and not isinstance(part, torch.jit.ScriptModule):
                part.__dict__["forward"] = _instead(rule, part.forward, recorder, part)
        functions: list[tuple[str, str, Any]] = [*_kernels(), *rules.functions()]
        for source, name, function in functions:
            undo += _replaced(source, name, function, recorder)
        yield
    finally:
        for put_back in reversed(undo):
            put_back()


def _of_class(kind: type) -> Rule | Kernel | None:
    """A user's rule of a class, or ours of one by its name; of the nearest that it is a kind of."""
    found: Rule | Kernel | None = rules.of_class(kind) if rules.RULES else None
    if found is None and not kind.__module__.startswith("torch."):
        named = (f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__)
        found = next((shipped()[name] for name in named if name in shipped()), None)
    return found


def _kernels() -> Iterator[tuple[str, str, Kernel]]:
    """Those whose package is imported, and for which no user has a rule."""
    for target, kernel in shipped().items():
        source, _, name = target.partition(":")
        if source in sys.modules and target not in rules.RULES:
            yield source, name, kernel


def _replaced(
    source: str, name: str, rule: Rule | Kernel, recorder: Recorder
) -> Iterator[Callable[[], Any]]:
    """Replace a function in every module that imported it, a method on its class."""
    outer, _, method = name.rpartition(".")
    owner = sys.modules.get(source)
    owner = getattr(owner, outer, None) if outer else owner
    original = getattr(owner, method, None)
    if original is None or isinstance(original, type):
        return
    instead = _instead(rule, original, recorder)
    if outer:
        yield _assigned(owner, method, instead)
        return
    for loaded in list(sys.modules.values()):
        space = getattr(loaded, "__dict__", {})
        for key in _places(space, method, original, isinstance(rule, Kernel)):
            before, space[key] = space[key], instead
            yield partial(space.__setitem__, key, before)


def _places(space: dict[str, Any], name: str, original: Any, only: bool) -> list[str]:
    """Where a module keeps a function: a kernel by its own name, which is faster; compiled ones
    stand for what they were made of."""
    if not only:
        return [k for k, v in list(space.items()) if v is original]
    found = space.get(name)
    made_of = getattr(found, "_torchdynamo_orig_callable", None) if found is not None else None
    return [name] if found is original or made_of is original else []


def _assigned(owner: Any, name: str, instead: Any) -> Callable[[], Any]:
    """Set an attribute of a class; gives what takes it away again."""
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, staticmethod(instead))
    return partial(setattr, owner, name, before) if own else partial(delattr, owner, name)


def _instead(
    rule: Rule | Kernel, function: Callable[..., Any], recorder: Recorder, module: Any = None
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with recorder.muted():
            run = function if rule.result is None else rule.result
            first = (module,) if rule.result is not None and module is not None else ()
            outputs = run(*first, *args, **kwargs)
        _trainable(rule, (args, kwargs), recorder)
        if isinstance(rule, Kernel) and rule.calls is not None:
            rule.calls(*args, **kwargs)
        recorder.write(Ruled(rule, function, outputs, module), args, kwargs, outputs)
        return outputs

    try:
        return wraps(function)(call)
    except AttributeError:
        return call


def _trainable(rule: Rule | Kernel, operands: Any, recorder: Recorder) -> None:
    """Results that a rule makes have no gradient. Raises FlopwiseError where one is wanted."""
    made = rule.result is not None and recorder.autograd and torch.is_grad_enabled()
    if made and any(t.requires_grad for t in tensors(operands)):
        raise FlopwiseError(
            f"{rule.name}: its rule makes the results, through which no gradient comes; "
            "count the forward of a step with mode='train-forward'"
        )


def counted(rule: Rule, given: dict[str, Any]) -> Any:
    """The counts that a rule gives for operands of ours. Raises FlopwiseError where it fails."""
    asked = signature(rule.count).parameters
    every = any(p.kind is p.VAR_KEYWORD for p in asked.values())
    try:
        return rule.count(**{k: v for k, v in given.items() if every or k in asked})
    except Exception as error:
        raise FlopwiseError(f"the rule of {rule.name}: {error}") from error
