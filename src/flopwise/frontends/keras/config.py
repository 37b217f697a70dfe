"""Where the configuration of a Keras model lies in its file."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.wire import open_map

OPENING = re.compile(
    rb'\{("module": "[\w.]*", )?"class_name": "(Functional|Sequential|Model)",'
    rb' "(config|registered_name)"'
)
LARGEST = 2**28  # bytes of JSON; a thousand layers take half a million
Config = dict[str, Any]


def read(path: Path) -> Config:
    """The configuration as it stands in the file. Raises UnreadableModel."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        text = _archived(path)
    elif start == b"\x89HDF":
        text = _embedded(path)
    else:
        text = path.read_bytes()[:LARGEST]
    try:
        config, _ = json.JSONDecoder().raw_decode(text.decode("utf-8", "replace").lstrip())
    except (ValueError, RecursionError):
        raise UnreadableModel(f"{path}: its configuration is no JSON") from None
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise UnreadableModel(f"{path}: its configuration is none of a model")
    return config


def _archived(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > LARGEST:
                raise UnreadableModel(f"{path}: config.json is larger than {LARGEST:,} bytes")
            with archive.open("config.json") as file:
                return file.read(LARGEST)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, RuntimeError):
        raise UnreadableModel(
            f"{path}: an archive without a config.json that can be read"
        ) from None


def _embedded(path: Path) -> bytes:
    """The attribute `model_config`, which HDF5 stores in one piece."""
    data = open_map(path).data
    found = OPENING.search(data)
    if found is None:
        raise UnreadableModel(
            f"{path}: holds no configuration of a model (weights alone, or an optimizer):"
            " save the whole model"
        )
    return bytes(data[found.start() : found.start() + LARGEST])
