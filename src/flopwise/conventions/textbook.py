"""The three readings that need no tool: MACs, FLOPs as papers mean it, and every operation."""

from flopwise.conventions import Convention
from flopwise.counts import OPS

URL = "https://github.com/flopwise/flopwise/blob/main/docs/conventions.md"

MACS = Convention(
    "macs", "multiply-accumulates of convolutions, matrix products, attention and recurrent cells",
    URL, "1", {"mac": 1},
)  # fmt: skip

FLOPS = Convention("flops", "2 x multiply-accumulates; nothing else", URL, "1", {"mac": 2})

EVERY = Convention(
    "ops", "every elementary operation: a dot product of n terms is 2n - 1, a bias 1, ReLU 1, "
    "sigmoid 4", URL, "1", OPS,
)  # fmt: skip
