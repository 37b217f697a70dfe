"""Layers of ncnn that compute nothing: copies, shapes, padding; and resizing."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.ncnn.expression import computed, sizes
from flopwise.frontends.ncnn.native import (
    LEFT_OPEN,
    LOWERINGS,
    Native,
    NotSaid,
    lowers,
    same_meaning,
)

END = 2**31 - 1

same_meaning({"DeepCopy": "copy", "CopyTo": "copy", "Flip": "flip", "Packing": "copy"})
LOWERINGS["Split"] = Native.alias
LOWERINGS["Noop"] = Native.alias

# Where the axes of the result come from, innermost first
ORDERS = {
    2: ("WH", "HW"),
    3: ("WHC", "HWC", "WCH", "CWH", "HCW", "CHW"),
    4: (
        "WHDC", "HWDC", "WDHC", "DWHC", "HDWC", "DHWC", "WHCD", "HWCD", "WCHD", "CWHD", "HCWD",
        "CHWD", "WDCH", "DWCH", "WCDH", "CWDH", "DCWH", "CDWH", "HDCW", "DHCW", "HCDW", "CHDW",
        "DCHW", "CDHW",
    ),
}  # fmt: skip
SIZES = (2, 11, 1, 0)  # parameters for c, d, h, w


@lowers("MemoryData")
def memory_data(n: Native) -> None:
    """A stored blob, the same for all of a batch."""
    shape = [n.integer(i) for i in SIZES if n.integer(i)]
    data = n.weight("data", 1, *shape)
    if n.net.batch == 1:
        n.emit("constant", data, rank=len(shape))
    else:
        n.emit("expand", data, shape=(n.net.batch, *shape), rank=len(shape))


@lowers("Reshape")
def reshape(n: Native) -> None:
    """-1 is what is left over, 0 what the axis of the same name has."""
    given = [(a, v) for i, a in zip(SIZES, "cdhw") if (v := n.integer(i, LEFT_OPEN)) != LEFT_OPEN]
    shape, x = tuple(v for _, v in given), n.inputs[0]
    if not n.text(6) and (0 not in shape or len(shape) == n.rank):
        n.emit("reshape", x, shape=shape, axis=1, rank=len(shape))
        return
    named = [str(v) if v else f"0{axis}" for axis, v in given]
    terms = sizes(n.text(6))[::-1] if n.text(6) else named
    try:
        n.emit("reshape", x, computed(n, terms, "sizes"), axis=1, rank=len(terms))
    except NotSaid:
        raise NotSaid(len(terms)) from None


@lowers("Flatten")
def flatten(n: Native) -> None:
    n.emit("flatten", n.inputs[0], axis=1, rank=1)


@lowers("Permute")
def permute(n: Native) -> None:
    if n.rank == 1 or n.integer(0) == 0:
        n.alias()
        return
    orders = ORDERS[n.rank]
    if n.integer(0) >= len(orders):
        raise UnreadableModel(f"there is no order {n.integer(0)} of {n.rank} axes")
    outer = orders[0][::-1]
    perm = [outer.index(letter) + 1 for letter in reversed(orders[n.integer(0)])]
    n.emit("transpose", n.inputs[0], perm=(0, *perm))


@lowers("Concat")
def concat(n: Native) -> None:
    n.emit("concat", *n.inputs, axis=n.axis(0))


@lowers("Slice")
def slice_(n: Native) -> None:
    """-233 is an even share of what is left."""
    sizes, points = n.array(0), n.array(2)
    attrs: dict[str, Any] = {"axis": n.axis(1)}
    if points:
        attrs["points"] = points[: len(n.tops) - 1]
    elif set(sizes) == {LEFT_OPEN}:
        pass
    elif LEFT_OPEN not in sizes[:-1]:
        ends = [sum(sizes[: i + 1]) for i in range(len(n.tops) - 1)]
        attrs["points"] = ends
    else:
        n.unknown()
        return
    n.emit("split", n.inputs[0], **attrs)


@lowers("Crop")
def crop(n: Native) -> None:
    """Python's slices; or offsets and sizes; or the size of a second blob."""
    if n.text(19) and n.text(20):
        _computed_crop(n)
        return
    starts, ends = n.array(9), n.array(10)
    if starts and ends:
        axes = n.axes(11) or [*range(1, len(starts) + 1)]
        starts = [0 if s == LEFT_OPEN else s for s in starts]
        ends = [END if e in (LEFT_OPEN, 0) else e for e in ends]
        n.emit("slice", n.inputs[0], starts=starts, ends=ends, axes=axes)
    elif len(n.inputs) > 1:
        like, first = n.inputs[1], 1
        if n.rank > n.ranks[1]:  # the channels stay
            first = 1 + n.rank - n.ranks[1]
            like = n.emit("unsqueeze", like, part="axes", axes=[*range(1, first)])
        n.emit("slice_like", n.inputs[0], like, axes=[*range(first, n.rank + 1)])
    else:
        _cut(n)


def _computed_crop(n: Native) -> None:
    axes = [int(a) for a in n.text(21).split(",")] if n.text(21) else [*range(n.rank)]
    starts = ["0" if t == str(LEFT_OPEN) else t for t in sizes(n.text(19))]
    ends = [str(END) if t in ("0", str(LEFT_OPEN)) else t for t in sizes(n.text(20))]
    places = computed(n, starts, "starts"), computed(n, ends, "ends")
    n.emit("slice", n.inputs[0], *places, axes=[a + 1 if a >= 0 else a for a in axes])


