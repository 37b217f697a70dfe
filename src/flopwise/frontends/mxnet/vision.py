"""Vision: resizing, regions, anchors and boxes, sampling at positions."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.mxnet.lowering import Emit, native, unknown
from flopwise.frontends.mxnet.symbol import Symbol
from flopwise.graph import Tensor

Operands = list[Tensor]


@native("upsampling")
def upsampling(emit: Emit, s: Symbol, x: Operands) -> None:
    """Nearest neighbours; several maps all get the size of the first, then they are joined."""
    scale = s.size("scale")
    if len(x) == 1:
        emit("resize", x[0], mode="nearest", scale=scale)
        return
    maps = [emit("resize", x[0], mode="nearest", scale=scale, part="resize0")]
    for i, other in enumerate(x[1:], 1):
        maps.append(emit("resize", other, maps[0], mode="nearest", like=True, part=f"resize{i}"))
    if s.text("multi_input_mode") == "sum":
        emit("add", *maps)
    else:
        emit("concat", *maps, axis=1)


@native("upsampling_bilinear", least=2, weights=(1,))
def bilinear(emit: Emit, s: Symbol, x: Operands) -> None:
    """A transposed convolution of each channel, whose weights are learned."""
    scale, f = s.size("scale"), s.size("num_filter")
    k = 2 * scale - scale % 2
    emit("conv_transpose", *x[:2], f=f, groups=f, k=k, stride=scale, pad=scale // 2)


@native("bilinearresize2d")
def bilinear_resize(emit: Emit, s: Symbol, x: Operands) -> None:
    mode = s.text("mode", "size")
    if mode == "like" and len(x) > 1:
        emit("resize", *x[:2], mode="bilinear", like=True)
    elif mode == "size" and s.given("scale_height"):
        scale = s.number("scale_height"), s.number("scale_width")
        emit("resize", x[0], mode="bilinear", scale=scale)
    elif mode == "size":
        size = s.size("height", 1), s.size("width", 1)
        emit("resize", x[0], mode="bilinear", size=size)
    else:
        unknown(emit.renamed(f"BilinearResize2D ({mode})"), s, x)


@native("roipooling", "roi_pooling", least=2)
def roi_pooling(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("roi_pool", *x[:2], size=s.sizes("pooled_size"))


@native("roialign", least=2)
def roi_align(emit: Emit, s: Symbol, x: Operands) -> None:
    if s.flag("position_sensitive"):
        unknown(emit.renamed("ROIAlign (position_sensitive)"), s, x)
    else:
        samples = max(s.integer("sample_ratio", -1), 0)
        emit("roi_align", *x[:2], size=s.sizes("pooled_size"), samples=samples)


@native("psroipooling", least=2)
def ps_roi_pooling(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("ps_roi_pool", *x[:2], size=s.size("pooled_size"))


@native("proposal", "multiproposal", least=3)
def proposal(emit: Emit, s: Symbol, x: Operands) -> None:
    emit(
        "proposal", *x[:3], pre=s.integer("rpn_pre_nms_top_n", 6000),
        post=s.size("rpn_post_nms_top_n", 300), outputs=2 if s.flag("output_score") else 1,
    )  # fmt: skip


@native("multiboxprior", "multibox_prior")
def multibox_prior(emit: Emit, s: Symbol, x: Operands) -> None:
    sizes, ratios = s.numbers("sizes") or (1.0,), s.numbers("ratios") or (1.0,)
    emit("anchors", x[0], sizes=sizes, ratios=ratios, clip=s.flag("clip"))


@native("multiboxdetection", "multibox_detection", least=3)
def multibox_detection(emit: Emit, s: Symbol, x: Operands) -> None:
    """Of every box: class, score and corners; those that were dropped are marked."""
    scores, locations, anchors = x[:3]
    emit(
        "detection_output", locations, scores, anchors, top_k=s.integer("nms_topk", -1),
        pattern="n _, n classes a, 1 a 4 -> n a 6",
    )  # fmt: skip


@native("box_nms", "box_non_maximum_suppression")
def box_nms(emit: Emit, s: Symbol, x: Operands) -> None:
    """All boxes come back; those that were dropped are marked."""
    scores = emit("slice", x[0], pattern="*b _ -> *b", part="scores")
    top = s.integer("topk", -1)
    boxes = "*b e k" if top > 0 else "*b kept k"
    attrs: dict[str, Any] = {"kept": top, "top_k": top} if top > 0 else {}
    pattern = f"{boxes}, {boxes[:-2]} -> {boxes}"
    emit("nms", x[0], scores, pattern=pattern, dtype="float32", **attrs)


@native("gridgenerator")
def grid_generator(emit: Emit, s: Symbol, x: Operands) -> None:
    if s.text("transform_type") == "affine":
        affine_grid(emit, s, x[0], "")
    else:
        unknown(emit.renamed(f"GridGenerator ({s.text('transform_type')})"), s, x)


def affine_grid(emit: Emit, s: Symbol, x: Tensor, part: str) -> Tensor:
    matrix = emit("reshape", x, shape=(0, 2, 3), part="matrix")
    size = s.sizes("target_shape")
    return emit("affine_grid", matrix, size=size, pattern="n r _ -> n r *y", part=part)


@native("bilinearsampler", least=2)
def bilinear_sampler(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("grid_sample", *x[:2], pattern="n c *_, grid: n _ *y -> n c *y")


@native("spatialtransformer", least=2)
def spatial_transformer(emit: Emit, s: Symbol, x: Operands) -> None:
    bilinear_sampler(emit, s, [x[0], affine_grid(emit, s, x[1], "grid")])
