"""How long a network runs on a device, kernel by kernel, from its counts.

Each kernel takes time for its arithmetic, for its bytes, and for being launched at all;
what it takes most of is what bounds it (the roofline model: Williams, Waterman and Patterson
2009, doi 10.1145/1498765.1498785).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from flopwise.analyses.calibrated import Estimate, estimates, interval
from flopwise.analyses.efficiency import Efficiency, efficiency, kind
from flopwise.counts import Counts
from flopwise.devices import Device
from flopwise.devices.files import MATRIX
from flopwise.dims import Expr
from flopwise.errors import UnknownName, UnknownSize
from flopwise.graph import Graph
from flopwise.passes import runtimes
from flopwise.passes.fuse import Group, native

BOUNDS = ("compute", "memory", "overhead")
SURE = ("2+src", "measured", "calibrated")
HOST = 0.3  # the share of a latency from which on the host is what one waits for
# The names that people give to dtypes, and what tensor cores do with float32.
DTYPES = {
    "fp64": "float64", "fp32": "float32", "tf32": "tfloat32", "fp16": "float16",
    "half": "float16", "bf16": "bfloat16", "fp8": "float8", "fp4": "float4",
}  # fmt: skip
MIXED = {"amp": "float16", "amp-bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: seconds in all of its runs, and what of that goes where.

    `flops` are 2 per multiply-accumulate, elementary operations where there is none. `reads`
    and `writes` are tensors, views under the name of what they look at.
    """

    name: str
    op: str
    operators: tuple[str, ...]
    kind: str
    flops: int
    bytes: int
    compute_s: float
    memory_s: float
    overhead_s: float
    time_s: float
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    @property
    def bound(self) -> str:
        """What it takes most of its time for."""
        shares = (self.compute_s, self.memory_s, self.overhead_s)
        return BOUNDS[shares.index(max(shares))]