def _cut(n: Native) -> None:
    numbers = {1: (3,), 2: (1, 3), 3: (0, 1, 3), 4: (0, 2, 1, 3)}[n.rank]
    offsets, outs, others = (2, 13, 1, 0), (5, 14, 4, 3), (8, 15, 7, 6)
    place = {0: 0, 2: 1, 1: 2, 3: 3}
    starts, ends = [], []
    for number in numbers:
        i = place[number]
        start, size, rest = n.integer(offsets[i]), n.integer(outs[i]), n.integer(others[i])
        starts.append(start)
        ends.append(start + size if size > 0 else -rest if rest else END)
    n.emit("slice", n.inputs[0], starts=starts, ends=ends, axes=[*range(1, n.rank + 1)])


@lowers("Padding")
def padding(n: Native) -> None:
    """Of images the front and behind are channels, of volumes depth."""
    if len(n.inputs) > 1:
        n.unknown()
        return
    sides = [
        (n.integer(7), n.integer(8)),
        (n.integer(0), n.integer(1)),
        (n.integer(2), n.integer(3)),
    ][-n.rank :]
    weight = n.weight("per_channel", n.integer(6)) if n.integer(6) else None
    n.emit(
        "pad",
        n.inputs[0],
        weight,
        pads=tuple(sides),
        axes=range(n.rank + 1 - len(sides), n.rank + 1),
    )


@lowers("Interp")
def interp(n: Native) -> None:
    x, rank = n.inputs[0], n.rank
    if rank == 1:  # a vector is an image of one position
        x, rank = n.emit("unsqueeze", x, part="image", axes=[2, 3]), 3
    axes = tuple(range(2, rank + 1))
    mode = ("nearest", "nearest", "linear", "cubic")[n.integer(0)]
    if text := n.text(9):
        terms = sizes(text)[: len(axes)][::-1]
        wanted = computed(n, terms, "sizes")
        n.emit("resize", x, None, None, wanted, mode=mode, axes=axes, rank=rank)
    elif n.integer(5) and len(n.inputs) > 1:
        n.emit("resize", x, n.inputs[1], mode=mode, axes=axes, like=True, rank=rank)
    elif n.integer(3) and n.integer(4):
        size = (n.integer(3), n.integer(4))[-len(axes) :]
        n.emit("resize", x, mode=mode, axes=axes, size=size, rank=rank)
    else:
        scale = (n.real(1, 1.0), n.real(2, 1.0))[-len(axes) :]
        n.emit("resize", x, mode=mode, axes=axes, scale=scale, rank=rank)


@lowers("ExpandDims")
def expand_dims(n: Native) -> None:
    axes = n.axes(3)
    if not axes:
        n.unknown()
        return
    n.emit("unsqueeze", n.inputs[0], axes=axes, rank=n.rank + len(axes))


@lowers("Squeeze")
def squeeze(n: Native) -> None:
    """Axes by number; in old files by letter."""
    outer = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[n.rank]
    axes = n.axes(3) or [i for i, number in enumerate(outer, 1) if n.integer(number)]
    if len(axes) == n.rank:
        axes = axes[:-1]  # a blob of one element keeps an axis
    n.emit("squeeze", n.inputs[0], axes=axes, rank=n.rank - len(axes))


@lowers("Tile")
def tile(n: Native) -> None:
    repeats = n.array(2)
    if not repeats:
        repeats = [1] * n.rank
        repeats[n.integer(0)] = n.integer(1, 1)
    x, extra = n.inputs[0], len(repeats) - n.rank
    if extra > 0:
        x = n.emit("unsqueeze", x, part="axes", axes=[*range(1, extra + 1)])
    n.emit("tile", x, repeats=repeats, rank=max(n.rank, len(repeats)))


@lowers("PixelShuffle", "Reorg")
def blocks(n: Native) -> None:
    op = "depth_to_space" if n.kind == "PixelShuffle" else "space_to_depth"
    n.emit(op, n.inputs[0], block=n.integer(0, 1))


@lowers("ShuffleChannel")
def shuffle_channel(n: Native) -> None:
    n.emit("channel_shuffle", n.inputs[0], groups=n.integer(0, 1))


@lowers("Cast")
def cast(n: Native) -> None:
    kinds = ("", "float32", "float16", "int8", "bfloat16")
    dtype = kinds[n.integer(1)]
    attrs: dict[str, Any] = {"dtype": dtype} if dtype else {}
    n.emit("cast", n.inputs[0], **attrs)


@lowers("Diag")
def diag(n: Native) -> None:
    """A vector to a matrix, a matrix to its diagonal."""
    if n.rank == 1:
        n.emit("diagonal_embed", n.inputs[0], offset=n.integer(0), rank=2)
    else:
        n.emit("diagonal", n.inputs[0], offset=n.integer(0), axes=(1, 2), rank=1)


@lowers("Unfold")
def unfold(n: Native) -> None:
    from flopwise.frontends.ncnn.layers import window

    n.emit("unfold", n.inputs[0], rank=2, **window(n))


@lowers("Fold")
def fold(n: Native) -> None:
    from flopwise.frontends.ncnn.layers import window

    size = (n.integer(21, n.integer(20)), n.integer(20))
    n.emit("fold", n.inputs[0], k=window(n)["k"], size=size, rank=3)
