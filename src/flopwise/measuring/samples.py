"""Which kernels to measure: a designed sample of the sizes that networks have.

Sizes are drawn evenly in their logarithms, channels mostly as multiples of 8; the kinds are
dealt out in turn, so that a calibration which is stopped early has some of each. More are
spent where times are hard to tell: depthwise convolution, softmax, copies, batched products.
No network is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from flopwise.analyses.cases import Case

LARGEST = 2.5e9  # operations of one kernel
ROOM = 25_000_000  # elements that one kernel reads and writes
Draw = Callable[[Random], tuple[int, ...]]

UNARY = {
    "relu": 8, "sigmoid": 14, "tanh": 10, "gelu": 14, "quick_gelu": 14, "erf": 8, "exp": 8,
    "sqrt": 8, "hard_sigmoid": 10, "hard_swish": 12, "leaky_relu": 8, "clip": 8, "neg": 8,
    "softplus": 6, "square": 6, "silu": 12,
}  # fmt: skip


def log(chance: Random, low: float, high: float) -> int:
    """A whole number, evenly in its logarithm."""
    return max(1, round(low * (high / low) ** chance.random()))


def channels(chance: Random, low: int = 8, high: int = 1536) -> int:
    """Mostly multiples of 8, as networks have them."""
    size = log(chance, low, high)
    return max(8, round(size / 8) * 8) if chance.random() < 0.8 else max(4, size // 4 * 4)


def side(chance: Random) -> int:
    """Of a feature map: 7, 14, 28, … or anything between."""
    if chance.random() < 0.6:
        return chance.choice((7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 112))
    return log(chance, 5, 128)


def act(chance: Random) -> int:
    return chance.choice((1,) * 6 + (2, 3))


def conv(chance: Random) -> tuple[int, ...]:
    groups = chance.choice((1,) * 9 + (2, 4))
    taps = chance.choice((1,) * 10 + (3,) * 7 + (5, 7, 2, 4))
    stride = 1 if taps in (2, 4) and chance.random() < 0.2 else chance.choice((1,) * 4 + (2,))
    stride = taps if taps in (2, 4) and stride != 1 else stride
    if groups == 1:
        c, f = max(16, channels(chance)), channels(chance)
    else:
        c, f = (16 * log(chance, 1, 16) for _ in range(2))
    if chance.random() < 0.12:  # squeeze and excitation
        return (c, channels(chance, 8, 512), 1, 1, 1, 1, 1, 1, 1, act(chance))
    line = taps > 2 and chance.random() < 0.08
    h, w = side(chance), side(chance)
    w = h if chance.random() < 0.85 else w
    taps_all, wide = (taps, chance.choice((1, taps))) if line else (taps * taps, taps)
    added = chance.choice((1, 1, 2))
    return (c, f, groups, h, w, taps_all, wide, stride, added, act(chance))


def first_conv(chance: Random) -> tuple[int, ...]:
    taps = chance.choice((3, 3, 3, 5, 7, 4, 16))
    stride = taps if taps in (4, 16) else chance.choice((1, 2, 2))
    size = chance.choice((112, 128, 144, 160, 192, 224)) // (1 if stride <= 2 else stride // 2)
    return (chance.choice((1, 3, 3, 3, 4)), channels(chance, 16, 96), size, size, taps**2, stride,
            act(chance))  # fmt: skip


def depthwise_conv(chance: Random) -> tuple[int, ...]:
    size, taps = side(chance), chance.choice((3, 3, 3, 3, 5, 5, 5, 7, 7, 1))
    return (channels(chance, 16, 2048), size, size, taps**2, chance.choice((1, 1, 1, 2)),
            chance.choice((1, 1, 1, 1, 2)), act(chance))  # fmt: skip


def plain_conv(chance: Random) -> tuple[int, ...]:
    taps, size = chance.choice((1, 3, 3, 3, 5)), side(chance)
    groups = chance.choice((1, 4, 8, 16, 32, 32))
    wide = (1, 3, 5, 7, 17, 33) if groups == 1 else (2, 4, 8, 12, 24)
    c = chance.choice(wide)
    return (c, c * chance.choice((1, 1, 2)), groups, size, size, taps**2, chance.choice((1, 1, 2)))


def conv_transpose(chance: Random) -> tuple[int, ...]:
    taps = chance.choice((2, 2, 3, 4))
    return (channels(chance, 8, 512), channels(chance, 8, 256), 1, side(chance), side(chance),
            taps**2, 2)  # fmt: skip


def gemm(chance: Random) -> tuple[int, ...]:
    """Heads of networks have one row, and up to 25,088 columns."""
    if chance.random() < 0.2:
        return (1, channels(chance, 16, 4096), channels(chance, 16, 12_000))
    rows = chance.choice((49, 50, 64, 128, 196, 197, log(chance, 2, 4000), log(chance, 2, 4000)))
    return (rows, channels(chance, 16, 4096), channels(chance, 16, 4096))


def matmul(chance: Random) -> tuple[int, ...]:
    """Queries by keys, and scores by values."""
    rows = chance.choice((16, 49, 49, 50, 64, 144, 196, 197, 256, log(chance, 8, 1000)))
    columns = rows if chance.random() < 0.8 else log(chance, 8, 1000)
    width = chance.choice((16, 24, 32, 32, 48, 64, 64, 64, 96, 128))
    batch = log(chance, 1, 512)
    return (batch, rows, columns, width) if chance.random() < 0.5 else (batch, rows, width, columns)


def attention(chance: Random) -> tuple[int, ...]:
    batch, rows, _, width = matmul(chance)
    return (batch, rows, rows, min(width, 128))


def softmax(chance: Random) -> tuple[int, ...]:
    return (log(chance, 16, 40_000), chance.choice((49, 50, 64, 196, 197, log(chance, 8, 1200))))


def norm(chance: Random) -> tuple[int, ...]:
    return (log(chance, 8, 8000), channels(chance, 32, 2048))


def reduce(chance: Random) -> tuple[int, ...]:
    """Planes to one number each; the mean over tokens or channels."""
    if chance.random() < 0.6:
        return (channels(chance, 16, 2048), side(chance) ** 2, 1)
    return (log(chance, 1, 64), log(chance, 4, 500), log(chance, 4, 1000))


def pool(chance: Random) -> tuple[int, ...]:
    size, taps = side(chance), chance.choice((2, 3, 3, 5))
    return (channels(chance, 16, 512), size, size, taps**2, chance.choice((1, 2, 2)))


def plane(chance: Random) -> tuple[int, ...]:
    return (channels(chance, 8, 1536), 1 if chance.random() < 0.2 else side(chance) ** 2)


def transpose_rows(chance: Random) -> tuple[int, ...]:
    return (log(chance, 1, 600), log(chance, 2, 600), chance.choice((16, 32, 64, 96, 256)))


def transpose_matrix(chance: Random) -> tuple[int, ...]:
    return (log(chance, 1, 300), log(chance, 8, 1200), log(chance, 8, 1200))


def transpose_other(chance: Random) -> tuple[int, ...]:
    run = chance.choice((1, 1, 4, 16, 32, 64))
    return (run * log(chance, 64, 4e6 / run), run)


def flat(chance: Random) -> tuple[int, ...]:
    return (log(chance, 64, 4e6),)


def runs(chance: Random) -> tuple[int, ...]:
    run = log(chance, 4, 20_000)
    return (run * log(chance, 2, 2000), run)


def resize(chance: Random) -> tuple[int, ...]:
    scale = chance.choice((4, 4, 16))
    return (channels(chance, 8, 256) * side(chance) ** 2 * scale, scale)


DESIGN: dict[str, tuple[int, Draw]] = {
    "conv": (320, conv), "first_conv": (36, first_conv), "depthwise_conv": (180, depthwise_conv),
    "plain_conv": (60, plain_conv), "conv_transpose": (20, conv_transpose), "gemm": (160, gemm),
    "matmul": (110, matmul), "attention": (50, attention), "batch_norm": (40, runs),
    "softmax": (60, softmax), "norm": (50, norm), "reduce": (60, reduce),
    "pool": (40, pool), "plain_pool": (24, pool), "global_pool": (24, plane),
    "reorder_input": (40, plane), "reorder_output": (40, plane),
    "transpose_rows": (40, transpose_rows),
    "transpose_matrix": (40, transpose_matrix), "transpose_other": (30, transpose_other),
    "copy": (60, runs), "resize": (12, resize), "resize_nearest": (12, resize),
    "upsample": (12, resize), "binary": (30, flat),
    "binary_scalar": (16, flat), "binary_rows": (30, runs), "binary_channels": (40, runs),
    **{f"unary {name}": (count, flat) for name, count in UNARY.items()},
}  # fmt: skip


def design(
    seed: int = 0, share: float = 1.0, kinds: Mapping[str, tuple[int, Draw]] | None = None
) -> list[Case]:
    """The cases in the order of measuring: kinds in turn, as often as they have cases."""
    turns = []
    for kind, (count, draw) in (kinds or DESIGN).items():
        count = max(4, round(count * share))
        for i, case in enumerate(_drawn(kind, draw, count, seed)):
            turns.append(((i + 0.5) / count, kind, case))
    return [case for *_, case in sorted(turns, key=lambda turn: turn[:2])]


def _drawn(
    kind: str, draw: Callable[[Random], tuple[int, ...]], count: int, seed: int
) -> Iterator[Case]:
    chance = Random(f"{kind} {seed}")
    found: set[tuple[int, ...]] = set()
    while len(found) < count:
        case = Case(kind, draw(chance))
        if case.sizes not in found and _fits(case):
            found.add(case.sizes)
            yield case


def _fits(case: Case) -> bool:
    from flopwise.analyses.terms import work

    flops, moved = work(case)
    return flops < LARGEST and moved < ROOM
