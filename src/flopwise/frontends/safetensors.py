"""Safetensors: the tensors of a header, and the operators of a config.json beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request, read_text
from flopwise.frontends.packing import unpacked
from flopwise.frontends.weights import role_of, weights_only, whole
from flopwise.graph import BITS, Graph, Tensor

SUFFIXES = (".safetensors",)
OPTIONS = ("prompt", "image")
INDEX = "model.safetensors.index.json"
LONGEST = 100_000_000  # bytes of a header, as the format itself has it
MOST = 2**63  # elements and bytes
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "F16": "float16",
    "BF16": "bfloat16", "I32": "int32", "U32": "uint32", "F32": "float32", "F64": "float64",
    "I64": "int64", "U64": "uint64", "C64": "complex64", "F4": "float4",
    "F6_E2M3": "float6", "F6_E3M2": "float6", "F8_E4M3": "float8", "F8_E5M2": "float8",
    "F8_E8M0": "float8", "F8_E4M3FNUZ": "float8", "F8_E5M2FNUZ": "float8",
}  # fmt: skip


def accepts(source: Any, head: bytes) -> bool:
    """A length and the brace of a header; the index of several files; a directory of them."""
    if not isinstance(source, Path):
        return False
    if source.is_dir():
        return _in_directory(source) is not None
    if head.lstrip().startswith(b"{"):
        return source.suffix == ".json" and b'"weight_map"' in head
    size = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= size <= LONGEST and 8 + size <= source.stat().st_size


def load(source: Path, request: Request) -> Graph:
    """Tensors by name, from headers alone. Raises UnreadableModel."""
    path = _in_directory(source) if source.is_dir() else source
    assert path is not None
    tensors, notes = _shards(path) if path.suffix == ".json" else (_header(path), _part(path))
    stored = weights_only(unpacked(tensors), path.stem, "safetensors", *notes)
    config = path.parent / "config.json"
    return whole(stored, config, request) if config.is_file() else stored


def _in_directory(folder: Path) -> Path | None:
    for name in (INDEX, "model.safetensors"):
        if (folder / name).is_file():
            return folder / name
    return None


def _part(path: Path) -> tuple[str, ...]:
    found = re.search(r"-(\d+)-of-(\d+)$", path.stem)
    if found is None:
        return ()
    return (f"file {int(found[1])} of {int(found[2])}: for all of them give the index, {INDEX}",)


def _shards(index: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of all files that an index names."""
    named = _json(read_text(index), index).get("weight_map")
    if not isinstance(named, Mapping) or not all(isinstance(v, str) for v in named.values()):
        raise UnreadableModel(f"{index}: no map from weights to files")
    tensors: dict[str, Tensor] = {}
    for name in dict.fromkeys(named.values()):
        if Path(name).name != name or name in ("", ".", ".."):
            raise UnreadableModel(f"{index}: '{name}' is no name of a file beside it")
        if not (index.parent / name).is_file():
            raise UnreadableModel(f"{index}: the file '{name}' is not there")
        tensors |= _header(index.parent / name)
    return tensors, ()


def _header(path: Path) -> dict[str, Tensor]:
    """The tensors of one file. Raises UnreadableModel where the header contradicts itself."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= LONGEST:
            raise UnreadableModel(f"{path}: a header of {size} bytes")
        text = file.read(size)
    if len(text) < size:
        raise UnreadableModel(f"{path}: the file ends within its header")
    found = _json(text, path)
    tensors = {}
    for name, entry in found.items():
        if name != "__metadata__":
            tensors[name] = _tensor(name, entry, path)
    return tensors


def _json(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(f"{path}: not well-formed JSON ({error})") from None
    if not isinstance(found, dict):
        raise UnreadableModel(f"{path}: a JSON {type(found).__name__}, not an object")
    return found


def _tensor(name: str, entry: Any, path: Path) -> Tensor:
    where = f"{path}: tensor '{name[:80]}'"
    try:
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        dtype = DTYPES[entry["dtype"]]
    except (TypeError, KeyError, ValueError) as error:
        raise UnreadableModel(f"{where} is not well-formed ({error!r})") from None
    sizes = (*shape, begin, end)
    if not all(type(s) is int and 0 <= s < MOST for s in sizes) or prod(shape) >= MOST:
        raise UnreadableModel(f"{where} has sizes that no tensor has: {str(sizes)[:80]}")
    if (end - begin) * 8 != prod(shape) * BITS[dtype]:
        raise UnreadableModel(f"{where} of {end - begin} bytes cannot be {shape} of {dtype}")
    tensor = Tensor(name, shape, dtype, "weight")
    return replace(tensor, role=role_of(name, dtype))
