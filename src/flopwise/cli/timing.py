"""predict: how fast a model runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flopwise.cli import model_options, request, show


@click.command()
@click.argument("model")
@click.option("--device", required=True, metavar="NAME", help="A name, or a device file.")
@click.option(
    "--runtime",
    default=None,
    metavar="NAME",
    help="eager, onnxruntime or tensorrt; as calibrated, else eager.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Write a roofline plot: .svg, .html or .png."
)
@model_options
def predict(
    model: str, device: str, runtime: str | None, plot: Path | None, inputs: tuple[str, ...],
    batch: str | None, dtype: str, convention: str, fmt: str, output: Path | None,
    depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """How long one run takes, per kernel: compute-, memory- or overhead-bound.

    `-o FILE.svg` (or .png) writes the roofline plot in place of the table.
    """
    from flopwise import api
    from flopwise.reports import latency, picture, roofline

    options = request(inputs, batch, dtype)
    found = api.predict(model, device, runtime, **options)
    if plot is not None:
        picture.write(roofline.render(found), found.name, plot)
    if output is not None and output.suffix in (".svg", ".png"):
        picture.write(roofline.render(found), found.name, output)
    else:
        show(latency.page(found), fmt, output)
    if strict and found.missing:
        click.echo(f"flopwise: not counted: {', '.join(found.missing)}", err=True)
        sys.exit(1)
