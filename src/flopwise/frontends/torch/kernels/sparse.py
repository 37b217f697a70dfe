"""Sparse convolutions of spconv: by the pairs of active sites that the data has."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

from flopwise.counts import Counts
from flopwise.errors import UnknownValue
from flopwise.frontends.torch.kernels import kernel

Site = tuple[int, ...]


def sites(found: Any) -> list[Site]:
    """Batch and coordinates of the active sites. Raises UnknownValue where they are not given."""
    if found.indices.is_meta:
        raise UnknownValue(
            "the cost of a sparse convolution hangs on the active sites: give their indices as "
            "a tensor, not as a shape"
        )
    return [tuple(site) for site in found.indices.tolist()]


def pairs(active: list[Site], module: Any) -> tuple[int, list[Site]]:
    """How many (input, output) pairs meet over all taps, and the active results.

    A submanifold convolution keeps its sites; another one makes every place active that some
    active input reaches, at strides, inside of the result's bounds.
    """
    if module.subm:
        known = set(active)
        met = sum(_shifted(s, tap, module) in known for s in active for tap in _taps(module))
        return met, active
    reached = [
        place for site in active for tap in _taps(module)
        if (place := _target(site, tap, module)) is not None
    ]  # fmt: skip
    return len(reached), list(dict.fromkeys(reached))


def _taps(module: Any) -> Any:
    return product(*map(range, module.kernel_size))


def _shifted(site: Site, tap: Any, module: Any) -> Site:
    middle = ((t - k // 2) * d for t, k, d in zip(tap, module.kernel_size, module.dilation))
    return (site[0], *(s + m for s, m in zip(site[1:], middle)))


def _target(site: Site, tap: Any, module: Any) -> Site | None:
    """The place of the result that an input reaches by a tap, if there is one."""
    place = []
    settings = zip(site[1:], tap, module.stride, module.padding, module.dilation)
    for at, t, stride, pad, dilation in settings:
        moved = at + pad - t * dilation
        if moved % stride or moved < 0:
            return None
        place.append(moved // stride)
    return (site[0], *place)


def _inside(place: Site, given: Any, module: Any) -> bool:
    bounds = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            given.spatial_shape, module.kernel_size, module.stride, module.padding, module.dilation
        )
    )
    return all(at < bound for at, bound in zip(place[1:], bounds))


def measured(module: Any, given: Any) -> tuple[int, list[Site]]:
    """Pairs and active results of one call of a layer."""
    if getattr(module, "inverse", False) or getattr(module, "transposed", False):
        raise UnknownValue("inverse and transposed sparse convolutions have no rule here")
    met, active = pairs(sites(given), module)
    if module.subm:
        return met, active
    kept = [place for place in active if _inside(place, given, module)]
    if len(kept) == len(active):
        return met, kept
    inside = set(kept)
    return sum(
        _target(s, tap, module) in inside for s in sites(given) for tap in _taps(module)
    ), kept  # fmt: skip


def convolved(module: Any, given: Any, *rest: Any) -> Any:
    """The result with its active sites, of which the next layer asks."""
    _, active = measured(module, given)
    made = given.replace_feature(
        given.features.new_empty((len(active), module.out_channels), device="meta")
    )
    made.indices = torch.tensor(active, dtype=given.indices.dtype)
    if not module.subm:
        made.spatial_shape = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                given.spatial_shape, module.kernel_size, module.stride, module.padding,
                module.dilation,
            )
        ]  # fmt: skip
    return made


@kernel("spconv.pytorch.conv:SparseConvolution", result=convolved)
def sparse_convolution(module: Any, given: Any, *rest: Any) -> Counts:
    """Each pair multiplies a row of features with the matrix of a tap; results add up."""
    met, active = measured(module, given)
    outputs = len(active) * module.out_channels
    return Counts(
        mac=met * module.in_channels * module.out_channels, dot=outputs,
        add=outputs * int(module.bias is not None),
    )  # fmt: skip
