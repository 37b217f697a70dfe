"""Write down each ATen operator of a forward, with the module it runs in.

Below autograd a dispatch mode sees operators as they were called, before they are taken
apart: linear, scaled_dot_product_attention and lstm in one piece, and the same on
every device, in training and in inference. An operator that has no meaning of its own here
is taken apart until its pieces have one. Modules are found on the stack of Python
frames, so that nothing has to be hooked or patched.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flopwise.errors import FlopwiseError, UnknownValue, UnreadableModel
from flopwise.frontends.torch.plan import Plan, plan_of
from flopwise.frontends.torch.values import CPU, META, Call, Values, shape_of, tensors

Scope = tuple[str, ...]

_CALLS = {
    function.__code__
    for name in ("_wrapped_call_impl", "_call_impl")
    if (function := getattr(torch.nn.Module, name, None)) is not None
}
_READABLE = 2**20


class Recorder(TorchDispatchMode):
    """Runs operators on shapes alone and keeps a list of them.

    `known` tells whether an operator has a meaning; `scopes` gives the path of a module
    by its identity. `decisions` says how to take conditions that only real data decides, by
    the line that asks; those that are new are taken as false. With `autograd` views are true
    views, as it needs them.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do not wrap this mode for the compiler: that would import it, for seconds."""
        return False

    def __init__(
        self, known: Callable[[Any], bool], scopes: Mapping[int, Scope], values: Values,
        decisions: dict[str, bool] | None = None, autograd: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.decisions = {} if decisions is None else decisions
        self.calls: list[Call] = []
        self.values = values
        self._known = known
        self._scopes = scopes
        self._autograd = autograd
        self._remembered: dict[Hashable, Any] = {}
        self._plans: dict[Any, Plan] = {}
        self._asked = False  # whether an operator needed values

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
        if plan.factory:
            kwargs["device"] = META
        key = (func, *operands.key) if operands.hashable and plan.repeats else None
        recipe = self._remembered.get(key) if key is not None else None
        if recipe is not None:
            outputs = remade(recipe, args)
        else:
            self._asked = False
            outputs = self._run(func, plan, args, kwargs, operands)
            if key is not None and not self._asked and not (self._autograd and plan.aliases):
                self._remembered[key] = remembered(outputs, args)
        call = Call(func, args, kwargs, outputs, self.scope(), key)
        self.calls.append(call)
        if operands.constant or plan.written or plan.chooses:
            self.values.enter(call, plan.written, plan.aliases, plan.random)
        return outputs

    def _run(
        self, func: Any, plan: Plan, args: Any, kwargs: Any, operands: Operands
    ) -> Any:  # fmt: skip
        """The results of an operator on shapes; on values where they decide the shape."""
        if plan.asks_data and not operands.constant and _is_condition(func, args):
            return self.decisions.setdefault(place(), False)
        if plan.asks_data or (operands.to_cpu and self._readable(func, args)):
            return self._on_values(func, args, kwargs)
        if plan.fast is not None:
            outputs = plan.fast(*args, **kwargs)
            if outputs is not NotImplemented:
                return outputs
        if plan.valued is not None:
            outputs = plan.valued(lambda tensor: self._value(tensor, func), *args, **kwargs)
            if outputs is not NotImplemented:
                return outputs
        try:
            return func(*args, **kwargs)
        except FlopwiseError:
            raise
        except (NotImplementedError, RuntimeError) as error:
            if plan.instead is not None:
                return plan.instead(*args, **kwargs)
            if operands.constant:
                outputs = self._on_values(func, args, kwargs)
                return replaced(outputs, self._learned)
            if isinstance(error, NotImplementedError):
                raise UnreadableModel(f"{place()}: no shape rule: {first_line(error)}") from None
            raise

    def _on_values(self, func: Any, args: Any, kwargs: Any) -> Any:
        def real(operand: Any) -> Any:
            if isinstance(operand, torch.device):
                return CPU
            return self._value(operand, func) if isinstance(operand, torch.Tensor) else operand

        return func(*replaced(args, real), **replaced(kwargs, real))

    def _value(self, tensor: torch.Tensor, func: Any) -> torch.Tensor:
        self._asked = True
        try:
            return self.values.value(tensor)
        except UnknownValue:
            raise UnknownValue(
                f"{place()}: {func.name()} asks for values that only real data has; give inputs "
                "of whole numbers (lengths, masks) as tensors in place of shapes"
            ) from None

    def _readable(self, func: Any, args: Any) -> bool:
        """Whether a tensor that is moved to the CPU is wanted for its values."""
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        return first is not None and self.values.constant(first) and first.numel() <= _READABLE

    def _learned(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        shape = shape_of(value)
        self.values.learn(shape, value)
        return shape

    def settle(self) -> None:
        """Give constants that outlive the trace, as in a function's cache, their values."""
        held = Counter(
            id(t) for call in self.calls for t in tensors((call.args, call.kwargs, call.outputs))
        )
        made = {id(t): t for call in self.calls for t in tensors(call.outputs)}
        for tensor in made.values():
            others = sys.getrefcount(tensor) - held[id(tensor)] - 3
            if others > 0 and self.values.constant(tensor):
                with suppress(RuntimeError, UnknownValue):
                    torch.utils.swap_tensors(tensor, self.values.value(tensor).clone())

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


