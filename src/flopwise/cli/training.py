"""train: what a training run takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flopwise.cli import model_options, request, show
from flopwise.errors import FlopwiseError

if TYPE_CHECKING:
    from flopwise.reports.page import Page


def share(context: Any, option: Any, value: str | None) -> float | None:
    """0.5 or 50%."""
    if value is None:
        return None
    text = value.strip()
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise FlopwiseError(f"'{value}' is no share; write 0.5 or 50%") from None


def split_options(command: Any) -> Any:
    """How a step is spread over devices; what is not given is left to `Wanted`."""
    axes = {
        "data": "Replicas; what --count leaves unless given.",
        "tensor": "Devices that share each layer.", "pipeline": "Stages.",
        "context": "Devices that share each sequence.",
        "expert": "Devices of the data axis that share experts.",
        "interleave": "Pieces of the pipeline on each device.",
        "zero": "Spread states (1), gradients (2), weights (3: FSDP) over replicas.",
        "global-batch": "Samples of a step, on all devices.",
        "seq": "Tokens of a sequence, of the language model of a config.json.",
        "node": "Devices in a node.",
    }  # fmt: skip
    options = [click.option(f"--{name}", type=int, help=said) for name, said in axes.items()]
    options += [
        click.option("--plan", is_flag=True, help="Try the splits of --count devices."),
        click.option("--stages", metavar="LAYERS",
                     help="Of each piece of the pipeline, as 7,8x14,7; spread unless given."),
        click.option("--dualpipe", is_flag=True, default=None,
                     help="Two stages a device, micro-batches from both ends (DeepSeek-V3)."),
        click.option("--matmul", metavar="DTYPE",
                     help="Of the products of layers, as float8; unless given, as weights."),
        click.option("--tokens", metavar="AMOUNT", help="Of the run, as 15T: with --seq."),
        click.option("--sequence/--no-sequence", default=None,
                     help="Whether tensor parallel devices share tokens between their parts."),
        click.option("--recompute", metavar="WHAT", help="none, selective or full."),
        click.option("--fused/--plain", default=None, help="Attention: fused keeps no scores."),
        click.option("--gradients", metavar="DTYPE",
                     help="float32 unless given; without master weights as weights."),
        click.option("--master-weights/--no-master-weights", default=None,
                     help="Whether weights of 16 bits have a copy in 32 (they do)."),
        click.option("--states", metavar="DTYPE",
                     help="Of the optimizer; unless given, that of the weights or their copies."),
        click.option("--link", metavar="BYTES/S", help="Each way inside a node, as 450G."),
        click.option("--network", metavar="BYTES/S", help="From a device to other nodes."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def run_options(command: Any) -> Any:
    """The options of a training run beside its model."""
    options = [
        click.option("--samples", type=float, help="Samples of an epoch: images, sequences."),
        click.option("--epochs", type=float, default=1.0, show_default=True),
        click.option("--operations", metavar="AMOUNT", help="As 2.52e18, in place of a model."),
        click.option("--device", metavar="NAME", help="A name, a device file, or as 200GFLOPS."),
        click.option("--count", type=int, help="How many devices."),
        click.option("--utilization", callback=share, metavar="SHARE",
                     help="Of the peak; predicted from the device unless given."),
        click.option("--optimizer", default="adamw", show_default=True, metavar="NAME"),
        click.option("--accumulate", type=int, default=1, show_default=True,
                     help="Batches whose gradients are added up before an update."),
        click.option("--freeze", multiple=True, metavar="PATTERN",
                     help="Weights that do not learn, by name, as 'layer1.*'."),
        click.option("--loss", default="none", show_default=True, metavar="NAME",
                     help="none (outside the graph) or cross-entropy."),
        click.option("--samples-per-batch", type=int, metavar="N",
                     help="Where the inputs' first axes do not tell."),
        click.option("--price", type=float, metavar="MONEY", help="Of a device-hour."),
        click.option("--carbon", type=float, metavar="GRAMS", help="CO2e of a kWh."),
        click.option("--pue", type=float, default=1.0, show_default=True,
                     help="What a data centre takes per kWh of its devices."),
        click.option("--power", type=float, metavar="WATTS", help="Of a device, if not its own."),
        click.option("--explain", is_flag=True, help="Each formula in letters and numbers."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


PLANNED = ("device", "count", "seq", "global_batch", "gradients", "optimizer", "link", "network",
           "node", "master_weights", "states",
           "matmul")  # fmt: skip


def _planned(model: str | None, given: dict[str, Any], dtype: str) -> Page:
    """The best splits, with reasons."""
    from flopwise import api
    from flopwise.reports.parallel import page

    if model is None or "device" not in given:
        raise FlopwiseError("--plan needs a config.json and a --device")
    asked = {name: given[name] for name in PLANNED if name in given}
    asked |= {"dtype": dtype} if dtype else {}
    return page(api.plan(model, asked.pop("device"), asked.pop("count", None), **asked))


@click.command()
@click.argument("model", required=False)
@run_options
@split_options
@model_options
def train(
    model: str | None, explain: bool, inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
    freeze: tuple[str, ...], **given: Any,
) -> None:  # fmt: skip
    """Operations, time, energy and cost of a training run; of MODEL, or of --operations."""
    from flopwise import api
    from flopwise.reports.training import page

    options = {**request(inputs, batch, dtype), "convention": convention, "frozen": freeze}
    given = {name: value for name, value in given.items() if value is not None}
    if given.pop("plan"):
        show(_planned(model, given, dtype), fmt, output)
        return
    found = api.train(model, **given, **options)
    show(page(found, explain), fmt, output)
    if strict and found.unknown:
        listed = ", ".join(f"{n} x {origin}" for origin, n in found.unknown.items())
        click.echo(f"flopwise: not counted: {listed}", err=True)
        sys.exit(1)
