"""Images: resizing, sampling, regions, patches."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.layers import window
from flopwise.frontends.onnx.native import Native, lowers


@lowers("Resize", "Upsample")
def resize(n: Native) -> None:
    """Operands are data, region, scales, sizes; in version 10 and Upsample, data and scales;
    in Upsample's first versions, scales are attributes."""
    attrs: dict[str, Any] = {
        "mode": n.text("mode", "nearest"), "policy": n.text("keep_aspect_ratio_policy") or None,
        "antialias": bool(n.integer("antialias")), "axes": n.integers("axes"),
    }  # fmt: skip
    if scales := n.reals("scales"):
        n.emit("resize", n.given(0), scale=scales, **attrs)
    elif "height_scale" in n.attrs:
        scales = n.real("height_scale"), n.real("width_scale")
        n.emit("resize", n.given(0), scale=scales, **attrs)
    elif n.op == "Upsample" or n.version < 11:
        n.emit("resize", n.given(0), None, n.given(1), **attrs)
    else:
        n.emit("resize", *n.inputs, **attrs)


@lowers("GridSample")
def grid_sample(n: Native) -> None:
    n.emit("grid_sample", *n.inputs, mode=n.text("mode", "linear"))


@lowers("AffineGrid")
def affine_grid(n: Native) -> None:
    n.emit("affine_grid", *n.inputs)


@lowers("RoiAlign")
def roi_align(n: Native) -> None:
    size = n.integer("output_height", 1), n.integer("output_width", 1)
    mode = {"avg": "mean", "max": "max"}.get(n.text("mode", "avg"), "mean")
    n.emit("roi_align", *n.inputs, size=size, samples=n.integer("sampling_ratio"), mode=mode)


@lowers("MaxRoiPool")
def roi_pool(n: Native) -> None:
    n.emit("roi_pool", *n.inputs, size=n.integers("pooled_shape"))


@lowers("MaxUnpool")
def max_unpool(n: Native) -> None:
    """The third operand gives the full shape of the output."""
    k, pads = n.integers("kernel_shape") or (), n.integers("pads") or ()
    if any(a != b for a, b in zip(pads, pads[len(pads) // 2 :])):
        raise UnreadableModel(f"pads {pads} differ before and after")
    attrs: dict[str, Any] = {"k": k, "stride": n.integers("strides") or 1}
    n.emit("max_unpool", *n.inputs, pad=pads[: len(k)] or 0, **attrs)


@lowers("DeformConv")
def deform_conv(n: Native) -> None:
    """Operands: data, weight, offsets, bias, mask of factors."""
    attrs = {"groups": n.integer("group", 1), "modulated": int(n.input(4) is not None)}
    n.emit("deform_conv", n.given(0), n.given(1), n.input(3), **attrs, **window(n))


@lowers("Col2Im")
def col2im(n: Native) -> None:
    """The second and third operands hold the sizes of the image and of a block."""
    n.emit("fold", *n.inputs)


@lowers("ImageDecoder")
def image_decoder(n: Native) -> None:
    """The size of the image is in its bytes."""
    n.emit("image_decode", n.given(0), channels=1 if "Gray" in n.text("pixel_format") else 3)
