"""A model of transformers on shapes alone: no weights, no download, no code but installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flopwise.errors import MissingPackage, UnreadableModel


@contextmanager
def transformers_alone() -> Iterator[None]:
    """With transformers imported, without access to the hub and with errors as its only
    messages. Raises MissingPackage.

    A torchvision that does not fit torch makes transformers fail even for text; it is
    hidden while transformers looks around.
    """
    hidden = _hide_torchvision()
    try:
        transformers = importlib.import_module("transformers")
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingPackage(
            f"models of Hugging Face need {error.name or 'transformers'}: "
            "pip install torch transformers"
        ) from None
    constants: Any = sys.modules["huggingface_hub.constants"]
    logging = transformers.utils.logging
    before, verbosity = constants.HF_HUB_OFFLINE, logging.get_verbosity()
    constants.HF_HUB_OFFLINE = True
    logging.set_verbosity_error()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        logging.set_verbosity(verbosity)
        if hidden:
            sys.modules.pop("torchvision", None)


def _hide_torchvision() -> bool:
    if "torchvision" in sys.modules:
        return False
    try:
        importlib.import_module("torchvision")
    except Exception:  # whatever a library of another build raises
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision"] = None  # type: ignore[assignment]
        return True
    return False


def model_of(config: Any, data: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The model, and what had to be decided. Raises UnreadableModel with the reason."""
    import torch

    kind, notes = _class(config, data)
    try:
        with torch.device("meta"):
            model = kind._from_config(config)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableModel(f"building {kind.__name__}: {reason}") from None
    return model.eval(), notes


def _class(config: Any, data: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    import transformers

    from flopwise.frontends.huggingface.config import architectures

    names = architectures(data)
    for name in (n.removeprefix("TF").removeprefix("Flax") for n in names):
        try:
            found: Any = getattr(transformers, name, None)
        except (ImportError, RuntimeError) as error:  # a package that this class alone needs
            raise UnreadableModel(f"importing {name}: {error}") from None
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found, ()
    if names:
        raise UnreadableModel(
            f"transformers {transformers.__version__} has no {' or '.join(names)}; a newer "
            "transformers may, and code that comes with a model is not run"
        )
    mapping = transformers.models.auto.modeling_auto.MODEL_MAPPING
    if type(config) not in mapping:
        raise UnreadableModel(f"the config names no architecture of {config.model_type}")
    base: Any = mapping[type(config)]
    found = base[0] if isinstance(base, (tuple, list)) else base
    return found, (f"the config names no architecture: counted as {found.__name__}",)
