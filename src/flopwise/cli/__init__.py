"""argv → load → analyse → report. One module per theme; a command is imported when called."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flopwise.errors import FlopwiseError

if TYPE_CHECKING:
    from flopwise.reports.page import Page

FORMATS = "table, json, csv, markdown, latex or html"

COMMANDS = {
    "count": "counting", "explain": "counting", "list": "counting",
    "reconcile": "comparing", "compare": "comparing", "check": "comparing",
    "memory": "costs", "predict": "timing",
    "calibrate": "measuring", "measure": "measuring", "train": "training",
    "sweep": "sweeping", "serve": "serving", "generate": "generating",
}  # fmt: skip


class Commands(click.Group):
    """A group whose first word may be a model: `flopwise MODEL` is `flopwise count MODEL`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"flopwise.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, NAMES.get(cmd_name, cmd_name))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
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


# Python's own words that a command's function cannot be called.
NAMES = {"list": "list_"}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="flopwise")
def main() -> None:
    """What a neural network costs and how fast it runs, from its definition alone."""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads a model."""
    options = [
        click.option("--input", "inputs", multiple=True, metavar="[NAME=]SHAPE",
                     help="Shape of an input, or of those that NAME with * matches; a name in "
                          "place of a number is a free size."),
        click.option("--batch", metavar="N", help="Batch, where the first axis is one."),
        click.option("--dtype", default="", metavar="NAME", help="Dtype in place of float32."),
        click.option("--prompt", metavar="N", expose_value=False, callback=_keep,
                     help="Tokens that a language model is given."),
        click.option("--image", metavar="HxW", expose_value=False, callback=_keep,
                     help="Height x width of images, where a config leaves it open."),
        click.option("--signature", metavar="NAME", expose_value=False, callback=_keep,
                     help="Which function of a SavedModel; the one to serve unless told."),
        click.option("--mode", metavar="NAME", expose_value=False, callback=_keep,
                     help="train: a step of forward and backward; train-forward: its forward."),
        click.option("--convention", default="flops", metavar="NAME", help="How to read counts."),
        click.option("--format", "fmt", default="table", metavar="NAME", help=FORMATS + "."),
        click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file."),
        click.option("--depth", type=click.IntRange(1), help="Fold the table to a module depth."),
        click.option("--strict", is_flag=True, help="Fail when an operator has no formula."),
    ]  # fmt: skip
    command = _uncollected(command)
    for option in reversed(options):
        command = option(command)
    return command


def _uncollected(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command without the garbage collector, which takes as long as a report of many rows."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        from flopwise.api import uncollected

        with uncollected():
            return command(*args, **options)

    return run


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Options that few formats have go to `request` past the signatures of all commands."""
    if value is not None:
        context.meta.setdefault("flopwise.options", {})[option.name] = value


def request(inputs: tuple[str, ...], batch: str | None, dtype: str) -> dict[str, Any]:
    """The options that say what to load, as `flopwise.load` takes them."""
    shapes = {name: shape for name, _, shape in (text.rpartition("=") for text in inputs)}
    options = click.get_current_context().meta.get("flopwise.options", {})
    return {"inputs": shapes, "batch": batch, "dtype": dtype, **options}


def terminal() -> int | None:
    """The width of the terminal; None when the output goes elsewhere."""
    return shutil.get_terminal_size()[0] if sys.stdout.isatty() else None


def show(page: Page, fmt: str, output: Path | None) -> None:
    """Print, or write, what an analysis found. Raises UnknownName for no such format."""
    from flopwise.reports.page import render

    emit(render(page, fmt, terminal()), output)


def emit(text: str, output: Path | None) -> None:
    """Print, or write whole or not at all."""
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise FlopwiseError(f"{output}: {error.strerror}") from None


def fail_if_unknown(profile: Any, strict: bool) -> None:
    """Exit 1 under --strict when something was not counted."""
    if strict and profile.unknown:
        listed = ", ".join(f"{n} x {origin}" for origin, n in profile.not_counted().items())
        click.echo(f"flopwise: not counted: {listed}", err=True)
        sys.exit(1)
