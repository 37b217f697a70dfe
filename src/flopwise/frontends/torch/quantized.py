"""Quantised modules of torch.ao: weights packed in C++ objects, and operators without shapes.

Torch knows no quantised meta tensors. In a trace they are plain whole numbers of their
width, and a packed weight is the shapes of what was packed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from flopwise.frontends.torch.shapes import FAST

Tensor = torch.Tensor
WHOLE = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32}


@dataclass(frozen=True)
class Packed:
    """What was packed, by name, as meta tensors; and the attributes of a convolution."""

    tensors: dict[str, Tensor]
    attrs: dict[str, Any]

    @property
    def weight(self) -> Tensor:
        return self.tensors["weight"]

    @property
    def bias(self) -> Tensor | None:
        return self.tensors.get("bias")


class Packages:
    """The packed weights of a trace, each unpacked once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Packed]] = {}

    def of(self, packed: torch.ScriptObject) -> Any:
        """Shapes in place of a packed weight; any other object as it is."""
        if hash(packed) not in self._known:
            unpacked = unpack(packed)
            if unpacked is None:
                return packed
            self._known[hash(packed)] = (packed, unpacked)
        return self._known[hash(packed)][1]

    def named(self, module: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
        """The weights that modules keep packed, by the path of the module."""
        seen: set[int] = set()
        for path, part in module.named_modules():
            place = path.removesuffix("_packed_params").strip(".")
            for kept, value in vars(part).items():
                packed = self.of(value) if isinstance(value, torch.ScriptObject) else None
                if not isinstance(packed, Packed) or id(packed) in seen:
                    continue
                seen.add(id(packed))
                which = _KEPT.sub("", kept)  # of cells: _ih, _hh
                for name, tensor in packed.tensors.items():
                    yield f"{place}.{name}{which}".lstrip("."), tensor


_KEPT = re.compile("^(_packed_params|_packed_weight|param)")


def unpack(packed: torch.ScriptObject) -> Packed | None:
    """The shapes inside of a packed weight of a layer, an embedding or a recurrent cell."""
    kind = packed._type().name()  # type: ignore[attr-defined]
    if kind == "CellParamsBase":
        return _cell(packed)
    if not kind.endswith("PackedParamsBase"):
        return None
    found = packed.unpack()  # type: ignore[attr-defined]
    weight, bias = found if isinstance(found, tuple) else (found, None)
    attrs = {}
    if kind.startswith("Conv"):
        names = ("stride", "padding", "output_padding", "dilation", "groups", "transpose")
        attrs = {name: getattr(packed, name)() for name in names}
    return _packed({"weight": weight, "bias": bias}, attrs)


def _cell(packed: Any) -> Packed:
    """The four parts of a cell: kind, tensors, numbers, whole numbers, packed products."""
    _, biases, _, _, products = packed.__getstate__()[0]
    named = dict(zip(("bias_ih", "bias_hh"), biases))
    weights = zip(("weight_ih", "weight_hh"), (p.unpack()[0] for p in products))
    return _packed({**dict(weights), **named}, {})


def _packed(tensors: dict[str, Any], attrs: dict[str, Any]) -> Packed:
    return Packed({k: plain(v) for k, v in tensors.items() if v is not None}, attrs)


def plain(tensor: Tensor, shape: Any = None) -> Tensor:
    """A meta tensor of whole numbers in place of a quantised one."""
    size = tensor.shape if shape is None else shape
    return torch.empty(size, dtype=WHOLE.get(tensor.dtype, tensor.dtype), device="meta")


def quantized(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a rule for the shapes of operators."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        FAST.update((n if "::" in n else f"quantized::{n}", function) for n in names)
        return function

    return enter


@quantized("aten::quantize_per_tensor", "aten::quantize_per_channel",
           "aten::quantize_per_tensor_dynamic")  # fmt: skip
def quantize(x: Any, *rest: Any, dtype: Any = None) -> Any:
    kind = dtype or next(r for r in reversed(rest) if isinstance(r, torch.dtype))
    if not isinstance(x, Tensor):
        return NotImplemented
    return torch.empty(x.shape, dtype=WHOLE[kind], device="meta")


@quantized("aten::dequantize")
def dequantize(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return [dequantize(t) for t in x]
    return torch.empty(x.shape, dtype=torch.float32, device="meta")


LINEAR = ("linear", "linear_relu", "linear_leaky_relu", "linear_tanh", "linear_dynamic",
          "linear_relu_dynamic", "linear_dynamic_fp16", "linear_relu_dynamic_fp16")  # fmt: skip
CONV = tuple(
    f"conv{rank}d{suffix}" for rank in (1, 2, 3)
    for suffix in ("", "_relu", "_add", "_add_relu", "_dynamic")
)  # fmt: skip
TRANSPOSED = tuple(f"conv_transpose{rank}d{s}" for rank in (1, 2, 3) for s in ("", "_dynamic"))
ALIKE = ("add", "add_relu", "mul", "mul_relu", "add_scalar", "add_scalar_relu", "mul_scalar",
         "mul_scalar_relu", "relu6", "clamp", "threshold", "sigmoid", "hardswish", "leaky_relu",
         "elu", "celu", "prelu", "dropout", "softmax", "layer_norm", "group_norm",
         "instance_norm", "batch_norm", "batch_norm_relu", "batch_norm1d", "batch_norm1d_relu",
         "batch_norm2d", "batch_norm2d_relu", "batch_norm3d", "batch_norm3d_relu")  # fmt: skip


@quantized(*ALIKE)
def alike(x: Any, y: Any = None, *rest: Any) -> Any:
    operand = x if isinstance(x, Tensor) else y
    shape = operand.shape
    if isinstance(y, Tensor) and y.dim():
        shape = torch.broadcast_shapes(shape, y.shape) if y.dim() == operand.dim() else shape
    return plain(operand, shape)


@quantized(*LINEAR)
def linear(x: Tensor, packed: Packed, *rest: Any) -> Tensor:
    return plain(x, (*x.shape[:-1], packed.weight.shape[0]))


@quantized(*CONV, *TRANSPOSED)
def conv(x: Tensor, *rest: Any) -> Tensor:
    packed: Packed = next(r for r in rest if isinstance(r, Packed))
    made = torch.ops.aten.convolution(
        torch.empty(x.shape, device="meta"), torch.empty(squeezed(packed, x).shape, device="meta"),
        None, *settings(packed, x), packed.attrs["groups"],
    )  # fmt: skip
    return plain(x, made.shape)


def squeezed(packed: Packed, x: Tensor) -> Tensor:
    """The weight; that of a convolution along one axis is packed with a second axis of one."""
    return packed.weight if packed.weight.dim() == x.dim() else packed.weight.flatten(2)


def settings(packed: Packed, x: Tensor) -> tuple[Any, Any, Any, bool, Any]:
    """Stride, padding, dilation, whether transposed, padding of the result."""
    rank, attrs = x.dim() - 2, packed.attrs
    each = {k: list(attrs[k])[-rank:] for k in
            ("stride", "padding", "dilation", "output_padding")}  # fmt: skip
    return (each["stride"], each["padding"], each["dilation"], bool(attrs["transpose"]),
            each["output_padding"])  # fmt: skip


@quantized("cat", "cat_relu")
def cat(parts: Any, dim: int, *rest: Any) -> Tensor:
    return torch.cat(list(parts), dim)


@quantized("matmul")
def matmul(a: Tensor, b: Tensor, *rest: Any) -> Tensor:
    shape = torch.matmul(*(torch.empty(t.shape, device="meta") for t in (a, b))).shape
    return plain(a, shape)


@quantized("embedding_byte", "embedding_4bit")
def embedding(packed: Packed, indices: Tensor, *rest: Any) -> Tensor:
    width = packed.weight.shape[-1]
    return torch.empty((*indices.shape, width), dtype=torch.float32, device="meta")


@quantized("aten::quantized_lstm", "aten::quantized_gru")
def recurrent(x: Tensor, *rest: Any, **named: Any) -> Any:
    """One state of a GRU, two of an LSTM, in a list; then packed cells and the plain settings."""
    packed = not isinstance(rest[0], (list, tuple)) and not rest[0].is_floating_point()
    state, cells = rest[1:3] if packed else rest[:2]
    states = list(state) if isinstance(state, (list, tuple)) else [state]
    both = bool(rest[7 if packed else 6])
    width = cells[0].tensors["weight_hh"].shape[1] * (1 + both)
    return (plain(x, (*x.shape[:-1], width)), *(plain(s) for s in states))


@quantized("quantized_lstm_cell_dynamic", "quantized_gru_cell_dynamic",
           "quantized_rnn_relu_cell_dynamic", "quantized_rnn_tanh_cell_dynamic")  # fmt: skip
def cell(x: Tensor, state: Any, *rest: Any) -> Any:
    several = isinstance(state, (list, tuple))
    return tuple(map(plain, state)) if several else plain(state)


@quantized("aten::_weight_int4pack_mm", "aten::_weight_int4pack_mm_for_cpu")
def four_bits(x: Tensor, weight: Tensor, group: int, scales: Tensor) -> Tensor:
    """Scales and zero points are by group, result and kind."""
    return x.new_empty((x.shape[0], scales.shape[1]))
