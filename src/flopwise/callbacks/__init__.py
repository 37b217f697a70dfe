"""Callbacks: what a run costs, written to the logs of trainers.

`CostMeter` counts once and is free of frameworks; `lightning.py` and `transformers.py` hang it
into their trainers, and `log_costs` writes a profile to wandb or TensorBoard in one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flopwise.dims import Dim
from flopwise.errors import FlopwiseError
from flopwise.profile import Profile

PREFIX = "flopwise/"


@dataclass
class CostMeter:
    """Counts the first batch, then turns seconds per step into a utilisation.

    `device` names the device whose dense peak in `dtype` a step is measured against; without it
    no utilisation is written. `enabled` False makes every method do nothing.
    """

    device: str | None = None
    dtype: str = "float32"
    enabled: bool = True
    found: dict[str, float] = field(default_factory=dict)

    def count(self, model: Any, inputs: Any) -> dict[str, float]:
        """Parameters, and MACs and FLOPs of the batch, once. A model that cannot be counted, or
        not whole, says so in the log and never stops a run."""
        if not self.enabled or self.found:
            return {}
        from flopwise import load
        from flopwise.analyses.training.step import step

        try:
            training = step(load(model, inputs))
        except FlopwiseError as error:
            self.enabled = False
            import warnings

            warnings.warn(f"flopwise counts nothing in this run: {error}", stacklevel=2)
            return {}
        self.found = self._record(training.forward, training.profile)
        return dict(self.found)

    def _record(self, forward: Any, whole: Profile) -> dict[str, float]:
        from flopwise.profile import profile

        ahead = profile(forward, whole.convention)
        return {
            f"{PREFIX}params": _number(ahead.params),
            f"{PREFIX}macs": _number(ahead.total().mac),
            f"{PREFIX}flops_per_step": _number(whole.total().flops),
            f"{PREFIX}coverage": whole.coverage,
        }

    def step(self, seconds: float) -> dict[str, float]:
        """FLOPS reached in a step of that many seconds, and their share of the peak (MFU)."""
        if not self.enabled or not self.found or seconds <= 0:
            return {}
        reached = self.found[f"{PREFIX}flops_per_step"] / seconds
        rates = {f"{PREFIX}flops_per_second": reached}
        if self.device is not None:
            rates[f"{PREFIX}mfu"] = reached / self._peak()
        return rates

    def _peak(self) -> float:
        from flopwise import devices

        return float(devices.find(str(self.device)).rate(self.dtype))


def _number(size: Dim) -> float:
    """Sizes of a real batch are numbers. Raises FlopwiseError for one that is not."""
    if not isinstance(size, int):
        raise FlopwiseError(f"{size} is no number to log; give every size")
    return float(size)


def log_costs(logger: Any, profile: Profile, step: int | None = None) -> dict[str, float]:
    """Write parameters, MACs and FLOPs of a forward pass to a wandb run or a SummaryWriter.

    Returns what was written; a logger of None writes nothing. Raises FlopwiseError for any
    other thing that has neither `log` nor `add_scalar`.
    """
    total = profile.total()
    found = {
        f"{PREFIX}params": _number(profile.params),
        f"{PREFIX}macs": _number(total.mac),
        f"{PREFIX}flops": _number(total.flops),
    }
    if logger is None:
        return {}
    if hasattr(logger, "add_scalar"):
        for name, value in found.items():
            logger.add_scalar(name, value, step or 0)
    elif hasattr(logger, "log"):
        logger.log(found, step=step) if step is not None else logger.log(found)
    else:
        raise FlopwiseError(f"{type(logger).__name__} is no wandb run and no SummaryWriter")
    return found
