"""XML to plain elements, by expat alone: a document type, and with it every entity, is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST

LARGEST = 2**30  # bytes; a network of 50,000 layers takes some sixty million
SKIPPED = {"rt_info", "meta_data", "statistics", "quantization_parameters"}


@dataclass(slots=True)
class Element:
    """A tag with its attributes, the elements in it, and its text."""

    tag: str
    attrs: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def find(self, tag: str) -> Element | None:
        """The first child of this tag."""
        return next((c for c in self.children if c.tag == tag), None)

    def all(self, *path: str) -> list[Element]:
        """The children along a path of tags."""
        found = [self]
        for tag in path:
            found = [c for element in found for c in element.children if c.tag == tag]
        return found


def parse(path: Path) -> Element:
    """The root of an IR, <net>. Raises UnreadableModel with the line."""
    if path.stat().st_size > LARGEST:
        raise UnreadableModel(f"{path}: more than {LARGEST:,} bytes of XML")
    builder = _Builder(str(path))
    try:
        builder.parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        what = expat.errors.messages[error.code]
        raise UnreadableModel(f"{path}:{error.lineno}: not XML ({what})") from None
    root = next(iter(builder.root.children), Element("rt_info", {}))
    if root.tag != "net":
        raise UnreadableModel(f"{path}: no OpenVINO IR: its root is <{root.tag}>, not <net>")
    return root


class _Builder:
    def __init__(self, where: str) -> None:
        self.where = where
        self.root = Element("", {})
        self.stack = [self.root]
        self.skipped = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.buffer_text = True

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        if self.skipped or tag in SKIPPED:
            self.skipped += 1
            return
        if len(self.stack) > DEEPEST:
            line = self.parser.CurrentLineNumber
            raise UnreadableModel(f"{self.where}:{line}: nested more than {DEEPEST} deep")
        element = Element(tag, attrs)
        self.stack[-1].children.append(element)
        self.stack.append(element)

    def end(self, tag: str) -> None:
        if self.skipped:
            self.skipped -= 1
        else:
            self.stack.pop()

    def characters(self, text: str) -> None:
        if not self.skipped and len(self.stack) > 1 and self.stack[-1].tag == "dim":
            self.stack[-1].text += text

    def refuse(self, *_: object) -> None:
        line = self.parser.CurrentLineNumber
        raise UnreadableModel(f"{self.where}:{line}: has a document type, which is not read")
