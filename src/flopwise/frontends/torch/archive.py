"""What torch writes: programs, archives and pickles, told apart without torch."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel

PROGRAMS = ("models/model.json", "serialized_exported_program.json")
PICKLES = (".pt", ".pth", ".bin", ".ckpt")
INSTEAD = {
    "flatbuffer": "a mobile model as a flatbuffer is not read: write it as a zip, with "
    "torch.jit.save or _save_for_lite_interpreter",
    "pickle": "a pickle may run anything when it is loaded, so it is not: name the model as "
    "package.module:callable, or write it with torch.export.save, its weights as safetensors",
}


def kind(path: Path, head: bytes) -> str:
    """One of "program", "script", "flatbuffer" and "pickle"; "" for anything else."""
    if head[4:8] == b"PTMF":
        return "flatbuffer"
    if not head.startswith(b"PK"):
        return "pickle" if head.startswith(b"\x80") and path.suffix in PICKLES else ""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, OSError):
        return ""
    if any(name.endswith(PROGRAMS) for name in names):
        return "program"
    if any("/code/__torch__" in name for name in names):
        return "script"
    return "pickle" if any(name.endswith("/data.pkl") for name in names) else ""


def program(path: Path) -> Any:
    """The graph of a program and its signature. Raises UnreadableModel."""
    with zipfile.ZipFile(path) as file:
        name = next(n for n in file.namelist() if n.endswith(PROGRAMS))
        try:
            found = json.loads(file.read(name))
        except (ValueError, zipfile.BadZipFile) as error:
            raise UnreadableModel(f"{path}: {name} is not JSON ({error})") from None
    if not isinstance(found, dict) or "graph_module" not in found:
        raise UnreadableModel(f"{path}: {name} holds no graph_module")
    return found["graph_module"]
