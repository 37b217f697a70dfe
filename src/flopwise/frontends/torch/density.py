"""The share of non-zero elements of each weight and mask, where a module has real ones."""

from __future__ import annotations

from fractions import Fraction

import torch


def densities(module: torch.nn.Module) -> dict[str, Fraction]:
    """By name; tensors without values (meta, fake) are left out."""
    found = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_meta or tensor.numel() == 0 or not tensor.is_floating_point():
            continue
        share = Fraction(int(torch.count_nonzero(tensor.detach())), tensor.numel())
        if share < 1 and (tensor.dim() > 1 or name.endswith("_mask")):
            found[name] = share
    return found
