"""Protobuf's text format: nested messages, their fields by name.

https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST

Message = dict[str, list[Any]]

_COMMENTS = re.compile(r"(?:\s+|\#[^\n]*)*")
_TOKEN = re.compile(
    r"""(?P<mark>[{}<>:;,\[\]])|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<word>[^\s{}<>:;,\[\]"'\#]+)"""
)


def parse(text: str, where: str, renamed: Mapping[str, str] = {}) -> Message:
    """Text to nested dicts of lists, values as they are written; fields may be `renamed`.

    Raises UnreadableModel with the line.
    """
    root: Message = {}
    stack, key = [(root, "")], ""  # messages that are open, each with the field that is a list
    for kind, token, place in _tokens(text, where):
        message, listed = stack[-1]
        if kind == "word" and not key:
            key = renamed.get(token, token)
        elif token in ("{", "<") and key:
            child: Message = {}
            message.setdefault(key, []).append(child)
            stack.append((child, ""))
            key = ""
            if len(stack) > DEEPEST:
                deep = f"nested more than {DEEPEST} deep"
                raise UnreadableModel(f"{where}:{_line(text, place)}: {deep}")
        elif token in ("}", ">") and len(stack) > 1 and not key:
            stack.pop()
            key = stack[-1][1]
        elif token in ("[", "]") and key and (token == "]") == bool(listed):
            key = key if token == "[" else ""
            stack[-1] = message, key
        elif kind != "mark" and key:
            message.setdefault(key, []).append(token)
            key = listed
        elif token not in (":", ",", ";") or (token == ":" and not key):
            raise UnreadableModel(f"{where}:{_line(text, place)}: '{token}' is out of place")
    if len(stack) > 1 or key:
        raise UnreadableModel(f"{where}: the file ends inside a brace; a '}}' is missing")
    return root


def _tokens(text: str, where: str) -> Iterator[tuple[str, str, int]]:
    place, end = 0, len(text)
    while (place := _skipped(text, place)) < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise UnreadableModel(f"{where}:{_line(text, place)}: not protobuf text")
        token = match.group(match.lastgroup)
        place = match.end()
        kind = match.lastgroup
        yield kind, token[1:-1] if kind == "text" else token, place


def _skipped(text: str, place: int) -> int:
    """The place after white space and comments."""
    found = _COMMENTS.match(text, place)
    return found.end() if found else place


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1
