"""Run another counter, where it is installed, on a fresh model: what does it print?

The model is made anew from its name, since some of these tools leave hooks and buffers on
what they count. Weights are real and random, inputs are zeros, on the CPU.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

import torch

from flopwise.dims import Dim
from flopwise.errors import MissingPackage, UnknownName, UnknownSize, UnreadableModel, nearest
from flopwise.frontends.torch.source import find, value
from flopwise.graph import Shape

Inputs = tuple[torch.Tensor, ...]


def run(tool: str, source: str, shapes: Mapping[str, Shape]) -> int:
    """The number that a tool gives of `package.module:callable?name=value`.

    Raises UnknownName for a tool that we cannot run, MissingPackage where it is not
    installed, and UnreadableModel where it fails.
    """
    if tool not in TOOLS:
        raise UnknownName(f"no tool '{tool}' to run; {nearest(tool, list(TOOLS))}")
    path, _, query = source.partition("?")
    module, _, name = path.partition(":")
    given = {k: value(v) for k, v in parse_qsl(query, keep_blank_values=True)}
    model = find(module, name, source)(**given).eval()
    inputs = tuple(torch.zeros([_number(s, tool) for s in x]) for x in shapes.values())
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return int(TOOLS[tool](model, inputs))
    except ModuleNotFoundError as error:
        raise MissingPackage(f"{tool} needs '{error.name}': pip install {error.name}") from None
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableModel(f"{tool} fails on {source}: {said}") from error


def _number(size: Dim, tool: str) -> int:
    if not isinstance(size, int):
        raise UnknownSize(f"{tool} takes numbers only; give every size")
    return size


def thop(model: torch.nn.Module, inputs: Inputs) -> Any:
    return import_module("thop").profile(model, inputs=inputs, verbose=False)[0]


def ptflops(model: torch.nn.Module, inputs: Inputs) -> Any:
    count = import_module("ptflops").get_model_complexity_info
    shape = tuple(inputs[0].shape[1:])
    return count(model, shape, as_strings=False, print_per_layer_stat=False, backend="pytorch")[0]


def fvcore(model: torch.nn.Module, inputs: Inputs) -> Any:
    analysis = import_module("fvcore.nn").FlopCountAnalysis(model, inputs)
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def torchinfo(model: torch.nn.Module, inputs: Inputs) -> Any:
    summary = import_module("torchinfo").summary
    return summary(model, input_data=inputs, verbose=0).total_mult_adds


def calflops(model: torch.nn.Module, inputs: Inputs) -> Any:
    count = import_module("calflops").calculate_flops
    shape = tuple(inputs[0].shape)
    return count(model, shape, print_results=False, output_as_string=False)[0]


def torchprofile(model: torch.nn.Module, inputs: Inputs) -> Any:
    return import_module("torchprofile").profile_macs(model, inputs)


def flop_counter_mode(model: torch.nn.Module, inputs: Inputs) -> Any:
    counter = import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(*inputs)
    return counter.get_total_flops()


TOOLS: dict[str, Callable[[torch.nn.Module, Inputs], Any]] = {
    "thop": thop, "ptflops": ptflops, "fvcore": fvcore, "torchinfo": torchinfo,
    "calflops": calflops, "torchprofile": torchprofile, "torch": flop_counter_mode,
}  # fmt: skip
