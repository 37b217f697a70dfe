"""Follow the code of an archive, statement by statement, as far as TorchScript writes it.

It knows assignments, `if`, `while`, `for` over a range, calls, attributes of objects of the
archive, and the values that TorchScript has. Whatever else Python could say is refused, and
so is code that has no end.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from flopwise.errors import FlopwiseError, UnreadableModel
from flopwise.frontends.torch import trace
from flopwise.frontends.torch.script.code import Function
from flopwise.frontends.torch.script.expressions import Expressions, Scope
from flopwise.frontends.torch.script.parts import Part, Thing

_FORWARD = re.compile(r"forward(__)?\d*$")  # overloads and traces of one have numbers

# Whether transformers may use kernels that fuse a layer, which is not counted here in one piece.
FAST_PATH = ("__torch__/torch/backends/mha.py", "get_fastpath_enabled")


class Placed(UnreadableModel):
    """What is wrong, and at which line of the archive."""


class Returned:
    """What a `return` gives."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Interpreter(Expressions):
    """Runs methods on shapes, within a budget."""

    def method(self, owner: Part | Thing, name: str, args: list[Any], named: dict[str, Any]) -> Any:
        """The result of a method; the forward of a module runs in its scope."""
        function = self.code.kind(owner.kind).methods.get(name)
        if function is None:
            raise UnreadableModel(f"{owner.kind} has no method {name}")
        given = [owner, *args]
        outermost = "forward" in vars(owner)
        if isinstance(owner, Part) and not outermost and _FORWARD.match(name):
            return owner(lambda: self.call(function, given, named))
        return self.call(function, given, named)

    def call(self, function: Function, args: list[Any], named: dict[str, Any]) -> Any:
        """The result of a function. Raises UnreadableModel where it cannot be followed."""
        if (function.file, function.name) == FAST_PATH:
            return False
        self.budget.enter()
        scope = Scope(function.file, {})
        scope.values.update(self._bound(function, args, named))
        done = self.block(function.tree.body, scope)
        self.budget.leave()
        return done.value if done is not None else None

    def _bound(self, function: Function, args: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        """Arguments by the names of the function's parameters."""
        asked = function.tree.args
        names = [a.arg for a in asked.args]
        empty = Scope(function.file, {})
        defaults = dict(zip(names[len(names) - len(asked.defaults) :], asked.defaults))
        given = {**dict(zip(names, args)), **named}
        if len(args) > len(names) or not set(named) <= set(names):
            raise UnreadableModel(f"a call of {function.name} with arguments that it does not take")
        for name in names:
            if name not in given:
                if name not in defaults:
                    raise UnreadableModel(f"a call of {function.name} without {name}")
                given[name] = self.value(defaults[name], empty)
        return given

    # statements
    def block(self, body: list[ast.stmt], scope: Scope) -> Returned | None:
        for node in body:
            self.budget.spend()
            done = self.statement(node, scope)
            if done is not None:
                return done
        return None

    def statement(self, node: ast.stmt, scope: Scope) -> Returned | None:
        try:
            rule = STATEMENTS.get(type(node))
            if rule is None:
                raise UnreadableModel(f"a {type(node).__name__}, which TorchScript does not have")
            found: Returned | None = rule(self, node, scope)
            return found
        except Placed:
            raise
        except UnreadableModel as error:
            told = str(error).removeprefix(f"{line(node, scope)}: ")  # where the trace said so
            raise Placed(f"{line(node, scope)}: {told}") from error.__cause__
        except FlopwiseError:
            raise
        except Exception as error:
            told = trace.first_line(error) or type(error).__name__
            raise Placed(f"{line(node, scope)}: {told}") from error

    def assign(self, node: ast.Assign, scope: Scope) -> None:
        if len(node.targets) != 1:
            raise UnreadableModel("an assignment to several targets")
        self.bind(node.targets[0], self.value(node.value, scope), scope)

    def annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value, scope), scope)

    def bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.values[target.id] = value
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            if not isinstance(owner, (Part, Thing)):
                raise UnreadableModel(f"an attribute of a {type(owner).__name__} is set")
            owner.put(target.attr, value)
        elif isinstance(target, ast.Tuple) and isinstance(value, (tuple, list)):
            if len(target.elts) != len(value):
                raise UnreadableModel(f"{len(value)} values for {len(target.elts)} names")
            for part, each in zip(target.elts, value):
                self.bind(part, each, scope)
        else:
            raise UnreadableModel(f"an assignment to a {type(target).__name__}")

    def expression(self, node: ast.Expr, scope: Scope) -> None:
        self.value(node.value, scope)

    def branch(self, node: ast.If, scope: Scope) -> Returned | None:
        return self.block(node.body if self.truth(node.test, scope) else node.orelse, scope)

    def loop(self, node: ast.While, scope: Scope) -> Returned | None:
        while self.truth(node.test, scope):
            self.budget.spend()
            done = self.block(node.body, scope)
            if done is not None:
                return done
        return None

    def each(self, node: ast.For, scope: Scope) -> Returned | None:
        turns = node.iter
        if not (isinstance(turns, ast.Call) and isinstance(turns.func, ast.Name)
                and turns.func.id == "range"):  # fmt: skip
            raise UnreadableModel("a loop over something else than a range")
        for turn in range(*(int(self.value(a, scope)) for a in turns.args)):
            self.budget.spend()
            self.bind(node.target, turn, scope)
            done = self.block(node.body, scope)
            if done is not None:
                return done
        return None

    def give(self, node: ast.Return, scope: Scope) -> Returned:
        return Returned(None if node.value is None else self.value(node.value, scope))

    def nothing(self, node: ast.Pass, scope: Scope) -> None:
        return None

    def truth(self, node: ast.expr, scope: Scope) -> bool:
        return bool(self.value(node, scope))


def line(node: ast.stmt, scope: Scope) -> str:
    return f"code/{scope.file}:{node.lineno}"


STATEMENTS: dict[type, Any] = {
    ast.Assign: Interpreter.assign, ast.AnnAssign: Interpreter.annotated,
    ast.Expr: Interpreter.expression, ast.If: Interpreter.branch, ast.While: Interpreter.loop,
    ast.For: Interpreter.each, ast.Return: Interpreter.give, ast.Pass: Interpreter.nothing,
}  # fmt: skip
trace.LINES[Interpreter.statement.__code__] = lambda names: line(names["node"], names["scope"])
