"""TorchScript's own functions: of numbers, texts, lists and dicts, which no tensor takes part in.

The names are those that code in an archive calls them by, `torch.` left out. Numbers may be free
sizes, so that every rule here is arithmetic that those have too.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any

import torch

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.script.budget import LONGEST

Function = Callable[..., Any]
END = 2**63 - 1  # a slice to the end


def whole(value: Any) -> Any:
    """`int(value)`; a free size stays one."""
    if isinstance(value, (torch.SymInt, torch.SymFloat)):
        return torch.sym_int(value)
    return int(value)


def real(value: Any) -> Any:
    return torch.sym_float(value) if isinstance(value, torch.SymInt) else float(value)


def power(a: Any, b: Any) -> Any:
    """Of whole numbers only as far as 64 bits go."""
    if type(a) is int and type(b) is int and b * a.bit_length() > 64:
        raise UnreadableModel("a number of more than 64 bits")
    return a**b


def shifted(a: int, b: int) -> int:
    return int(a * power(2, b))


def divided(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return a / b
    return a // b if rounding_mode == "floor" else whole(a / b)


def total(a: Any, b: Any, alpha: Any = 1) -> Any:
    return a + (b if isinstance(b, (str, list)) else b * alpha)


def formatted(text: str, *values: Any) -> str:
    """Each `{}` by a number or text; anything larger by its kind."""
    parts = text.split("{}")
    shown = [_shown(v) for v in values[: len(parts) - 1]]
    return joined("", [t for pair in zip(parts, (*shown, *[""] * len(parts))) for t in pair])


def percent(text: str, *values: Any) -> str:
    """Each `%d` and the like by a number or text."""
    rest = iter(values)
    return joined("", [_shown(next(rest)) if part[:1] == "%" and part != "%" else part
                       for part in re.split(r"(%[.\d]*[sdifg])", text)])  # fmt: skip


def joined(by: str, parts: list[str]) -> str:
    if sum(map(len, parts)) + len(by) * len(parts) > LONGEST:
        raise UnreadableModel(f"a text of more than {LONGEST:,} parts")
    return by.join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, (int, float, str, complex, type(None))):
        return str(value)
    few = isinstance(value, (list, tuple)) and len(value) < 20
    if few and all(isinstance(v, (int, float)) for v in value):
        return str(value)
    return f"<{type(value).__name__}>"


def flat(compare: Function) -> Function:
    """A comparison of numbers, texts, and lists of them; lists within lists, which may share
    their parts, would take for ever to compare."""

    def checked(*values: Any, **named: Any) -> Any:
        for side in values:
            parts = side if isinstance(side, (list, tuple)) else ()
            if any(isinstance(v, (list, tuple, dict)) for v in parts):
                raise UnreadableModel("lists within lists are not compared")
        return compare(*values, **named)

    return checked


equal, unequal = flat(operator.eq), flat(operator.ne)


def alone(value: Any, *rest: Any, **named: Any) -> Any:
    return value


NUMBERS: dict[str, Function] = {
    "add": total, "sub": lambda a, b, alpha=1: a - b * alpha,
    "rsub": lambda a, b, alpha=1: b - a * alpha,
    "mul": operator.mul, "div": divided, "true_divide": operator.truediv,
    "floordiv": operator.floordiv, "floor_divide": operator.floordiv,
    "remainder": operator.mod, "fmod": math.fmod, "pow": power, "neg": operator.neg, "abs": abs,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "eq": equal, "ne": unequal,
    "__and__": operator.and_, "__or__": operator.or_, "__xor__": operator.xor,
    "__not__": operator.not_, "__lshift__": shifted, "__rshift__": operator.rshift,
    "logical_not": operator.not_, "minimum": min, "maximum": max,
    "floor": lambda a: whole(math.floor(a)), "ceil": lambda a: whole(math.ceil(a)),
    "trunc": whole, "round": round, "sqrt": math.sqrt, "rsqrt": lambda a: 1 / math.sqrt(a),
    "exp": math.exp, "log": math.log, "log2": math.log2, "log10": math.log10, "log1p": math.log1p,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "tanh": math.tanh, "atan2": math.atan2,
    "isnan": math.isnan, "isinf": math.isinf, "isfinite": math.isfinite, "gcd": math.gcd,
    "degrees": math.degrees, "radians": math.radians, "copysign": math.copysign,
    "ord": ord, "chr": chr, "list": list, "dict": dict,
    **dict.fromkeys(("detach", "clone", "contiguous", "lift_fresh", "to"), alone),
}  # fmt: skip


def listed(value: Any) -> list[Any]:
    return list(value)


def sliced(value: Any, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return value[0 if start is None else start : None if end in (None, END) else end : step]


def put(value: Any, key: Any, item: Any) -> Any:
    value[key] = item
    return value


def appended(value: list[Any], item: Any) -> list[Any]:
    value.append(item)
    return value


def extended(value: list[Any], items: list[Any]) -> None:
    value.extend(list(items))


def arranged(value: list[Any], reverse: bool = False) -> None:
    value.sort(reverse=reverse)


def popped(value: Any, *where: Any) -> Any:
    return value.pop(*where)


def updated(value: dict[Any, Any], other: dict[Any, Any]) -> None:
    value.update(other)


CONTAINERS: dict[str, Function] = {
    "len": len, "append": appended, "extend": extended, "insert": list.insert, "pop": popped,
    "clear": lambda v: v.clear(), "reverse": list.reverse, "sort": flat(arranged),
    "sorted": flat(sorted),
    "copy": lambda v: v.copy(), "list": listed, "dict": lambda *v: dict(*v), "slice": sliced,
    "index": flat(lambda v, item: v.index(item)), "count": flat(lambda v, item: v.count(item)),
    "remove": flat(list.remove), "select": lambda v, i: v[i], "__getitem__": lambda v, i: v[i],
    "_set_item": put, "Delete": lambda v, key: v.pop(key),
    "__contains__": flat(lambda v, item: item in v),
    "keys": listed, "values": lambda v: list(v.values()), "items": lambda v: list(v.items()),
    "get": lambda v, *rest: v.get(*rest), "setdefault": lambda v, *rest: v.setdefault(*rest),
    "update": updated, "popitem": dict.popitem,
    "add": total, "add_": total, "mul": operator.mul, "eq": equal, "ne": unequal,
    "lt": flat(operator.lt), "gt": flat(operator.gt), "sum": flat(sum), "min": flat(min),
    "max": flat(max), "any": any, "all": all,
    "format": formatted, "percentFormat": percent, "join": joined,
    "split": lambda v, *by: v.split(*by), "strip": lambda v, *of: v.strip(*of),
    "startswith": lambda v, of: v.startswith(of), "endswith": lambda v, of: v.endswith(of),
    "lower": str.lower, "upper": str.upper, "find": str.find,
}  # fmt: skip


def shape(x: torch.Tensor, axis: int | None = None) -> Any:
    return list(x.shape) if axis is None else x.shape[axis]


def stride(x: torch.Tensor, axis: int | None = None) -> Any:
    return list(x.stride()) if axis is None else x.stride(axis)


def lengths(x: torch.Tensor) -> int:
    return x.shape[0]


TENSORS: dict[str, Function] = {
    "size": shape, "sym_size": shape, "dim": lambda x: x.dim(), "len": lengths,
    "numel": lambda x: x.numel(), "stride": stride, "element_size": lambda x: x.element_size(),
    "is_floating_point": lambda x: x.is_floating_point(), "is_complex": lambda x: x.is_complex(),
    "is_contiguous": lambda x, *rest, **named: x.is_contiguous(),
    "storage_offset": lambda x: x.storage_offset(), "get_device": lambda x: -1,
    "is_pinned": lambda x, *rest: False, "is_coalesced": lambda x: False,
    "cpu": lambda x: x.cpu(), "cuda": lambda x, *rest, **named: x,
    "dense_dim": lambda x: x.dim(), "sparse_dim": lambda x: 0,
}  # fmt: skip

# What code asks of the state that it runs in.
STATE: dict[str, Any] = {
    "is_grad_enabled": False, "is_autocast_enabled": False, "is_autocast_cpu_enabled": False,
    "is_scripting": True, "jit.is_scripting": True, "jit.is_tracing": False,
    "backends.mha.get_fastpath_enabled": False, "cuda.is_available": False,
    "are_deterministic_algorithms_enabled": False, "__version__": "",
}  # fmt: skip
IGNORED = {"warn", "print", "manual_seed", "set_grad_enabled", "_assert_async", "record_stream"}
