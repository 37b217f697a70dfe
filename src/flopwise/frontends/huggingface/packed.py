"""What a quantised checkpoint stores: fewer bytes for the same elements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from flopwise.dims import ceildiv, prod
from flopwise.graph import Graph, Tensor


def packed(graph: Graph, model: Any, quantization: Mapping[str, Any]) -> Graph:
    """The graph with the bytes of weights that are stored in few bits, by `quant_method`.

    mxfp4: blocks of 32 elements of 4 bits with a scale of 8 (OCP Microscaling Formats v1.0);
    of a mixture of experts only their matrices. fp8: 8 bits, with a scale of 32 bits for each
    block of a matrix (DeepSeek-V3, arXiv:2412.19437, section 3.3.2).
    """
    method = str(quantization.get("quant_method", ""))
    rule = {"mxfp4": _mxfp4, "fp8": _fp8}.get(method)
    if rule is None or (method == "fp8" and not _block(quantization)):
        note = f"weights are stored by '{method}'; their bytes here are those of their dtype"
        return replace(graph, notes=(*graph.notes, note))
    linear = {
        f"{name}.weight" for name, m in model.named_modules() if type(m) is torch.nn.Linear
    }  # fmt: skip
    head = "" if model.get_output_embeddings() is None else _name(model)
    kept = quantization.get("modules_to_not_convert") or [head]

    def store(tensor: Tensor) -> Tensor:
        if tensor.role != "weight" or _matches(tensor.name, kept):
            return tensor
        stored = rule(tensor, tensor.name in linear, quantization)
        return tensor if stored is None else replace(tensor, stored=stored)

    return graph.map_tensors(store)


def _name(model: Any) -> str:
    head = model.get_output_embeddings()
    return next((name for name, m in model.named_modules() if m is head), "")


def _block(quantization: Mapping[str, Any]) -> list[int] | None:
    found = quantization.get("weight_block_size")
    good = isinstance(found, list) and len(found) == 2 and all(isinstance(b, int) for b in found)
    return found if good and min(found) > 0 else None  # type: ignore[arg-type]


def _mxfp4(tensor: Tensor, linear: bool, quantization: Mapping[str, Any]) -> Any:
    is_stack = ".experts." in tensor.name and len(tensor.sizes) == 3
    return tensor.size * (32 * 4 + 8) // (32 * 8) if is_stack else None


def _fp8(tensor: Tensor, linear: bool, quantization: Mapping[str, Any]) -> Any:
    is_stack = ".experts." in tensor.name and len(tensor.sizes) == 3
    if not linear and not is_stack:
        return None
    rows, columns = _block(quantization) or (1, 1)
    *stack, height, width = tensor.sizes
    scales = prod(stack) * ceildiv(height, rows) * ceildiv(width, columns)
    return tensor.size + scales * 32 // 8


def _matches(name: str, patterns: Any) -> bool:
    """Whether a weight belongs to a module that stays as it is: named from its start up to
    a dot, as an expression, or by its end."""
    module = name.rpartition(".")[0]
    for pattern in filter(None, patterns if isinstance(patterns, list) else []):
        try:
            begins = re.match(rf"(?:{pattern})(?:(?<=\.)|(?=\.|$))", module) is not None
        except re.error:
            begins = False
        if begins or module.endswith(pattern):
            return True
    return False
