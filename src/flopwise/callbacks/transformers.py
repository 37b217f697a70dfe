"""A callback of the Hugging Face Trainer: `callbacks=[FlopwiseCallback(device="a100")]`."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback

from flopwise.callbacks import CostMeter


class FlopwiseCallback(TrainerCallback):
    """Adds parameters, MACs, FLOPs per step and, given a device, MFU to what the Trainer logs.

    The first batch is made from the first examples of the data set by the Trainer's own
    collator, so that no sampler is moved. `inputs` may give the forward's arguments instead.
    `enabled` False turns it off.
    """

    def __init__(
        self, device: str | None = None, dtype: str = "float32", enabled: bool = True,
        inputs: Any = None,
    ) -> None:  # fmt: skip
        self.meter = CostMeter(device, dtype, enabled)
        self.inputs = inputs
        self.began = 0.0
        self.latest: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count one batch."""
        if not self.meter.enabled:
            return
        inputs = self.inputs or _first(kwargs["train_dataloader"], args.train_batch_size)
        self.latest = self.meter.count(kwargs["model"], inputs)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Accumulated batches are one step: the cost of one times their number."""
        batches = args.gradient_accumulation_steps
        self.latest |= self.meter.step((time.perf_counter() - self.began) / batches)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Put what was found into the entry that is being logged."""
        if self.latest and logs is not None:
            logs.update(self.latest)
            state.log_history[-1].update(self.latest)


def _first(loader: Any, size: int) -> dict[str, Any]:
    examples = [loader.dataset[i] for i in range(min(size, len(loader.dataset)))]
    batch: dict[str, Any] = dict(loader.collate_fn(examples))
    return batch
