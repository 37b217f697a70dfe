"""What a config.json says, as data; and the config of transformers made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

from flopwise.errors import UnreadableModel, nearest
from flopwise.frontends import read_text

# Which kernels to run, code to fetch and weights to download: nothing of that changes a count.
IGNORED = {
    "auto_map", "_attn_implementation", "_attn_implementation_internal", "attn_implementation",
    "_experts_implementation", "_experts_implementation_internal", "experts_implementation",
    "quantization_config", "_name_or_path", "name_or_path",
}  # fmt: skip
DEEPEST = 2000  # layers, and anything else that is built one by one
_DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers",
           "decoder_layers", "num_decoder_layers", "depth", "num_hidden_groups")  # fmt: skip


def stated(source: Any) -> dict[str, Any]:
    """The hyperparameters as plain data. Raises UnreadableModel."""
    if isinstance(source, transformers.PretrainedConfig):
        return source.to_dict()
    if isinstance(source, Mapping):
        return dict(source)
    path = source / "config.json" if source.is_dir() else source
    try:
        found = json.loads(read_text(path))
    except ValueError as error:
        raise UnreadableModel(f"{path}: not well-formed JSON ({error})") from None
    if not isinstance(found, dict):
        raise UnreadableModel(f"{path}: a JSON {type(found).__name__}, not an object")
    return found


def config_of(data: Mapping[str, Any]) -> Any:
    """The config object of installed classes. Raises UnreadableModel with the reason."""
    kind = _class_of(data)
    _check_depth(data)
    try:
        return kind.from_dict(cleaned(data))
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableModel(f"config of {data.get('model_type')}: {reason}") from None


def _class_of(data: Mapping[str, Any]) -> Any:
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    name = data.get("model_type")
    if isinstance(name, str) and name in known:
        return known[name]
    for architecture in architectures(data):
        found = getattr(getattr(transformers, architecture, None), "config_class", None)
        if name is None and found is not None:
            return found
    if name is None:
        raise UnreadableModel("the config has no 'model_type'")
    hint = nearest(str(name), list(known.keys())) if isinstance(name, str) else ""
    raise UnreadableModel(
        f"transformers {transformers.__version__} has no model type '{name}' ({hint}); "
        "a newer transformers may, and code that comes with a model is not run"
    )


def architectures(data: Mapping[str, Any]) -> list[str]:
    """The class names that a config states."""
    found = data.get("architectures") or []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def cleaned(value: Any) -> Any:
    """The data without what would choose kernels, run code or download weights."""
    if isinstance(value, Mapping):
        kept = {k: cleaned(v) for k, v in value.items() if k not in IGNORED}
        return kept | {"use_pretrained_backbone": False} if _pretrained(kept) else kept
    return [cleaned(v) for v in value] if isinstance(value, list) else value


def _pretrained(data: Mapping[str, Any]) -> bool:
    return bool(data.get("use_pretrained_backbone"))


def _check_depth(data: Mapping[str, Any]) -> None:
    """Refuse what would take for ever to build."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            _check_depth(value)
        elif key in _DEPTHS and isinstance(value, int) and value > DEEPEST:
            raise UnreadableModel(f"a config with {key} = {value}: more than {DEEPEST}")


def preprocessor(source: Any) -> dict[str, Any]:
    """The preprocessor_config.json beside a config.json; empty where there is none."""
    if not isinstance(source, Path):
        return {}
    path = (source if source.is_dir() else source.parent) / "preprocessor_config.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_text(path))
    except ValueError as error:
        raise UnreadableModel(f"{path}: not well-formed JSON ({error})") from None
    return found if isinstance(found, dict) else {}
