"""A training run by the words of the command line."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from flopwise.analyses.parallel.asked import Wanted, is_config, of_config, of_model
from flopwise.analyses.parallel.layout import Layout
from flopwise.analyses.training import budget, many
from flopwise.analyses.training.machine import Machine, machine
from flopwise.analyses.training.run import Length, Prices, Run, batch_of
from flopwise.analyses.training.step import Recipe, reading, step
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph


def train(
    load: Callable[..., Graph], source: Any, samples: float | None, epochs: float,
    device: str | None, count: int | None, utilization: float | None, *,
    operations: str | float | None = None, optimizer: str = "adamw", accumulate: int = 1,
    frozen: tuple[str, ...] = (), loss: str = "none", samples_per_batch: int | None = None,
    price: float | None = None, carbon: float | None = None, pue: float = 1.0,
    power: float | None = None, convention: str = "flops", dtype: str = "", **options: Any,
) -> Run:  # fmt: skip
    """What a training run takes.

    `operations` takes the place of a model, or is set beside what the model says. The backward of
    a PyTorch module is traced, unless `frozen` or `loss` change the module; that of other formats
    is by rule. `price` is money per device-hour, `carbon` grams of CO2e per kWh, `power` watts of
    a device, `pue` power usage effectiveness. `options` are those of `load`, and the words of
    `analyses.parallel.asked.Wanted`, which spread a step over devices. Raises FlopwiseError.
    """
    prices = Prices(price, carbon, pue)
    wanted, options = Wanted.of(options)
    tied = dtype or ("bfloat16" if wanted.seq else "float32")
    on = machine(device, count or 1, tied, power) if device else None
    amount = None if operations is None else budget.quantity(operations)
    if source is None:
        return budget.amount(amount, on, utilization, prices)
    recipe = Recipe(optimizer, loss, frozen, accumulate)

    def read() -> Graph:
        mode = "train" if loss == "none" and not frozen else "train-forward"
        given = {"preferred_mode": mode, "dtype": dtype, **options}  # of those that can be trained
        return source if isinstance(source, Graph) else load(source, **given)

    if wanted.splits:
        spread = _spread(source, wanted, on, count, recipe, read, samples_per_batch, tied, options)
        long = _samples(samples, wanted)
        return many.run(spread, _known(on), long, epochs, utilization, prices)
    if samples is None:
        raise FlopwiseError("how long is the run? give --samples (and --epochs)")
    training = step(read(), recipe)
    batch = samples_per_batch or batch_of(training)
    length = Length(samples, epochs, batch, 1 if count is None else count, accumulate)
    found = budget.run(training, length, reading(convention), on, utilization, prices)
    return found if amount is None else budget.given(found, amount)


def _known(on: Machine | None) -> Machine:
    if on is None or on.device is None:
        raise FlopwiseError("a split needs a device whose links are known: give --device")
    return on


def _samples(samples: float | None, wanted: Wanted) -> float | None:
    """Sequences, of which `tokens` tells the number too."""
    if wanted.tokens is None:
        return samples
    tokens = budget.quantity(wanted.tokens)
    if samples is not None or not wanted.seq or tokens <= 0:
        raise FlopwiseError("--tokens (above 0) takes the place of --samples, and needs --seq")
    return float(ceil(tokens / wanted.seq))


def _spread(
    source: Any, wanted: Wanted, on: Machine | None, count: int | None, recipe: Recipe,
    read: Callable[[], Graph], batch: int | None, dtype: str, options: dict[str, Any],
) -> Layout:  # fmt: skip
    device = _known(on).device
    assert device is not None
    more = {"dtype": dtype, "optimizer": recipe.optimizer}
    if wanted.seq is None:
        sizes = (lambda made: batch) if batch else batch_of
        return of_model(read, wanted, device, count, recipe, sizes, **more)
    if not is_config(source):
        raise FlopwiseError("--seq needs the config.json of a language model")
    each = _whole(options.get("batch") or 1)
    return of_config(source, wanted, device, count, each, recipe.accumulate, **more)


def _whole(batch: Any) -> int:
    try:
        return int(batch)
    except (TypeError, ValueError):
        raise FlopwiseError(f"--batch {batch}: a micro-batch needs a whole number") from None
