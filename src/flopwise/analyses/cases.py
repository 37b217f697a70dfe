"""What a kernel's time depends on: its kind and a few sizes, the same for a kernel of a network
and for one that is measured alone.

A calibration measures cases; a prediction asks it for those of a network.
"""

from __future__ import annotations

from dataclasses import dataclass

from flopwise.analyses import aten

BLOCKED = "com.microsoft.nchwc"
VECTOR = 16  # channels of one block, of which onnxruntime fills up the last

# The sizes of each kind. `add` is 2 where a tensor is added before the result is written, `act`
# 1 for none and for comparisons, 2 for hard-swish and its like, 3 for what takes exponentials;
# `turned` 1 for no operand of a product that lies transposed, 2 for the left, 3 for the right, 4
# for both; `run` is how many elements stay neighbours.
SIZES = {
    "conv": ("c", "f", "groups", "h", "w", "k", "wide", "stride", "add", "act"),
    "first_conv": ("c", "f", "h", "w", "k", "stride", "act"),
    "depthwise_conv": ("c", "h", "w", "k", "wide", "stride", "add", "act"),
    "plain_conv": ("c", "f", "groups", "h", "w", "k", "stride"),
    "conv_transpose": ("c", "f", "groups", "h", "w", "k", "stride"),
    "gemm": ("m", "n", "k"),
    "matmul": ("batch", "m", "n", "k", "turned"),
    "einsum": ("batch", "m", "n", "k"),
    "attention": ("heads", "queries", "keys", "width"),
    "batch_norm": ("n", "c", "length"),
    **dict.fromkeys(("softmax", "norm", "skip_norm", "instance_norm"), ("rows", "length")),
    **dict.fromkeys(("softmax_across", "reduce", "reduce_slow"), ("outer", "length", "inner")),
    **dict.fromkeys(
        ("pool", "plain_pool", "avg_pool", "plain_avg_pool"), ("c", "h", "w", "k", "stride")
    ),
    **dict.fromkeys(
        ("global_pool", "plain_global_pool", "reorder_input", "reorder_output",
         "reorder_input_last", "reorder_output_last"), ("c", "length"),
    ),
    "transpose_rows": ("outer", "a", "b", "inner"),
    "transpose_matrix": ("outer", "a", "b"),
    "depth_to_space": ("size", "scale"),
    **dict.fromkeys(
        ("transpose_other", "copy", "pad", "slice", "split", "gather", "binary_rows",
         "binary_channels"), ("size", "run"),
    ),
    **dict.fromkeys(("resize", "resize_nearest", "resize_cubic", "upsample"), ("size", "scale")),
    "binary": ("size",),
    "binary_scalar": ("size",),
}  # fmt: skip
SIZES |= aten.SIZES
UNARY = ("size",)  # of each "unary NAME"
# What stands in for a kind that a calibration lacks: the same sizes, a kernel much like it.
LIKE = {
    "skip_norm": "norm", "instance_norm": "norm", "plain_avg_pool": "avg_pool",
    "avg_pool": "plain_pool", "plain_pool": "pool", "plain_global_pool": "global_pool",
    "reduce_slow": "reduce", "resize_cubic": "resize",
    **dict.fromkeys(("pad", "slice", "split", "gather"), "copy"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A kind of kernel with its sizes."""

    kind: str
    sizes: tuple[int, ...]

    @property
    def named(self) -> dict[str, int]:
        """The sizes by name."""
        return dict(zip(SIZES.get(self.kind, UNARY), self.sizes))
