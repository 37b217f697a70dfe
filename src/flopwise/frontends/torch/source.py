"""`package.module:callable?name=value`: build a model from something importable."""

from __future__ import annotations

import ast
import importlib
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch

from flopwise.errors import UnknownName, UnreadableModel, nearest
from flopwise.frontends.torch.trace import Builder
from flopwise.frontends.torch.values import Values

# Libraries that make models by name: `timm:resnet50`, `torchvision:resnet50`.
ZOOS = {"timm": "timm:create_model", "torchvision": "torchvision.models:get_model"}


def build(source: str | Path, real: bool = False) -> tuple[torch.nn.Module, Values]:
    """Import and call; weights are shapes alone unless they are to be `real`, and values that the
    code asked for are kept.

    A class or function is called with what follows `?`, read as Python where it is a
    number, a boolean or None, else as text. Raises UnknownName and UnreadableModel.
    """
    text = str(source)
    path, _, query = text.partition("?")
    module_name, _, name = path.partition(":")
    target = find(module_name, name, text)
    given = {k: value(v) for k, v in parse_qsl(query, keep_blank_values=True)}
    if isinstance(target, torch.nn.Module):
        return target, Values()
    if not callable(target):
        raise UnknownName(f"{text}: {name} is a {type(target).__name__}, which gives no model")
    return _called(target, given, text, real)


def _called(
    target: Any, given: dict[str, Any], text: str, real: bool
) -> tuple[torch.nn.Module, Values]:
    builder = Builder()
    try:
        with nullcontext() if real else builder:
            made = target(**given)
    except Exception as error:
        raise UnreadableModel(f"{text}: {' '.join(str(error).split())}") from error
    if not isinstance(made, torch.nn.Module):
        raise UnreadableModel(f"{text} gives a {type(made).__name__}, not a torch.nn.Module")
    return made, builder.values


def find(module_name: str, name: str, text: str) -> Any:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UnknownName(
            f"{text}: no module named '{error.name}'; is it installed here?"
        ) from None
    except Exception as error:
        raise UnreadableModel(f"{text}: importing {module_name}: {error}") from error
    finally:
        if added:
            sys.path.remove(here)
    if module_name in ZOOS and not hasattr(found, name.partition(".")[0]):
        home, _, factory = ZOOS[module_name].partition(":")
        return partial(getattr(importlib.import_module(home), factory), name)
    for part in name.split("."):
        if not hasattr(found, part):
            raise UnknownName(f"{text}: no '{part}'; {nearest(part, _public(found))}")
        found = getattr(found, part)
    return found


def _public(module: Any) -> list[str]:
    return [n for n in dir(module) if not n.startswith("_") and callable(getattr(module, n, None))]


def value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
