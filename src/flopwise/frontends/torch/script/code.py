"""The code of a TorchScript archive: classes, their methods and plain functions, parsed.

The files are Python in form. They are parsed here and never run: `interpreter` reads
the few kinds of statements that torch writes.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from flopwise.errors import UnreadableModel


@dataclass(frozen=True)
class Function:
    """A function or method, and where it is written."""

    file: str
    tree: ast.FunctionDef

    @property
    def name(self) -> str:
        return self.tree.name


@dataclass(frozen=True)
class Kind:
    """A class: its base ("Module", "NamedTuple", …), methods, fields in order and constants."""

    name: str
    base: str
    methods: dict[str, Function] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    learned: frozenset[str] = frozenset()
    buffers: frozenset[str] = frozenset()


class Code:
    """The definitions of an archive, each file parsed when it is first asked for."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources
        self._parsed: dict[str, dict[str, Kind | Function]] = {}

    def find(self, path: str) -> Kind | Function:
        """What a name such as `__torch__.package.Class` stands for. Raises UnreadableModel."""
        home, _, name = path.rpartition(".")
        file = home.replace(".", "/") + ".py"
        if file not in self._parsed:
            if file not in self._sources:
                raise UnreadableModel(f"no code for {path}")
            self._parsed[file] = _parsed(file, self._sources[file])
        found = self._parsed[file].get(name)
        if found is None:
            raise UnreadableModel(f"code/{file} has no {name}")
        return found

    def holds(self, path: str) -> bool:
        """Whether a path leads to a file of the archive."""
        return path.replace(".", "/") + ".py" in self._sources

    def kind(self, path: str) -> Kind:
        found = self.find(path)
        if not isinstance(found, Kind):
            raise UnreadableModel(f"{path} is no class")
        return found


def _parsed(file: str, source: str) -> dict[str, Kind | Function]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UnreadableModel(f"code/{file}: not code that torch writes ({error})") from None
    found: dict[str, Kind | Function] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _kind(file, node)
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = Function(file, node)
        elif not isinstance(node, ast.Assign):  # older files state `op_version_set = 1`
            raise UnreadableModel(f"code/{file}:{node.lineno}: a {type(node).__name__}")
    return found


def _kind(file: str, node: ast.ClassDef) -> Kind:
    base = next((b.id for b in node.bases if isinstance(b, ast.Name)), "")
    kind = Kind(node.name, base)
    lists = {"__parameters__": frozenset[str](), "__buffers__": frozenset[str]()}
    for part in node.body:
        if isinstance(part, ast.FunctionDef):
            kind.methods[part.name] = Function(file, part)
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            kind.fields.append(part.target.id)
            if part.value is not None:
                kind.constants[part.target.id] = part.value
        elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            name = part.targets[0].id
            if name in lists:
                lists[name] = _texts(part.value)
            else:
                kind.constants[name] = part.value
    return Kind(
        kind.name, base, kind.methods, kind.fields, kind.constants,
        lists["__parameters__"], lists["__buffers__"],
    )  # fmt: skip


def _texts(value: ast.expr) -> frozenset[str]:
    parts = value.elts if isinstance(value, ast.List) else []
    return frozenset(
        p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)
    )
