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
    "softplus": 6, "square": 6, "silu": 12, "abs": 6, "reciprocal": 6, "log": 6, "elu": 6,
}  # fmt: skip


def log(chance: Random, low: float, high: float) -> int:
    """A whole number, evenly in its logarithm."""
    return max(1, round(low * (high / low) ** chance.random()))


def channels(chance: Random, low: int = 8, high: int = 1536) -> int:
    """Mostly multiples of 8, as networks have them, many of them powers of two, or 3 or 5 times
    one: rows of such lengths meet in few sets of a cache."""
    if chance.random() < 0.4:
        round_ = [w << i for w in (1, 3, 5) for i in range(14) if low <= w << i <= high]
        return chance.choice(sorted(round_))
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
    """Some windows are lines."""
    size, taps = side(chance), chance.choice((3, 3, 3, 3, 3, 5, 5, 5, 7, 7, 9, 11, 1))
    high, wide = chance.choice(((1, taps), (taps, 1))) if chance.random() < 0.1 else (taps, taps)
    return (channels(chance, 16, 2048), size, size, high * wide, wide,
            chance.choice((1, 1, 1, 2)), chance.choice((1, 1, 1, 1, 2)), act(chance))  # fmt: skip


def plain_conv(chance: Random) -> tuple[int, ...]:
    """What fills no blocks: channels that are no multiples of 4, and few of a group."""
    taps, size = chance.choice((1, 1, 1, 3, 3, 5)), side(chance)
    groups = chance.choice((1, 1, 1, 2, 4, 8, 16, 32, 64, 128))
    stride = chance.choice((1, 1, 2))
    if groups == 1:
        c, f = log(chance, 5, 1200) | 1, log(chance, 5, 1200)
        squeezed = chance.random() < 0.25  # squeeze and excitation
        return (c, f, 1, *((1, 1, 1, 1) if squeezed else (size, size, taps**2, stride)))
    c = chance.choice((1, 1, 2, 4, 8, 12, 24, 40))
    return (c, c * chance.choice((1, 1, 2)), groups, size, size, taps**2, stride)


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
    """Queries by keys, scores by values; and the same between channels in place of tokens."""
    rows = chance.choice((16, 49, 49, 50, 64, 144, 196, 197, 256, log(chance, 8, 1000)))
    columns = rows if chance.random() < 0.7 else log(chance, 8, 1000)
    width = chance.choice((8, 16, 16, 24, 32, 32, 48, 64, 64, 64, 96, 128))
    long = log(chance, 49, 4000)
    shape, turns = chance.choice((
        ((rows, columns, width), (1, 1, 3)), ((rows, width, columns), (1, 1, 1, 2, 3)),
        ((width, width, long), (1, 2, 3)), ((long, width, width), (1, 2, 3)),
        ((width, long, width), (1, 1, 2)),
    ) if chance.random() < 0.5 else (
        ((rows, columns, width), (1, 1, 1, 3)), ((rows, width, columns), (1,)),
    ))  # fmt: skip
    return (log(chance, 1, 512 if shape[0] < 1000 else 16), *shape, chance.choice(turns))


def einsum(chance: Random) -> tuple[int, ...]:
    return matmul(chance)[:4]


def attention(chance: Random) -> tuple[int, ...]:
    rows = chance.choice((16, 49, 50, 64, 144, 196, 197, 256, log(chance, 8, 1000)))
    width = chance.choice((16, 24, 32, 32, 48, 64, 64, 64, 96, 128))
    return (log(chance, 1, 512), rows, rows, width)


def softmax(chance: Random) -> tuple[int, ...]:
    return (log(chance, 16, 40_000), chance.choice((49, 50, 64, 196, 197, log(chance, 4, 1200))))


def softmax_across(chance: Random) -> tuple[int, ...]:
    return (log(chance, 1, 200), log(chance, 2, 3200), log(chance, 2, 512))


def norm(chance: Random) -> tuple[int, ...]:
    return (log(chance, 8, 8000), channels(chance, 16, 2048))


def instance_norm(chance: Random) -> tuple[int, ...]:
    return (log(chance, 1, 512), log(chance, 49, 200_000))


def batch_norm(chance: Random) -> tuple[int, ...]:
    """Of rows, or of planes."""
    if chance.random() < 0.5:
        return (log(chance, 1, 4000), channels(chance, 16, 1536), 1)
    return (1, channels(chance), side(chance) ** 2)