class Builder(Recorder):
    """Builds a module on shapes alone; values that its code asks for are there all the same."""

    def __init__(self) -> None:
        super().__init__(lambda func: True, {}, Values(), autograd=True)

    def scope(self) -> Scope:
        return ()


class Operands:
    """Puts stand-ins in place of tensors, and notes what there is among the operands."""

    __slots__ = ("_values", "constant", "hashable", "key", "to_cpu")

    def __init__(self, values: Values) -> None:
        self._values = values
        self.constant = self.hashable = True
        self.to_cpu = False
        self.key: list[Any] = []

    def named(self, name: str, operand: Any) -> Any:
        self.key.append(name)
        return self.enter(operand)

    def enter(self, operand: Any) -> Any:
        if isinstance(operand, torch.Tensor):
            return self._tensor(operand)
        kind = type(operand)
        if kind in _HASHABLE:
            self.key.append(operand)
        elif kind is list or kind is tuple:
            self.key.append(len(operand))
            return kind(map(self.enter, operand))
        elif kind is float or kind is bool:
            self.key.append((kind, operand))
        elif kind is torch.SymInt:
            self.key.append(operand.node.value)
        elif kind is torch.device:
            self.to_cpu |= operand == CPU
            return META
        else:
            self.hashable = False
        return operand

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_meta:
            tensor = self._values.stand_in(tensor)
        if self.constant and not self._values.constant(tensor):
            self.constant = False
        if tensor.layout is not torch.strided or tensor.is_complex():
            self.hashable = False
        elif tensor._has_symbolic_sizes_strides:
            self.key.append((expressions(tensor.shape), expressions(tensor.stride()), tensor.dtype))
        else:
            self.key.append((tensor.shape, tensor.stride(), tensor.dtype))
        return tensor


def expressions(sizes: Any) -> tuple[Any, ...]:
    """Sizes of which some are symbols, in a form that can be compared."""
    return tuple(s.node.value if isinstance(s, torch.SymInt) else s for s in sizes)


_HASHABLE = {int, str, type(None), torch.dtype, torch.memory_format, torch.layout}


def _is_condition(func: Any, args: Any) -> bool:
    """Whether a truth value is asked for."""
    return func._schema.name in _TRUTHS or args[0].dtype is torch.bool


_TRUTHS = {"aten::is_nonzero", "aten::equal", "aten::allclose"}


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same structure with its innermost parts changed."""
    if isinstance(value, dict):
        return {k: replaced(v, change) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(replaced(v, change) for v in value)
    return change(value)


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


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


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
