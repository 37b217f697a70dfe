"""reconcile, compare, check: our numbers beside others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flopwise.cli import fail_if_unknown, model_options, request, show
from flopwise.errors import FlopwiseError

if TYPE_CHECKING:
    from flopwise.profile import Profile
    from flopwise.reports.page import Page


@click.command()
@click.argument("model")
@click.option("--claim", "claims", multiple=True, metavar="TEXT", help='As "3.8 GFLOPs".')
@click.option("--tool", "tools", multiple=True, metavar="NAME=NUMBER", help="What a tool said.")
@click.option("--tool-run", "runs", multiple=True, metavar="NAME", help="Run an installed tool.")
@model_options
def reconcile(
    model: str, claims: tuple[str, ...], tools: tuple[str, ...], runs: tuple[str, ...],
    inputs: tuple[str, ...],
    batch: str | None, dtype: str, convention: str, fmt: str, output: Path | None,
    depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Why a published number and ours differ; exit 1 when nothing explains it."""
    from flopwise import api
    from flopwise.reports.reconciliation import page

    said = [*((claim, "") for claim in claims), *(_tool_claim(tool) for tool in tools)]
    if not said and not runs:
        raise FlopwiseError('give a number to explain: --claim "3.8 GFLOPs" or --tool thop=4.1G')
    options = request(inputs, batch, dtype)
    profile = api.count(model, convention=convention, **options)
    said += [(api.run_tool(tool, model, profile), tool) for tool in runs]
    verdicts = [api.reconcile(model, text, tool=t, profile=profile, **options) for text, t in said]
    show(page(verdicts, profile), fmt, output)
    fail_if_unknown(profile, strict)
    if not all(v.explained for v in verdicts):
        sys.exit(1)


def _tool_claim(text: str) -> tuple[str, str]:
    """`thop=4.13G` to the number and the tool's convention."""
    from flopwise import plugins

    name, _, number = text.partition("=")
    plugins.load("conventions", name)
    if not number:
        raise FlopwiseError(f"'{text}' holds no number; write --tool {name}=4.13G")
    return number, name


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--layers", is_flag=True, help="Align the layers of two models.")
@click.option("--effective", is_flag=True, help="MACs whose weight is not zero, too.")
@click.option("--why", is_flag=True, help="Where the time of each goes, on --device.")
@click.option("--device", default=None, metavar="NAME", help="A name, or a device file.")
@click.option("--runtime", default=None, metavar="NAME", help="eager, onnxruntime or tensorrt.")
@model_options
def compare(
    models: tuple[str, ...], layers: bool, effective: bool, why: bool, device: str | None,
    runtime: str | None, inputs: tuple[str, ...], batch: str | None, dtype: str,
    convention: str, fmt: str, output: Path | None, depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Models side by side; of two, the first layer in which they differ."""
    from flopwise import api
    from flopwise.analyses.compare import side_by_side
    from flopwise.reports.comparison import page

    if len(models) < 2:
        raise FlopwiseError("compare takes two models or more")
    options = request(inputs, batch, dtype)
    names = [Path(m).name for m in models]
    names = names if len(set(names)) == len(names) else list(models)
    if why or device:
        show(_why(models, names, device, runtime, options), fmt, output)
        return
    profiles = [_counted(m, convention=convention, **options) for m in models]
    sparse = [api.effective_macs(m, profile=p) for m, p in zip(models, profiles) if effective]
    show(page(side_by_side(profiles, names, sparse, layers, depth)), fmt, output)
    for profile in profiles:
        fail_if_unknown(profile, strict)


def _counted(model: str, **options: Any) -> Profile:
    """The profile of one of several models, which an error names."""
    from flopwise import api

    try:
        return api.count(model, **options)
    except FlopwiseError as error:
        said = str(error)
        raise FlopwiseError(said if model in said else f"{model}: {said}") from None


def _why(
    models: tuple[str, ...], names: list[str], device: str | None, runtime: str | None,
    options: dict[str, Any],
) -> Page:  # fmt: skip
    from flopwise import api
    from flopwise.analyses.why import why
    from flopwise.reports.why import page

    if device is None:
        raise FlopwiseError("--why needs a device: --device v100")
    found = [api.predict(m, device, runtime, **options) for m in models]
    return page(why(*found), found, names)


@click.command()
@click.argument("model", required=False)
@click.option("--max", "bounds", multiple=True, metavar="NAME=BOUND", help="As macs=5G.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Stored numbers to compare with.")
@click.option("--growth", default=None, metavar="PERCENT", help="How much more than the baseline.")
@click.option("--device", default=None, metavar="NAME", help="Where latency is bounded.")
@click.option("--save-baseline", type=click.Path(path_type=Path), help="Store today's numbers.")
@model_options
def check(
    model: str | None, bounds: tuple[str, ...], baseline: Path | None, growth: str | None,
    device: str | None, save_baseline: Path | None, inputs: tuple[str, ...],
    batch: str | None, dtype: str, convention: str, fmt: str, output: Path | None,
    depth: int | None, strict: bool,
) -> None:  # fmt: skip
    """Exit 1 when a model costs more than its bounds; without MODEL, those of pyproject.toml."""
    from flopwise.cli import checking
    from flopwise.reports.findings import page

    options = {**request(inputs, batch, dtype), "convention": convention}
    if model is None:
        checked, stored = checking.configured_models(Path.cwd(), options)
        baseline = baseline or stored
    else:
        checked = [checking.one_model(model, bounds, growth, device, options)]
    if save_baseline is not None:
        checking.save(checked, save_baseline)
        return
    findings = checking.findings(checked, baseline)
    show(page(findings), fmt, output)
    checking.tell_github(findings)
    for profile in (c.profile for c in checked):
        fail_if_unknown(profile, strict)
    if any(f.over for f in findings):
        sys.exit(1)
