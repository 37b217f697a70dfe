"""The values of expressions in the code of an archive."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import torch

from flopwise.errors import UnreadableModel
from flopwise.frontends.torch.script import operators
from flopwise.frontends.torch.script.budget import Budget
from flopwise.frontends.torch.script.code import Code, Function
from flopwise.frontends.torch.script.parts import Part, Thing
from flopwise.frontends.torch.script.pickled import Member
from flopwise.frontends.torch.script.plain import formatted, real, whole

ROOTS = ("torch", "ops", "__torch__", "CONSTANTS")
NUMERIC = {"int": whole, "float": real, "number": lambda value: value}
KNOWN = {"inf": math.inf, "nan": math.nan, "infj": complex(0, math.inf)}


class Scope:
    """The names of one call, and the file that it is written in."""

    __slots__ = ("file", "values")

    def __init__(self, file: str, values: dict[str, Any]) -> None:
        self.file, self.values = file, values


class Named(tuple[Any, ...]):
    """A NamedTuple of the archive."""

    fields: tuple[str, ...] = ()


class Expressions:
    """`constants` are what the code calls CONSTANTS.c0 and so on."""

    def __init__(self, code: Code, constants: list[Any]) -> None:
        self.code, self.constants = code, constants
        self.budget = Budget()

    def method(self, owner: Part | Thing, name: str, args: list[Any], named: dict[str, Any]) -> Any:
        raise NotImplementedError

    def call(self, function: Function, args: list[Any], named: dict[str, Any]) -> Any:
        raise NotImplementedError

    def value(self, node: ast.expr, scope: Scope) -> Any:
        self.budget.spend()
        rule = EXPRESSIONS.get(type(node))
        if rule is None:
            raise UnreadableModel(f"a {type(node).__name__}, which TorchScript does not have")
        return rule(self, node, scope)

    def literal(self, node: ast.Constant, scope: Scope) -> Any:
        if isinstance(node.value, (int, float, complex, str, type(None))):
            return self.budget.bounded(node.value)
        raise UnreadableModel(f"a {type(node.value).__name__}")

    def name(self, node: ast.Name, scope: Scope) -> Any:
        if node.id in scope.values:
            return scope.values[node.id]
        if node.id in KNOWN:
            return KNOWN[node.id]
        raise UnreadableModel(f"the name {node.id}, which has no value")

    def negative(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self.value(node.operand, scope)
        if not isinstance(node.op, ast.USub) or not isinstance(value, (int, float, complex)):
            raise UnreadableModel(f"a {type(node.op).__name__} of a {type(value).__name__}")
        return -value

    def row(self, node: ast.Tuple, scope: Scope) -> Any:
        return tuple([self.value(part, scope) for part in node.elts])

    def listed(self, node: ast.List, scope: Scope) -> Any:
        return [self.value(part, scope) for part in node.elts]

    def table(self, node: ast.Dict, scope: Scope) -> Any:
        keys = [self.value(k, scope) for k in node.keys if k is not None]
        return dict(zip(keys, (self.value(v, scope) for v in node.values)))

    def choice(self, node: ast.IfExp, scope: Scope) -> Any:
        return self.value(node.body if self.value(node.test, scope) else node.orelse, scope)

    def item(self, node: ast.Subscript, scope: Scope) -> Any:
        owner, key = self.value(node.value, scope), self.value(node.slice, scope)
        if not isinstance(owner, (list, tuple, dict, str)):
            raise UnreadableModel(f"a part of a {type(owner).__name__}")
        return owner[key]

    def attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        path = dotted(node, scope)
        if path.startswith("CONSTANTS.c"):
            return self.constants[int(path.removeprefix("CONSTANTS.c"))]
        if path.startswith("__torch__."):
            return self._defined(path)
        if path:
            return operators.call(path.removeprefix("torch."), [], {}, self.budget)
        return self.get(self.value(node.value, scope), node.attr)

    def _defined(self, path: str) -> Any:
        """A function, a class, or a member of an enumeration."""
        owner, _, name = path.rpartition(".")
        if self.code.holds(owner):
            return self.code.find(path)
        kind = self.code.kind(owner)
        if kind.base != "Enum" or name not in kind.constants:
            raise UnreadableModel(f"no code for {path}")
        return Member(owner, self.value(kind.constants[name], Scope("", {})))

    def get(self, owner: Any, name: str) -> Any:
        """An attribute of an object of the archive."""
        if isinstance(owner, Named) and name in owner.fields:
            return owner[owner.fields.index(name)]
        if isinstance(owner, Member) and name == "value":
            return owner.value
        if not isinstance(owner, (Part, Thing)):
            raise UnreadableModel(f"the attribute {name} of a {type(owner).__name__}")
        try:
            return owner.get(name)
        except KeyError:
            constants = self.code.kind(owner.kind).constants
        if name not in constants:
            raise UnreadableModel(f"{owner.kind} has no {name}")
        return self.value(constants[name], Scope("", {}))

    # calls
    def called(self, node: ast.Call, scope: Scope) -> Any:
        function = node.func
        if isinstance(function, ast.Name) and function.id in TYPED:
            return TYPED[function.id](self, node.args, scope)
        args = [self.value(a, scope) for a in node.args]
        named = {str(k.arg): self.value(k.value, scope) for k in node.keywords}
        if isinstance(function, ast.Name):
            return self._function(function, args, named, scope)
        if not isinstance(function, ast.Attribute):
            raise UnreadableModel("a call of what has no name")
        path = dotted(function, scope)
        if path.startswith("__torch__."):
            return self._made(path, args, named)
        if path:
            return operators.call(operator_name(path), args, named, self.budget)
        owner = self.value(function.value, scope)
        if isinstance(owner, (Part, Thing)):
            return self.method(owner, function.attr, args, named)
        if isinstance(owner, torch.Tensor) and function.attr == "tolist":
            return owner.tolist()
        raise UnreadableModel(f"the method {function.attr} of a {type(owner).__name__}")

    def _function(self, node: ast.Name, args: Any, named: Any, scope: Scope) -> Any:
        if node.id in scope.values:
            found = scope.values[node.id]
            if isinstance(found, Function):
                return self.call(found, args, named)
        elif node.id == "getattr":
            return self.get(*args)
        elif node.id in CONVERSIONS and len(args) == 1:
            return self.budget.bounded(CONVERSIONS[node.id](number(args[0])))
        raise UnreadableModel(f"a call of {node.id}, which TorchScript does not have")

    def _made(self, path: str, args: Any, named: Any) -> Any:
        """A call of a function, or a new object of a class of the archive."""
        if path.endswith(".__new__"):
            return Thing(path.removesuffix(".__new__"))
        found = self.code.find(path)
        if isinstance(found, Function):
            return self.call(found, args, named)
        if found.base != "NamedTuple":
            raise UnreadableModel(f"a call of {path}")
        made = Named([*args, *(named[n] for n in found.fields[len(args) :] if n in named)])
        made.fields = tuple(found.fields)
        return made

    # calls that have a type among their arguments
    def typed(self, args: list[ast.expr], scope: Scope) -> Any:
        """`annotate(int, tensor)` is the number in it; else the second argument as it is."""
        kind, value = args[0], self.value(args[1], scope)
        if isinstance(kind, ast.Name) and kind.id in NUMERIC and isinstance(value, torch.Tensor):
            return NUMERIC[kind.id](number(value))
        return value

    def unset(self, args: list[ast.expr], scope: Scope) -> None:
        return None

    def is_instance(self, args: list[ast.expr], scope: Scope) -> bool:
        value = self.value(args[0], scope)
        kinds = args[1].elts if isinstance(args[1], (ast.Tuple, ast.List)) else [args[1]]
        return any(fits(value, kind) for kind in kinds)


def number(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value


def fits(value: Any, kind: ast.expr) -> bool:
    """Whether a value is of a type, as far as its outermost part tells."""
    if isinstance(kind, ast.Subscript):
        kind = kind.value
    name = kind.id if isinstance(kind, ast.Name) else ""
    if name not in KINDS:
        return isinstance(value, (Part, Thing)) and value.kind == dotted(kind)
    found = isinstance(value, KINDS[name])
    return found and not (isinstance(value, bool) and name in ("int", "float"))


KINDS: dict[str, Any] = {
    "Tensor": torch.Tensor, "int": (int, torch.SymInt), "float": (float, torch.SymFloat),
    "bool": bool, "str": str, "List": list, "Tuple": tuple, "Dict": dict,
    "NoneType": type(None), "number": (int, float), "Device": torch.device, "complex": complex,
}  # fmt: skip


def dotted(node: ast.expr, scope: Scope | None = None) -> str:
    """A name such as `torch.add` or `__torch__.Net`; "" for what begins with a value."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in ROOTS:
        return ""
    return "" if scope and node.id in scope.values else ".".join([node.id, *reversed(parts)])


def operator_name(path: str) -> str:
    """`torch.add` is `add`, `ops.prim.dtype` is `prim::dtype`."""
    root, _, rest = path.partition(".")
    if root == "ops":
        space, _, name = rest.partition(".")
        return f"{space}::{name}"
    return rest


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "int": whole,
    "float": real,
    "bool": bool,
    "str": lambda value: formatted("{}", value),
}
TYPED: dict[str, Any] = {
    "annotate": Expressions.typed, "unchecked_cast": Expressions.typed,
    "uninitialized": Expressions.unset, "isinstance": Expressions.is_instance,
}  # fmt: skip
EXPRESSIONS: dict[type, Any] = {
    ast.Constant: Expressions.literal, ast.Name: Expressions.name,
    ast.UnaryOp: Expressions.negative, ast.Tuple: Expressions.row, ast.List: Expressions.listed,
    ast.Dict: Expressions.table, ast.IfExp: Expressions.choice, ast.Subscript: Expressions.item,
    ast.Attribute: Expressions.attribute, ast.Call: Expressions.called,
}  # fmt: skip
