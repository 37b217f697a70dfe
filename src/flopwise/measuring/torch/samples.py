"""Which of PyTorch's CPU kernels to measure: a designed sample of the sizes that networks have
(see `samples`; the kinds are those of `flopwise.analyses.aten`). No network is in it.
"""

from __future__ import annotations

from random import Random

from flopwise.measuring.samples import Draw, channels, log, side

SMALL = 20480  # elements of an image: smaller ones are not given to oneDNN


def last(chance: Random) -> int:
    """Channels are the last axis now and then."""
    return chance.choice((1, 1, 1, 2))


def mkldnn_conv(chance: Random) -> tuple[int, ...]:
    """Several taps or a stride, and not small; or groups."""
    while True:
        groups = chance.choice((1,) * 8 + (2, 4, 8, 32))
        taps = chance.choice((3,) * 10 + (1, 1, 2, 2, 5, 7))
        stride = 2 if taps < 3 else chance.choice((1, 1, 1, 2))
        c, f = max(16, channels(chance)), channels(chance)
        if groups > 1:
            c, f = (chance.choice((4, 8, 16, 24, 48, 64)) for _ in range(2))
        line = groups == 1 and taps > 2 and chance.random() < 0.1
        h = side(chance)
        w = h if chance.random() < 0.85 else side(chance)
        area, wide = (taps, chance.choice((1, taps))) if line else (taps * taps, taps)
        if groups > 1 or taps > 3 or c * h * w * stride**2 > SMALL:
            return (c, f, groups, h, w, area, wide, stride, last(chance))


def image_conv(chance: Random) -> tuple[int, ...]:
    taps = chance.choice((3, 3, 3, 5, 7, 4, 16, 32, 1))
    stride = taps if taps in (4, 16, 32) else chance.choice((1, 2, 2)) if taps > 1 else 2
    stride = 4 if taps == 7 and chance.random() < 0.3 else stride
    size = chance.choice((128, 160, 192, 224, 256, 288)) // stride
    f = channels(chance, 16, 768 if taps > 7 else 96)
    return (chance.choice((1, 3, 3, 3, 4)), f, size, size, taps**2, stride)


def mkldnn_depthwise(chance: Random) -> tuple[int, ...]:
    size, taps = side(chance), chance.choice((3, 3, 3, 3, 5, 5, 5, 7, 7, 11))
    line = taps > 3 and chance.random() < 0.15
    area, wide = (taps, chance.choice((1, taps))) if line else (taps * taps, taps)
    stride = chance.choice((1, 1, 1, 2))
    if chance.random() < 0.05:
        area, wide, stride = 1, 1, 2
    return (channels(chance, 16, 2048), size, size, area, wide, stride, last(chance))


