"""A Lightning callback: `Trainer(callbacks=[FlopwiseCallback(device="a100")])`."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from flopwise.callbacks import CostMeter


class FlopwiseCallback(Callback):
    """Writes parameters, MACs, FLOPs per step and, given a device, MFU to the trainer's loggers.

    `inputs` is what the module's forward takes: a function of a batch, by default its first
    element. `enabled` False turns it off.
    """

    def __init__(
        self, device: str | None = None, dtype: str = "float32", enabled: bool = True,
        inputs: Any = None,
    ) -> None:  # fmt: skip
        self.meter = CostMeter(device, dtype, enabled)
        self.inputs = inputs or (
            lambda batch: batch[0] if isinstance(batch, (list, tuple)) else batch
        )
        self.began = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the first batch, before the clock starts."""
        if self.meter.enabled and not self.meter.found:
            _log(trainer, self.meter.count(pl_module, self.inputs(batch)))
        self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the rates of the step that ended."""
        _log(trainer, self.meter.step(time.perf_counter() - self.began))


def _log(trainer: Trainer, metrics: dict[str, float]) -> None:
    if metrics:
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)
