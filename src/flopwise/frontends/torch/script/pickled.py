"""Pickles of TorchScript archives as data: their opcodes are walked, and nothing is called.

What comes out is numbers, texts, lists, tuples, dicts, the headers of tensors (whose elements
lie in other entries of the archive) and records of objects by the names of their
classes. Any other opcode or name is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flopwise.errors import UnreadableModel

LARGEST = 2**62  # elements of a tensor, and sizes of its axes


@dataclass(frozen=True)
class Header:
    """A tensor without its elements: in which entry they are, their type, and how they lie."""

    storage: str
    kind: str
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    learns: bool


@dataclass(eq=False)
class Record:
    """An object: the name of its class and what it holds, a dict for all but a few."""

    name: str
    state: Any = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """A member of an enumeration, by the name of its class and its value."""

    kind: str
    value: Any


@dataclass(frozen=True)
class Name:
    """A name that the pickle would have had imported."""

    path: str


def read(data: bytes, where: str) -> Any:
    """The value of a pickle, by its name in the archive, where the elements of its tensors are in
    a folder of that name. Raises UnreadableModel for what no archive has in it."""
    try:
        return _Walk(where.removesuffix(".pkl")).run(data)
    except UnreadableModel as error:
        raise UnreadableModel(f"{where}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UnreadableModel(f"{where}: not a pickle of torch.jit.save ({error})") from None


class _Walk:
    """The stack machine of pickles, for the opcodes that torch writes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self.stack.pop()
            step = OPCODES.get(opcode.name)
            if step is None:
                raise UnreadableModel(f"the opcode {opcode.name}, which no archive needs")
            step(self, argument)
        raise ValueError("it has no end")

    def above(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found


def _literal(walk: _Walk, value: Any) -> None:
    walk.stack.append(value)


def _constant(value: Any) -> Callable[[_Walk, Any], None]:
    return lambda walk, _: walk.stack.append(value)


def _new(make: Callable[[], Any]) -> Callable[[_Walk, Any], None]:
    return lambda walk, _: walk.stack.append(make())


def _last(count: int) -> Callable[[_Walk, Any], None]:
    def step(walk: _Walk, _: Any) -> None:
        found = tuple(walk.stack[-count:])
        del walk.stack[-count:]
        walk.stack.append(found)

    return step


def _keep(walk: _Walk, place: int) -> None:
    walk.memo[place] = walk.stack[-1]


def _recall(walk: _Walk, place: int) -> None:
    walk.stack.append(walk.memo[place])


def _mark(walk: _Walk, _: Any) -> None:
    walk.marks.append(len(walk.stack))


def _tuple(walk: _Walk, _: Any) -> None:
    walk.stack.append(tuple(walk.above()))


def _name(walk: _Walk, written: str) -> None:
    walk.stack.append(Name(".".join(written.split(" "))))


def _extend(walk: _Walk, values: list[Any]) -> None:
    target = walk.stack[-1]
    if type(target) is not list:
        raise TypeError("appends to what is no list")
    target.extend(values)


def _enter(walk: _Walk, pairs: list[Any]) -> None:
    target = walk.stack[-1]
    if type(target) is not dict or len(pairs) % 2:
        raise TypeError("sets items of what is no dict")
    for key, value in zip(pairs[::2], pairs[1::2]):
        if not isinstance(key, (str, int, float, complex)):
            raise TypeError("a key of a dict that is no text or number")
        target[key] = value


def _pair(walk: _Walk) -> list[Any]:
    value, key = walk.stack.pop(), walk.stack.pop()
    return [key, value]


def _object(walk: _Walk, _: Any) -> None:
    walk.stack.pop()  # its arguments, of which there are none
    kind = walk.stack.pop()
    if not isinstance(kind, Name) or not kind.path.startswith("__torch__."):
        raise UnreadableModel(f"an object of {getattr(kind, 'path', kind)}")
    walk.stack.append(Record(kind.path))


def _build(walk: _Walk, _: Any) -> None:
    state = walk.stack.pop()
    if not isinstance(walk.stack[-1], Record):
        raise TypeError("a state of what is no object")
    walk.stack[-1].state = state


def _storage(walk: _Walk, _: Any) -> None:
    """A reference to the elements of a tensor: ("storage", type, entry, device, how many)."""
    role, kind, entry, *_rest = walk.stack.pop()
    if role != "storage" or not isinstance(kind, Name) or not isinstance(entry, str):
        raise TypeError("a reference that is no storage")
    walk.stack.append((kind.path.removeprefix("torch."), f"{walk.folder}/{entry}"))


def _call(walk: _Walk, _: Any) -> None:
    given, function = walk.stack.pop(), walk.stack.pop()
    path = getattr(function, "path", "")
    if path.startswith("__torch__."):
        walk.stack.append(Member(path, given))
    elif path in CALLS:
        walk.stack.append(CALLS[path](*given))
    else:
        raise UnreadableModel(f"a call of {path or function}")


def _tensor(storage: Any, offset: int, sizes: Any, strides: Any, learns: Any, *rest: Any) -> Header:
    kind, entry = storage
    for number in (offset, *sizes, *strides):
        if type(number) is not int or not 0 <= number <= LARGEST:
            raise ValueError(f"a tensor with the size {number!r}")
    if len(sizes) != len(strides):
        raise ValueError("a tensor with other strides than sizes")
    return Header(entry, kind, offset, tuple(sizes), tuple(strides), bool(learns))


def _same(value: Any, *rest: Any) -> Any:
    """Lists and dicts that state the types of their elements beside."""
    return value


LISTS = ("intlist", "doublelist", "boollist", "tensorlist")
CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, learns, hooks: tensor,
    "torch.jit._pickle.restore_type_tag": _same,
    **{f"torch.jit._pickle.build_{kind}": _same for kind in LISTS},
    "collections.OrderedDict": dict,
    "torch.device": lambda name, *rest: str(name),
}

OPCODES: dict[str, Callable[[_Walk, Any], None]] = {
    "PROTO": lambda walk, _: None,
    "NONE": _constant(None), "NEWTRUE": _constant(True), "NEWFALSE": _constant(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
                     "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING"), _literal),
    "EMPTY_TUPLE": _constant(()), "EMPTY_LIST": _new(list), "EMPTY_DICT": _new(dict),
    "TUPLE1": _last(1), "TUPLE2": _last(2), "TUPLE3": _last(3), "TUPLE": _tuple, "MARK": _mark,
    "APPEND": lambda walk, _: _extend(walk, [walk.stack.pop()]),
    "APPENDS": lambda walk, _: _extend(walk, walk.above()),
    "SETITEM": lambda walk, _: _enter(walk, _pair(walk)),
    "SETITEMS": lambda walk, _: _enter(walk, walk.above()),
    "BINPUT": _keep, "LONG_BINPUT": _keep, "BINGET": _recall, "LONG_BINGET": _recall,
    "GLOBAL": _name, "NEWOBJ": _object, "BUILD": _build, "BINPERSID": _storage, "REDUCE": _call,
}  # fmt: skip
