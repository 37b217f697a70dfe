"""Movement: reshaping, slicing, joining, indexing, constants."""

from __future__ import annotations

from math import ceil
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.mxnet.lowering import DTYPES, Emit, native, unknown
from flopwise.frontends.mxnet.symbol import MOST, Symbol
from flopwise.graph import Tensor
from flopwise.sizes import LARGEST

Operands = list[Tensor]
ALL = 2**31 - 1


@native("reshape")
def reshape(emit: Emit, s: Symbol, x: Operands) -> None:
    shape = s.integers("shape") or s.integers("newshape")
    if shape:
        emit("reshape", x[0], shape=shape, reverse=s.flag("reverse"))
        return
    target = s.integers("target_shape")
    if not target:
        raise UnreadableModel("shape is missing")
    # Before version 0.9 a 0 was the size to be found, and the first axis could be kept.
    sizes = [-1 if size == 0 else size for size in target]
    emit("reshape", x[0], shape=[0, *sizes[1:]] if s.flag("keep_highest") else sizes)


@native("_npx_reshape")
def numpy_reshape(emit: Emit, s: Symbol, x: Operands) -> None:
    """The codes of version 2: -2 copies an axis, -4 all that follow, -5 merges, -6 splits."""
    shape = s.integers("newshape") or ()
    codes = {-2: 0, -4: -2, -5: -3, -6: -4}
    if 0 in shape or -3 in shape or None in shape:
        unknown(emit, s, x)
    else:
        sizes = [codes.get(code, code) for code in shape if code is not None]
        emit("reshape", x[0], shape=sizes, reverse=s.flag("reverse"))


@native("reshape_like", least=2)
def reshape_like(emit: Emit, s: Symbol, x: Operands) -> None:
    if any(s.given(f"{side}_{end}") for side in ("lhs", "rhs") for end in ("begin", "end")):
        unknown(emit, s, x)
    else:
        emit("reshape", *x[:2], pattern="*_, *y -> *y")


