"""The text of a .param file: a layer a line, its parameters `id=value`.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flopwise.errors import UnreadableModel

MAGIC = "7767517"
HINTS = 30  # the parameter that holds the shapes of the outputs, as a tool saw them

_PAIR = re.compile(r'(\S+?)=("[^"]*"|\S+)')
_ARRAY = -23300


@dataclass(frozen=True)
class Record:
    """One line: a layer, its blobs, its parameters by number."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: dict[int, Any] = field(default_factory=dict)


def parse(text: str, where: str) -> list[Record]:
    """The layers of a file. Raises UnreadableModel with the line."""
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if lines and lines[0][1].strip() == MAGIC:
        lines = lines[1:]
    counts = lines[0][1].split() if lines else []
    if len(counts) != 2 or not all(c.isdigit() and len(c) < 10 for c in counts):
        raise UnreadableModel(f"{where}: no counts of layers and blobs at the beginning")
    records = list(_records(lines[1:], where))
    if len(records) < int(counts[0]):
        raise UnreadableModel(f"{where}: the file ends after {len(records)} of {counts[0]} layers")
    return records


def _records(lines: list[tuple[int, str]], where: str) -> Iterator[Record]:
    for number, line in lines:
        words = line.split(None, 4)
        place = f"{where}:{number}"
        if len(words) < 4 or not (_count(words[2]) and _count(words[3])):
            raise UnreadableModel(
                f"{place}: not a layer: type, name, two counts, blobs, parameters"
            )
        bottoms, tops = int(words[2]), int(words[3])
        rest = words[4] if len(words) > 4 else ""
        blobs = rest.split(None, bottoms + tops)
        if len(blobs) < bottoms + tops:
            raise UnreadableModel(
                f"{place}: {bottoms + tops} blobs are counted, {len(blobs)} named"
            )
        tail = blobs[bottoms + tops] if len(blobs) > bottoms + tops else ""
        names = blobs[: bottoms + tops]
        params = _params(tail, place)
        yield Record(words[0], words[1], tuple(names[:bottoms]), tuple(names[bottoms:]), params)


def _count(word: str) -> bool:
    return word.isdigit() and len(word) < 6


def _params(text: str, place: str) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if rest := _PAIR.sub("", text).strip():
        raise UnreadableModel(f"{place}: '{rest.split()[0]}' is no parameter (id=value)")
    for key, value in _PAIR.findall(text):
        try:
            number = int(key)
        except ValueError:
            hint = "; of a pnnx.param file, give the ncnn.param beside it"
            raise UnreadableModel(f"{place}: '{key}' is no parameter number{hint}") from None
        if number <= _ARRAY:
            length, _, listed = value.partition(",")
            items = listed.split(",") if listed else []
            if not length.isdigit() or int(length) != len(items):
                raise UnreadableModel(f"{place}: an array of {length} holds {len(items)} values")
            found[_ARRAY - number] = [_number(v, place) for v in items]
        elif "," in value and not value.startswith('"'):
            found[number] = [_number(v, place) for v in value.split(",") if v]
        else:
            found[number] = _number(value, place)
    return found


def _number(text: str, place: str) -> Any:
    """An int, a float, or a text."""
    try:
        value = int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text.strip('"')
    if abs(value) >= 2**31:
        raise UnreadableModel(f"{place}: {text[:20]} is no number of 32 bits")
    return value
