"""What a kernel takes longer among others than over and over.

A kernel that runs again and again finds its code and Python's in the nearest caches; among the
others of a network it does not. Chains of small modules, drawn at random, say how much that is:
their time, less that of their kernels alone and of the calls, for each kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import nn

from flopwise.analyses.cases import Case

CHANNELS, SIDE = 32, 14
SHAPE: tuple[int, ...] = (1, CHANNELS, SIDE, SIDE)
SIZE = CHANNELS * SIDE * SIDE
LENGTH = 48  # modules of a chain


class Sum(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + x


class Gate(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Views(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.flatten(2).view(SHAPE)


class Joined(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.cat(x.chunk(2, 1), 1)


PARTS: list[tuple[Callable[[], nn.Module], tuple[Case, ...]]] = [
    (lambda: nn.Conv2d(CHANNELS, CHANNELS, 1),
     (Case("slow_conv", (CHANNELS, CHANNELS, 1, SIDE, SIDE, 1, 1, 1)),)),
    (lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, groups=CHANNELS),
     (Case("mkldnn_depthwise", (CHANNELS, SIDE, SIDE, 9, 3, 1, 1)),)),
    (lambda: nn.Conv2d(CHANNELS, CHANNELS, 5, 1, 2),
     (Case("mkldnn_conv", (CHANNELS, CHANNELS, 1, SIDE, SIDE, 25, 5, 1, 1)),)),
    (lambda: nn.BatchNorm2d(CHANNELS), (Case("native_batch_norm", (CHANNELS, SIDE**2, 1)),)),
    (lambda: nn.LayerNorm(SIDE), (Case("native_layer_norm", (CHANNELS * SIDE, SIDE)),)),
    (lambda: nn.Linear(SIDE, SIDE), (Case("addmm", (CHANNELS * SIDE, SIDE, SIDE)),)),
    (lambda: nn.ReLU(inplace=True), (Case("inplace relu", (SIZE,)),)),
    (lambda: nn.Hardswish(inplace=True), (Case("inplace hard_swish", (SIZE,)),)),
    (lambda: nn.SiLU(), (Case("unary silu", (SIZE,)),)),
    (lambda: nn.GELU(), (Case("unary gelu", (SIZE,)),)),
    (Sum, (Case("pair", (SIZE,)),)),
    (Views, (Case("view", (3,)), Case("view", (4,)))),
    (Joined, (Case("view", (4,)), Case("cat", (SIZE, SIZE)))),
    (Gate, (Case("mean", (CHANNELS, SIDE**2, 1)), Case("unary sigmoid", (CHANNELS,)),
            Case("columns", (SIZE, SIDE**2)))),
]  # fmt: skip
BATCH_NORM = PARTS[3]  # between each two others, or numbers grow beyond all bounds


def drawn(number: int) -> tuple[nn.Module, list[Case]]:
    """A chain of modules, and its kernels, calls of modules among them."""
    chance = Random(number)
    parts = [p for _ in range(LENGTH // 2) for p in (chance.choice(PARTS), BATCH_NORM)]
    with torch.random.fork_rng():
        torch.manual_seed(number)
        module = nn.Sequential(*(make() for make, _ in parts)).eval()
    return module, [c for _, kernels in parts for c in (Case("call", (1,)), *kernels)]
