"""The functions that code in an archive calls: `torch.name` and `ops.space.name`.

Those of tensors are ATen operators, found by name in a list of what may be called, and run under
the trace, on shapes. Everything else is plain arithmetic (`plain`). There is no other way out
of an archive: a name that is in neither is refused.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from flopwise import rules
from flopwise.errors import FlopwiseError, UnreadableModel
from flopwise.frontends.torch import aten
from flopwise.frontends.torch.script.budget import Budget
from flopwise.frontends.torch.script.plain import (
    CONTAINERS,
    IGNORED,
    NUMBERS,
    STATE,
    TENSORS,
)
from flopwise.frontends.torch.script.primitives import CPU, NUMBERED, PRIMITIVES
from flopwise.frontends.torch.trace import first_line

OPERATOR = 20  # steps that one is worth

# Operators with one underscore before their names are torch's own business; these are not.
INNER = {
    "_convolution", "_softmax", "_log_softmax", "_cast_Float", "_cast_Long", "_cast_Int",
    "_shape_as_tensor", "_pack_padded_sequence", "_pad_packed_sequence", "_weight_norm",
    "_weight_norm_interface", "_grouped_mm", "_stack", "_cdist_forward", "_euclidean_dist",
    "_embedding_bag", "_native_multi_head_attention", "_transformer_encoder_layer_fwd",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_fft_r2c", "_fft_c2r", "_fft_c2c",
    "_trilinear", "_unique2", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "_upsample_lanczos2d_aa",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    "__and__", "__or__", "__xor__", "__lshift__", "__rshift__", "__iand__", "__ior__", "__ixor__",
    "_conj", "_neg_view", "_to_copy", "_unsafe_view", "_batch_norm_impl_index",
    "_nnpack_spatial_convolution",
    "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell", "_sparse_mm", "_weight_int8pack_mm",
}  # fmt: skip

# What reaches outside of the program, or past the memory of a tensor.
NEVER = {"from_file", "set_", "set", "resize_", "resize_as_", "resize", "resize_as", "save", "load",
         "set_data", "retain_grad", "rename_", "backward", "requires_grad_"}  # fmt: skip


def call(name: str, args: list[Any], kwargs: dict[str, Any], budget: Budget) -> Any:
    """The result of `torch.name(…)` or `ops.space.name(…)`. Raises UnreadableModel."""
    space, _, own = name.rpartition("::")
    if space == "prim":
        if own not in PRIMITIVES:
            raise UnreadableModel(f"ops.prim.{own} is not known here")
        return budget.bounded(PRIMITIVES[own](*args, **kwargs))
    if space in ("", "aten"):
        found = _plain(own, args, kwargs, budget)
        if found is not NotImplemented:
            return found
    budget.spend(OPERATOR)
    if own == "_convolution":  # older releases have no shapes for it; settings of cuDNN follow
        own, args = "convolution", args[:9]
    full = f"{space or 'aten'}::{own}"
    function = operator(full)
    try:
        return function(*asked(own, args), **_named(kwargs))
    except FlopwiseError:
        raise
    except Exception as error:
        raise UnreadableModel(f"{full}: {first_line(error)}") from error


def _plain(name: str, args: list[Any], kwargs: dict[str, Any], budget: Budget) -> Any:
    if name in STATE:
        return STATE[name]
    if name in IGNORED:
        return None
    if name == "__is__" or name == "__isnot__":
        return (args[0] is args[1]) == (name == "__is__")
    if name == "device":
        return CPU
    if name == "tensor":
        return _made(*args, **kwargs)
    first = args[0] if args else None
    table = NUMBERS
    if isinstance(first, (list, tuple, dict, str)):
        table = CONTAINERS
        budget.spend(len(first) // 16)
        if name == "mul":
            budget.spend(len(first) * int(args[1]))
    elif isinstance(first, torch.Tensor):
        return TENSORS[name](*args, **kwargs) if name in TENSORS else NotImplemented
    if name not in table or any(isinstance(a, torch.Tensor) for a in args if table is NUMBERS):
        return NotImplemented
    return budget.bounded(table[name](*args, **kwargs))


def _made(data: Any, dtype: int | None = None, *rest: Any, **named: Any) -> torch.Tensor:
    kind = None if dtype is None else NUMBERED[dtype]
    return torch.tensor(data, dtype=kind)


def _named(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: NUMBERED[v] if k == "dtype" and type(v) is int else v for k, v in kwargs.items()}


def asked(name: str, args: list[Any]) -> list[Any]:
    """Numbers that a trace took for tensors as tensors, where nothing else among operands is."""
    if not args or not isinstance(args[0], (int, float)) or name in FACTORIES:
        return args
    if any(isinstance(a, torch.Tensor) for a in args):
        return args
    return [torch.tensor(args[0]), *args[1:]]


FACTORIES = {"arange", "full", "linspace", "logspace", "eye", "scalar_tensor", "randperm",
             "randint", "hann_window", "hamming_window", "kaiser_window", "bartlett_window",
             "blackman_window", "tril_indices", "triu_indices"}  # fmt: skip


@cache
def operator(name: str) -> Any:
    """An operator that may be called, by its full name. Raises UnreadableModel for any other."""
    space, _, own = name.partition("::")
    if space == "aten":
        inner = own.startswith("_") and own not in INNER
        fine = not inner and own not in NEVER and _on_tensors(name)
    else:
        fine = name in aten.names() or name in rules.RULES
    packet = getattr(getattr(torch.ops, space), own, None) if fine else None
    if packet is None:
        raise UnreadableModel(f"the archive calls {name}, which is no operator that is known here")
    return packet


def _on_tensors(name: str) -> bool:
    """Whether it goes through torch's dispatcher, where a trace sees it, and has to do with
    tensors."""
    for schema in torch._C._jit_get_schemas_for_operator(name):
        full = f"{name}.{schema.overload_name}" if schema.overload_name else name
        types = " ".join(str(a.type) for a in (*schema.arguments, *schema.returns))
        if torch._C._dispatch_has_kernel(full) and "Tensor" in types and "Storage" not in types:
            return True
    return False
