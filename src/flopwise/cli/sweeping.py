"""sweep: one symbolic count, thousands of points."""

from __future__ import annotations

from pathlib import Path

import click

from flopwise.cli import emit, fail_if_unknown, model_options, request, terminal


@click.command()
@click.argument("model")
@click.option(
    "--vary",
    "varies",
    multiple=True,
    metavar="NAME[,NAME]=START:STOP:STEP",
    help="Sizes to put in: batch, h, w, or an axis that --input names; ends included.",
)
@click.option("--by-point", is_flag=True, help="Count every point by itself, not all at once.")
@click.option("--runtime", default="eager", metavar="NAME", help="eager or onnxruntime.")
@model_options
def sweep(
    model: str, varies: tuple[str, ...], by_point: bool, runtime: str, inputs: tuple[str, ...],
    batch: str | None, dtype: str, convention: str, fmt: str, output: Path | None,
    depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Costs at many sizes: --vary batch=1:64:2 --vary h,w=128:512:32 (every combination)."""
    from flopwise import api
    from flopwise.reports.sweeping import render

    found = api.sweep(
        model, varies, convention=convention, by_point=by_point, runtime=runtime,
        **request(inputs, batch, dtype),
    )  # fmt: skip
    emit(render(found, fmt, terminal()), output)
    fail_if_unknown(found.profile, strict)
