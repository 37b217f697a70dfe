"""Optimisers: the update of one element written out, and the state that each parameter keeps.

A number x takes its gradient g; m and v are running averages. Learning rates, decays and
corrections that are the same for a whole tensor are plain numbers and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from flopwise.counts import ZERO, Counts, dots
from flopwise.dims import Dim, ceildiv, maximum, minimum, prod
from flopwise.errors import UnknownName, nearest
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule
from flopwise.tally import less, sqrt, tally, where
from flopwise.tally import maximum as larger

BLOCK = 256  # elements of 8-bit states that share one scale: bitsandbytes, "blockwise"
LEAST = 4096  # tensors with fewer elements keep 32-bit states (its min_8bit_size)


def sgd(x: Any, g: Any) -> Any:
    return x - 0.1 * g


def momentum(x: Any, g: Any, m: Any) -> Any:
    m = 0.9 * m + g
    return x - 0.1 * m


def adam(x: Any, g: Any, m: Any, v: Any) -> Any:
    """Kingma and Ba 2015, algorithm 1; the corrections are in the rate."""
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * (g * g)
    return x - 0.1 * m / (sqrt(v) + 1e-8)


def adamw(x: Any, g: Any, m: Any, v: Any) -> Any:
    """Loshchilov and Hutter 2019, algorithm 2: the decay is apart from the gradient."""
    return adam(x * 0.99, g, m, v)


def adam8bit(x: Any, g: Any, m: Any, v: Any) -> Any:
    """Dettmers et al. 2022, §2: states are looked up and scaled, updated, then scaled by the
    greatest of their block and looked up again, in 8 halvings of a table of 256."""
    new = adamw(x, g, m * 0.5, v * 0.5)
    for state in (m, v):
        state = larger(state, 0) / 0.5
        for _ in range(8):
            less(state, 0.5)
    return new


def lion(x: Any, g: Any, m: Any) -> Any:
    """Chen et al. 2023, algorithm 2."""
    update = where(less(0.9 * m + 0.1 * g, 0), -1, 1)
    m = 0.99 * m + 0.01 * g
    return x * 0.99 - 0.1 * update


def adafactor(x: Any, g: Any, row: Any, column: Any) -> Any:
    """Shazeer and Stern 2018, algorithm 4: the second moment as a product of the sums of its
    rows and columns; the update is bounded by its root mean square."""
    square = g * g + 1e-30
    sums = row + square, column + square
    u = g / sqrt(row * column)
    bound = u * u + 0.1
    return x - 0.1 * u, sums, bound


def quantized(shape: Shape, width: int) -> Dim:
    """Bytes of two 8-bit states with their scales; 32 bits where a tensor is small."""
    size = prod(shape)
    if isinstance(size, int) and size < LEAST:
        return 2 * 4 * size
    return 2 * (size + 4 * ceildiv(size, BLOCK))


def factored(shape: Shape, width: int) -> Dim:
    """Bytes of the row and column sums; of a vector its full second moment."""
    size = prod(shape)
    if len(shape) < 2:
        return width * size
    return width * (prod(shape[:-1]) + prod((*shape[:-2], shape[-1])))


def full(states: int) -> Callable[[Shape, int], Dim]:
    """Bytes of so many states of the size of a parameter."""
    return lambda shape, width: width * states * prod(shape)


@dataclass(frozen=True)
class Optimizer:
    """`update` is counted per element; `state` gives bytes for a parameter's shape and the bytes
    of an element, unless states have a `dtype` of their own; while it runs it makes `temporaries`
    numbers per element, of one parameter after another, or of all at once in `foreach`
    implementations (PyTorch's on GPUs)."""

    name: str
    statement: str
    update: Callable[..., Any]
    state: Callable[[Shape, int], Dim]
    temporaries: int = 0
    orthogonal: bool = False
    dtype: str = ""

    def bytes(self, tensor: Tensor, width: int = 4) -> Dim:
        """What it keeps for a parameter. Muon takes matrices, and leaves the rest to AdamW."""
        if self.orthogonal and not is_matrix(tensor):
            return full(2)(tensor.sizes, width)
        return self.state(tensor.sizes, width)

    def counts(self, tensor: Tensor) -> Counts:
        """What one step computes for a parameter."""
        if not self.orthogonal:
            return tensor.size * _tallied(self.update)
        if not is_matrix(tensor):
            return tensor.size * _tallied(adamw)
        return tensor.size * _tallied(momentum) + newton_schulz(tensor)


def is_matrix(tensor: Tensor) -> bool:
    """Whether Muon orthogonalises it: hidden matrices, not embeddings (told by their name)."""
    return len(tensor.sizes) == 2 and not any(w in tensor.name for w in ("emb", "head", "wte"))


def newton_schulz(tensor: Tensor, steps: int = 5) -> Counts:
    """X <- a X + (b A + c A A) X with A = X Xᵀ, five times, from X over its norm; the smaller
    side comes first. Keller Jordan 2024, https://kellerjordan.github.io/posts/muon"""
    m, n = (
        minimum(*tensor.sizes) if len(tensor.sizes) == 2 else 0,
        maximum(*tensor.sizes) if len(tensor.sizes) == 2 else 0,
    )
    once = dots(m * m, n) + dots(m * m, m) + dots(m * n, m)
    scaled = Counts(mul=2 * m * m + m * n, add=m * m + m * n)
    norm = Counts(mul=m * n, add=m * n, div=m * n, sqrt=1)
    return steps * (once + scaled) + norm


@cache
def _tallied(update: Callable[..., Any]) -> Counts:
    return tally(update)


OPTIMIZERS = {
    o.name: o
    for o in (
        Optimizer("sgd", "stochastic gradient descent: no state", sgd, full(0)),
        Optimizer("momentum", "SGD with momentum: one state", momentum, full(1)),
        Optimizer("adam", "two states", adam, full(2), 2),
        Optimizer("adamw", "two states", adamw, full(2), 2),
        Optimizer(
            "adam8bit", f"two states of 8 bits, a 32-bit scale per {BLOCK}", adam8bit,
            quantized, dtype="int8",
        ),
        Optimizer("adafactor", "sums of rows and columns", adafactor, factored, 2),
        Optimizer("lion", "one state", lion, full(1), 1),
        Optimizer(
            "muon", "one state of matrices, orthogonalised; AdamW for the rest", momentum,
            full(1), 3, orthogonal=True,
        ),
    )
}  # fmt: skip


def find(name: str) -> Optimizer:
    """An optimiser by name. Raises UnknownName."""
    if name not in OPTIMIZERS:
        raise UnknownName(f"no optimizer '{name}'; {nearest(name, list(OPTIMIZERS))}")
    return OPTIMIZERS[name]


@op("update")
def update(amounts: tuple[tuple[str, Any], ...] = ()) -> Counts:
    """What the optimiser named by `of` does to one parameter in a step."""
    return Counts(**dict(amounts)) if amounts else ZERO


@rule("traffic", "update")
def update_traffic(inputs: tuple[Tensor, ...], state: Dim = 0) -> tuple[Dim, Dim]:
    """Reads the parameter, its gradient and state; writes parameter and state."""
    return sum((t.bytes for t in inputs), 0) + state, inputs[0].bytes + state
