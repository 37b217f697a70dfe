"""What is known of an ATen operator before it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch

from flopwise.frontends.torch.shapes import FAST, INSTEAD
from flopwise.frontends.torch.valued import VALUED
from flopwise.frontends.torch.values import CHOOSING
from flopwise.rules import RULES


class Plan(NamedTuple):
    """How to run an operator on shapes.

    `pieces` takes it apart; `written` are the places of operands that it writes to;
    `aliases`: results share memory with operands; `repeats`: equal operands give equal
    shapes; `asks_data`: the result is a Python number; `random`: drawn, or not initialised;
    `factory`: makes a tensor from nothing; `chooses`: one result is places of the greatest;
    `fast` and `instead` are rules of the module `shapes`, `valued` one of that module.
    """

    pieces: Callable[..., Any] | None = None
    written: tuple[int, ...] = ()
    aliases: bool = True
    repeats: bool = False
    asks_data: bool = False
    random: bool = True
    factory: bool = False
    chooses: bool = False
    fast: Callable[..., Any] | None = None
    instead: Callable[..., Any] | None = None
    valued: Callable[..., Any] | None = None


def plan_of(func: Any, known: bool) -> Plan:
    """Take apart what has no meaning of its own, where torch says how."""
    schema, tags = func._schema, func.tags
    name = schema.name
    tensors = any(str(a.type).startswith(("Tensor", "Optional[Tensor", "List[")) and "Tensor" in
                  str(a.type) for a in schema.arguments)  # fmt: skip
    return Plan(
        pieces=None if known else _pieces(func),
        written=tuple(
            i for i, a in enumerate(schema.arguments) if a.alias_info and a.alias_info.is_write
        ),
        aliases=any(a.alias_info for a in schema.arguments),
        repeats=not {torch.Tag.inplace_view, torch.Tag.dynamic_output_shape} & {*tags}
        and name not in VALUED,
        asks_data=name in _NUMBERS or torch.Tag.data_dependent_output in tags,
        random=torch.Tag.nondeterministic_seeded in tags or "empty" in name,
        factory=not tensors and any(a.name == "device" for a in schema.arguments),
        chooses=name in CHOOSING,
        fast=FAST.get(name),
        instead=RULES[name].result if name in RULES else INSTEAD.get(name),
        valued=VALUED.get(name),
    )


_NUMBERS = {"aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal"}


def _pieces(func: Any) -> Callable[..., Any] | None:
    if func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd):
        return func.decompose
    if func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeExplicitAutograd):
        return None
    return _decompositions().get(func)


@cache
def _decompositions() -> dict[Any, Callable[..., Any]]:
    from torch._decomp import decomposition_table

    return decomposition_table