def reduce(chance: Random) -> tuple[int, ...]:
    """Planes to one number each; the mean over tokens, of a few branches, or anything."""
    turn = chance.random()
    if turn < 0.4:
        return (channels(chance, 16, 2048), side(chance) ** 2, 1)
    if turn < 0.7:
        tokens = chance.choice((49, 50, 64, 196, 197, log(chance, 2, 2000)))
        return (1, tokens, channels(chance, 32, 2048))
    if turn < 0.8:
        return (1, chance.choice((2, 3, 4)), log(chance, 4000, 500_000))
    return (log(chance, 1, 2000), log(chance, 4, 500), chance.choice((1, log(chance, 4, 1000))))


def pool(chance: Random) -> tuple[int, ...]:
    size, taps = side(chance), chance.choice((2, 3, 3, 5))
    return (channels(chance, 16, 512), size, size, taps**2, chance.choice((1, 2, 2)))


def plane(chance: Random) -> tuple[int, ...]:
    return (channels(chance, 8, 1536), 1 if chance.random() < 0.2 else side(chance) ** 2)


def transpose_rows(chance: Random) -> tuple[int, ...]:
    return (chance.choice((1, 1, log(chance, 1, 100))), log(chance, 2, 600), log(chance, 2, 600),
            chance.choice((16, 24, 32, 48, 64, 96, 256, log(chance, 2, 512))))  # fmt: skip


def transpose_matrix(chance: Random) -> tuple[int, ...]:
    """Between tokens and channels: of a network, of a head, of a window."""
    tokens = chance.choice((16, 49, 196, 197, side(chance) ** 2, log(chance, 8, 4000)))
    width = channels(chance, 8, 2048) if chance.random() < 0.7 else log(chance, 8, 2048)
    shape = (tokens, width) if chance.random() < 0.6 else (width, tokens)
    return (chance.choice((1, 1, log(chance, 1, 300))), *shape)


def transpose_other(chance: Random) -> tuple[int, ...]:
    run = chance.choice((1, 1, 1, 4, 16, 24, 32, 32, 64, 96))
    return (run * log(chance, 64, 2e6 / run), run)


def depth_to_space(chance: Random) -> tuple[int, ...]:
    scale = chance.choice((4, 4, 16))
    return (16 * scale * log(chance, 16, 10_000), scale)


def flat(chance: Random) -> tuple[int, ...]:
    return (log(chance, 64, 4e6),)


def runs(chance: Random) -> tuple[int, ...]:
    run = log(chance, 4, 20_000)
    return (run * log(chance, 2, 2000), run)


def resize(chance: Random) -> tuple[int, ...]:
    scale = chance.choice((4, 4, 16))
    return (channels(chance, 8, 256) * side(chance) ** 2 * scale, scale)


def batches(chance: Random) -> tuple[int, ...]:
    """Rows that go whole, or in parts; the largest are whole tensors."""
    if chance.random() < 0.3:
        return flat(chance) * 2
    return runs(chance)


DESIGN: dict[str, tuple[int, Draw]] = {
    "conv": (320, conv), "first_conv": (48, first_conv), "depthwise_conv": (200, depthwise_conv),
    "plain_conv": (110, plain_conv), "conv_transpose": (16, conv_transpose), "gemm": (200, gemm),
    "matmul": (180, matmul), "einsum": (16, einsum), "attention": (50, attention),
    "batch_norm": (40, batch_norm), "softmax": (60, softmax),
    "softmax_across": (40, softmax_across), "norm": (50, norm), "skip_norm": (30, norm),
    "instance_norm": (20, instance_norm), "reduce": (70, reduce), "reduce_slow": (40, reduce),
    "pool": (40, pool), "plain_pool": (24, pool), "avg_pool": (30, pool),
    "plain_avg_pool": (24, pool), "global_pool": (24, plane), "plain_global_pool": (24, plane),
    **dict.fromkeys(("reorder_input", "reorder_output"), (40, plane)),
    **dict.fromkeys(("reorder_input_last", "reorder_output_last"), (36, plane)),
    "transpose_rows": (60, transpose_rows), "transpose_matrix": (100, transpose_matrix),
    "transpose_other": (60, transpose_other), "depth_to_space": (12, depth_to_space),
    "copy": (50, batches), "pad": (30, batches), "slice": (40, batches), "split": (40, batches),
    "gather": (30, runs), "resize": (12, resize), "resize_nearest": (12, resize),
    "resize_cubic": (8, resize), "upsample": (12, resize), "binary": (40, flat),
    "binary_scalar": (20, flat), "binary_rows": (40, runs), "binary_channels": (50, runs),
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
