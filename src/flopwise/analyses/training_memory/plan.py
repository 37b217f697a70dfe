"""What people ask of the memory of a training step, in their own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from flopwise import devices
from flopwise.analyses.budget import quantity
from flopwise.analyses.training.step import Recipe, Training, step
from flopwise.analyses.training_memory import TrainingMemory, of_step, peak_bytes
from flopwise.analyses.training_memory.fit import fit
from flopwise.analyses.training_memory.optimal import checkpointed
from flopwise.devices import Device
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.graph import Graph
from flopwise.ops.gradient import Autograd
from flopwise.passes.adapters import Adapters, adapt
from flopwise.sizes import rebatched, shapes_of

HALVES = ("float16", "bfloat16")
BACKENDS = ("gpu", "cpu")
SCORES = "float32"  # of half precision, in PyTorch's attention without fusion (`_math`)


@dataclass(frozen=True)
class Plan:
    """How a model is trained: see `flopwise memory --help`.

    `lora` is the rank of adapters (None: all weights learn). `memory_budget` is bytes (or "16GiB")
    for `checkpoint="optimal"`; unless given, what may be used of the device. `backend` is whose
    PyTorch kernels say what is kept; unless given, by the kind of the device. Raises FlopwiseError
    for what cannot be.
    """

    optimizer: str = "adamw"
    accumulate: int = 1
    frozen: tuple[str, ...] = ()
    loss: str = "none"
    checkpoint: str = "none"
    memory_budget: float | str | None = None
    amp: str = ""
    master_weights: bool = False
    states: str = ""
    lora: int | None = None
    lora_targets: tuple[str, ...] = ()
    quantize: str = ""
    fused_attention: bool = True
    backend: str = ""
    device: str | Device | None = None
    memory_share: float = 0.9

    def __post_init__(self) -> None:
        if self.amp and self.amp not in HALVES:
            raise UnknownName(f"no mixed precision in '{self.amp}'; {' or '.join(HALVES)}")
        if self.backend and self.backend not in BACKENDS:
            raise UnknownName(f"no backend '{self.backend}'; {nearest(self.backend, [*BACKENDS])}")
        if self.lora is None and (self.lora_targets or self.quantize):
            raise FlopwiseError("targets and quantization are those of adapters: give --lora RANK")
        if not 0 < self.memory_share <= 1:
            raise FlopwiseError(f"--memory-share {self.memory_share:g}: must be above 0, at most 1")
        if self.memory_budget is not None and not self.optimal:
            raise FlopwiseError("--memory-budget is for --checkpoint optimal")
        if self.optimal:
            _ = self.budget
        _ = self.adapters, self.recipe

    @property
    def optimal(self) -> bool:
        return self.checkpoint == "optimal"

    @property
    def on(self) -> Device | None:
        return devices.find(self.device) if isinstance(self.device, str) else self.device

    @property
    def adapters(self) -> Adapters | None:
        if self.lora is None:
            return None
        return Adapters(self.lora, self.lora_targets, self.quantize)

    @property
    def recipe(self) -> Recipe:
        """What the step is made from. PyTorch updates all weights at once on a GPU."""
        on = self.on
        backend = self.backend or ("cpu" if on is not None and on.kind.startswith("cpu") else "gpu")
        again = "none" if self.optimal else self.checkpoint
        return Recipe(
            self.optimizer, self.loss, self.frozen, self.accumulate,
            Autograd(backend, self.fused_attention, SCORES), backend == "gpu", self.amp,
            self.master_weights, again, self.states,
        )  # fmt: skip

    def step(self, graph: Graph) -> Training:
        """The step of a network as it is loaded."""
        graph = adapt(graph, self.adapters) if self.adapters is not None else graph
        training = step(graph, self.recipe)
        if not self.optimal:
            return training
        return checkpointed(graph, training, self.budget)

    @property
    def budget(self) -> float:
        """Bytes that an optimal checkpointing has to stay within. Raises FlopwiseError."""
        on, given = self.on, self.memory_budget
        if given is not None:
            return float(quantity(given) if isinstance(given, str) else given)
        if on is None or on.memory_bytes is None:
            raise FlopwiseError("optimal for how much memory? give --memory-budget 16GiB")
        return on.memory_bytes * self.memory_share


WORDS = frozenset(f.name for f in fields(Plan))


def asked(source: Any, load: Callable[..., Graph], options: Mapping[str, Any]) -> TrainingMemory:
    """The memory of a step of what `load` reads, and whether it fits in the device of the plan.

    `options` are the words of a Plan, and those of `load`. Raises FlopwiseError.
    """
    plan = Plan(**{name: value for name, value in options.items() if name in WORDS})
    others = {"preferred_mode": "train-forward"}  # of formats that can be trained
    others |= {name: value for name, value in options.items() if name not in WORDS}
    is_graph = isinstance(source, Graph)
    found = of_step(plan.step(source if is_graph else load(source, **others)))
    if plan.master_weights and found.static.master_bytes == 0:
        raise FlopwiseError("master weights are of weights in half precision: --dtype bfloat16")
    if (on := plan.on) is None:
        return found
    search = None if is_graph else _search(source, load, others, plan)
    return replace(found, fit=fit(found.peak_bytes, on, plan.memory_share, search))


def _search(
    source: Any, load: Callable[..., Graph], others: Mapping[str, Any], plan: Plan
) -> Callable[[int], int] | None:
    """The peak as a function of the batch; None where the model has one batch only. No
    checkpointing allows a larger one than that of every block."""
    plan = replace(plan, checkpoint="block", memory_budget=None) if plan.optimal else plan
    shapes, arguments = shapes_of(others.get("inputs"))
    if arguments is not None:
        return None

    @cache
    def peak_at(batch: int) -> int:
        given = {**others, "batch": batch}
        if shapes:  # a batch beside shapes is not for every format
            given = {**others, "inputs": rebatched(shapes, batch), "batch": None}
        return int(peak_bytes(plan.step(load(source, **given))))  # type: ignore[arg-type]

    try:
        return peak_at if peak_at(1) != peak_at(2) else None
    except FlopwiseError:
        return None
