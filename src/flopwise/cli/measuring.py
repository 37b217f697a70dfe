"""calibrate, measure: this machine, and where the model of it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flopwise.cli import FORMATS, emit, model_options, request, show
from flopwise.errors import FlopwiseError


@click.command()
@click.argument("models", nargs=-1)
@click.option("--verify", is_flag=True, help="Measure MODELS beside what FILE predicts of them.")
@click.option("--runtime", default="onnxruntime", metavar="NAME", help="onnxruntime or torch.")
@click.option("--threads", default=1, type=click.IntRange(1), help="Threads of the runtime.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Stop measuring after so long; the same command goes on.",
)
@click.option(
    "--format",
    "fmt",
    default="table",
    metavar="NAME",
    help=f"Of what --verify finds: {FORMATS}.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]SHAPE",
    help="Shape of an input of the models of --verify.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The device file to write, or to verify.",
)
def calibrate(
    models: tuple[str, ...], verify: bool, runtime: str, threads: int, minutes: float | None,
    fmt: str, inputs: tuple[str, ...], output: Path,
) -> None:  # fmt: skip
    """Measure the kernels of this machine and write a device file that `predict` takes.

    What was measured is kept in FILE.partial until it is whole: the same command goes on after
    an interruption. No network is run, unless to --verify.
    """
    if models and not verify:
        raise FlopwiseError("models are measured with --verify only; a calibration takes none")
    if verify and not models:
        raise FlopwiseError("--verify takes the models to measure")
    if inputs and not verify:
        raise FlopwiseError("--input is for the models of --verify; kernels have their own sizes")
    if verify:
        _verify(models, output, fmt, inputs)
        return
    from flopwise.measuring.calibration import backend, device_file, plan

    if not output.parent.is_dir():
        raise FlopwiseError(f"{output.parent} is no folder: calibrations write FILE into one")
    partial = output.with_name(f"{output.name}.partial")
    version, whole = backend(runtime).version(), len(plan(runtime))
    readings = _measured(runtime, threads, partial, minutes)
    emit(device_file(readings, runtime, threads, version).rstrip("\n"), output)
    done = len(readings.found)
    if done == whole:
        partial.unlink()
    left = "" if done == whole else f" of {whole} (the same command goes on)"
    said = f"{output}: {done} kernels{left}, {readings.noise:.1%} apart when measured again"
    click.echo(said, err=True)


def _measured(runtime: str, threads: int, partial: Path, minutes: float | None) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    from flopwise.measuring.calibration import measure

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("kernels", total=None)
        try:
            return measure(
                runtime, threads, partial, minutes,
                progress=lambda done, whole: bar.update(task, completed=done, total=whole),
            )  # fmt: skip
        except KeyboardInterrupt:
            raise FlopwiseError(
                f"interrupted; {partial} keeps what was measured, the same command goes on"
            ) from None


def _verify(models: tuple[str, ...], device: Path, fmt: str, inputs: tuple[str, ...]) -> None:
    from flopwise.measuring.verify import verify
    from flopwise.reports.verification import networks

    found = [verify(model, str(device), **request(inputs, None, "")) for model in models]
    show(networks(found), fmt, None)


@click.command()
@click.argument("model")
@click.option("--device", required=True, metavar="FILE", help="As `flopwise calibrate` writes it.")
@click.option("--rounds", default=9, type=click.IntRange(3), help="Runs to take the median of.")
@model_options
def measure(
    model: str, device: str, rounds: int, inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Run a model on this machine: predicted beside measured, per layer."""
    from flopwise.measuring.verify import verify
    from flopwise.reports.verification import kernels

    found = verify(model, device, rounds, each=True, **request(inputs, batch, dtype))
    show(kernels(found), fmt, output)
