"""argv → load → analyse → report."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flopwise.errors import FlopwiseError

FORMATS = "table, json, csv, markdown, latex or html"


class Commands(click.Group):
    """A group whose first word may be a model: `flopwise MODEL` is `flopwise count MODEL`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["count", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "--version"):
            args = ["count", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FlopwiseError as error:
            click.echo(f"flopwise: {error}", err=True)
            ctx.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flopwise")
def main() -> None:
    """What a neural network costs and how fast it runs, from its definition alone."""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads a model."""
    options = [
        click.option("--input", "inputs", multiple=True, metavar="[NAME=]SHAPE",
                     help="Shape of an input; a name in place of a number is a free size."),
        click.option("--batch", metavar="N", help="Batch, where the first axis is one."),
        click.option("--dtype", default="", metavar="NAME", help="Dtype in place of float32."),
        click.option("--convention", default="flops", metavar="NAME", help="How to read counts."),
        click.option("--format", "fmt", default="table", metavar="NAME", help=FORMATS + "."),
        click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file."),
        click.option("--depth", type=click.IntRange(1), help="Fold the table to a module depth."),
        click.option("--strict", is_flag=True, help="Fail when an operator has no formula."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def request(inputs: tuple[str, ...], batch: str | None, dtype: str) -> dict[str, Any]:
    """The options that say what to load, as `flopwise.load` takes them."""
    shapes = {name: shape for name, _, shape in (text.rpartition("=") for text in inputs)}
    return {"inputs": shapes, "batch": batch, "dtype": dtype}


def terminal() -> int | None:
    """The width of the terminal; None when the output goes elsewhere."""
    return shutil.get_terminal_size()[0] if sys.stdout.isatty() else None


def emit(text: str, output: Path | None) -> None:
    """Print, or write whole or not at all."""
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise FlopwiseError(f"{output}: {error.strerror}") from None


@main.command()
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


def fail_if_unknown(profile: Any, strict: bool) -> None:
    """Exit 1 under --strict when something was not counted."""
    if strict and profile.unknown:
        listed = ", ".join(f"{n} x {origin}" for origin, n in profile.not_counted().items())
        click.echo(f"flopwise: not counted: {listed}", err=True)
        sys.exit(1)


@main.command()
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
    from flopwise.reports.formulas import render, to_json

    profile = api.count(model, convention=convention, **request(inputs, batch, dtype))
    explanations = analyse(profile, layer)
    emit(to_json(explanations) if fmt == "json" else render(explanations), output)
    fail_if_unknown(profile, strict)


@main.command()
@click.argument("model")
@click.option("--claim", "claims", multiple=True, metavar="TEXT", help='As "3.8 GFLOPs".')
@click.option("--tool", "tools", multiple=True, metavar="NAME=NUMBER", help="What a tool said.")
@model_options
def reconcile(
    model: str, claims: tuple[str, ...], tools: tuple[str, ...], inputs: tuple[str, ...],
    batch: str | None, dtype: str, convention: str, fmt: str, output: Path | None,
    depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Why a published number and ours differ; exit 1 when nothing explains it."""
    from flopwise import api
    from flopwise.reports.reconciliation import render, to_json

    said = [*((claim, "") for claim in claims), *(_tool_claim(tool) for tool in tools)]
    if not said:
        raise FlopwiseError('give a number to explain: --claim "3.8 GFLOPs" or --tool thop=4.1G')
    options = request(inputs, batch, dtype)
    profile = api.count(model, convention=convention, **options)
    write = to_json if fmt == "json" else render
    verdicts = [api.reconcile(model, text, tool=t, profile=profile, **options) for text, t in said]
    emit("\n\n".join(write(v, profile) for v in verdicts), output)
    fail_if_unknown(profile, strict)
    if not all(v.explained for v in verdicts):
        sys.exit(1)


@main.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--layers", is_flag=True, help="Align the layers of two models.")
@model_options
def compare(
    models: tuple[str, ...], layers: bool, inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Models side by side; of two, the first layer in which they differ."""
    from flopwise import api
    from flopwise.analyses.compare import align, first_difference
    from flopwise.reports.comparison import render, to_json

    if len(models) < 2:
        raise FlopwiseError("compare takes two models or more")
    options = request(inputs, batch, dtype)
    profiles = [api.count(m, convention=convention, **options) for m in models]
    two = len(profiles) == 2
    pairs = align(profiles[0], profiles[1], depth) if layers and two else None
    names = [Path(m).name for m in models]
    names = names if len(set(names)) == len(names) else list(models)
    found = profiles, names, pairs, first_difference(profiles[0], profiles[1]) if two else None
    emit(to_json(*found) if fmt == "json" else render(*found, width=terminal()), output)
    for profile in profiles:
        fail_if_unknown(profile, strict)


@main.command()
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


def _tool_claim(text: str) -> tuple[str, str]:
    """`thop=4.13G` to the number and the tool's convention."""
    from flopwise import plugins

    name, _, number = text.partition("=")
    plugins.load("conventions", name)
    return number, name


LISTS = {"formats": "frontends", "conventions": "conventions", "devices": "devices"}


@main.command("list")
@click.argument("what", type=click.Choice(["formats", "ops", "conventions", "devices"]))
def list_(what: str) -> None:
    """What there is: formats, ops, conventions or devices."""
    from flopwise import ops, plugins

    if what == "ops":
        rows = [(entry.name, entry.family) for entry in ops.known()]
    else:
        loaded = plugins.load_all(LISTS[what])
        rows = [(name, summary(thing)) for name, thing in sorted(loaded.items())]
    width = max(len(name) for name, _ in rows)
    click.echo("\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows))


def summary(plugin: Any) -> str:
    """One line on a plug-in: a record's statement, or the first line of a module's text."""
    text: str = getattr(plugin, "statement", None) or plugin.__doc__ or ""
    return text.splitlines()[0] if text else ""
