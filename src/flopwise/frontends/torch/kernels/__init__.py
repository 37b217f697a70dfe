"""Kernels of other packages, into which torch cannot see: what they give, and what they compute.

A rule has two parts: `result` makes the results on shapes, and the rule itself gives steps of our
vocabulary, or counts where it has no word for it. Kernels are found by name where they are
imported; the packages themselves are not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from flopwise.counts import Counts
from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.values import tensors
from flopwise.rules import Rule

KERNELS: dict[str, Kernel] = {}
Function = Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """`name` is "package.module:function", or the class of a module. `calls` is what the kernel
    runs of the user's own code, on shapes, to be counted as any other."""

    name: str
    does: Function
    result: Function
    calls: Function | None = None

    def steps(self, outputs: Any, args: Any, kwargs: Any) -> list[Step]:
        found = self.does(*args, **kwargs)
        made, operands = tuple(tensors(outputs)), tuple(tensors((args, kwargs)))
        if isinstance(found, Counts):
            rule = Rule(self.name.rpartition(":")[2], lambda: found)
            return [Step("custom", operands, {"rule": rule, "given": {}}, made)]
        steps = [found] if isinstance(found, Step) else list(found)
        last = steps[-1]
        return [*steps[:-1], Step(last.op, last.inputs, last.attrs, made[:1])]


def kernel(
    *names: str, result: Function, calls: Function | None = None
) -> Callable[[Function], Function]:
    """Enter the decorated function for kernels; it, `result` and `calls` take a kernel's call."""

    def enter(does: Function) -> Function:
        KERNELS.update((name, Kernel(name, does, result, calls)) for name in names)
        return does

    return enter


@cache
def shipped() -> dict[str, Kernel]:
    """All kernels that are known."""
    from flopwise.frontends.torch.kernels import (  # noqa: F401
        attention,
        flex,
        products,
        scans,
        sparse,
    )

    return KERNELS
