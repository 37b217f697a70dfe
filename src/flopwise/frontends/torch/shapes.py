"""Shapes of common operators, found faster than by torch's own rules.

Torch's rules for meta tensors are complete, but many are Python that first imports a
compiler (seconds) and then takes a fraction of a millisecond each. A rule here
takes the plain case, of dense operands that fit together, and leaves any other to torch by
giving NotImplemented: also every mistake, so that the message is torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

Tensor = torch.Tensor
FAST: dict[str, Callable[..., Any]] = {}
INSTEAD: dict[str, Callable[..., Any]] = {}


def fast(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a rule that is tried first."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        FAST.update((f"aten::{name}", function) for name in names)
        return function

    return enter


def instead(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a rule that is tried where torch has none, or too narrow a one."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        INSTEAD.update((f"aten::{name}", function) for name in names)
        return function

    return enter


def dense(x: Tensor) -> bool:
    """A floating tensor in the usual order of axes, or with channels last."""
    return x.is_floating_point() and (
        x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))
    )


def same(x: Tensor) -> Tensor:
    """A meta tensor like this one; torch's empty_like is one of the slow rules."""
    return torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device="meta")


@fast(
    "relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "leaky_relu", "elu",
    "hardtanh", "relu6", "mish", "softplus", "neg", "exp", "sqrt", "rsqrt", "sin", "cos", "square",
    "dropout", "clone",
)  # fmt: skip
def like(x: Tensor, *others: Any, **named: Any) -> Any:
    return same(x) if dense(x) else NotImplemented


@fast("softmax", "log_softmax", "_softmax", "_log_softmax")
def along(x: Tensor, dim: int, *others: Any, **named: Any) -> Any:
    fits = dense(x) and -x.dim() <= dim < x.dim() and not any(others) and not any(named.values())
    return same(x) if fits else NotImplemented


@fast("relu_", "silu_", "hardswish_", "hardsigmoid_", "leaky_relu_", "hardtanh_", "sigmoid_")
def itself(x: Tensor, *others: Any) -> Any:
    return x if dense(x) else NotImplemented


@fast("batch_norm", "instance_norm")
def per_channel(
    x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, train: bool, *rest: Any
) -> Any:
    vectors = [v for v in (weight, bias, mean, var) if v is not None]
    if train or x.dim() < 2 or not dense(x) or any(v.shape != x.shape[1:2] for v in vectors):
        return NotImplemented
    return same(x)


@fast("layer_norm", "rms_norm")
def over_last(x: Tensor, shape: Any, weight: Any = None, *others: Any, **named: Any) -> Any:
    fits = dense(x) and list(x.shape[x.dim() - len(shape) :]) == list(shape)
    if not fits or (weight is not None and list(weight.shape) != list(shape)):
        return NotImplemented
    return x.new_empty(x.shape)


@fast("group_norm")
def in_groups(x: Tensor, groups: int, weight: Any = None, *others: Any, **named: Any) -> Any:
    fits = dense(x) and x.dim() > 1 and x.shape[1] % groups == 0 and x.numel() > groups
    if not fits or (weight is not None and weight.shape != x.shape[1:2]):
        return NotImplemented
    return same(x)


@fast("add", "sub", "mul", "div")
def pair(a: Tensor, b: Any, *others: Any, **named: Any) -> Any:
    if not isinstance(a, Tensor) or not dense(a) or named.get("rounding_mode"):
        return NotImplemented
    if isinstance(b, Tensor):
        fits = a.shape == b.shape and a.dtype == b.dtype and a.stride() == b.stride()
        return same(a) if fits else NotImplemented
    return same(a) if isinstance(b, (int, float)) else NotImplemented


@fast("add_", "sub_", "mul_", "div_")
def onto(a: Tensor, b: Any, *others: Any, **named: Any) -> Any:
    alike = isinstance(b, (int, float)) or (isinstance(b, Tensor) and a.shape == b.shape)
    return a if dense(a) and alike and not named else NotImplemented


@fast("linear")
def linear(x: Tensor, weight: Tensor, bias: Any = None) -> Any:
    fits = weight.dim() == 2 and x.dim() > 0 and x.shape[-1] == weight.shape[1]
    if not fits or x.dtype != weight.dtype or (bias is not None and bias.shape != weight.shape[:1]):
        return NotImplemented
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


