"""`ops.prim`: what TorchScript asks of tensors, numbers and types beside operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from flopwise.errors import UnreadableModel

# Types of elements by torch's numbers, which code in an archive states them by.
NUMBERED = {
    0: torch.uint8, 1: torch.int8, 2: torch.int16, 3: torch.int32, 4: torch.int64,
    5: torch.float16, 6: torch.float32, 7: torch.float64, 8: torch.complex32,
    9: torch.complex64, 10: torch.complex128, 11: torch.bool, 12: torch.qint8,
    13: torch.quint8, 14: torch.qint32, 15: torch.bfloat16, 23: torch.float8_e5m2,
    24: torch.float8_e4m3fn, 27: torch.uint16, 28: torch.uint32, 29: torch.uint64,
}  # fmt: skip
NUMBER_OF = {dtype: number for number, dtype in NUMBERED.items()}
CPU = torch.device("cpu")  # where archives are taken to be; the trace puts shapes in its place


def raised(message: Any = "", kind: str = "", *rest: Any) -> None:
    name = str(kind).rpartition(".")[2]
    raise UnreadableModel(f"the model itself raises {name or 'an error'}: {message}")


def least(first: Any, *rest: Any) -> Any:
    return min(first, *rest) if rest else min(first)


def most(first: Any, *rest: Any) -> Any:
    return max(first, *rest) if rest else max(first)


def unwrapped(value: Any) -> Any:
    if value is None:
        raise UnreadableModel("a value that may be None is None where it must not be")
    return value


def never(value: Any) -> bool:
    return False


PRIMITIVES: dict[str, Callable[..., Any]] = {
    "NumToTensor": lambda value: value, "RaiseException": raised,
    "dtype": lambda x: NUMBER_OF[x.dtype], "device": lambda x: CPU, "layout": lambda x: 0,
    "requires_grad": lambda x: bool(x.requires_grad), "data": lambda x: x.detach(),
    "type": lambda device: device.type, "min": least, "max": most, "abs": abs,
    "unchecked_unwrap_optional": unwrapped, "is_cpu": lambda x: True,
    **dict.fromkeys(("is_nested", "is_cuda", "is_quantized", "is_sparse", "is_mkldnn", "is_meta",
                     "is_xpu", "is_mps", "is_vulkan", "is_ipu", "is_maia", "is_sparse_csr",
                     "is_xla", "is_mtia"), never),
    "grad": lambda x: None, "index": lambda device: device.index, "name": lambda x: None,
    "itemsize": lambda x: x.itemsize, "nbytes": lambda x: x.nbytes,
    "tolist": lambda x, *rest: x.tolist(), "rangelist": lambda n: list(range(n)),
}  # fmt: skip
