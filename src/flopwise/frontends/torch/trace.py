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
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import CodeType
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from flopwise.errors import FlopwiseError, UnknownValue, UnreadableModel
from flopwise.frontends.torch import higher
from flopwise.frontends.torch.operands import Operands, remade, remembered
from flopwise.frontends.torch.plan import Plan, plan_of
from flopwise.frontends.torch.values import CPU, META, Call, Values, shape_of, tensors

Scope = tuple[str, ...]

_CALLS = {
    function.__code__
    for name in ("_wrapped_call_impl", "_call_impl")
    if (function := getattr(torch.nn.Module, name, None)) is not None
}
_READABLE = 2**20
RECOMPUTE = "recompute"


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
        self.autograd = autograd
        self._remembered: dict[Hashable, Any] = {}
        self._plans: dict[Any, Plan] = {}
        self.phase = ""
        self._sequence: dict[int, Scope] = {}  # of the nodes of autograd
        self._muted = 0
        self._asked = False  # whether an operator needed values

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return higher.run(self, func, args, kwargs)
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
            if key is not None and not self._asked and not (self.autograd and plan.aliases):
                self._remembered[key] = remembered(outputs, args)
        muted = self._muted or (self.phase and _handed_over(func))
        scope, phase = ((), "") if muted else self._where()
        call = Call(func, args, kwargs, outputs, scope, key, phase)
        if not muted:
            self.calls.append(call)
        if operands.constant or plan.written or plan.chooses:
            self.values.enter(call, plan.written, plan.aliases, plan.random)
        return outputs

    def _run(
        self, func: Any, plan: Plan, args: Any, kwargs: Any, operands: Operands
    ) -> Any:  # fmt: skip
        """The results of an operator on shapes; on values where they decide the shape."""
        if plan.asks_data and not operands.constant and _is_condition(func, args):
            if len(args) > 1 and args[0] is args[1]:  # self-attention asks so of its operands
                return True
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

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Run operators without writing them down."""
        self._muted += 1
        try:
            yield
        finally:
            self._muted -= 1

    @contextmanager
    def aside(self) -> Iterator[list[Call]]:
        """Write operators down in another list, for the body of a loop or branch."""
        around, self.calls = self.calls, []
        try:
            yield self.calls
        finally:
            self.calls = around

    def write(self, func: Any, args: Any, kwargs: Any, outputs: Any) -> None:
        """Write down a call that is more than one operator, unless it is inside of another."""
        if not self._muted:
            scope, phase = self._where()
            self.calls.append(Call(func, args, kwargs, outputs, scope, None, phase))

    def settle(self) -> None:
        """Give constants that outlive the trace, as in a function's cache, their values."""
        calls = list(higher.every(self.calls))
        held = Counter(
            id(t) for call in calls for t in tensors((call.args, call.kwargs, call.outputs))
        )
        made = {id(t): t for call in calls for t in tensors(call.outputs)}
        for tensor in made.values():
            others = sys.getrefcount(tensor) - held[id(tensor)] - 3
            if others > 0 and self.values.constant(tensor):
                with suppress(RuntimeError, UnknownValue):
                    torch.utils.swap_tensors(tensor, self.values.value(tensor).clone())

    def _where(self) -> tuple[Scope, str]:
        """The path of the module that runs, and the phase. In a backward it is the module whose
        forward made the node of autograd, unless a part of the forward runs again."""
        path = self.scope()
        if self.phase:
            if path is not None:
                return path, RECOMPUTE
            node = torch._C._current_autograd_node()
            return self._sequence.get(node._sequence_nr(), ()) if node else (), self.phase
        if self.autograd:
            self._sequence.setdefault(torch._C._autograd._get_sequence_nr() - 1, path or ())
        return path or (), ""

    def scope(self) -> Scope | None:
        """The path of the innermost module that runs; None outside of any."""
        frame = sys._getframe(3)
        while frame is not None:
            if frame.f_code in _CALLS:
                path = self._scopes.get(id(frame.f_locals["self"]))
                if path is not None:
                    return path
            frame = frame.f_back  # type: ignore[assignment]
        return None


class Builder(Recorder):
    """Builds a module on shapes alone; values that its code asks for are there all the same."""

    def __init__(self) -> None:
        super().__init__(lambda func: True, {}, Values(), autograd=True)

    def scope(self) -> Scope:
        return ()


def _handed_over(func: Any) -> bool:
    """Whether autograd copies the first gradient of a weight, which it does only because the
    trace still holds it; a run hands it over as it is."""
    node = torch._C._current_autograd_node()
    if node is None or node.name() != "torch::autograd::AccumulateGrad":
        return False
    return func._schema.name in _COPIES


_COPIES = {"aten::new_empty_strided", "aten::copy_", "aten::clone", "aten::detach"}


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


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


# Functions of ours that follow code which is not Python's: the line, by their local names.
LINES: dict[CodeType, Callable[[dict[str, Any]], str]] = {}


def place() -> str:
    """The line of the user's code that runs, for messages."""
    frame = sys._getframe(1)
    inner = ("torch", "flopwise")
    while frame.f_back is not None:
        if frame.f_code in LINES:
            return LINES[frame.f_code](frame.f_locals)
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in inner:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "forward"
