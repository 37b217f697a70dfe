"""A config.json as plain data, asked for one hyperparameter at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.sizes import LARGEST

MOST = 2**24  # bytes of a config
DEEPEST = 2000  # layers


class Stated:
    """The hyperparameters of one model; `where` is for messages."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data, self.where = data, where

    def fail(self, reason: str) -> UnreadableModel:
        return UnreadableModel(f"{self.where}: {reason}")

    def has(self, name: str) -> bool:
        return self.data.get(name) is not None

    def whole(self, *names: str, default: int | None = None) -> int:
        """A whole number from 1 on, by the first of these names that is there."""
        for name in names:
            if self.has(name):
                value = self.data[name]
                if (
                    isinstance(value, bool)
                    or not isinstance(value, int)
                    or not 0 < value <= LARGEST
                ):
                    raise self.fail(f"'{name}' is {value!r}, no whole number from 1 on")
                return value
        if default is None:
            raise self.fail(f"'{names[0]}' is missing")
        return default

    def maybe(self, name: str) -> int | None:
        """A whole number, or nothing where it is null, 0 or missing."""
        return self.whole(name) if self.data.get(name) not in (None, 0) else None

    def number(self, name: str, default: float) -> float:
        value = self.data.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(f"'{name}' is {value!r}, no number")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.data.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.fail(f"'{name}' is {value!r}, neither true nor false")
        return default if value is None else value

    def text(self, *names: str, default: str = "") -> str:
        for name in names:
            if isinstance(self.data.get(name), str):
                return str(self.data[name])
        return default

    def texts(self, name: str) -> list[str]:
        found = self.data.get(name)
        return [t for t in found if isinstance(t, str)] if isinstance(found, list) else []

    def layers(self) -> int:
        """How many layers, within reason."""
        count = self.whole("num_hidden_layers", "n_layer", "num_layers")
        if count > DEEPEST:
            raise self.fail(f"{count:,} layers are more than {DEEPEST}")
        return count


def read(source: Any) -> Stated:
    """A config from a file, its directory, or a dict; of a model that sees and speaks, the part
    that speaks. Raises UnreadableModel."""
    data, where = _data(source)
    inner = data.get("text_config")
    if isinstance(inner, dict):
        data = {**{k: v for k, v in data.items() if k == "quantization_config"}, **inner}
    if not isinstance(data.get("model_type"), str):
        raise UnreadableModel(f"{where}: no 'model_type': not a config.json of a language model")
    return Stated(data, where)


def _data(source: Any) -> tuple[Mapping[str, Any], str]:
    if isinstance(source, Mapping):
        return source, str(source.get("model_type", "config"))
    path = Path(source)
    path = path / "config.json" if path.is_dir() else path
    try:
        if path.stat().st_size > MOST:
            raise UnreadableModel(f"{path}: {path.stat().st_size:,} bytes, no config.json")
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableModel(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(f"{path}: not well-formed JSON ({error})") from None
    if not isinstance(found, dict):
        raise UnreadableModel(f"{path}: a JSON {type(found).__name__}, not an object")
    return found, path.parent.name if path.name == "config.json" and path.parent.name else path.name
