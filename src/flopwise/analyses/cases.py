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
# 1 for none and for comparisons, 2 for hard-swish and its like, 3 for what takes exponentials.
SIZES = {
    "conv": ("c", "f", "groups", "h", "w", "k", "wide", "stride", "add", "act"),
    "first_conv": ("c", "f", "h", "w", "k", "stride", "act"),
    "depthwise_conv": ("c", "h", "w", "k", "stride", "add", "act"),
    "plain_conv": ("c", "f", "groups", "h", "w", "k", "stride"),
    "conv_transpose": ("c", "f", "groups", "h", "w", "k", "stride"),
    "gemm": ("m", "n", "k"),
    "matmul": ("batch", "m", "n", "k"),
    "attention": ("heads", "queries", "keys", "width"),
    "batch_norm": ("size", "run"),
    "softmax": ("rows", "length"),
    "norm": ("rows", "length"),
    "reduce": ("outer", "length", "inner"),
    "pool": ("c", "h", "w", "k", "stride"),
    "plain_pool": ("c", "h", "w", "k", "stride"),
    "global_pool": ("c", "length"),
    "reorder_input": ("c", "length"),
    "reorder_output": ("c", "length"),
    "transpose_rows": ("a", "b", "inner"),
    "transpose_matrix": ("outer", "a", "b"),
    "transpose_other": ("size", "run"),
    "copy": ("size", "run"),
    "resize": ("size", "scale"),
    "resize_nearest": ("size", "scale"),
    "upsample": ("size", "scale"),
    "binary": ("size",),
    "binary_scalar": ("size",),
    "binary_rows": ("size", "run"),
    "binary_channels": ("size", "run"),
}
SIZES |= aten.SIZES
UNARY = ("size",)  # of each "unary NAME"


@dataclass(frozen=True)
class Case:
    """A kind of kernel with its sizes."""

    kind: str
    sizes: tuple[int, ...]

    @property
    def named(self) -> dict[str, int]:
        """The sizes by name."""
        return dict(zip(SIZES.get(self.kind, UNARY), self.sizes))
