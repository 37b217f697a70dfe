"""Hugging Face: a config.json, its directory, or a config object of transformers.

The model is built on shapes alone by the classes that are installed, so that nothing is
downloaded and no code that comes with a model is run; then its forward is traced as any
other module's. See `config` (what is read), `build` (the model), `inputs` (what it is
called with), `experts` (what one token uses), `packed` (what a checkpoint stores).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flopwise.frontends import HEAD, Request
from flopwise.graph import Graph

SUFFIXES: tuple[str, ...] = ()
OPTIONS = ("prompt", "image", "mode")
_KEYS = (b'"model_type"', b'"architectures"')


def accepts(source: Any, head: bytes) -> bool:
    """JSON with a model type or an architecture, a directory with such a config.json, a
    dict like it, or a config object."""
    if isinstance(source, Path):
        path = source / "config.json"
        if source.is_dir() and path.is_file():
            with path.open("rb") as file:
                head = file.read(HEAD)
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        return text.startswith(b"{") and any(key in text for key in _KEYS)
    if isinstance(source, Mapping):
        return "model_type" in source or "architectures" in source
    transformers = sys.modules.get("transformers")
    return transformers is not None and isinstance(source, transformers.PretrainedConfig)


def load(source: Any, request: Request) -> Graph:
    """Build, call and trace. Raises UnknownSize naming the option where a size is not in the
    config, MissingPackage, and UnreadableModel where the model cannot be built or called."""
    from flopwise.frontends.huggingface.build import transformers_alone

    with transformers_alone():
        from flopwise.frontends.huggingface.model import graph

        return graph(source, request)
