"""memory: what a model holds while it runs."""

from __future__ import annotations

from pathlib import Path

import click

from flopwise.cli import emit, fail_if_unknown, model_options, request


@click.command()
@click.argument("model")
@click.option("--runtime", default="eager", metavar="NAME", help="eager or onnxruntime.")
@model_options
def memory(
    model: str, runtime: str, inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Weights, live tensors over time, and the peak and where it is."""
    from flopwise import api
    from flopwise.analyses.memory import memory as analyse
    from flopwise.reports.footprint import render, to_json

    profile = api.count(model, convention=convention, **request(inputs, batch, dtype))
    found = analyse(profile.graph, runtime)
    emit(to_json(found) if fmt == "json" else render(found, profile.graph.name), output)
    fail_if_unknown(profile, strict)
