"""How long a step takes: `operations / rate + bytes / bandwidth + kernels × gap`, and what
devices that share a model tell each other.

The constants are fitted to the seven 16-bit rows of gpt-fast's published table (Llama 2 7B and
70B on one to eight A100 80GB limited to 330 W, https://github.com/pytorch-labs/gpt-fast,
commit 0f925b5), which they give back within 3 %; docs/serving.md has that table and the rows
with quantised weights, which were not fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flopwise.analyses.efficiency import efficiency
from flopwise.analyses.serving.decoder import Decoder
from flopwise.analyses.serving.formats import Format, size
from flopwise.analyses.serving.work import Load
from flopwise.devices import Device
from flopwise.errors import FlopwiseError

MEMORY = 0.80  # of the bandwidth
GAP = 2.86e-6  # seconds for each kernel besides
REDUCE = 9.4e-6  # seconds for a sum over devices, besides its bytes
SUMS = 2  # over devices, in each layer: after the mixer and after the network


@dataclass(frozen=True)
class Machine:
    """`ranks` equal devices that share each layer, and the bytes per second that one of them
    sends to another; `matrix` and `attention` are operations per second within reach."""

    device: Device
    ranks: int
    link: float | None
    matrix: float
    attention: float
    computed: str
    share: float


def machine(
    device: Device, ranks: int, link: float | None, dtype: str, weights: Format
) -> Machine:  # fmt: skip
    """What the devices reach in these dtypes. Raises FlopwiseError, UnknownName."""
    if ranks < 1:
        raise FlopwiseError(f"--tp {ranks}: must be 1 or more")
    link = _link(device, ranks) if link is None and ranks > 1 else link
    computed = weights.computed if weights.computed in device.peak else _near(device, dtype)
    share, other = reach(device, computed), reach(device)
    rate, plain = device.rate(computed), device.rate(_near(device, dtype))
    return Machine(device, ranks, link, rate * share, plain * other, computed, share)


def _link(device: Device, ranks: int) -> float:
    """What the servers that a device is usually in connect it with."""
    known = device.link
    if known is None:
        raise FlopwiseError(
            f"--tp {ranks} needs the bandwidth between the devices, each way: --link 31G is "
            "31e9 bytes/s (PCIe 4 x16)"
        )
    if ranks > known.devices:
        raise FlopwiseError(
            f"--tp {ranks}: a node has {known.devices} devices; give --link of what joins nodes"
        )
    return known.bandwidth


def _near(device: Device, dtype: str) -> str:
    """The dtype itself, or the other one of 16 bits where the device has only that."""
    other = {"bfloat16": "float16", "float16": "bfloat16"}.get(dtype, dtype)
    return other if dtype not in device.peak and other in device.peak else dtype


def reach(device: Device, dtype: str = "") -> float:
    """Of the peak, what a matrix product was measured to reach (in 8 bits, where that was); else
    what is known of kind."""
    if dtype == "float8" and device.measured_float8 and dtype in device.peak:
        return min(1.0, device.measured_float8 / device.peak[dtype])
    general = efficiency(device).shares["linear"].compute or 1.0
    peaks = [device.peak[d] for d in ("bfloat16", "float16", "float32") if d in device.peak]
    measured = device.measured_gemm / peaks[0] if device.measured_gemm and peaks else general
    return min(general, measured)


@dataclass(frozen=True)
class Seconds:
    """One step, by what it waits for."""

    compute: float
    weights: float
    cache: float
    activations: float
    kernels: float
    link: float

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def shares(self) -> dict[str, float]:
        """What it waits for, as shares of the whole, most first."""
        ranked = sorted(self.parts.items(), key=lambda item: -item[1])
        return {name: part / self.total for name, part in ranked if part}


def seconds(loads: Mapping[str, Load], on: Machine, sent: float = 0.0, sums: int = 0) -> Seconds:
    """The time of one step; `sent` are the bytes of activations that each of `sums` sums over
    devices is over."""
    rates = {"matrix": on.matrix, "attention": on.attention}
    rates["scan"] = on.device.peak.get("float32", on.attention)
    bandwidth = on.device.bandwidth * MEMORY
    around = 2 * (on.ranks - 1) / on.ranks * sent / on.link if on.link and on.ranks > 1 else 0.0
    return Seconds(
        compute=sum(load.flops / rates[kind] for kind, load in loads.items() if kind in rates),
        weights=sum(load.weights for load in loads.values()) / bandwidth,
        cache=sum(load.cache for load in loads.values()) / bandwidth,
        activations=sum(load.other for load in loads.values()) / bandwidth,
        kernels=sum(load.kernels for load in loads.values()) * GAP,
        link=sums * (around + REDUCE) if on.ranks > 1 else 0.0,
    )


def exchanged(decoder: Decoder, tokens: float, dtype: str) -> tuple[float, int]:
    """Bytes of one sum over devices, and how many sums there are in a step."""
    layers = sum(SUMS if layer.network is not None else 1 for layer in decoder.layers)
    return tokens * decoder.hidden * size(dtype), layers