def slow_conv(chance: Random) -> tuple[int, ...]:
    """One tap without a stride, of any size; or a small image."""
    c, f, kind = channels(chance), channels(chance), chance.random()
    if kind < 0.12:  # squeeze and excitation
        return (c, channels(chance, 8, 512), 1, 1, 1, 1, 1, last(chance))
    if kind < 0.17:  # depthwise, a product for each channel
        size = side(chance)
        return (1, 1, channels(chance, 16, 512), size, size, 1, 1, last(chance))
    if kind < 0.22:
        groups = chance.choice((2, 3, 4, 8))
        size = side(chance)
        return (8 * log(chance, 1, 16), 8 * log(chance, 1, 16), groups, size, size, 1, 1,
                last(chance))  # fmt: skip
    if kind > 0.82:
        taps, stride = chance.choice(((3, 1), (3, 1), (3, 2), (1, 2), (2, 2)))
        size = chance.choice((3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20))
        c = max(8, min(c, SMALL // (size * stride) ** 2 - 1))
        return (c, f, 1, size, size, taps**2, stride, last(chance))
    h = side(chance)
    w = h if chance.random() < 0.85 else side(chance)
    return (c, f, 1, h, w, 1, 1, last(chance))


def mkldnn_deconv(chance: Random) -> tuple[int, ...]:
    taps = chance.choice((2, 2, 3, 4))
    return (channels(chance, 8, 512), channels(chance, 8, 256), 1, side(chance), side(chance),
            taps**2, 2)  # fmt: skip


def addmm(chance: Random) -> tuple[int, ...]:
    """Heads of networks have one row, and up to 25,088 columns."""
    if chance.random() < 0.15:
        return (1, channels(chance, 16, 4096), channels(chance, 16, 12_000))
    rows = chance.choice((49, 50, 64, 128, 196, 197, log(chance, 2, 4000), log(chance, 2, 4000)))
    return (rows, channels(chance, 16, 4096), channels(chance, 16, 4096))


def bmm(chance: Random) -> tuple[int, ...]:
    """Queries by keys, and scores by values."""
    rows = chance.choice((16, 49, 49, 64, 144, 196, 197, 256, log(chance, 8, 1000)))
    columns = rows if chance.random() < 0.7 else log(chance, 8, 1000)
    width = chance.choice((16, 24, 32, 32, 48, 64, 64, 64, 96, 128))
    batch = log(chance, 1, 512)
    if chance.random() < 0.5:
        return (batch, rows, columns, width, chance.choice((2, 2, 1)))
    return (batch, rows, width, columns, 1)


def sdpa(chance: Random) -> tuple[int, ...]:
    rows = chance.choice((16, 49, 49, 64, 144, 196, 197, 256, log(chance, 8, 1000)))
    keys = rows if chance.random() < 0.8 else log(chance, 8, 1000)
    return (log(chance, 1, 200), rows, keys, chance.choice((16, 24, 32, 32, 36, 48, 64, 64, 96)))


def norm(chance: Random) -> tuple[int, ...]:
    return (log(chance, 8, 8000), channels(chance, 32, 2048))


def group_norm(chance: Random) -> tuple[int, ...]:
    """One group of all channels, or many of a few."""
    c = channels(chance, 32, 768)
    groups = chance.choice((1, 1, 8, 32))
    return (groups, max(1, c // groups), side(chance) ** 2, last(chance))


def plane(chance: Random) -> tuple[int, ...]:
    length = 1 if chance.random() < 0.1 else side(chance) ** 2
    return (channels(chance, 8, 2048), length, chance.choice((1,) * 7 + (2,)))


def softmax(chance: Random) -> tuple[int, ...]:
    inner = chance.choice((1,) * 7 + (16, 49, 196))
    rows = log(chance, 16, 40_000)
    return (max(1, rows // inner), chance.choice((49, 64, 196, 197, log(chance, 8, 1200))), inner)


def mean(chance: Random) -> tuple[int, ...]:
    """Planes to one number each; the mean over tokens or channels."""
    if chance.random() < 0.6:
        return (channels(chance, 16, 2048), side(chance) ** 2, 1)
    return (log(chance, 1, 64), log(chance, 4, 500), log(chance, 4, 1000))


def pool(chance: Random) -> tuple[int, ...]:
    size, taps = side(chance), chance.choice((2, 3, 3, 5))
    return (channels(chance, 16, 512), size, size, taps**2, chance.choice((1, 2, 2)),
            last(chance))  # fmt: skip


def clone_rows(chance: Random) -> tuple[int, ...]:
    return (log(chance, 1, 64), log(chance, 2, 200), log(chance, 2, 200),
            chance.choice((2, 4, 16, 32, 64, 96, 256)))  # fmt: skip


def clone_matrix(chance: Random) -> tuple[int, ...]:
    return (1 if chance.random() < 0.6 else log(chance, 2, 300), log(chance, 3, 3000),
            log(chance, 3, 1200))  # fmt: skip


def clone_other(chance: Random) -> tuple[int, ...]:
    run = chance.choice((1, 1, 2, 4, 16, 32, 64))
    return (run * log(chance, 64, 4e6 / run), run)


def flat(chance: Random) -> tuple[int, ...]:
    return (log(chance, 64, 4e6),)


def runs(chance: Random) -> tuple[int, ...]:
    run = log(chance, 4, 20_000)
    return (run * log(chance, 2, 2000), run)


def index(chance: Random) -> tuple[int, ...]:
    """Rows of a table: short ones of positions, long ones of words."""
    run = chance.choice((3, 4, 6, 8, 12, 16, 24, log(chance, 64, 1024)))
    return (run * log(chance, 16, 40_000 if run < 32 else 1000), run)


def resize(chance: Random) -> tuple[int, ...]:
    scale = chance.choice((4, 4, 16))
    return (channels(chance, 8, 256) * side(chance) ** 2 * scale, scale)


def axes(chance: Random) -> tuple[int, ...]:
    return (chance.randint(2, 6),)


def deep(chance: Random) -> tuple[int, ...]:
    return (chance.randint(1, 6),)


UNARY = {
    "relu": 10, "sigmoid": 14, "tanh": 10, "gelu": 20, "gelu_tanh": 12, "erf": 6, "exp": 6,
    "sqrt": 6, "hard_sigmoid": 10, "hard_swish": 10, "leaky_relu": 6, "clip": 10, "neg": 6,
    "softplus": 6, "square": 10, "silu": 16,
}  # fmt: skip
INPLACE = {"relu": 16, "silu": 14, "hard_swish": 12, "clip": 12, "sigmoid": 6, "leaky_relu": 6,
           "hard_sigmoid": 6}  # fmt: skip
DESIGN: dict[str, tuple[int, Draw]] = {
    "mkldnn_conv": (360, mkldnn_conv), "image_conv": (50, image_conv),
    "mkldnn_depthwise": (300, mkldnn_depthwise), "slow_conv": (420, slow_conv),
    "mkldnn_deconv": (16, mkldnn_deconv), "addmm": (260, addmm), "bmm": (140, bmm),
    "sdpa": (60, sdpa), "native_layer_norm": (50, norm), "native_group_norm": (44, group_norm),
    "native_batch_norm": (110, plane), "_softmax": (60, softmax), "mean": (70, mean),
    "max_pool2d": (60, pool), "avg_pool2d": (70, pool), "upsample_bilinear": (12, resize),
    "upsample_nearest": (24, resize), "cat": (44, runs), "index": (44, index), "pad": (24, runs),
    "clone": (16, flat), "clone_rows": (80, clone_rows), "clone_matrix": (70, clone_matrix),
    "clone_other": (56, clone_other), "pair": (30, flat), "inplace pair": (24, flat),
    "scalar": (16, flat), "rows": (40, runs), "columns": (60, runs), "mixed": (44, clone_other),
    "view": (5, axes), "call": (5, deep),
    **{f"unary {name}": (count, flat) for name, count in UNARY.items()},
    **{f"inplace {name}": (count, flat) for name, count in INPLACE.items()},
}  # fmt: skip
