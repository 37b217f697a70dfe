"""memory: what a model holds while it runs, or while it learns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from flopwise.cli import fail_if_unknown, model_options, request, show
from flopwise.errors import FlopwiseError

TRAINING = (
    click.option("--optimizer", default="adamw", show_default=True, metavar="NAME"),
    click.option("--accumulate", type=int, default=1, show_default=True,
                 help="Batches whose gradients are added up before an update."),
    click.option("--freeze", "frozen", multiple=True, metavar="PATTERN",
                 help="Weights that do not learn, by name, as 'layer1.*'."),
    click.option("--loss", default="none", show_default=True, metavar="NAME",
                 help="none (outside the graph) or cross-entropy."),
    click.option("--checkpoint", default="none", show_default=True, metavar="NAME",
                 help="What runs again: none, block, selective, attention or optimal."),
    click.option("--memory-budget", metavar="BYTES",
                 help="For --checkpoint optimal, as 16GiB; unless given, that of the device."),
    click.option("--amp", default="", metavar="DTYPE",
                 help="Automatic mixed precision in float16 or bfloat16."),
    click.option("--master-weights", is_flag=True,
                 help="float32 copies of weights in half precision (--dtype bfloat16)."),
    click.option("--states", default="", metavar="DTYPE",
                 help="Of the optimizer; unless given, that of the weights or their copies."),
    click.option("--lora", type=int, metavar="RANK", help="Adapters; all else is frozen."),
    click.option("--lora-target", "lora_targets", multiple=True, metavar="NAME",
                 help="Dense layers with an adapter, as q_proj; all but the head unless given."),
    click.option("--quantize", default="", metavar="NAME",
                 help="How frozen dense layers are stored, with --lora: nf4 (QLoRA) or int8."),
    click.option("--fused-attention/--no-fused-attention", default=True, show_default=True),
    click.option("--backend", default="", metavar="NAME", help="Whose kernels: gpu or cpu."),
    click.option("--device", metavar="NAME", help="Does it fit there, and which batch does?"),
    click.option("--memory-share", type=float, default=0.9, show_default=True,
                 help="Of the device's memory that may be used."),
    click.option("--explain", is_flag=True, help="Each formula in letters and numbers."),
)  # fmt: skip


def training_options(command: Any) -> Any:
    for option in reversed(TRAINING):
        command = option(command)
    return command


@click.command()
@click.argument("model")
@click.option(
    "--runtime",
    metavar="NAME",
    help="eager or onnxruntime.  [default: eager; onnxruntime with --optimised]",
)
@click.option("--fused", default="", metavar="NAME", help="After the fusion of this runtime.")
@click.option("--im2col", is_flag=True, help="With the columns that convolutions unfold.")
@click.option(
    "--optimised", is_flag=True, help="An ONNX file as onnxruntime, installed here, rewrites it."
)
@click.option("--train", is_flag=True, help="Of a training step; the options below are for it.")
@training_options
@model_options
def memory(
    model: str, runtime: str | None, fused: str, im2col: bool, optimised: bool, train: bool,
    inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
    explain: bool, **asked: Any,
) -> None:  # fmt: skip
    """Weights, live tensors over time, and the peak and where it is."""
    from flopwise import api
    from flopwise.analyses.memory import memory as analyse
    from flopwise.reports.footprint import page

    options = request(inputs, batch, dtype)
    if train:
        _refuse({"runtime", "fused", "im2col", "optimised"},
                "is for a forward pass: leave out --train")  # fmt: skip
        _training(model, {**asked, **options}, fmt, output, explain, strict)
        return
    _refuse({*asked, "explain"}, "is for a training step: give --train")
    profile = api.count(model, convention=convention, optimised=optimised, **options)
    if optimised and profile.graph.format != "onnx":
        raise FlopwiseError(f"--optimised is for ONNX files; {model} is {profile.graph.format}")
    runtime = runtime or ("onnxruntime" if optimised else "eager")
    found = analyse(profile.graph, runtime, fused, im2col)
    show(page(found, profile.graph.name), fmt, output)
    fail_if_unknown(profile, strict)


def _training(
    model: str, options: dict[str, Any], fmt: str, output: Path | None, explain: bool, strict: bool
) -> None:
    from flopwise import api
    from flopwise.reports.training_memory import page

    found = api.memory(model, train=True, **options)
    show(page(found, explain), fmt, output)
    if strict and found.unknown:
        listed = ", ".join(f"{n} x {origin}" for origin, n in found.unknown.items())
        click.echo(f"flopwise: not known: {listed}", err=True)
        sys.exit(1)


def _refuse(names: set[str], why: str) -> None:
    """Options that would be passed over in silence are an error."""
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise FlopwiseError(f"{option.opts[0]} {why}")
