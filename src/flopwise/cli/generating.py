"""generate: what a decoder costs to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flopwise.cli import emit, terminal
from flopwise.errors import FlopwiseError

OPTIONS = (
    click.option("--device", "-d", required=True, metavar="NAME", help="A name, or a device file."),
    click.option("--prompt", type=int, default=1024, show_default=True, help="Tokens given."),
    click.option("--output", type=int, default=256, show_default=True, help="Tokens made."),
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
                 help="batch, prompt, output, prefix or tp; every combination."),
    click.option("--explain", is_flag=True, help="Each formula in letters, then in numbers."),
    click.option("--format", "fmt", default="table", metavar="NAME",
                 help="table or json; of --vary also csv, markdown and svg."),
    click.option("-o", "path", type=click.Path(path_type=Path), help="Write to a file."),
)  # fmt: skip


def options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("config")
@options
def generate(config: str, varies: tuple[str, ...], explain: bool, fmt: str, path: Path | None,
             **asked: Any) -> None:  # fmt: skip
    """Time, memory and tokens per second of a decoder (a config.json) that generates text."""
    from flopwise import api
    from flopwise.analyses.serving.explain import explain as formulas
    from flopwise.reports import serving

    if varies:
        if explain:
            raise FlopwiseError("--explain is for one point: leave out --vary")
        emit(serving.swept(api.generate_sweep(config, varies, **asked), fmt, terminal()), path)
        return
    found = api.generate(config, **asked)
    if fmt not in ("table", "json"):
        raise FlopwiseError(f"no format '{fmt}' of one point: table or json (csv with --vary)")
    if fmt == "json":
        emit(serving.to_json(found, formulas(found) if explain else ()), path)
    else:
        told = serving.explained(formulas(found)) if explain else serving.render(found)
        emit(told, path)
