"""A number as somebody published it: `3.8 GFLOPs`, `params 25.6M`, `0.57 billion mult-adds`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from flopwise.errors import FlopwiseError

PREFIXES = {
    "": 0, "k": 3, "thousand": 3, "m": 6, "million": 6, "g": 9, "b": 9, "bn": 9, "billion": 9,
    "t": 12, "trillion": 12, "p": 15, "e": 18,
}  # fmt: skip
UNITS = {
    "flops": "flops", "flop": "flops", "floatingpointoperations": "flops", "ops": "flops",
    "operations": "flops", "macs": "macs", "mac": "macs", "maccs": "macs", "macc": "macs",
    "madds": "macs", "madd": "macs", "multadds": "macs", "multadd": "macs", "ma": "macs",
    "multiplyadds": "macs", "multiplyaccumulates": "macs", "multiplyadditions": "macs",
    "muladds": "macs", "fma": "macs", "fmas": "macs",
    "params": "params", "param": "params", "parameters": "params", "weights": "params",
    "activations": "activations", "acts": "activations", "neurons": "activations",
    "bytes": "bytes", "byte": "bytes",
}  # fmt: skip
_BYTES = re.compile(r"\d\s*([kmgt])(i?)b\b", re.I)
_KINDS = {
    "active": "active_params", "activated": "active_params",
    "nonembedding": "non_embedding_params",
}  # fmt: skip
_TENS = r"(?:(?:[x×·*]\s*)?10\s*\^?\s*(?P<power>\d+)|[eE]\+?(?P<exp>\d+))?"
_NUMBER = r"(?P<number>\d[\d,_]*\.?\d*)\s*" + _TENS
_SIZE = re.compile(r"(?:@|\bat\b|\bon\b)\s*(\d{2,4})(?:\s*[x×]\s*(\d{2,4}))?", re.I)


@dataclass(frozen=True)
class Claim:
    """A published value in whole units, the unit as stated ("" when not), and half a unit of
    its last digit. `power` is that of its prefix (9 in `3.8 GFLOPs`), 0 where it cannot mean
    a power of 1024 as well."""

    text: str
    value: Decimal
    unit: str
    half: Decimal
    power: int = 0
    size: tuple[int, int] | None = None

    @property
    def precision(self) -> Decimal:
        """A unit of the last digit."""
        return self.half * 2

    @property
    def zeros(self) -> int:
        """How many of the last digits are zeros, past the first two: 340M ends in one, 5.0 in
        none."""
        digits = str(int(self.value / self.precision))[2:]
        return len(digits) - len(digits.rstrip("0"))

    @property
    def binary(self) -> Decimal:
        """How much larger a binary prefix makes the value."""
        return Decimal(1024 ** (self.power // 3)) / Decimal(10**self.power)


def parse_claim(text: str) -> Claim:
    """Read a claim; a stated input size (`at 299x299`) is kept. Raises FlopwiseError."""
    size = _SIZE.search(text)
    rest = _SIZE.sub(" ", text)
    match = re.search(_NUMBER, rest)
    if match is None:
        raise FlopwiseError(f"'{text}' holds no number; write a claim as \"3.8 GFLOPs\"")
    if re.search(r"(?<!\S)[-−]\s*$", rest[: match.start()]):
        raise FlopwiseError(f"'{text}' is not a count")
    if re.search(r"(?<![\w.])\d", rest[match.end() :]):
        raise FlopwiseError(f"'{text}' holds two numbers; give each a --claim of its own")
    scale, power, unit = _scale(rest, match)
    digits = match["number"].replace(",", "").replace("_", "").rstrip(".")
    tens = int(match["power"] or match["exp"] or 0)
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise FlopwiseError(f"'{text}' holds no number") from None
    if number <= 0 or power + tens > 30:
        raise FlopwiseError(f"'{text}' is not a count")
    scale *= Decimal(10) ** tens
    half = scale * Decimal(10) ** -len(digits.partition(".")[2]) / 2
    shape = (int(size[1]), int(size[2] or size[1])) if size else None
    return Claim(text, number * scale, unit, half, power, shape)


def _scale(text: str, match: re.Match[str]) -> tuple[Decimal, int, str]:
    """What the prefix multiplies with, its power of ten, and the unit."""
    around = f"{text[: match.start()]} {text[match.end() :]}"
    power, unit = _words(re.findall(r"[a-z]+", around.lower().replace("-", "")))
    stored = _BYTES.search(text) if unit in ("", "params") else None
    if stored is not None:
        power = PREFIXES[stored[1].lower()]
        if stored[2]:
            return Decimal(1024 ** (power // 3)), 0, "bytes"
        return Decimal(10) ** power, power, "bytes"
    if unit == "params":
        joined = around.lower().replace("-", "")
        unit = next((kind for word, kind in _KINDS.items() if word in joined), unit)
    return Decimal(10) ** power, power, unit


def _words(words: list[str]) -> tuple[int, str]:
    """The prefix and the unit, joined (`gflops`) or apart (`G FLOPs`, `billion mult adds`)."""
    power, unit = 0, ""
    joined = "".join(words)
    for word in words:
        for prefix in sorted(PREFIXES, key=len, reverse=True):
            tail = word[len(prefix) :]
            if word.startswith(prefix) and (tail in UNITS or (prefix and not tail)):
                power = power or PREFIXES[prefix]
                unit = unit or UNITS.get(tail, "")
                break
    if not unit:
        unit = next(
            (
                UNITS[name]
                for name in sorted(UNITS, key=len, reverse=True)
                if len(name) > 3 and name in joined
            ),
            "",
        )
    return power, unit
