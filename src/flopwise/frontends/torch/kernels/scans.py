"""State spaces: the kernels of Mamba."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.counts import Counts
from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.kernels import kernel

Tensor = torch.Tensor


def scanned(u: Tensor, delta: Tensor, A: Tensor, *rest: Any, **named: Any) -> Any:
    """The results, and the last state where it is asked for."""
    last = named.get("return_last_state", rest[6] if len(rest) > 6 else False)
    made = u.new_empty(u.shape)
    return (made, u.new_empty((u.shape[0], *A.shape))) if last else made


@kernel("mamba_ssm.ops.selective_scan_interface:selective_scan_fn", result=scanned)
def selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Any = None, z: Any = None,
    delta_bias: Any = None, delta_softplus: bool = False, return_last_state: bool = False,
) -> Step:  # fmt: skip
    return Step(
        "selective_scan", (u, delta, A, B, C, D, z, delta_bias), {"softplus": delta_softplus}
    )


def of_heads(x: Tensor, dt: Any, A: Any, B: Tensor, *rest: Any, **named: Any) -> Any:
    made = x.new_empty(x.shape)
    if not named.get("return_final_states"):
        return made
    return made, x.new_empty((x.shape[0], x.shape[2], x.shape[3], B.shape[-1]))


@kernel("mamba_ssm.ops.triton.ssd_combined:mamba_chunk_scan_combined", result=of_heads)
def state_space_duality(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, chunk_size: int, D: Any = None,
    z: Any = None, *rest: Any, **named: Any,
) -> Counts:  # fmt: skip
    """Chunk by chunk, as Dao and Gu 2024, listing 1, has it: within a chunk C Bᵀ of each group and
    its product with x under a mask of decays, between chunks Bᵀ x and C times the state. A last
    chunk that is not full is filled up. Decays (one exponential for each token and head, and
    for each pair of a chunk) and the skip are elementwise.
    """
    batch, length, heads, width = x.shape
    groups, states = B.shape[-2:]
    chunks = -(-length // chunk_size)
    rows = batch * chunks * chunk_size
    pairs = rows * chunk_size
    dots = pairs * groups + pairs * heads // chunk_size * width + 2 * rows * heads * width
    mac = pairs * groups * states + pairs * heads * width + 2 * rows * heads * width * states
    own = Counts(mul=pairs * heads + 2 * rows * heads, exp=pairs * heads + 2 * rows * heads)
    carried = batch * chunks * heads * width * states
    extra = x.numel() * (int(D is not None) + int(z is not None))
    return Counts(mac=mac, dot=dots, mul=carried + extra, add=carried + rows * heads) + own


@kernel("causal_conv1d.causal_conv1d_interface:causal_conv1d_fn",
        result=lambda x, *a, **k: x.new_empty(x.shape))  # fmt: skip
def causal_conv(
    x: Tensor, weight: Tensor, bias: Any = None, *rest: Any, activation: Any = None, **named: Any
) -> list[Step]:
    """A filter for each channel, over what came before."""
    attrs = {"pattern": "n f *y, weight: f *k, bias?: f -> n f *y", "g": 1}
    steps = [Step("conv", (x, weight, bias), attrs, (x,))]
    return [*steps, Step("silu", (x,))] if activation else [Step("conv", (x, weight, bias), attrs)]
