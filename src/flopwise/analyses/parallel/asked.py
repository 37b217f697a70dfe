"""A split of a training step by the words of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from flopwise import devices
from flopwise.analyses.budget import quantity
from flopwise.analyses.parallel import stages
from flopwise.analyses.parallel.layout import Layout, layout
from flopwise.analyses.parallel.plan import Plan, plan
from flopwise.analyses.parallel.split import Job, Split
from flopwise.analyses.serving.decoder import Decoder
from flopwise.analyses.serving.families import decoder
from flopwise.analyses.serving.formats import NAMES
from flopwise.analyses.training.step import Recipe, step
from flopwise.devices import Device, Link
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph
from flopwise.ops.gradient import Autograd


@dataclass(frozen=True)
class Wanted:
    """What `train` takes for many devices: the axes of a Split, `seq` tokens of a sequence,
    `tokens` of the run, `global_batch` samples of a step; bytes/s of the links."""

    data: int | None = None
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    zero: int = 0
    interleave: int = 1
    stages: str | tuple[int, ...] = ()
    dualpipe: bool = False
    matmul: str = ""
    sequence: bool = True
    recompute: str = "none"
    seq: int | None = None
    tokens: float | str | None = None
    global_batch: int | None = None
    link: float | str | None = None
    network: float | str | None = None
    node: int | None = None
    fused: bool = True
    gradients: str | None = None
    master_weights: bool = True
    states: str = ""

    @staticmethod
    def of(options: dict[str, Any]) -> tuple[Wanted, dict[str, Any]]:
        """Those of the options that are meant here, and the others."""
        names = {f.name for f in fields(Wanted)}
        mine = {k: v for k, v in options.items() if k in names}
        return Wanted(**mine), {k: v for k, v in options.items() if k not in names}

    @property
    def splits(self) -> bool:
        """Whether more than a number of devices was asked for."""
        own = Wanted(master_weights=self.master_weights, states=self.states)
        return self.data is not None or self.seq is not None or self != own

    def split(self, count: int | None) -> Split:
        """Raises FlopwiseError where the axes are not so many devices."""
        sizes = {n: getattr(self, n) for n in ("tensor", "pipeline", "context", "expert", "zero",
                                               "interleave", "sequence")}  # fmt: skip
        inner = Split(**{**sizes, "expert": 1, "zero": 0}).devices
        data = self.data or max(1, (count or inner) // inner)
        found = Split(data=data if self.data is None else self.data, stages=_listed(self.stages),
                      dual=self.dualpipe,
                      **sizes)  # fmt: skip
        found.of(count)
        return found

    def job(self, split: Split, batch: int, accumulate: int, **more: Any) -> Job:
        """Raises FlopwiseError where a step does not come out in micro-batches."""
        job = Job(
            batch,
            1 if self.seq is None else self.seq,
            accumulate,
            recompute=self.recompute,
            autograd=Autograd(fused_attention=self.fused),
            **self.precision(**more),
        )
        if self.global_batch is None:
            return job
        together = split.data * batch
        if self.global_batch < 1 or self.global_batch % together:
            raise FlopwiseError(
                f"--global-batch {self.global_batch} does not divide into {split.data} replicas "
                f"x micro-batches of {batch}"
            )
        return replace(job, micro=self.global_batch // together)

    def precision(self, dtype: str = "bfloat16", **more: Any) -> dict[str, Any]:
        """The types of a Job. Gradients are summed in 32 bits, but where weights of 16 bits are
        updated themselves: then theirs are of 16 too, as PyTorch has it."""
        gradients = self.gradients or ("float32" if self.master_weights else dtype)
        return {"dtype": dtype, "gradients": gradients, "masters": self.master_weights,
                "states": self.states, "matmul": NAMES.get(self.matmul, self.matmul),
                **more}  # fmt: skip

    def links(self, device: Device) -> Link | None:
        """Those of the device, but for what was asked for. Raises FlopwiseError."""
        known = device.link
        bandwidth, network = _rate("link", self.link), _rate("network", self.network)
        if self.node is not None and self.node < 1:
            raise FlopwiseError(f"--node {self.node}: must be 1 or more")
        if known is None:
            return None if bandwidth is None else Link(bandwidth, self.node or 1, network)
        return Link(
            bandwidth or known.bandwidth, self.node or known.devices, network or known.network
        )


def _listed(given: str | tuple[int, ...]) -> tuple[int, ...]:
    """Layers of each piece, as (7, 8, 8, 7) or "7,8x2,7"."""
    if not isinstance(given, str):
        return tuple(given)
    try:
        parts = [part.partition("x") for part in given.split(",")]
        return tuple(int(size) for size, _, times in parts for _ in range(int(times or 1)))
    except ValueError:
        raise FlopwiseError(f"--stages {given}: write layers as 7,8x14,7") from None


def _rate(name: str, given: float | str | None) -> float | None:
    rate = float(quantity(given)) if isinstance(given, str) else given
    if rate is not None and not 0 < rate < float("inf"):
        raise FlopwiseError(f"--{name} {rate:g}: must be above 0")
    return rate


def is_config(source: Any) -> bool:
    """Whether a source can be a config.json, its directory, or a dict like it."""
    if isinstance(source, dict):
        return True
    if not isinstance(source, (str, Path)):
        return False
    path = Path(source)
    return path.suffix == ".json" or (path / "config.json").is_file()


def of_config(
    source: Any, wanted: Wanted, device: Device, count: int | None, batch: int, accumulate: int,
    **more: Any,
) -> Layout:  # fmt: skip
    """A step of a language model from its config. Raises FlopwiseError."""
    model = source if isinstance(source, Decoder) else decoder(source)
    split = wanted.split(count)
    job = wanted.job(split, batch, accumulate, **more)
    made = stages.of_decoder(model, split, job, device)
    return layout(model.name, made, split, job, device, wanted.links(device))


def planned(
    source: Any, device: str | Device, count: int | None, dtype: str = "bfloat16",
    optimizer: str = "adamw", **asked: Any,
) -> Plan:  # fmt: skip
    """The best splits of `count` devices for a language model from its config; `asked` are words
    of Wanted, of which `seq` and `global_batch` are needed. Raises FlopwiseError."""
    wanted, others = Wanted.of(asked)
    if others:
        raise FlopwiseError(f"--plan takes no {', '.join(others)}")
    if not is_config(source):
        raise FlopwiseError(
            "--plan needs the config.json of a language model; any other model is split by --data "
            "and --zero alone"
        )
    if wanted.seq is None or wanted.global_batch is None or count is None:
        raise FlopwiseError("--plan needs --count, --seq and --global-batch")
    if count < 1 or wanted.global_batch < 1:
        raise FlopwiseError("--count and --global-batch must be 1 or more")
    on = devices.find(device) if isinstance(device, str) else device
    job = Job(1, wanted.seq, **wanted.precision(dtype, optimizer=optimizer))
    return plan(decoder(source), on, count, wanted.global_batch, job, wanted.links(on))


def of_model(
    read: Callable[[], Graph], wanted: Wanted, device: Device, count: int | None, recipe: Recipe,
    batch: Callable[[Any], int], **more: Any,
) -> Layout:  # fmt: skip
    """A step of any other model, which only data parallelism splits. Raises FlopwiseError."""
    split = wanted.split(count)
    if wanted.matmul:
        raise FlopwiseError("--matmul needs the config.json of a language model and --seq")
    for name in ("tensor", "pipeline", "context", "expert"):
        if getattr(split, name) > 1:
            raise FlopwiseError(
                f"--{name} {getattr(split, name)} needs the config.json of a language model "
                "and --seq"
            )
    if wanted.recompute != "none":
        raise FlopwiseError("--recompute needs the config.json of a language model and --seq")
    made = step(read(), recipe)
    job = wanted.job(split, batch(made), recipe.accumulate, **more)
    found = stages.of_graph(made, job, device)
    laid = layout(made.graph.name, found, split, job, device, wanted.links(device))
    counted = made.profile
    return replace(laid, by=made.by, coverage=counted.coverage, unknown=counted.not_counted())
