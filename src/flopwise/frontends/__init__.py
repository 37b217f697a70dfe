"""Frontends: one file per format, each lowering it to a Graph.

A frontend is a module with `SUFFIXES`, `accepts(source, head)` that tells its format
from the first bytes of a file (or from a Python object), and `load(source, request)`.
It translates and computes nothing: shapes are filled in by `passes.infer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from flopwise import plugins
from flopwise.dims import Dim
from flopwise.errors import (
    MissingPackage,
    UnknownFormat,
    UnknownName,
    UnknownValue,
    UnreadableModel,
)
from flopwise.graph import Graph, Shape

# What a broken file makes a reader raise that takes its fields for granted.
MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)

# Options that few formats take, and what to do with the others.
_SHAPES = "give shapes, as in --input NAME=1x3"
ADVICE = {
    "prompt": _SHAPES,
    "image": _SHAPES,
    "signature": "only a SavedModel has several",
    "mode": "a file states one forward; 'flopwise train' appends its backward",
}

HEAD = 65536
DEEPEST = 100


@dataclass(frozen=True)
class Request:
    """What the user asked for beside the model: shapes by input name ("" for the only
    one), values of scalar inputs, the batch and the dtype of floats. `arguments` holds
    inputs that are more than shapes, for frontends that run a model's own code."""

    inputs: Mapping[str, Shape] = field(default_factory=dict)
    batch: Dim | None = None
    dtype: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: Any = None


def matches(asked: str, name: str) -> bool:
    """Whether a shape asked for is that of an input: `*` stands for any characters."""
    return asked == name or ("*" in asked and fnmatchcase(name, asked))


class Frontend(Protocol):
    """The names that a frontend module must have. One that takes `--prompt`, `--image` or
    `--mode` lists these in `OPTIONS`; one that can read weights has `densities(source)`."""

    SUFFIXES: tuple[str, ...]

    def accepts(self, source: Any, head: bytes) -> bool: ...

    def load(self, source: Any, request: Request) -> Graph: ...


def densities(source: Any) -> dict[str, Fraction]:
    """The share of non-zero elements of each weight that has zeros, by name; weights of shapes
    alone have none. Raises UnknownValue for a format whose weights are not read."""
    source = Path(source) if isinstance(source, str) else source
    name, frontend = choose(source)
    read = getattr(frontend, "densities", None)
    if read is None:
        raise UnknownValue(f"{source}: weights of {name} models are not read for their zeros")
    return dict(read(source))


def read(source: Any, request: Request) -> Graph:
    """Lower a model in whatever format it comes. Raises UnknownFormat or UnreadableModel."""
    if isinstance(source, str):
        source = Path(source)
    if isinstance(source, Path) and not source.exists() and ":" not in str(source):
        raise UnknownFormat(f"{source}: no such file")
    name, frontend = choose(source)
    understood = {*getattr(frontend, "OPTIONS", ())}
    for option in (ADVICE.keys() & request.options.keys()) - understood:
        raise UnknownName(f"--{option}: not for {name} models; {ADVICE[option]}")
    try:
        return frontend.load(source, request)
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"{source}: {name} models need {error.name}: pip install {error.name}"
        ) from None
    except RecursionError:
        raise UnreadableModel(f"{source}: nested too deep for a {name} file") from None
    except MALFORMED as error:
        if not isinstance(source, Path) or not source.exists():
            raise
        reason = f"{type(error).__name__}: {error}"
        raise UnreadableModel(f"{source}: not a well-formed {name} file ({reason})") from None
    except OSError as error:
        raise UnreadableModel(f"{source}: {error.strerror or error}") from None


def choose(source: Any) -> tuple[str, Frontend]:
    """The frontend whose structure the source has; failing that, whose suffix."""
    frontends: dict[str, Frontend] = plugins.load_all("frontends")
    head = b""
    if isinstance(source, Path) and source.is_file():
        with source.open("rb") as file:
            head = file.read(HEAD)
        if not head:
            raise UnreadableModel(f"{source}: the file is empty")
    for name, frontend in frontends.items():
        if frontend.accepts(source, head):
            return name, frontend
    for name, frontend in frontends.items():
        if isinstance(source, Path) and source.suffix.lower() in frontend.SUFFIXES:
            return name, frontend
    raise UnknownFormat(
        f"{source}: not a format that flopwise reads ({', '.join(sorted(frontends))})"
    )


def read_text(path: Path) -> str:
    """The text of a file. Raises UnreadableModel when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableModel(f"{path}: not UTF-8 text at byte {error.start}") from None
