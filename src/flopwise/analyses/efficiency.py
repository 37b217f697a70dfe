"""What kernels reach of a device's peak and bandwidth where nothing was measured on it.

Kernels neither reach the peak nor hide all of their memory traffic behind arithmetic, so
times add up: `time = operations / (peak × share) + bytes / (bandwidth × share) + gap`.
On the published tables below, that sum with shares of 1 errs by 15 % in the mean, the
larger of the two (the roofline proper) by 22 to 24 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flopwise import ops
from flopwise.devices import Device
from flopwise.dims import prod
from flopwise.graph import Node

TIMM = "https://github.com/huggingface/pytorch-image-models/tree/main/results"


@dataclass(frozen=True)
class Share:
    """Of the peak in arithmetic (None: not told apart from its bytes) and of the bandwidth."""

    compute: float | None
    memory: float


@dataclass(frozen=True)
class Efficiency:
    """Shares by kind of kernel. `gap` is seconds between kernels that queue up, `dispatch`
    seconds that the host needs for one, by runtime. The true latency is taken to lie within
    a factor `band` of the predicted one, within `loose` where the host is what one waits for."""

    source: str
    shares: Mapping[str, Share]
    gap: float
    dispatch: Mapping[str, float]
    band: float
    loose: float


# Fitted by benchmarks/gpu_throughput.py (least absolute relative errors, shares of at most 1,
# drawn towards 0.7) to 356 rows of timm's inference tables in mixed precision, eager, channels
# first: RTX 3090 (torch 2.4) and RTX 4090 (torch 2.9). docs/gpu-throughput.md has the errors, and
# those on a card left out.
GPU = Efficiency(
    source=f"fitted to the inference tables of RTX 3090 and RTX 4090 in mixed precision, {TIMM}",
    shares={
        "conv": Share(0.90, 0.61), "pointwise_conv": Share(0.86, 0.82),
        "grouped_conv": Share(0.67, 0.57), "depthwise_conv": Share(0.69, 0.63),
        "linear": Share(1.0, 1.0), "matmul": Share(0.70, 0.67), "attention": Share(1.0, 1.0),
        "batch_norm": Share(None, 0.90), "norm": Share(None, 1.0), "softmax": Share(None, 0.75),
        "pointwise": Share(None, 1.0), "reduction": Share(None, 0.73),
        "movement": Share(None, 1.0), "other": Share(None, 0.70),
    },
    gap=2.0e-6,
    # 5 to 25 µs from Python to a launched kernel, 1 to 3 µs for the launch alone:
    # https://jiahuanglin.xyz/all_lessons/gpu_kernel_serving/18_pytorch_to_kernel.html
    dispatch={"eager": 10e-6, "onnxruntime": 5e-6, "tensorrt": 2e-6},
    band=1.35,
    loose=2.5,
)  # fmt: skip

_VECTOR = Share(0.12, 10.0)
# Measured with onnxruntime 1.31 on one busy core of an AMD EPYC with AVX-512, best thread time of
# single operators: products at 91 to 101 GFLOPS, depthwise 40 to 50, grouped 34, batched
# products 76; sigmoid, softmax and layer norm 13 to 16 G elementary operations a second. Divided by
# the nominal rates of such a core, 128 GFLOPS and 9 GB/s (`xeon-vm-1core`). Activations of a few MB
# stay in the caches, so that bytes pass at some ten times that bandwidth (relu 81 GB/s).
CPU = Efficiency(
    source="measured on single operators with onnxruntime 1.31, one core of an AMD EPYC",
    shares={
        "conv": Share(0.75, 10.0), "pointwise_conv": Share(0.75, 10.0),
        "grouped_conv": Share(0.26, 10.0), "depthwise_conv": Share(0.37, 10.0),
        "linear": Share(0.79, 5.7), "matmul": Share(0.60, 10.0), "attention": Share(0.60, 10.0),
        **dict.fromkeys(
            ("batch_norm", "norm", "softmax", "pointwise", "reduction", "other"), _VECTOR
        ),
        "movement": Share(None, 3.5),
    },
    gap=0.0,
    # Per operator in a chain of 200 tiny ones; torch.neg of 8 elements.
    dispatch={"eager": 1.1e-6, "onnxruntime": 0.5e-6, "tensorrt": 0.5e-6},
    band=2.0,
    loose=3.0,
)  # fmt: skip

# Nothing was checked on accelerators of other kinds: the shares of GPUs, in a wide band.
OTHER = Efficiency(
    source=f"taken over from GPUs, not checked on a device of this kind; {GPU.source}",
    shares=GPU.shares, gap=GPU.gap, dispatch=GPU.dispatch, band=3.0, loose=4.0,
)  # fmt: skip

CHECKED = ("gpu-dc", "gpu-consumer", "gpu-ws")


def efficiency(device: Device) -> Efficiency:
    """What is known of devices of this kind."""
    if device.kind.startswith("cpu"):
        return CPU
    return GPU if device.kind in CHECKED else OTHER


FAMILIES = {
    "pointwise": "pointwise", "reduction": "reduction", "movement": "movement",
    "lookup": "movement", "indexing": "movement", "recurrent": "matmul", "attention": "attention",
    "decoding": "attention", "contraction": "matmul",
}  # fmt: skip
NAMES = {
    "linear": "linear",
    "grouped_matmul": "linear",
    "combine_experts": "pointwise",
    "batch_norm": "batch_norm",
    "scale": "batch_norm",
    "softmax": "softmax",
    "log_softmax": "softmax",
    "transpose": "movement",
    "rotary_embedding": "pointwise",
    "accumulate": "pointwise",
    "update": "pointwise",
    "keep": "movement",
}


def kind(node: Node) -> str:
    """The kind of kernel that a node is: a key of `shares`. Nothing was fitted to gradients:
    they are taken to be of the kind of what they are the gradient of."""
    if "forward" in node.attrs:
        return kind(node.attrs["forward"])
    if node.op in ("conv", "conv_transpose", "deform_conv"):
        return _convolution(node)
    entry = ops.find(node.op)
    if node.op in NAMES or entry is None:
        return NAMES.get(node.op, "other")
    return "norm" if entry.family == "normalization" else FAMILIES.get(entry.family, "other")


def _convolution(node: Node) -> str:
    """By how many input channels a filter sees, and whether it sees neighbours."""
    entry = ops.find(node.op)
    assert entry is not None
    axes = ops.bind(node, entry)
    # The weight of a transposed one holds the output channels of a group.
    seen = axes["g"]
    channels = axes["f"] if node.op == "conv_transpose" else axes.get("c", axes["f"])
    if seen == channels:
        return "pointwise_conv" if prod(axes["k"]) == 1 else "conv"
    return "depthwise_conv" if seen == 1 else "grouped_conv"
