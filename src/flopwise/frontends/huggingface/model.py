"""From a config to a graph with what is true of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flopwise.errors import UnknownSize
from flopwise.frontends import Request
from flopwise.frontends.huggingface.build import model_of
from flopwise.frontends.huggingface.config import config_of, preprocessor, stated
from flopwise.frontends.huggingface.experts import active
from flopwise.frontends.huggingface.inputs import call_of
from flopwise.frontends.huggingface.packed import packed
from flopwise.frontends.torch import module
from flopwise.graph import Graph, Tensor

# Learned, by a rule that needs no gradient, and stored with the weights; transformers keeps
# it among the buffers (DeepSeek-V3, arXiv:2412.19437, section 2.1.2).
LEARNED = "e_score_correction_bias"


def graph(source: Any, request: Request) -> Graph:
    """The graph of one forward. Raises FlopwiseError."""
    data = stated(source)
    config = config_of(data)
    quantization = data.get("quantization_config") or {}
    notes = _dtype(config, quantization)
    model, said = model_of(config, data)
    call = call_of(model, config, request, preprocessor(source))
    asked = replace(request, inputs={}, batch=None, arguments=call.arguments)
    try:
        traced = module.graph(model, asked)
    except UnknownSize as error:
        if not call.free:
            raise
        kind = type(model).__name__
        raise UnknownSize(f"{kind} is not counted for free sizes: {error}") from error
    done = finished(traced, model, config.to_dict(), (*notes, *said, *call.notes))
    return packed(done, model, quantization) if quantization else done


def _dtype(config: Any, quantization: Mapping[str, Any]) -> tuple[str, ...]:
    """The dtype of weights, where a config states none; and a sentence on it."""
    if config.dtype is not None:
        return ()
    config.dtype = "bfloat16" if quantization.get("quant_method") == "mxfp4" else "float32"
    return (f"the config states no dtype: weights are taken for {config.dtype}",)


def finished(traced: Graph, model: Any, data: Mapping[str, Any], notes: tuple[str, ...]) -> Graph:
    """The graph with names that share a weight, what one token uses, and hyperparameters."""
    traced = traced.map_tensors(_learned)
    used, said = active(traced)
    return replace(
        traced,
        format="huggingface",
        tied=tied(model),
        active=used,
        config=data,
        notes=(*traced.notes, *notes, *said),
    )


def _learned(tensor: Tensor) -> Tensor:
    if tensor.role == "buffer" and tensor.name.endswith(LEARNED):
        return replace(tensor, role="weight", trainable=False)
    return tensor


def tied(model: Any) -> dict[str, str]:
    """Further names of parameters, with the name that each is counted under."""
    names: dict[int, str] = {}
    found = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        kept = names.setdefault(id(parameter), name)
        if kept != name:
            found[name] = kept
    return found
