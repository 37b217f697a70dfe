"""Leave no trace: put back whatever a forward changed.

A forward may assign attributes of its modules, fill caches kept in dicts and lists, draw
random numbers and switch modes. All of it is remembered before a trace and put
back after, also when the forward raises. Values of tensors need no copy: a trace never
writes to a tensor that it did not make itself.
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

_PLAIN = (
    int, float, complex, str, bytes, bool, type(None), type, types.ModuleType,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, torch.Tensor,
    torch.dtype, torch.device, torch.Size,
)  # fmt: skip
_LONGEST = 100_000
Undo = Callable[[], None]


@contextmanager
def untouched(module: torch.nn.Module) -> Iterator[None]:
    """Everything reachable from `module`, and every global state, as it was before."""
    undo = [*_global_states(), *_objects(module), *_flags(module)]
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


def _flags(module: torch.nn.Module) -> Iterator[Undo]:
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_leaf:
            yield _flag(tensor, tensor.requires_grad, tensor.grad)


def _flag(tensor: torch.Tensor, required: bool, grad: torch.Tensor | None) -> Undo:
    def put_back() -> None:
        if tensor.requires_grad != required:
            tensor.requires_grad_(required)
        if tensor.grad is not grad:
            tensor.grad = grad

    return put_back


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
