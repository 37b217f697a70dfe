"""The text of a symbol file to its nodes, with their attributes as MXNet spells them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.mxnet.fused import inlined
from flopwise.sizes import LARGEST

Source = tuple[int, int]
MOST = 65_536  # parts, layers and the like: more are a broken file
_WHOLE = re.compile(r"[+-]?\d{1,18}L?")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One node: its operator ("null" for a variable), its attributes as text, and the
    nodes it reads, each with the number of the output."""

    id: int
    op: str
    name: str
    attrs: Mapping[str, str]
    inputs: tuple[Source, ...]

    def text(self, key: str, default: str = "") -> str:
        return self.attrs.get(key, default)

    def given(self, key: str) -> bool:
        """Whether an attribute holds anything; None and () stand for its default."""
        return self.text(key) not in ("", "None", "()", "[]")

    def flag(self, key: str, default: bool = False) -> bool:
        return self.text(key, str(default)).lower() in ("true", "1")

    def number(self, key: str, default: float = 0) -> float:
        return _number(self.text(key), key) if self.given(key) else default

    def numbers(self, key: str) -> tuple[float, ...]:
        """A tuple of numbers, such as the sizes of anchors."""
        return tuple(_number(part, key) for part in _parts(self.text(key)))

    def integer(self, key: str, default: int | None = None) -> int:
        if not self.given(key):
            if default is None:
                raise UnreadableModel(f"{key} is missing")
            return default
        return _integer(self.text(key), key)

    def size(self, key: str, default: int | None = None, most: int = LARGEST) -> int:
        """A whole number between 1 and `most`."""
        return _bounded(self.integer(key, default), key, 1, most)

    def integers(self, key: str) -> tuple[int | None, ...] | None:
        """Axes or places along them; an element may be None. None when not given."""
        if self.text(key) in ("", "None"):
            return None
        return tuple(None if p == "None" else _integer(p, key) for p in _parts(self.text(key)))

    def sizes(self, key: str, default: Any = None, least: int = 1, most: int = LARGEST) -> Any:
        """A tuple of sizes; `default` where it is not given or empty. Raises UnreadableModel."""
        if not self.given(key):
            return default
        return tuple(_bounded(_integer(p, key), key, least, most) for p in _parts(self.text(key)))


@dataclass(frozen=True, slots=True)
class SymbolFile:
    """The nodes of a file in their order, and the outputs of the network."""

    nodes: tuple[Symbol, ...]
    heads: tuple[Source, ...]


def parse(text: str, where: str) -> SymbolFile:
    """Read a symbol file. Raises UnreadableModel naming the line or the node."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableModel(f"{where}:{error.lineno}: not JSON: {error.msg}") from None
    except ValueError as error:
        raise UnreadableModel(f"{where}: not JSON: {error}") from None
    nodes = content.get("nodes") if isinstance(content, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise UnreadableModel(f"{where}: no MXNet symbol: it holds no list of nodes")
    nodes, heads = inlined(nodes, content.get("heads"))
    symbols = tuple(_symbol(i, node, len(nodes), where) for i, node in enumerate(nodes))
    if not heads:
        read = {source for s in symbols for source, _ in s.inputs}
        heads = [[s.id, 0] for s in symbols if s.id not in read]
    return SymbolFile(symbols, _sources(heads, len(nodes), f"{where}: heads"))


def _symbol(i: int, node: Any, count: int, where: str) -> Symbol:
    name = str(node.get("name", f"node{i}")) if isinstance(node, dict) else f"node{i}"
    place = f"{where}: node {i} ('{name}')"
    if not isinstance(node, dict) or not isinstance(node.get("op"), str) or not node["op"]:
        raise UnreadableModel(f"{place} has no op")
    attrs: dict[str, str] = {}
    for spelling in ("param", *(key for key in node if key in ("attr", "attrs"))):
        if isinstance(found := node.get(spelling), dict):  # the last wins, as MXNet reads them
            attrs |= {str(k): str(v) for k, v in found.items()}
    sources = _sources(node.get("inputs", []), count, place)
    for source, _ in sources:
        if source >= i:
            raise UnreadableModel(f"{place} reads node {source}, which comes later (a cycle?)")
    return Symbol(i, node["op"], name, attrs, sources)


def _sources(entries: Any, count: int, place: str) -> tuple[Source, ...]:
    """[id, output] or [id, output, version], as versions differ."""
    if not isinstance(entries, list):
        raise UnreadableModel(f"{place}: inputs are no list")
    sources = []
    for entry in entries:
        pair = entry[:2] if isinstance(entry, list) else None
        if not pair or len(pair) < 2 or not all(type(n) is int and n >= 0 for n in pair):
            raise UnreadableModel(
                f"{place}: an input is {json.dumps(entry)[:40]}, not [id, output]"
            )
        if pair[0] >= count:
            raise UnreadableModel(f"{place} reads node {pair[0]}, and there are {count} nodes")
        if pair[1] >= MOST:
            raise UnreadableModel(f"{place} reads output {pair[1]} of node {pair[0]}")
        sources.append((pair[0], pair[1]))
    return tuple(sources)


def _parts(text: str) -> Sequence[str]:
    """The elements of "(3, 3)", "[3,3]" or "3"."""
    return [part.strip() for part in text.strip().strip("()[]").split(",") if part.strip()]


def _integer(text: str, key: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise UnreadableModel(f"{key} is '{text}', not a whole number")
    return int(text.strip().rstrip("L"))


def _number(text: str, key: str) -> float:
    try:
        if isfinite(number := float(text)):
            return number
    except ValueError:
        pass
    raise UnreadableModel(f"{key} is '{text[:40]}', not a number")


def _bounded(size: int, key: str, least: int, most: int) -> int:
    if not least <= size <= most:
        raise UnreadableModel(f"{key} is {size}, not between {least} and {most:,}")
    return size
