"""GGUF: the tensors of a header, and the operators of the architecture that it names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from flopwise.frontends import Request
from flopwise.graph import Graph, Tensor

SUFFIXES = (".gguf",)
OPTIONS = ("prompt",)


def accepts(source: Any, head: bytes) -> bool:
    return isinstance(source, Path) and head[:4] == b"GGUF"


def load(source: Path, request: Request) -> Graph:
    """Tensors by name, from headers alone; with an architecture that is known, and where its
    tensors add up, the operators of one forward. Raises UnreadableModel."""
    from flopwise.frontends.gguf.architecture import config_of, translated
    from flopwise.frontends.gguf.reader import read
    from flopwise.frontends.weights import weights_only, whole

    facts: dict[str, Any] = {}
    tensors: list[Tensor] = []
    notes: tuple[str, ...] = ()
    for part in _parts(source):
        header = read(part)
        facts = {**header.facts, **facts}
        tensors += header.tensors
    count = facts.get("split.count", 1)
    if isinstance(count, int) and count > 1 and len(_parts(source)) != count:
        notes = (f"one of {count} files; the others are not beside it",)
    name = str(facts.get("general.name") or source.stem)
    stored = weights_only(tensors, name, "gguf", *notes)
    kind = str(facts.get("general.architecture", ""))
    config = config_of(kind, facts, {t.name: t for t in tensors})
    if config is None:
        note = f"operators: architecture '{kind}' is not known by its hyperparameters"
        return replace(stored, notes=(*stored.notes, note))
    named = tuple(replace(t, name=translated(t.name, kind)) for t in tensors)
    found = whole(replace(stored, weights=named), config, request, exact=True)
    return found if found.nodes else replace(found, weights=stored.weights)


def _parts(path: Path) -> list[Path]:
    """All files of a model that is split, where they are beside the first."""
    found = re.match(r"(.*)-\d{5}-of-(\d{5})$", path.stem)
    if found is None or int(found[2]) > 1000:
        return [path]
    count = int(found[2])
    names = [f"{found[1]}-{i:05d}-of-{found[2]}{path.suffix}" for i in range(1, count + 1)]
    parts = [path.parent / name for name in names]
    return parts if all(part.is_file() for part in parts) else [path]
