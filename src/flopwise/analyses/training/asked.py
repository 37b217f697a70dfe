"""A training run by the words of the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flopwise.analyses.training import budget
from flopwise.analyses.training.machine import machine
from flopwise.analyses.training.run import Length, Prices, Run, batch_of
from flopwise.analyses.training.step import Recipe, reading, step
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph


def train(
    load: Callable[..., Graph], source: Any, samples: float | None, epochs: float,
    device: str | None, count: int, utilization: float | None, *,
    operations: str | float | None = None, optimizer: str = "adamw", accumulate: int = 1,
    frozen: tuple[str, ...] = (), loss: str = "none", samples_per_batch: int | None = None,
    price: float | None = None, carbon: float | None = None, pue: float = 1.0,
    power: float | None = None, convention: str = "flops", dtype: str = "", **options: Any,
) -> Run:  # fmt: skip
    """What a training run takes.

    `operations` takes the place of a model, or is set beside what the model says. The backward of
    a PyTorch module is traced, unless `frozen` or `loss` change the module; that of other formats
    is by rule. `price` is money per device-hour, `carbon` grams of CO2e per kWh, `power` watts of
    a device, `pue` power usage effectiveness. `options` are those of `load`. Raises FlopwiseError.
    """
    prices = Prices(price, carbon, pue)
    on = machine(device, count, dtype or "float32", power) if device else None
    amount = None if operations is None else budget.quantity(operations)
    if source is None:
        return budget.amount(amount, on, utilization, prices)
    if samples is None:
        raise FlopwiseError("how long is the run? give --samples (and --epochs)")
    mode = "train" if loss == "none" and not frozen else "train-forward"
    given = {"preferred_mode": mode, "dtype": dtype, **options}  # of formats that can be trained
    graph = source if isinstance(source, Graph) else load(source, **given)
    training = step(graph, Recipe(optimizer, loss, frozen, accumulate))
    batch = samples_per_batch or batch_of(training)
    length = Length(samples, epochs, batch, count, accumulate)
    found = budget.run(training, length, reading(convention), on, utilization, prices)
    return found if amount is None else budget.given(found, amount)
