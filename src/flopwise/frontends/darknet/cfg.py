"""The text of a cfg file to its sections, with their options as Darknet reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flopwise.errors import UnreadableModel
from flopwise.sizes import LARGEST

MOST = 65_536  # groups, steps and the like: more are a broken file


@dataclass(frozen=True, slots=True)
class Section:
    """One section, [type], and its options; of an option given twice the first counts."""

    type: str
    line: int
    options: dict[str, str] = field(default_factory=dict)

    def text(self, key: str, default: str = "") -> str:
        return self.options.get(key, default)

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; what follows it is ignored, as C's atoi does."""
        if key not in self.options:
            if default is None:
                raise UnreadableModel(f"{key} is missing")
            return default
        return _integer(self.options[key], key)

    def size(
        self, key: str, default: int | None = None, least: int = 1, most: int = LARGEST
    ) -> int:
        """A whole number between `least` and `most`."""
        size = self.integer(key, default)
        if not least <= size <= most:
            raise UnreadableModel(f"{key} is {size}, not between {least} and {most:,}")
        return size

    def flag(self, key: str) -> bool:
        return self.integer(key, 0) != 0

    def number(self, key: str, default: float) -> float:
        try:
            return float(self.text(key, str(default)))
        except ValueError:
            raise UnreadableModel(f"{key} is '{self.text(key)}', not a number") from None

    def integers(self, key: str) -> list[int]:
        """Numbers with commas between them."""
        return [_integer(part, key) for part in self.text(key).split(",") if part]


def parse(text: str, where: str) -> list[Section]:
    """The sections in their order, [net] first. Raises UnreadableModel with the line."""
    sections: list[Section] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"\s+", "", raw.partition("#")[0])
        if not line or line.startswith(";"):
            continue
        if line.startswith("["):
            if not line.endswith("]") or len(line) < 3:
                raise UnreadableModel(f"{where}:{number}: '{line[:40]}' is no section")
            sections.append(Section(line[1:-1], number))
            continue
        key, equals, value = line.partition("=")
        if not sections or not equals or not key:
            wanted = "an option is written key=value" if sections else "no section is open"
            raise UnreadableModel(f"{where}:{number}: '{line[:40]}': {wanted}")
        sections[-1].options.setdefault(key, value)
    if not sections or sections[0].type not in ("net", "network"):
        found = f"the first section is [{sections[0].type}]" if sections else "there is no section"
        raise UnreadableModel(f"{where}: no Darknet cfg: {found}, and [net] must be")
    if len(sections) < 2:
        raise UnreadableModel(f"{where}: holds no layer")
    return sections


def _integer(text: str, key: str) -> int:
    found = re.match(r"[+-]?\d{1,18}", text)
    if not found:
        raise UnreadableModel(f"{key} is '{text[:40]}', not a whole number")
    return int(found[0])
