"""Rules that users give: what an operator, a function or a module of their own costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule:
    """The counts of one call of `target`, and its results where it cannot run on shapes."""

    target: Any
    count: Callable[..., Any]
    result: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        return self.target if isinstance(self.target, str) else str(self.target.__qualname__)


RULES: dict[Any, Rule] = {}


def rule(target: Any, result: Callable[..., Any] | None = None) -> Callable[[F], F]:
    """Enter the decorated function as the cost of `target`, one of

    - the name of an operator, `"mylib::scan"`;
    - a function by where it is imported from, `"package.module:function"`;
    - a class of modules, which its subclasses follow.

    The function asks for the operands by the names of the operator's schema or of the function's
    own parameters (a module comes first and has the name `module`), gets tensors with `shape` and
    `size`, and gives `flopwise.Counts`. `result` takes the same call with the framework's
    tensors and gives what it returns, for code that cannot run without a device.
    """

    def enter(count: F) -> F:
        RULES[target] = Rule(target, count, result)
        return count

    return enter


def of_class(kind: type) -> Rule | None:
    """The rule of a class, or of the nearest one that it derives from."""
    return next((RULES[base] for base in kind.__mro__ if base in RULES), None)


def functions() -> list[tuple[str, str, Rule]]:
    """The rules of functions: module, name, rule."""
    named = [(k, r) for k, r in RULES.items() if isinstance(k, str) and "::" not in k]
    return [(*k.split(":", 1), r) for k, r in named]  # type: ignore[misc]
