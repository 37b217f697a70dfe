"""Operations of MIL that compute nothing; resizing; lists, states and control flow."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.native import LOWERINGS, Native, lowers, same_meaning, void
from flopwise.frontends.slicing import strided
from flopwise.graph import Graph, Node, Tensor

same_meaning({
    "identity": "identity", "shape": "shape_of", "reverse": "reverse",
    "reverse_sequence": "reverse_sequence", "band_part": "triangle", "slice_update": "copy",
}, "x")  # fmt: skip
same_meaning({"fill_like": "constant_like"}, "ref_tensor")
same_meaning({"list_length": "constant", "list_read": "copy", "list_gather": "copy"}, "ls")
same_meaning({"list_write": "copy", "list_scatter": "copy"}, "ls", "value")
same_meaning({"read_state": "identity"}, "input")
same_meaning({"write_state": "copy", "coreml_update_state": "copy"}, "value")
LOWERINGS["make_list"] = lambda n: void(n.emit("constant"))


@lowers("cast")
def cast(n: Native) -> None:
    n.emit("cast", n.given("x"))


@lowers("reshape")
def reshape(n: Native) -> None:
    shape = n.numbers("shape")
    if shape is None:
        n.emit("reshape", n.given("x"), n.given("shape"))
    else:
        n.emit("reshape", n.given("x"), shape=tuple(shape))


@lowers("flatten2d")
def flatten2d(n: Native) -> None:
    n.emit("flatten_to_matrix", n.given("x"), axis=n.number("axis", 1))


@lowers("reshape_like")
def reshape_like(n: Native) -> None:
    n.movement("reshape", n.given("x"), shape=None)


@lowers("transpose")
def transpose(n: Native) -> None:
    n.movement("transpose", n.given("x"), perm=n.numbers("perm"))


@lowers("expand_dims")
def expand_dims(n: Native) -> None:
    n.movement("unsqueeze", n.given("x"), axes=n.numbers("axes"))


@lowers("squeeze")
def squeeze(n: Native) -> None:
    n.emit("squeeze", n.given("x"), axes=n.numbers("axes"))


@lowers("concat")
def concat(n: Native) -> None:
    n.emit("concat", *n.tensors("values"), axis=n.number("axis", 0))


@lowers("stack")
def stack(n: Native) -> None:
    n.emit("stack", *n.tensors("values"), axis=n.number("axis", 0))


@lowers("split")
def split(n: Native) -> None:
    n.emit("split", n.given("x"), axis=n.number("axis", 0), sizes=n.numbers("split_sizes"))


@lowers("slice_by_index")
def slice_by_index(n: Native) -> None:
    """Python's slices; masks stand for open ends and single positions."""
    begin, end = n.numbers("begin"), n.numbers("end")
    if begin is None or end is None:
        n.movement("slice", n.given("x"), starts=None)
        return
    stride = n.numbers("stride") or [1] * len(begin)
    names = {"begin": "begin_mask", "end": "end_mask", "shrink_axis": "squeeze_mask"}
    masks = {k: n.numbers(v) or [] for k, v in names.items()}

    def bit(mask: str, i: int) -> bool:
        bits = masks.get(mask, [])
        return i < len(bits) and bool(bits[i])

    s = strided(begin, end, stride, bit, len(begin))
    attrs: dict[str, Any] = {"axes": s.axes, "starts": s.starts, "ends": s.ends, "steps": s.steps}
    if s.dropped:
        part = n.emit("slice", n.given("x"), part="slice", **attrs)
        n.emit("squeeze", part, axes=list(s.dropped))
    else:
        n.emit("slice", n.given("x"), **attrs)


@lowers("slice_by_size")
def slice_by_size(n: Native) -> None:
    """-1 is as far as it goes."""
    starts, sizes = n.numbers("begin"), n.numbers("size")
    ends = None
    if starts is not None and sizes is not None:
        ends = [2**31 - 1 if s < 0 else b + s for b, s in zip(starts, sizes)]
    n.movement("slice", n.given("x"), starts=starts, ends=ends)


@lowers("pad")
def pad(n: Native) -> None:
    """Before and after each of the last axes."""
    flat = n.numbers("pad")
    if flat is None:
        n.movement("pad", n.given("x"), pads=None)
        return
    pads = tuple(zip(flat[::2], flat[1::2]))
    n.emit("pad", n.given("x"), pads=pads, axes=range(-len(pads), 0))


@lowers("crop")
def crop(n: Native) -> None:
    edges = [n.numbers("crop_height") or [0, 0], n.numbers("crop_width") or [0, 0]]
    starts, ends = [e[0] for e in edges], [-e[1] or 2**31 - 1 for e in edges]
    n.emit("slice", n.given("x"), axes=(-2, -1), starts=starts, ends=ends)


@lowers("tile")
def tile(n: Native) -> None:
    n.movement("tile", n.given("x"), repeats=n.numbers("reps"))


@lowers("fill")
def fill(n: Native) -> None:
    shape = n.numbers("shape")
    if shape is None:
        n.emit("constant_of_shape", n.given("shape"))
    else:
        n.emit("constant_of_shape", shape=tuple(shape))


