"""Leave no trace: put back whatever a forward changed.

A forward may assign attributes of its modules, fill caches kept in dicts and lists, draw
random numbers, switch modes, and give a tensor other memory through `.data`. All of it is
remembered before a trace and put back after, also when the forward raises. Values of
tensors need no copy: a trace never writes to memory that it did not make itself.
"""

from __future__ import annotations

import random
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_PLAIN = (
    int, float, complex, str, bytes, bool, type(None), type, types.ModuleType,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType,
    torch.dtype, torch.device, torch.Size,
)  # fmt: skip
_LONGEST = 100_000
Undo = Callable[[], None]


@contextmanager
def untouched(module: torch.nn.Module) -> Iterator[None]:
    """Everything reachable from `module`, and every global state, as it was before."""
    undo = [*_global_states(), *_objects(module)]
    try:
        yield
    finally:
        for put_back in undo:
            put_back()


def _global_states() -> Iterator[Undo]:
    yield _restoring(torch.get_rng_state(), torch.set_rng_state)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        yield _restoring(torch.cuda.get_rng_state_all(), torch.cuda.set_rng_state_all)
    yield _restoring(random.getstate(), random.setstate)
    if numpy := sys.modules.get("numpy"):
        yield _restoring(numpy.random.get_state(), numpy.random.set_state)
    yield _restoring(torch.is_grad_enabled(), torch._C._set_grad_enabled)
    yield _restoring(torch.get_default_dtype(), torch.set_default_dtype)


def _restoring(state: Any, restore: Callable[[Any], object]) -> Undo:
    return lambda: (restore(state), None)[1]


def _objects(module: torch.nn.Module) -> Iterator[Undo]:
    """The attributes and containers that can be reached, each once."""
    seen: set[int] = set()
    stack: list[Any] = [module]
    while stack:
        found = stack.pop()
        if isinstance(found, _PLAIN) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, torch.Tensor):
            yield from _tensor(found)
            continue
        if isinstance(found, (dict, list, set, deque)):
            if len(found) <= _LONGEST:
                yield _container(found)
                stack += found.values() if isinstance(found, dict) else found
        elif isinstance(found, tuple):
            stack += found
        elif isinstance(getattr(found, "__dict__", None), dict):
            stack.append(found.__dict__)
        if isinstance(found, torch.jit.ScriptModule):
            yield _training(found)


def _tensor(tensor: torch.Tensor) -> Iterator[Undo]:
    """The flags of a tensor, and the memory it stands for."""
    if tensor.is_leaf:
        yield _flags(tensor, tensor.requires_grad, tensor.grad)
    if type(tensor) in (torch.Tensor, torch.nn.Parameter):
        yield _memory(tensor, tensor.detach())


def _flags(tensor: torch.Tensor, required: bool, grad: torch.Tensor | None) -> Undo:
    def put_back() -> None:
        if tensor.requires_grad != required:
            tensor.requires_grad_(required)
        if tensor.grad is not grad:
            tensor.grad = grad

    return put_back


def _memory(tensor: torch.Tensor, before: torch.Tensor) -> Undo:
    def put_back() -> None:
        same = tensor.device == before.device and tensor.shape == before.shape
        if same and (tensor.layout is not torch.strided or tensor.data_ptr() == before.data_ptr()):
            return
        with torch._C._AutoDispatchBelowAutograd(), _AnyMemory():
            tensor.data = before

    return put_back


class _AnyMemory(TorchDispatchMode):
    """Lets a tensor that was put on the meta device have its own memory again."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func._schema.name == "aten::_has_compatible_shallow_copy_type":
            return True
        return func(*args, **(kwargs or {}))


def _container(found: Any) -> Undo:
    """Put the elements back in place, where any changed."""
    before = _elements(found)

    def put_back() -> None:
        now = _elements(found)
        if len(now) == len(before) and all(map(_same, now, before)):
            return
        if isinstance(found, dict):  # past the methods of subclasses, which may refuse
            kind = OrderedDict if isinstance(found, OrderedDict) else dict
            kind.clear(found)
            for key, value in before:
                kind.__setitem__(found, key, value)
        else:
            found.clear()
            found.update(before) if isinstance(found, set) else found.extend(before)

    return put_back


def _elements(found: Any) -> list[Any]:
    return list(found.items()) if isinstance(found, dict) else list(found)


def _same(a: Any, b: Any) -> bool:
    if type(a) is tuple and type(b) is tuple and len(a) == len(b):
        return all(map(_same, a, b))
    return a is b


def _training(module: torch.jit.ScriptModule) -> Undo:
    """Scripted modules keep their mode in C++."""
    before = {name: m.training for name, m in module.named_modules()}

    def put_back() -> None:
        for name, m in module.named_modules():
            if m.training != before.get(name, m.training):
                m.training = before[name]

    return put_back