@dataclass(frozen=True)
class Prediction:
    """Seconds for one run; `band_s` is where it is taken to lie, `source` says where the
    efficiencies are from. `missing` are the native operators that have no time."""

    name: str
    device: Device
    runtime: str
    dtype: str
    kernels: tuple[Kernel, ...]
    latency_s: float
    band_s: tuple[float, float]
    source: str
    missing: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes the number less sure than its band says."""
        found = []
        if self.missing:
            names = ", ".join(sorted(set(self.missing)))
            found.append(f"{len(self.missing)} operators without a formula are left out: {names}")
        if self.device.status not in SURE:
            found.append(f"the numbers of {self.device.name} are marked '{self.device.status}'")
        return tuple(found)

    @property
    def seconds(self) -> dict[str, float]:
        """The latency by what bounds its kernels."""
        return {b: sum(k.time_s for k in self.kernels if k.bound == b) for b in BOUNDS}

    @property
    def bound(self) -> str:
        """What bounds the kernels that take most of the time."""
        return max(BOUNDS, key=self.seconds.__getitem__)

    @property
    def flops(self) -> int:
        return sum(k.flops for k in self.kernels)

    @property
    def bytes(self) -> int:
        """Bytes read and written by all kernels."""
        return sum(k.bytes for k in self.kernels)


def predict(
    graph: Graph, device: Device, runtime: str = "eager", dtype: str = "", rewritten: bool = False
) -> Prediction:
    """How long one run of a graph takes. Raises UnknownName for a runtime that is not known or
    a dtype that the device lacks, UnknownSize for a symbol that has no size.

    `dtype` is that of arithmetic on float32 where it differs (tfloat32). `rewritten`: the
    graph is what the runtime made of the model, one kernel per operator.
    """
    how = runtimes.find(runtime)
    everything = list(native(graph) if rewritten else how.kernels(graph))
    groups = [g for g in everything if not _free(g)]
    if device.kernels:
        return _calibrated(graph, everything, device, runtime)
    table, homes = efficiency(device), _homes(everything)
    kernels = tuple(
        replace(_kernel(g, device, table, runtime, dtype), **_ends(g, homes)) for g in groups
    )
    latency = sum(k.time_s for k in kernels)
    waiting = sum(k.overhead_s for k in kernels) > HOST * latency
    factor = table.loose if waiting else table.band
    return Prediction(
        graph.name, device, runtime, dtype or _dtype(groups), kernels, latency,
        (latency / factor, latency * factor), table.source, _missing(groups),
    )  # fmt: skip


def _calibrated(graph: Graph, groups: list[Group], device: Device, runtime: str) -> Prediction:
    """From kernels that were measured on the device, with one runtime."""
    if runtime != device.runtime:
        raise UnknownName(
            f"{device.slug} was calibrated with {device.runtime}, which says nothing of {runtime}"
        )
    homes = _homes(groups)
    views = runtime == "eager" and graph.format == "torch"  # Python runs them one by one
    groups = [_whole(g) for g in groups if views or not _free(g)]
    found = estimates(groups, device, graph.orders)
    kernels = tuple(
        replace(_measured(g, e, device), **_ends(g, homes)) for g, e in zip(groups, found)
    )
    latency = sum(k.time_s for k in kernels)
    parts = [(k.time_s, e.deviation) for k, e in zip(kernels, found)]
    rough = {g.main.op for g, e in zip(groups, found) if not e.measured}
    source = f"{device.calibration.get('kernels', '')} kernels measured on it"
    if rough:
        source += f"; from bytes and operations alone: {', '.join(sorted(rough))}"
    return Prediction(
        graph.name, device, runtime, _dtype(groups), kernels, latency,
        interval(latency, parts, runtime), source, _missing(groups),
    )  # fmt: skip


def _whole(group: Group) -> Group:
    _number(group, group.counts)
    return group


def _measured(group: Group, found: Estimate, device: Device) -> Kernel:
    """What a kernel would take at the best rates seen tells what bounds it; the rest is lost."""
    runs = float(group.repeat)  # type: ignore[arg-type]
    counts, time = group.repeat * group.counts, runs * found.seconds
    flops = int(counts.flops or counts.ops)  # type: ignore[arg-type]
    compute = flops / max(device.peak.values())
    memory = float(counts.bytes) / device.bandwidth  # type: ignore[arg-type]
    scale = min(1.0, time / (compute + memory)) if compute + memory else 0.0
    compute, memory = compute * scale, memory * scale
    whole = group.nodes[-1].name  # of the operator in the file, whose part the main node is
    name = whole if group.main.name.startswith(f"{whole}/") else group.main.name
    return Kernel(
        name or group.kind, group.kind, tuple(n.op for n in group.nodes),
        kind(group.main), flops, int(counts.bytes), compute, memory,  # type: ignore[arg-type]
        time - compute - memory, time,
    )  # fmt: skip


def _missing(groups: list[Group]) -> tuple[str, ...]:
    return tuple(g.main.origin or g.main.op for g in groups if not g.known)


@dataclass(frozen=True)
class Precision:
    """What a dtype that a user names means: what tensors are stored in ("": as in the model),
    what float32 is multiplied in where that differs, the type of automatic mixed precision."""

    stored: str = ""
    computed: str = ""
    mixed: str = ""


def precision(dtype: str) -> Precision:
    """Of `tf32`, `amp`, `fp16` and their like, or of a dtype itself."""
    name = DTYPES.get(dtype.lower(), dtype)
    if name in MATRIX:
        return Precision(computed=name)
    return Precision(mixed=MIXED[name]) if name in MIXED else Precision(name)


def _free(group: Group) -> bool:
    """Views and shape arithmetic launch no kernel."""
    return group.known and group.counts.bytes == 0 and group.counts.ops == 0


def _homes(groups: Iterable[Group]) -> dict[str, str]:
    """What views look at."""
    homes: dict[str, str] = {}
    for group in groups:
        first = next((t for t in group.nodes[0].inputs if t is not None), None)
        if _free(group) and first is not None:
            for tensor in group.nodes[-1].outputs:
                homes[tensor.name] = homes.get(first.name, first.name)
    return homes


def _ends(group: Group, homes: dict[str, str]) -> dict[str, Any]:
    """The tensors that a kernel reads and writes."""
    names = (t.name for n in group.nodes for t in n.inputs if t is not None)
    return {
        "reads": tuple({homes.get(name, name): None for name in names}),
        "writes": tuple(t.name for n in group.nodes for t in n.outputs),
    }


def _dtype(groups: Iterable[Group]) -> str:
    """The dtype in which most products are."""
    amounts: dict[str, int] = {}
    for group in groups:
        name = _operand(group)
        amounts[name] = amounts.get(name, 0) + _number(group, group.counts).mac
    return max(amounts, key=amounts.__getitem__, default="float32")


def _operand(group: Group) -> str:
    """The dtype of what a kernel multiplies."""
    return next((t.dtype for t in group.main.inputs if t is not None), "float32")


def _number(group: Group, counts: Counts) -> Counts:
    for _, amount in counts.items():
        if isinstance(amount, Expr):
            raise UnknownSize(
                f"{group.main}: {amount} is no number; a latency needs all sizes: "
                "give --batch or --input"
            )
    return counts


def _kernel(group: Group, device: Device, table: Efficiency, runtime: str, dtype: str) -> Kernel:
    counts = _number(group, group.repeat * group.counts)
    sort = kind(group.main)
    share = table.shares[sort]
    flops = int(counts.flops or counts.ops)  # type: ignore[arg-type]
    compute = 0.0
    if share.compute is not None:
        rate = _rate(group, device, dtype)
        compute = flops / (rate * share.compute) if rate else 0.0
    memory = float(counts.bytes) / (device.bandwidth * share.memory)  # type: ignore[arg-type]
    runs = float(group.repeat)  # type: ignore[arg-type]
    launch = device.launch_overhead or table.dispatch[runtime]
    busy = compute + memory + runs * table.gap
    time = max(busy, runs * launch)
    return Kernel(
        group.main.name or group.kind, group.kind, tuple(n.op for n in group.nodes), sort, flops,
        int(counts.bytes), compute, memory, time - compute - memory, time,  # type: ignore[arg-type]
    )  # fmt: skip


def _rate(group: Group, device: Device, dtype: str) -> float | None:
    """Peak operations per second: of products in their dtype, of others as float32 has it
    (None: not known)."""
    if group.counts.mac == 0:
        return device.peak.get("float32")
    name = _operand(group)
    name = dtype if dtype and name == "float32" else name.replace("uint8", "int8")
    return device.rate(name)
