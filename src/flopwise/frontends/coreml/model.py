"""The file or folder of a CoreML model, its kind, and the inputs that it describes."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.coreml.network_schema import NETWORK
from flopwise.frontends.coreml.schema import DESCRIPTION, OTHERS, PROGRAM
from flopwise.frontends.wire import INT, Message, Schema, open_map
from flopwise.graph import Graph

PROGRAMS = ("program_layers", "program_moves", "program_recurrent", "program_weights")
NETWORKS = (
    "network_control", "network_layers", "network_moves", "network_pointwise", "network_recurrent",
)  # fmt: skip
PIPELINES = {200: "a pipeline", 201: "a pipeline", 202: "a pipeline"}
KINDS = {303, 403, 500, 502, *OTHERS, *PIPELINES}

MODEL: Schema = {
    1: ("version", INT), 2: ("description", DESCRIPTION), 303: ("network", NETWORK),
    403: ("network", NETWORK), 500: ("network", NETWORK), 502: ("program", PROGRAM),
    **{number: (what, {}) for number, what in {**OTHERS, **PIPELINES}.items()},
}  # fmt: skip


def read(source: Path, request: Request) -> Graph:
    """Lower the network of a model. Raises UnreadableModel where it has none."""
    path = specification(source) if source.is_dir() else source
    wire = open_map(path)
    message = wire.message(MODEL)
    described = message.get("description", {})
    if "program" in message:
        from flopwise.frontends.coreml.program import Program

        _enter(PROGRAMS)
        return Program(wire, message["program"], path.parent, described, request).graph(source.stem)
    if "network" in message:
        from flopwise.frontends.coreml.network import Network

        _enter(NETWORKS)
        return Network(wire, message["network"], described, request).graph(source.stem)
    raise UnreadableModel(f"{source}: {_what(message)}, and no network or program")


def _enter(tables: tuple[str, ...]) -> None:
    for table in tables:
        import_module(f"flopwise.frontends.coreml.{table}")


def _what(message: Message) -> str:
    """What kind of model it is instead."""
    names = {**OTHERS, **PIPELINES}.values()
    return next((name for name in names if name in message), "no model of a known kind")


def specification(folder: Path) -> Path:
    """The model file that the manifest of a package names. Raises UnreadableModel."""
    manifest = folder / "Manifest.json"
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        item = content["itemInfoEntries"][content["rootModelIdentifier"]]
        inside = str(item["path"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableModel(f"{manifest}: names no root model") from None
    data = (folder / "Data").resolve()
    path = (data / inside).resolve()
    if not path.is_relative_to(data) or not path.is_file():
        raise UnreadableModel(f"{manifest}: '{inside}' is no file of the package")
    return path
