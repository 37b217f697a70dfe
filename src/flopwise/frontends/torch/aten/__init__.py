"""What ATen operators mean in our vocabulary, by theme.

A rule is a function that asks for operands by the names of the operator's schema (and for
`outputs`, a list) and gives one `Step` or several. A name without a namespace is ATen's;
one rule serves all overloads and in-place forms unless an overload has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import Any, TypeVar

import torch

from flopwise import rules
from flopwise.frontends.torch.aten.sparse import by_stored
from flopwise.frontends.torch.aten.steps import SAME, Step, in_real_numbers
from flopwise.frontends.torch.values import tensors

__all__ = ["SAME", "Step", "aten", "find", "known", "names", "plain", "steps", "views"]
R = TypeVar("R", bound=Callable[..., Any])


RULES: dict[str, Callable[..., Any]] = {}


def aten(*names: str) -> Callable[[R], R]:
    """Enter the decorated rule for operators; `name.overload` for one form alone."""

    def enter(function: R) -> R:
        for name in names:
            RULES[name if "::" in name else f"aten::{name}"] = function
        return function

    return enter


def plain(table: Mapping[str, str]) -> None:
    """Enter operators that are one of ours on all their tensors, in their order."""
    for name, op in table.items():
        aten(*name.split())(_on_tensors(op))


def _on_tensors(op: str, **attrs: Any) -> Callable[..., Step]:
    def rule(operands: list[torch.Tensor]) -> Step:
        return Step(op if operands else "constant", tuple(operands), attrs)

    return rule


def views(op: str, names: str) -> None:
    """Enter operators whose result is a view: nothing is moved."""
    aten(*names.split())(_on_tensors(op, view=True))


def find(func: Any) -> Callable[..., Any] | None:
    """The rule of an operator, a user's before our own; None when it has no meaning of its own."""
    schema = getattr(func, "_schema", None)
    if schema is not None and schema.name in rules.RULES:
        return _own(rules.RULES[schema.name])
    return _find(func)


@cache
def _find(func: Any) -> Callable[..., Any] | None:
    _load()
    name, overload = func._schema.name, func._overloadname
    base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    for spelled in (f"{name}.{overload}", name, f"{base}.{overload}", base):
        if spelled in RULES:
            return RULES[spelled]
    return None


def names() -> dict[str, Callable[..., Any]]:
    """The rules of operators by their full names."""
    _load()
    return RULES


def known(func: Any) -> bool:
    """Whether an operator is to be written down whole."""
    return find(func) is not None


def _own(rule: rules.Rule) -> Callable[..., Step]:
    def step(operands: list[torch.Tensor], arguments: dict[str, Any]) -> Step:
        return Step("custom", tuple(operands), {"rule": rule, "given": arguments})

    return step


def steps(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Any) -> list[Step]:
    """What an operator becomes; an empty list for nothing, `unknown` for what has no rule."""
    if not hasattr(func, "_schema") and hasattr(func, "steps"):
        return func.steps(args, kwargs)
    rule = find(func)
    operands = tensors((args, kwargs))
    if rule is None:
        return [Step("unknown", tuple(operands))]
    arguments = named(func, args, kwargs)
    given = {
        **arguments, "operands": operands, "outputs": tensors(outputs),
        "arguments": arguments,
    }  # fmt: skip
    found = rule(**{name: given.get(name) for name in _asks(rule)})
    if found is None:
        return []
    whole = [found] if isinstance(found, Step) else list(found)
    if any(t.layout is not torch.strided for t in operands):
        whole = by_stored(whole, given["outputs"])
    if any(t.is_complex() for t in operands):
        return in_real_numbers(whole, given["outputs"])
    return whole


def named(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names of the schema, defaults filled in."""
    names, defaults = _schema(func)
    return {**defaults, **dict(zip(names, args)), **kwargs}


@cache
def _schema(func: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the arguments, and the values that they have unless given."""
    schema = func._schema.arguments
    filled = {a.name: a.default_value for a in schema if a.has_default_value()}
    return tuple(a.name for a in schema), filled


@cache
def _asks(rule: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(signature(rule).parameters)


@cache
def _load() -> None:
    from flopwise.frontends.torch.aten import (  # noqa: F401
        attention,
        contraction,
        gradients,
        movement,
        normalization,
        pointwise,
        quantized,
        recurrent,
        reduction,
        signal,
        vision,
    )
