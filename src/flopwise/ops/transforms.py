"""Fourier transforms, and matrices as a whole: inverse, determinant, distances."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts
from flopwise.dims import Dim, floordiv, prod
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.broadcasting import broadcast

Tensors = tuple[Tensor, ...]


def fast(length: Dim, real: bool = False) -> Counts | None:
    """One fast Fourier transform of n complex numbers: n/2 log2 n butterflies of one complex
    product and two complex sums, 5 n log2 n operations (Cooley and Tukey 1965), half of
    that for real ones. log2 n is rounded up; None for a free length."""
    if not isinstance(length, int):
        return None
    stages = max(length - 1, 0).bit_length()
    half = length if real else 2 * length
    return Counts(mul=half * stages, add=floordiv(3 * half * stages, 2))


@op("fft")
def fft(
    inputs: Tensors, outputs: Tensors, axes: Any = (-1,), kind: str = "complex"
) -> Counts | None:
    """Over some axes. `kind` "real": a real operand, of whose last axis n/2 + 1 results are
    kept; "inverse_real": back. The other axes are complex."""
    whole = (outputs[0] if kind == "inverse_real" else inputs[0]).sizes
    half = (inputs[0] if kind == "inverse_real" else outputs[0]).sizes
    total = Counts()
    for i, axis in enumerate(axes):
        last = kind != "complex" and i == len(axes) - 1
        shape = whole if last else half
        once = fast(shape[axis], last)
        if once is None:
            return None
        total += prod(shape) // shape[axis] * once
    return total


@rule("shape", "fft")
def fft_shape(
    inputs: Tensors, axes: Any = (-1,), sizes: Any = None, kind: str = "complex"
) -> list[Shape]:
    """`sizes` of the transformed axes, where they are padded or cut first."""
    shape = list(inputs[0].sizes)
    if kind == "inverse_real" and sizes is None:
        shape[axes[-1]] = 2 * (shape[axes[-1]] - 1)
    for axis, size in zip(axes, sizes or ()):
        shape[axis] = size
    if kind == "real":
        shape[axes[-1]] = floordiv(shape[axes[-1]], 2) + 1
    return [tuple(shape)]


@op("dft")
def dft(
    inputs: Tensors, outputs: Tensors, axis: Any = None, onesided: Any = False, inverse: Any = False
) -> Counts | None:
    """ONNX's: data, length and axis, whose last axis holds 1 (real) or 2 (complex) parts.
    Counted as a fast transform."""
    axis = _axis(inputs, axis)
    length = _length(inputs, axis, onesided and inverse)
    once = fast(length, 1 in (inputs[0].sizes[-1], outputs[0].sizes[-1]))
    rows = prod(inputs[0].sizes[:-1]) // inputs[0].sizes[axis]
    return None if once is None else rows * once


@rule("shape", "dft")
def dft_shape(
    inputs: Tensors, axis: Any = None, onesided: Any = False, inverse: Any = False
) -> list[Shape]:
    shape, axis = list(inputs[0].sizes), _axis(inputs, axis)
    length = _length(inputs, axis, onesided and inverse)
    shape[axis] = floordiv(length, 2) + 1 if onesided and not inverse else length
    return [(*shape[:-1], 1 if onesided and inverse else 2)]


def _axis(inputs: Tensors, axis: Any) -> int:
    if axis is None and len(inputs) > 2 and inputs[2] is not None:
        return int(constant(inputs, 2)[0])
    return -2 if axis is None else int(axis)


def _length(inputs: Tensors, axis: int, halved: Any) -> Dim:
    """The second operand; else the axis, of which a one-sided operand shows half."""
    if len(inputs) > 1 and inputs[1] is not None:
        return constant(inputs, 1)[0]
    return 2 * (inputs[0].sizes[axis] - 1) if halved else inputs[0].sizes[axis]


@op("stft")
def stft(
    inputs: Tensors, outputs: Tensors, frame: Any = None, onesided: Any = True,
    windowed: Any = None, complex_last: bool = True,
) -> Counts | None:  # fmt: skip
    """Frames of a signal, each times a window, then transformed. Operands: signal, hop, window,
    length of a frame; `windowed` where the window is no operand."""
    frame = _frame(inputs, frame)
    bins = floordiv(frame, 2) + 1 if onesided else frame
    frames = floordiv(outputs[0].size, bins * (2 if complex_last else 1))
    windowed = len(inputs) > 2 and inputs[2] is not None if windowed is None else windowed
    once = fast(frame, bool(onesided))
    return None if once is None else frames * (once + Counts(mul=frame if windowed else 0))


@rule("shape", "stft")
def stft_shape(
    inputs: Tensors, frame: Any = None, hop: Any = None, onesided: Any = True, pad: Dim = 0,
    complex_last: bool = True,
) -> list[Shape]:  # fmt: skip
    """[b, frames, bins, 2] as in ONNX; without `complex_last` [b, bins, frames] as in PyTorch.
    `pad` elements are put before and after the signal."""
    frame, signal = _frame(inputs, frame), inputs[0].sizes
    signal = signal[:2] if complex_last else signal
    hop = constant(inputs, 1)[0] if hop is None else hop
    frames = floordiv(signal[-1] + 2 * pad - frame, hop) + 1
    bins = floordiv(frame, 2) + 1 if onesided else frame
    return [(signal[0], frames, bins, 2) if complex_last else (*signal[:-1], bins, frames)]


def _frame(inputs: Tensors, frame: Any) -> Any:
    if frame is not None:
        return frame
    if len(inputs) > 3 and inputs[3] is not None:
        return constant(inputs, 3)[0]
    if len(inputs) > 2 and inputs[2] is not None:
        return inputs[2].sizes[0]
    return inputs[0].sizes[1]


@op("matrix_inverse", "*b n n -> *b n n")
def matrix_inverse(b: Shape, n: Dim) -> Counts:
    """Gauss and Jordan, in place: n³ - n products, n³ - n² sums and n divisions."""
    return prod(b) * Counts(mul=n * n * n - n, add=n * n * n - n * n, div=n)


@op("determinant", "*b n n -> *b")
def determinant(b: Shape, n: Dim) -> Counts:
    """Elimination below the diagonal: (n - 1) n (2n - 1) / 6 products and sums each, n (n - 1) / 2
    divisions; then the n - 1 products of the diagonal."""
    sums = floordiv((n - 1) * n * (2 * n - 1), 6)
    return prod(b) * Counts(mul=sums + n - 1, add=sums, div=floordiv(n * (n - 1), 2))


@op("cdist", "*_ m d, *_ n d -> *b m n")
def cdist(b: Shape, m: Dim, n: Dim, d: Dim, p: float = 2.0) -> Counts:
    """The distance of each row of one operand from each of the other, by differences."""
    pairs = prod(b) * m * n
    if p == 2:
        return pairs * Counts(add=2 * d - 1, mul=d, sqrt=1)
    if p == 1:
        return pairs * Counts(add=2 * d - 1, cmp=d)
    power = Counts(log=1, mul=1, exp=1)
    return pairs * (Counts(add=2 * d - 1, cmp=d, div=1) + (d + 1) * power)


@rule("shape", "cdist")
def cdist_shape(inputs: Tensors) -> list[Shape]:
    a, b = inputs[0].sizes, inputs[1].sizes
    return [(*broadcast(a[:-2], b[:-2]), a[-2], b[-2])]


@op("cross", "*_ 3, *_ 3 -> *b 3")
def cross(b: Shape) -> Counts:
    """Two products and a difference per component."""
    return 3 * prod(b) * Counts(mul=2, add=1)