@native("flatten", "batch_flatten")
def flatten(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("flatten", x[0], axis=1)


@native("expand_dims")
def expand_dims(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("unsqueeze", x[0], axes=[s.integer("axis")])


@native("squeeze")
def squeeze(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("squeeze", x[0], axes=s.integers("axis"))


@native("transpose")
def transpose(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("transpose", x[0], perm=s.integers("axes") or None)


@native("swapaxis", "swapaxes")
def swap_axes(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("transpose", x[0], swap=(s.integer("dim1", 0), s.integer("dim2", 0)))


@native("concat", "concatenate", "rnn_param_concat")
def concat(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("concat", *x, axis=s.integer("dim", s.integer("axis", 1)))


@native("stack")
def stack(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("stack", *x, axis=s.integer("axis", 0))


@native("slicechannel", "split")
def split(emit: Emit, s: Symbol, x: Operands) -> None:
    parts, axis = s.size("num_outputs", most=MOST), s.integer("axis", 1)
    squeeze = s.flag("squeeze_axis")
    emit("split", x[0], axis=axis, squeeze=squeeze, even=True, outputs=parts)


@native("split_v2", "_npi_split")
def split_at(emit: Emit, s: Symbol, x: Operands) -> None:
    """Into equal `sections`, or where parts begin (the first at 0)."""
    axis, squeeze = s.integer("axis", 0), s.flag("squeeze_axis")
    if s.integer("sections", 0):
        sections = s.size("sections", most=MOST)
        emit("split", x[0], axis=axis, squeeze=squeeze, even=True, outputs=sections)
    else:
        points = [p for p in s.integers("indices") or () if p]
        emit("split", x[0], axis=axis, squeeze=squeeze, points=points, outputs=len(points) + 1)


@native("slice", "crop")
def slice_(emit: Emit, s: Symbol, x: Operands) -> None:
    """Before version 0.12 an operator called crop, in small letters."""
    begin, end = s.integers("begin") or (), s.integers("end") or ()
    steps = [step or 1 for step in s.integers("step") or [None] * len(begin)]
    emit_slice(emit, x[0], [*range(len(begin))], begin, end, steps)


@native("slice_axis")
def slice_axis(emit: Emit, s: Symbol, x: Operands) -> None:
    begin, end = s.integers("begin") or (0,), s.integers("end") or (None,)
    emit_slice(emit, x[0], [s.integer("axis")], begin, end, [1])


def emit_slice(emit: Emit, x: Tensor, axes: list[int], begin: Any, end: Any, steps: Any) -> None:
    ends = zip(begin, end, steps)
    places = [
        (
            b if b is not None else 0 if step > 0 else ALL,
            e if e is not None else ALL if step > 0 else -ALL,
        )
        for b, e, step in ends
    ]
    starts, stops = [b for b, _ in places], [e for _, e in places]
    emit("slice", x, axes=axes, starts=starts, ends=stops, steps=steps)


@native("slice_like", least=2)
def slice_like(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("slice_like", *x[:2], axes=s.integers("axes") or None)


@native("Crop")
def crop(emit: Emit, s: Symbol, x: Operands) -> None:
    """Height and width, to a given size or to that of the second operand."""
    if len(x) > 1:
        emit("crop", *x[:2])
    else:
        emit("crop", x[0], size=s.sizes("h_w") or s.size("h_w"))


@native("pad")
def pad(emit: Emit, s: Symbol, x: Operands) -> None:
    width = s.sizes("pad_width", (), least=0)
    emit("pad", x[0], pads=list(zip(width[::2], width[1::2])))


@native("tile")
def tile(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("tile", x[0], repeats=s.sizes("reps", (1,), least=0))


@native("repeat")
def repeat(emit: Emit, s: Symbol, x: Operands) -> None:
    times = s.size("repeats")
    if s.given("axis"):
        emit("repeat_axis", x[0], repeats=times, axis=s.integer("axis"))
    else:
        flat = emit("reshape", x[0], shape=(-1,), part="flatten")
        emit("repeat_axis", flat, repeats=times, axis=0)


@native("to")
def broadcast_to(emit: Emit, s: Symbol, x: Operands) -> None:
    """0 keeps the axis."""
    emit("expand", x[0], shape=[-1 if size == 0 else size for size in s.integers("shape") or ()])


@native("like", least=2)
def broadcast_like(emit: Emit, s: Symbol, x: Operands) -> None:
    """To the shape of the second operand, or some axes to those of the other."""
    axes, others = s.integers("lhs_axes") or None, s.integers("rhs_axes") or None
    emit("broadcast_like", *x[:2], axes=axes, like_axes=others)


@native("axis", "axes")
def broadcast_axes(emit: Emit, s: Symbol, x: Operands) -> None:
    """Axes of 1 to the sizes given."""
    y = x[0]
    places = list(zip(s.integers("axis") or (), s.sizes("size", ())))
    for i, (axis, size) in enumerate(places):
        part = "" if i == len(places) - 1 else f"axis{axis}"
        y = emit("repeat_axis", y, axis=axis, repeats=size, part=part)
    if not places:
        emit("identity", y)


@native("flip", "reverse")
def flip(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("flip", x[0])


@native("sequencereverse", "sequencemask", "sequence_mask")
def sequence(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("reverse" if s.op == "SequenceReverse" else "mask", *x)


@native("sequencelast")
def sequence_last(emit: Emit, s: Symbol, x: Operands) -> None:
    """The last step of each sequence. A slice where all are of one length."""
    axis = s.integer("axis", 0)
    pattern = "_ n *r, *_ -> n *r" if axis == 0 else "n _ *r, *_ -> n *r"
    if len(x) > 1:
        emit("gather", *x[:2], pattern=pattern)
    else:
        emit(
            "squeeze",
            emit("slice", x[0], axes=[axis], starts=[-1], ends=[ALL], part="slice"),
            axes=[axis],
        )


@native("depth_to_space", "space_to_depth")
def blocks(emit: Emit, s: Symbol, x: Operands) -> None:
    emit(s.op, x[0], block=s.size("block_size"))


@native("take", least=2)
def take(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("gather", *x[:2], axis=s.integer("axis", 0))


@native("pick", "choose_element_0index", "batch_take", least=2)
def pick(emit: Emit, s: Symbol, x: Operands) -> None:
    """One element along an axis (all but the last two spellings: any axis)."""
    axis = s.integer("axis", -1)
    kept = " 1" if s.flag("keepdims") else ""
    before, after = (
        ("*b ", "") if axis < 0 else ("".join(f"b{i} " for i in range(axis % 32)), " *r")
    )
    if not -1 <= axis < 32:
        unknown(emit.renamed(f"pick of axis {axis}"), s, x)
    else:
        emit("gather", *x[:2], pattern=f"{before}_{after}, *_ -> {before.strip()}{kept}{after}")


@native("one_hot")
def one_hot(emit: Emit, s: Symbol, x: Operands) -> None:
    dtype = s.text("dtype", "float32")
    emit("one_hot", x[0], depth=s.size("depth"), dtype=dtype if dtype in DTYPES else "float32")


@native("zeros_like", "ones_like")
def constant_like(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("constant_like", x[0])


@native("zeros", "ones", "full", "zeros_without_dtype", least=0)
def constant(emit: Emit, s: Symbol, x: Operands) -> None:
    """A 0 in the shape, as in the initial states of a recurrent network, is the batch."""
    shape: list[Any] = [*(s.integers("shape") or ())]
    if 0 in shape and emit.net.request.batch is not None:
        shape[shape.index(0)] = emit.net.request.batch
    if 0 in shape or None in shape:
        unknown(emit.renamed(f"{s.op} of an open batch, which --batch gives"), s, x)
    else:
        emit("constant", filled=tuple(shape))


@native("arange", least=0)
def arange(emit: Emit, s: Symbol, x: Operands) -> None:
    start, stop = s.number("start"), s.number("stop")
    start, stop = (start, stop) if s.given("stop") else (0.0, start)
    count = (stop - start) / (s.number("step", 1) or 1)
    if not 0 < count <= LARGEST:
        raise UnreadableModel(f"a range of {count:g} numbers")
    emit("constant", filled=(ceil(count) * s.size("repeat", 1),))
