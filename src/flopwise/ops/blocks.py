"""Blocks: neighbourhoods that become channels, and channels that are dealt anew."""

from __future__ import annotations

from flopwise.dims import Dim
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape, Tensor
from flopwise.ops.movement import entered

Tensors = tuple[Tensor, ...]


@entered(False, "depth_to_space")
def depth_to_space(inputs: Tensors, block: int, channels_last: bool = False) -> list[Shape]:
    n, c, x = _channels(inputs, channels_last)
    channels = divided(c, block ** len(x), "channels")
    return [_laid(n, channels, [a * block for a in x], channels_last)]


@entered(False, "space_to_depth")
def space_to_depth(inputs: Tensors, block: int, channels_last: bool = False) -> list[Shape]:
    n, c, x = _channels(inputs, channels_last)
    space = [divided(a, block, "positions of an axis") for a in x]
    return [_laid(n, c * block ** len(x), space, channels_last)]


def divided(size: Dim, by: Dim, what: str) -> Dim:
    """The size of a block of `by` such. Raises ShapeMismatch for one that is left over."""
    if isinstance(size, int) and isinstance(by, int) and (by < 1 or size % by):
        raise ShapeMismatch(f"{size} {what} do not divide into blocks of {by}")
    return size // by


def _channels(inputs: Tensors, last: bool) -> tuple[Dim, Dim, Shape]:
    """Batch, channels and space."""
    n, *rest = inputs[0].sizes
    return (n, rest[-1], tuple(rest[:-1])) if last else (n, rest[0], tuple(rest[1:]))


def _laid(n: Dim, c: Dim, x: list[Dim], last: bool) -> Shape:
    return (n, *x, c) if last else (n, c, *x)


@entered(False, "channel_shuffle")
def channel_shuffle(inputs: Tensors, groups: int) -> list[Shape]:
    return [inputs[0].sizes]