@lowers("random_uniform", "random_normal", "random_bernoulli")
def random(n: Native) -> None:
    shape = n.numbers("shape")
    n.movement("random", shape=tuple(shape) if shape else None)


@lowers("random_categorical")
def categorical(n: Native) -> None:
    n.emit("multinomial", n.given("x"), s=n.number("size", 1))


@lowers("range_1d")
def range_1d(n: Native) -> None:
    n.emit("range", n.given("start"), n.given("end"), n.given("step"))


@lowers("gather")
def gather(n: Native) -> None:
    axis, batch = n.number("axis", 0), n.number("batch_dims", 0)
    n.emit("gather", n.given("x"), n.given("indices"), axis=axis, batch=batch)


@lowers("gather_along_axis")
def gather_along_axis(n: Native) -> None:
    n.emit("gather_elements", n.given("x"), n.given("indices"), axis=n.number("axis", 0))


@lowers("gather_nd")
def gather_nd(n: Native) -> None:
    n.emit("gather_nd", n.given("x"), n.given("indices"), batch=n.number("batch_dims", 0))


@lowers("scatter", "scatter_along_axis", "scatter_nd")
def scatter(n: Native) -> None:
    mode = {"update": "none", "sub": "add", "div": "mul"}.get(n.text("mode", "add"), n.text("mode"))
    op = "scatter_nd" if n.op == "scatter_nd" else "scatter"
    n.emit(op, *map(n.given, ("data", "indices", "updates")), reduction=mode or "add")


@lowers("one_hot")
def one_hot(n: Native) -> None:
    depth = n.number("one_hot_vector_size")
    n.movement("one_hot", n.given("indices"), depth=depth, axis=n.number("axis", -1))


@lowers("depth_to_space", "pixel_shuffle", "space_to_depth", "pixel_unshuffle")
def blocks(n: Native) -> None:
    op = "depth_to_space" if n.op in ("depth_to_space", "pixel_shuffle") else "space_to_depth"
    names = ("block_size", "upscale_factor", "downscale_factor")
    block = next(n.number(k) for k in names if n.number(k) is not None)
    n.emit(op, n.given("x"), block=block)


@lowers("space_to_batch", "batch_to_space")
def batches(n: Native) -> None:
    """Blocks of the axes after the first two, as MIL has it: channels come second."""
    n.movement("copy", n.given("x"), block=None)


@lowers("sliding_windows")
def sliding_windows(n: Native) -> None:
    n.movement("copy", n.given("x"), size=None)


def resized(n: Native, mode: str, **attrs: Any) -> None:
    n.emit("resize", n.given("x"), mode=mode, **attrs)


@lowers("upsample_bilinear", "upsample_nearest_neighbor")
def upsample(n: Native) -> None:
    mode = "linear" if n.op == "upsample_bilinear" else "nearest"
    scale = n.number("scale_factor_height", 1), n.number("scale_factor_width", 1)
    resized(n, mode, scale=scale, axes=(-2, -1))


@lowers("resize_bilinear", "resize_nearest_neighbor")
def resize_to(n: Native) -> None:
    mode = "linear" if n.op == "resize_bilinear" else "nearest"
    size = n.number("target_size_height", 1), n.number("target_size_width", 1)
    resized(n, mode, size=size, axes=(-2, -1))


@lowers("resize")
def resize(n: Native) -> None:
    """Of the last axes, as many as `resized_dims` says."""
    size, count = n.numbers("shape"), n.number("resized_dims", 0)
    mode = "nearest" if n.text("interpolation_mode") == "NEAREST_NEIGHBOR" else "linear"
    axes = tuple(range(-count, 0))
    n.movement("resize", n.given("x"), mode=mode, axes=axes, size=tuple(size) if size else None)


@lowers("resample")
def resample(n: Native) -> None:
    mode = "nearest" if n.text("sampling_mode") == "nearest" else "linear"
    n.emit("grid_sample", n.given("x"), n.given("coordinates"), mode=mode)


@lowers("cond")
def cond(n: Native) -> None:
    branches = []
    for i in range(2):
        graph = n.inner(i)
        branches.append(Graph((), graph.outputs, graph.nodes, graph.name))
    n.emit("if", n.given("pred"), branches=tuple(branches))


@lowers("while_loop")
def while_loop(n: Native) -> None:
    """A condition, then a body, on the same variables; how often it runs is data."""
    test, body = n.inner(0), n.inner(1)
    step = Tensor(n.block.program.unique(f"{n.name}/step"), (), "int64")
    go = Tensor(n.block.program.unique(f"{n.name}/go"), (), "bool")
    links = tuple(
        Node("identity", (a,), (b,), {}, b.name, (b.name,), "loop variable")
        for a, b in zip(body.inputs, test.inputs)
    )
    nodes = (*links, *test.nodes, *body.nodes)
    kept = test.outputs[0] if test.outputs else go
    inside = Graph((step, go, *body.inputs), (kept, *body.outputs), nodes, n.name)
    n.emit("loop", None, None, *n.tensors("loop_vars"), body=inside, repeat=1)
