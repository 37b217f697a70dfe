"""The dtypes that weights and caches are stored in, and how many bits an element takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flopwise.errors import UnknownName, nearest
from flopwise.graph import BITS

NAMES = {
    "fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16", "fp8": "float8",
    "fp4": "float4",
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """`bits` of a stored element with its share of scales; `computed` is the dtype that its
    products are done in where the device has it, else (and if empty) that of activations."""

    name: str
    bits: float
    computed: str = ""
    statement: str = ""


# Scales and zero points per group of elements come on top of the bits of each.
WEIGHTS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format("float32", 32), Format("float16", 16), Format("bfloat16", 16),
        Format("float8", 8, "float8", "a scale for each tensor or channel"),
        Format("int8", 8, "", "weights only, a scale for each channel"),
        Format("w8a8", 8, "int8", "weights and activations in int8, a scale for each channel"),
        Format("int4", 4 + 20 / 128, "", "groups of 128: a 16-bit scale, a 4-bit zero point"),
        Format("int4-g32", 4 + 32 / 32, "", "groups of 32: a 16-bit scale and zero point"),
        Format("mxfp4", 4 + 8 / 32, "", "blocks of 32 with an 8-bit scale (OCP MX v1.0)"),
        Format("nvfp4", 4 + 8 / 16, "", "blocks of 16 with an 8-bit scale"),
        Format("nf4", 4 + 0.127, "", "double quantisation (QLoRA, arXiv:2305.14314, section 3)"),
    )
}  # fmt: skip
CACHES = ("float32", "float16", "bfloat16", "float8", "int8", "int4")


def weights(name: str) -> Format:
    """A format of weights. Raises UnknownName."""
    name = NAMES.get(name.lower(), name.lower())
    if name not in WEIGHTS:
        raise UnknownName(f"no format of weights '{name}'; {nearest(name, list(WEIGHTS))}")
    return WEIGHTS[name]


def cache(name: str) -> str:
    """A dtype of a key-value cache. Raises UnknownName."""
    name = NAMES.get(name.lower(), name.lower())
    if name not in CACHES:
        raise UnknownName(f"no dtype '{name}' of caches; {nearest(name, list(CACHES))}")
    return name


def size(dtype: str) -> float:
    """Bytes of an element."""
    return BITS[dtype] / 8
