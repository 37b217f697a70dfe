"""generate: what a decoder costs to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flopwise.cli import FORMATS, emit, show
from flopwise.errors import FlopwiseError

OPTIONS = (
    click.option("--device", "-d", required=True, metavar="NAME", help="A name, or a device file."),
    click.option("--prompt", type=int, default=1024, show_default=True, help="Tokens given."),
    click.option("--tokens", type=int, default=256, show_default=True, help="Tokens made."),
    click.option("--batch", type=int, default=1, show_default=True, help="Sequences at a time."),
    click.option("--tp", type=int, default=1, show_default=True, help="Devices for each layer."),
    click.option("--link", metavar="RATE", help="Bytes/s between devices, if not their own."),
    click.option("--weights", default="", metavar="NAME", help="bf16, fp8, int8, int4, mxfp4, ..."),
    click.option("--kv", default="", metavar="NAME", help="Dtype of the cache: bf16, fp8, int8."),
    click.option("--prefix", type=int, default=0, help="Tokens of the prompt that are cached."),
    click.option("--draft", metavar="CONFIG", help="The model that guesses tokens ahead."),
    click.option("--guess", type=int, default=4, show_default=True, help="Tokens guessed."),
    click.option("--acceptance", type=float, metavar="A", help="How often a guess is right."),
    click.option("--chunk", type=int, default=8192, show_default=True, help="Tokens of a pass."),
    click.option("--memory-share", type=float, default=0.9, show_default=True,
                 help="Of a device's memory that may be used."),
    click.option("--vary", "varies", multiple=True, metavar="NAME=START:STOP:STEP",
                 help="batch, prompt, tokens, prefix or tp; every combination."),
    click.option("--explain", is_flag=True, help="Each formula in letters, then in numbers."),
    click.option("--format", "fmt", default="table", metavar="NAME",
                 help=FORMATS + "; of --vary also svg."),
    click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file."),
)  # fmt: skip


def options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("config")
@options
def generate(config: str, varies: tuple[str, ...], explain: bool, fmt: str, output: Path | None,
             **asked: Any) -> None:  # fmt: skip
    """Time, memory and tokens per second of a decoder (a config.json) that generates text."""
    from flopwise import api
    from flopwise.analyses.serving.explain import explain as formulas
    from flopwise.reports import serving

    if varies:
        if explain:
            raise FlopwiseError("--explain is for one point: leave out --vary")
        points = api.generate_sweep(config, varies, **asked)
        if fmt == "svg":
            emit(serving.curves(points), output)
        else:
            show(serving.swept(points), fmt, output)
        return
    found = api.generate(config, **asked)
    show(serving.page(found, formulas(found) if explain else ()), fmt, output)
