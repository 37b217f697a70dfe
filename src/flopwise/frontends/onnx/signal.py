"""Fourier transforms, windows and noise of ai.onnx."""

from __future__ import annotations

from flopwise.frontends.onnx.native import Native, lowers


@lowers("DFT")
def dft(n: Native) -> None:
    """Until version 20 the axis was an attribute, 1 by default."""
    axis = n.integer("axis", 1) if n.version < 20 else None
    onesided, inverse = bool(n.integer("onesided")), bool(n.integer("inverse"))
    n.emit("dft", *n.inputs, axis=axis, onesided=onesided, inverse=inverse)


@lowers("STFT")
def stft(n: Native) -> None:
    n.emit("stft", *n.inputs, onesided=bool(n.integer("onesided", 1)))


@lowers("HannWindow", "HammingWindow", "BlackmanWindow")
def window(n: Native) -> None:
    name = n.op.removesuffix("Window").lower() + "_window"
    n.emit(name, *n.inputs, dtype=n.dtype("output_datatype") or "float32")


@lowers("MelWeightMatrix")
def mel(n: Native) -> None:
    """Bins, length of the transform, sample rate and two edges."""
    n.emit("mel_matrix", *n.inputs, dtype=n.dtype("output_datatype") or "float32")


@lowers("RandomNormal", "RandomUniform")
def random(n: Native) -> None:
    n.emit("random", shape=n.integers("shape") or (), dtype=n.dtype() or "float32")


@lowers("RandomNormalLike", "RandomUniformLike")
def random_like(n: Native) -> None:
    n.emit("random", n.given(0), like=0, dtype=n.dtype())


@lowers("Bernoulli")
def bernoulli(n: Native) -> None:
    """A draw per element, and its comparison."""
    noise = n.emit("random", n.given(0), part="noise", like=0)
    n.emit("less", noise, n.given(0), dtype=n.dtype())


@lowers("Multinomial")
def multinomial(n: Native) -> None:
    count = n.integer("sample_size", 1)
    n.emit("multinomial", n.given(0), count=count, dtype=n.dtype() or "int32")
