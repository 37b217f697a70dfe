"""Write down each ATen operator of a forward, with the module it runs in.

Below autograd a dispatch mode sees operators as they were called, before they are taken
apart: linear, scaled_dot_product_attention and lstm in one piece, and the same on
every device, in training and in inference. An operator that has no meaning of its own here
is taken apart until its pieces have one. Modules are found on the stack of Python
frames, so that nothing has to be hooked or patched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from flopwise.errors import UnknownValue, UnreadableModel
from flopwise.frontends.torch.values import CPU, META, SMALL, Values, keeps_values

Scope = tuple[str, ...]

_CALLS = {
    function.__code__
    for name in ("_wrapped_call_impl", "_call_impl")
    if (function := getattr(torch.nn.Module, name, None)) is not None
}
_ASK_DATA = {
    "aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal", "aten::allclose",
}  # fmt: skip


class Call(NamedTuple):
    """One operator as it ran. Calls that differ only in identities have equal keys."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any
    scope: Scope
    key: Hashable


class Recorder(TorchDispatchMode):
    """Runs operators on shapes alone and keeps a list of them.

    `known` tells whether an operator has a meaning; `scopes` gives the path of a module
    by its identity. With `autograd` views are true views, as it needs them.
    """

    supports_higher_order_operators = True

    def __init__(
        self, known: Callable[[Any], bool], scopes: Mapping[int, Scope], autograd: bool = False
    ) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.values = Values()
        self._known = known
        self._scopes = scopes
        self._autograd = autograd
        self._remembered: dict[Hashable, Any] = {}
        self._plans: dict[Any, Plan] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        plan = self._plans.get(func)
        if plan is None:
            plan = self._plans[func] = plan_of(func, self._known(func))
        if plan.pieces is not None:
            with self:
                whole = plan.pieces(*args, **kwargs)
            if whole is not NotImplemented:
                return whole
        operands = Operands(self.values)
        args = tuple(map(operands.enter, args))
        kwargs = {k: operands.named(k, v) for k, v in kwargs.items()}
        if operands.shapes == 0 and self._few(func, plan, args, kwargs, operands):
            return self._on_values(func, args, kwargs, operands)
        if operands.valued:
            for i in plan.written:
                if i < len(args) and isinstance(args[i], torch.Tensor) and not args[i].is_meta:
                    self.values.overwrite(args[i])
        if operands.valued or operands.devices or not operands.shapes:
            args, kwargs = placed(args, {**kwargs, **plan.factory(operands)}, META, self.values)
        return self._on_shapes(func, plan, args, kwargs, operands)

    def _on_shapes(self, func: Any, plan: Plan, args: Any, kwargs: Any, operands: Operands) -> Any:
        """Some operand has no values, or the results are many: none has any."""
        key = (func, *operands.key) if operands.hashable and plan.repeats else None
        recipe = self._remembered.get(key) if key is not None else None
        if recipe is not None:
            outputs = remade(recipe, args)
        else:
            outputs = self._run(func, plan, args, kwargs)
            if key is not None and not (self._autograd and plan.aliases):
                self._remembered[key] = remembered(outputs, args)
        self._note(func, args, kwargs, outputs, key)
        return outputs

    def _run(self, func: Any, plan: Plan, args: Any, kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except NotImplementedError as error:
            raise UnreadableModel(f"{place()}: {func.name()} has no shape rule: {error}") from None
        except RuntimeError:
            if not plan.asks_data:
                raise
            raise UnknownValue(
                f"{place()}: {func.name()} asks for the values of a tensor, which only real "
                "data has; give that input as a tensor in place of a shape"
            ) from None

    def _on_values(self, func: Any, args: Any, kwargs: Any, operands: Operands) -> Any:
        """Every operand has values, and the results are few: they have values too."""
        if operands.devices:
            args, kwargs = placed(args, kwargs, CPU)
        outputs = func(*args, **kwargs)
        for tensor in tensors(outputs):
            self.values.own(tensor)
        self._note(func, args, kwargs, outputs, None)
        return outputs

    def _few(self, func: Any, plan: Plan, args: Any, kwargs: Any, operands: Operands) -> bool:
        """Whether the results have values worth keeping."""
        if plan.asks_data:
            return True
        shapes = placed(args, {**kwargs, **plan.factory(operands)}, META, self.values)
        try:
            outputs = func(*shapes[0], **shapes[1])
        except (NotImplementedError, RuntimeError):
            return True  # its shape depends on values, as that of nonzero does
        few = operands.valued or kwargs.get("device") in (CPU, None)
        return all(t.numel() <= SMALL if few else keeps_values(t) for t in tensors(outputs))

    def _note(self, func: Any, args: Any, kwargs: Any, outputs: Any, key: Hashable) -> None:
        self.calls.append(Call(func, args, kwargs, outputs, self.scope(), key))

    def scope(self) -> Scope:
        """The path of the innermost module that runs."""
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code in _CALLS:
                path = self._scopes.get(id(frame.f_locals["self"]))
                if path is not None:
                    return path
            frame = frame.f_back  # type: ignore[assignment]
        return ()


class Plan(NamedTuple):
    """What is known of an operator before it runs."""

    pieces: Callable[..., Any] | None = None
    written: tuple[int, ...] = ()
    aliases: bool = True
    repeats: bool = False
    asks_data: bool = False
    has_device: bool = False

    def factory(self, operands: Operands) -> dict[str, Any]:
        """The device to ask for where no operand tells it."""
        bare = self.has_device and not operands.shapes and not operands.valued
        return {"device": META} if bare else {}


def plan_of(func: Any, known: bool) -> Plan:
    """Take apart what has no meaning of its own, where torch says how."""
    if isinstance(func, HigherOrderOperator):
        return Plan()
    arguments = func._schema.arguments
    return Plan(
        pieces=None if known else _pieces(func),
        written=tuple(
            i for i, a in enumerate(arguments) if a.alias_info and a.alias_info.is_write
        ),
        aliases=any(a.alias_info for a in arguments),
        repeats=torch.Tag.inplace_view not in func.tags,
        asks_data=func._schema.name in _ASK_DATA,
        has_device=any(a.name == "device" for a in arguments),
    )  # fmt: skip


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


class Operands:
    """Puts stand-ins in place of tensors, and notes what there is among the operands."""

    __slots__ = ("_values", "devices", "hashable", "key", "shapes", "valued")

    def __init__(self, values: Values) -> None:
        self._values = values
        self.shapes = self.valued = self.devices = 0
        self.hashable = True
        self.key: list[Any] = []

    def named(self, name: str, operand: Any) -> Any:
        self.key.append(name)
        return self.enter(operand)

    def enter(self, operand: Any) -> Any:
        if isinstance(operand, torch.Tensor):
            return self._tensor(operand)
        kind = type(operand)
        if kind is list or kind is tuple:
            self.key.append(len(operand))
            return kind(map(self.enter, operand))
        if kind is float or kind is bool:
            self.key.append((kind, operand))
        elif kind is torch.device:
            self.devices += 1
        elif kind in _HASHABLE:
            self.key.append(operand)
        else:
            self.hashable = False
        return operand

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_meta:
            tensor = self._values.stand_in(tensor)
        if tensor.is_meta:
            self.shapes += 1
        else:
            self.valued += 1
        if tensor.layout is not torch.strided or tensor.is_complex():
            self.hashable = False
        else:
            self.key.append((tensor.shape, tensor.stride(), tensor.dtype))
        return tensor


_HASHABLE = {int, str, type(None), torch.dtype, torch.memory_format, torch.layout}


def placed(args: Any, kwargs: Any, device: torch.device, values: Values | None = None) -> Any:
    """The operands on one device; `values` gives the meta tensors of real ones."""

    def place_(operand: Any) -> Any:
        if isinstance(operand, torch.device):
            return device
        if isinstance(operand, torch.Tensor):
            return operand if values is None or operand.is_meta else values.meta(operand)
        if type(operand) in (list, tuple):
            return type(operand)(map(place_, operand))
        return operand

    return tuple(map(place_, args)), {k: place_(v) for k, v in kwargs.items()}


def tensors(outputs: Any) -> list[torch.Tensor]:
    """The tensors among the outputs of an operator."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, (list, tuple)):
        return [t for part in outputs for t in tensors(part)]
    return []


def remembered(outputs: Any, args: Any) -> Any:
    """How to make such outputs again without running the operator; None: it must run."""
    if isinstance(outputs, torch.Tensor):
        for i, argument in enumerate(args):
            if argument is outputs:
                return i
        if not outputs.is_meta or outputs.layout is not torch.strided or outputs.is_complex():
            return None
        return (outputs.size(), outputs.stride(), outputs.dtype)
    if isinstance(outputs, (list, tuple)):
        parts = [remembered(part, args) for part in outputs]
        return None if any(p is None for p in parts) else (type(outputs), parts)
    return None


def remade(recipe: Any, args: Any) -> Any:
    """The outputs that `remembered` described."""
    if isinstance(recipe, int):
        return args[recipe]
    if isinstance(recipe[1], list):
        return recipe[0](remade(part, args) for part in recipe[1])
    size, stride, dtype = recipe
    return torch.empty_strided(size, stride, dtype=dtype, device=META)


def place() -> str:
    """The line of the user's code that runs, for messages."""
    frame = sys._getframe(1)
    inner = ("torch", "flopwise")
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in inner:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "forward"
