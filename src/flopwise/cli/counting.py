"""count, explain, list: what a model costs, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flopwise.cli import emit, fail_if_unknown, model_options, request, show, terminal


@click.command()
@click.argument("model")
@model_options
def count(
    model: str, inputs: tuple[str, ...], batch: str | None, dtype: str, convention: str, fmt: str,
    output: Path | None, depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """The table of layers, and the totals."""
    from flopwise import api, plugins

    report = plugins.load("reports", fmt)
    profile = api.count(model, convention=convention, **request(inputs, batch, dtype))
    emit(report.render(profile, depth=depth, width=terminal()), output)
    fail_if_unknown(profile, strict)


@click.command()
@click.argument("model")
@click.argument("layer", required=False)
@model_options
def explain(
    model: str, layer: str | None, inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """The formula of each number of LAYER (or of all), in letters, then in numbers."""
    from flopwise import api
    from flopwise.analyses.explain import explain as analyse
    from flopwise.reports.formulas import page

    profile = api.count(model, convention=convention, **request(inputs, batch, dtype))
    title = " ".join(filter(None, (profile.graph.name, layer)))
    show(page(analyse(profile, layer), title), fmt, output)
    fail_if_unknown(profile, strict)


LISTS = {"formats": "frontends", "conventions": "conventions"}


@click.command("list")
@click.argument("what", type=click.Choice(["formats", "ops", "conventions", "devices"]))
def list_(what: str) -> None:
    """What there is: formats, ops, conventions or devices."""
    from flopwise import devices, ops, plugins

    if what == "ops":
        rows = [(entry.name, entry.family) for entry in ops.known()]
    elif what == "devices":
        rows = [(slug, device.statement) for slug, device in sorted(devices.known().items())]
    else:
        loaded = plugins.load_all(LISTS[what])
        rows = [(name, summary(thing)) for name, thing in sorted(loaded.items())]
    width = max(len(name) for name, _ in rows)
    click.echo("\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows))


def summary(plugin: Any) -> str:
    """One line on a plug-in: a record's statement, or the first line of a module's text."""
    text: str = getattr(plugin, "statement", None) or plugin.__doc__ or ""
    return text.splitlines()[0] if text else ""