@fast("conv1d", "conv2d", "conv3d")
def conv(
    x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    rank = weight.dim() - 2
    fits = x.dim() == rank + 2 and x.shape[1] == weight.shape[1] * groups and dense(x)
    if not fits or isinstance(padding, str) or x.dtype != weight.dtype:
        return NotImplemented
    if weight.shape[0] % groups or (bias is not None and bias.shape != weight.shape[:1]):
        return NotImplemented
    window = zip(
        x.shape[2:], weight.shape[2:], *(_each(v, rank) for v in (stride, padding, dilation))
    )
    sizes = [(size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in window]
    if min(sizes) < 1:
        return NotImplemented
    last = rank == 2 and not (x.is_contiguous() and weight.is_contiguous())
    return torch.empty(
        (x.shape[0], weight.shape[0], *sizes), dtype=x.dtype, device=x.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )  # fmt: skip


def _each(value: Any, rank: int) -> Any:
    if isinstance(value, int):
        return (value,) * rank
    return tuple(value) * rank if len(value) == 1 else value


@fast("scaled_dot_product_attention")
def attention(query: Tensor, key: Tensor, value: Tensor, *others: Any, **named: Any) -> Any:
    q, k, v = query.shape, key.shape, value.shape
    grouped = bool(named.get("enable_gqa")) and len(q) == 4 and q[1] % k[1] == 0
    heads = q[:1] == k[:1] == v[:1] and k[1] == v[1] if grouped else q[:-2] == k[:-2] == v[:-2]
    if not heads or len(q) < 3 or q[-1] != k[-1] or k[-2] != v[-2]:
        return NotImplemented
    if len(q) != 4 or named.get("dropout_p") or (len(others) > 1 and others[1]):
        return query.new_empty((*q[:-1], v[-1]))
    # Fused kernels lay their result out as the queries, so that joining heads moves nothing.
    order = sorted(range(4), key=query.stride, reverse=True)
    sizes = (*q[:-1], v[-1])
    made = query.new_empty([sizes[i] for i in order])
    return made.permute([order.index(i) for i in range(4)])


@fast("view", "_unsafe_view", "_reshape_alias", "reshape")
def reshaped(x: Tensor, shape: Any, *others: Any) -> Any:
    """Free sizes in the words of the shape that was asked for: torch splits and joins axes until
    its sizes are the same numbers in words that grow with every layer."""
    if not x._has_symbolic_sizes_strides or not x.dim():
        return NotImplemented
    known = prod(size for size in shape if size != -1)
    sizes = [x.numel() // known if size == -1 else size for size in shape]
    if not sizes or prod(sizes) != x.numel():
        return NotImplemented
    strides = _strides(x, sizes)
    return x.new_empty(sizes) if strides is None else x.as_strided(sizes, strides)


def _strides(x: Tensor, sizes: list[Any]) -> list[Any] | None:
    """Of a view of such sizes, as torch works them out; None where only a copy has them."""
    shape, steps, axis = list(x.shape), list(x.stride()), len(sizes)
    strides: list[Any] = [1] * axis
    held = taken = 1  # elements in axes of x that lie together, and in axes of the view
    base = steps[-1]
    for i in reversed(range(len(shape))):
        held = held * shape[i]
        if i and (shape[i - 1] == 1 or steps[i - 1] == held * base):
            continue
        while axis and (taken < held or sizes[axis - 1] == 1):
            axis -= 1
            strides[axis], taken = taken * base, taken * sizes[axis]
        if taken != held:
            return None
        base, held, taken = steps[i - 1], 1, 1
    return None if axis else strides


@fast("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(data: Tensor, *others: Any, **named: Any) -> Any:
    """Batched, or packed with the sizes of batches as second operand."""
    packed = isinstance(others[2], (list, tuple))
    state, weights, _, layers, _, _, both = (others[1:] if packed else others)[:7]
    states = list(state) if isinstance(state, (list, tuple)) else [state]
    directions = 1 + bool(both)
    width = states[0].shape[-1] * directions
    if named or len(weights) % (layers * directions) or data.dtype != weights[0].dtype:
        return NotImplemented
    if data.shape[-1] != weights[0].shape[1] or data.dim() != 3 - packed:
        return NotImplemented
    made = [data.new_empty((*data.shape[:-1], width)), *(s.new_empty(s.shape) for s in states)]
    return tuple(made)


@instead("_grouped_mm", "_scaled_grouped_mm")
def grouped(rows: Tensor, weight: Tensor, *others: Any, **named: Any) -> Tensor:
    """Torch's rule takes bfloat16 alone."""
    if rows.dim() == 2 and weight.dim() == 2:
        offsets = next(a for a in (*others, *named.values()) if isinstance(a, Tensor))
        return rows.new_empty((offsets.shape[0], rows.shape[0], weight.shape[1]))
    lead = rows.shape[:-1] if rows.dim() == 2 or weight.dim() == 3 else weight.shape[:1]
    return rows.new_empty((*lead, weight.shape[-1]))


@instead("mm", "mv", "matmul", "_sparse_mm")
def sparse_product(a: Tensor, b: Tensor) -> Tensor:
    """Torch has no rule for sparse operands; the result is dense."""
    return torch.matmul(_full(a), _full(b))


@instead("addmm", "_sparse_addmm")
def sparse_sum(addend: Tensor, a: Tensor, b: Tensor, **named: Any) -> Tensor:
    return addend.new_empty((a.shape[0], b.shape[1]))


def _full(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device="meta")
