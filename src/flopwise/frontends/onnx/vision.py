"""Images: resizing, sampling, regions, boxes."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.onnx.native import Native, lowers


@lowers("Resize", "Upsample")
def resize(n: Native) -> None:
    """Operands are data, region, scales, sizes; in version 10 and Upsample, data and scales;
    in Upsample's first version, scales are attributes."""
    attrs: dict[str, Any] = {
        "mode": n.text("mode", "nearest"), "policy": n.text("keep_aspect_ratio_policy") or None,
        "antialias": bool(n.integer("antialias")), "axes": n.integers("axes"),
    }  # fmt: skip
    if scales := n.reals("scales"):
        n.emit("resize", n.given(0), scale=scales, **attrs)
    elif n.op == "Upsample" or n.version < 11:
        n.emit("resize", n.given(0), None, n.given(1), **attrs)
    else:
        n.emit("resize", *n.inputs, **attrs)
