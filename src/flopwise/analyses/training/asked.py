"""A training run by the words of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from flopwise.analyses.parallel.asked import Wanted, is_config, of_config, of_model
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
    wanted, options = Wanted.of(options)
    stored = dtype or ("bfloat16" if wanted.seq else "float32")
    on = machine(device, count or 1, stored, power) if device else None
    amount = None if operations is None else budget.quantity(operations)
    asked = Asked(source, samples, epochs, count, utilization, Prices(price, carbon, pue), on,
                  stored, Recipe(optimizer, loss, frozen, accumulate, masters=wanted.master_weights,
                                 states=wanted.states), samples_per_batch,
                  convention, {"dtype": dtype, **options})  # fmt: skip
    if source is None:
        return budget.amount(amount, on, utilization, asked.prices)
    found = _spread(load, wanted, asked) if asked.spreads(wanted) else _alone(load, asked)
    return found if amount is None else budget.given(found, amount)


@dataclass(frozen=True)
class Asked:
    """The words that mean the same whether a step is spread over devices or not."""

    source: Any
    samples: float | None
    epochs: float
    count: int | None
    utilization: float | None
    prices: Prices
    on: Machine | None
    dtype: str
    recipe: Recipe
    samples_per_batch: int | None
    convention: str
    options: dict[str, Any]

    def spreads(self, wanted: Wanted) -> bool:
        """Whether that was asked for, or devices are many whose time is to be predicted."""
        link = self.on and self.on.device and self.on.device.link
        many_ = (self.count or 1) > 1 and self.utilization is None
        return wanted.splits or bool(many_ and link)

    def read(self, load: Callable[..., Graph]) -> Graph:
        """The model, with its backward where that can be traced."""
        plain = self.recipe.loss == "none" and not self.recipe.frozen
        given = {"preferred_mode": "train" if plain else "train-forward", **self.options}
        return self.source if isinstance(self.source, Graph) else load(self.source, **given)


def _alone(load: Callable[..., Graph], asked: Asked) -> Run:
    """Devices that share the work freely."""
    if asked.samples is None:
        raise FlopwiseError("how long is the run? give --samples (and --epochs)")
    training = step(asked.read(load), asked.recipe)
    batch = asked.samples_per_batch or batch_of(training)
    count = 1 if asked.count is None else asked.count
    length = Length(asked.samples, asked.epochs, batch, count, asked.recipe.accumulate)
    unit = reading(asked.convention)
    return budget.run(training, length, unit, asked.on, asked.utilization, asked.prices)


def _spread(load: Callable[..., Graph], wanted: Wanted, asked: Asked) -> Run:
    """Devices that talk to each other."""
    if asked.on is None or asked.on.device is None:
        raise FlopwiseError("a split needs a device whose links are known: give --device")
    if asked.convention != "flops":
        raise FlopwiseError(f"many devices are counted in flops, not in '{asked.convention}'")
    device, recipe, fixed = asked.on.device, asked.recipe, asked.samples_per_batch
    more = {"dtype": asked.dtype, "optimizer": recipe.optimizer}
    if wanted.seq is None:
        sizes = (lambda made: fixed) if fixed else batch_of
        laid = of_model(
            lambda: asked.read(load), wanted, device, asked.count, recipe, sizes, **more
        )
    else:
        laid = of_config(
            asked.source, wanted, device, asked.count, _batch(asked), recipe.accumulate, **more
        )
    long = _samples(asked.samples, wanted)
    return many.run(laid, asked.on, long, asked.epochs, asked.utilization, asked.prices)


def _batch(asked: Asked) -> int:
    """Sequences of a micro-batch. Raises FlopwiseError for words that have no meaning here."""
    if not is_config(asked.source):
        raise FlopwiseError("--seq needs the config.json of a language model")
    for flag, given in (
        ("--freeze", asked.recipe.frozen), ("--input", asked.options.get("inputs")),
        ("--samples-per-batch", asked.samples_per_batch),
    ):  # fmt: skip
        if given:
            raise FlopwiseError(f"{flag} is not for --seq, which trains all of a language model")
    batch = asked.options.get("batch")
    try:
        return 1 if batch is None else int(batch)
    except (TypeError, ValueError):
        raise FlopwiseError(f"--batch {batch}: a micro-batch needs a whole number") from None


def _samples(samples: float | None, wanted: Wanted) -> float | None:
    """Sequences, of which `tokens` tells the number too."""
    if wanted.tokens is None:
        return samples
    tokens = budget.quantity(wanted.tokens)
    if samples is not None or not wanted.seq or tokens <= 0:
        raise FlopwiseError("--tokens (above 0) takes the place of --samples, and needs --seq")
    return float(ceil(tokens / wanted.seq))
