"""What `flopwise check` reads and writes beside the model: configuration, baselines, GitHub."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from flopwise import api
from flopwise.analyses.budget import Budget, Finding, check, configured, limits, measure, quantity
from flopwise.errors import FlopwiseError
from flopwise.profile import Profile
from flopwise.reports.findings import error_commands, summary

STORED = ("params", "macs", "ops", "peak_memory")


@dataclass(frozen=True)
class Checked:
    """A model under check: its profile, what was measured, and its budget."""

    name: str
    profile: Profile
    found: dict[str, Any]
    budget: Budget


def one_model(
    model: str, bounds: tuple[str, ...], growth: str | None, device: str | None,
    options: dict[str, Any],
) -> Checked:  # fmt: skip
    """A model and the bounds of the command line."""
    pairs = {}
    for text in bounds:
        name, equals, bound = text.partition("=")
        if not equals:
            raise FlopwiseError(f"--max {text}: write NAME=BOUND, as in macs=5G")
        pairs[name.strip()] = bound
    grown = None if growth is None else _percent(growth)
    return _measured(model, model, Budget(limits(pairs), grown), device, options)


def configured_models(
    folder: Path, options: dict[str, Any]
) -> tuple[list[Checked], Path | None]:  # fmt: skip
    """Every model of the configuration, with its own input, batch and bounds; the baseline."""
    found = []
    models, baseline = configured(folder)
    for name, entry in models.items():
        own = {
            "inputs": entry.get("input", options["inputs"]),
            "batch": entry.get("batch", options["batch"]),
        }
        grown = None if "growth" not in entry else _percent(str(entry["growth"]))
        budget = Budget(limits(entry.get("max", {})), grown)
        path = str(folder / entry["path"]) if ":" not in entry["path"] else entry["path"]
        found.append(_measured(name, path, budget, entry.get("device"), {**options, **own}))
    return found, baseline


def _measured(
    name: str, path: str, budget: Budget, device: str | None, options: dict[str, Any]
) -> Checked:
    """A model with what it costs; its latency too, where a device is named."""
    profile = api.count(path, **options)
    found = measure(profile)
    if device is not None:
        found["latency"] = api.predict(profile.graph, device).latency_s
    return Checked(name, profile, found, budget)


def _percent(text: str) -> Decimal:
    return quantity(text if text.strip().endswith("%") else f"{text}%")


def read_baseline(path: Path | None) -> dict[str, Any]:
    """Stored numbers by model. Raises FlopwiseError when the file is not one of ours."""
    if path is None:
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FlopwiseError(f"{path}: not a baseline ({error})") from None
    if not isinstance(stored, dict) or not all(isinstance(v, dict) for v in stored.values()):
        raise FlopwiseError(f"{path}: not a baseline (numbers by model are wanted)")
    return stored


def save(checked: list[Checked], path: Path) -> None:
    """Store today's numbers."""
    stored = {c.name: {q: c.found[q] for q in STORED} for c in checked}
    path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def findings(checked: list[Checked], baseline: Path | None) -> list[Finding]:
    """Every bound of every model. With a baseline and no growth allowed, none is."""
    found: list[Finding] = []
    stored = read_baseline(baseline)
    for item in checked:
        budget = item.budget
        if baseline is not None:
            if item.name not in stored:
                raise FlopwiseError(
                    f"{baseline} has no numbers of {item.name}: store them with --save-baseline"
                )
            grown = budget.growth if budget.growth is not None else Decimal(0)
            budget = replace(budget, growth=grown, baseline=stored[item.name])
        elif budget.growth is not None:
            raise FlopwiseError(f"{item.name}: growth against what? give --baseline FILE")
        found += check(item.name, item.found, budget)
    if not found:
        raise FlopwiseError("no bound to check: give --max macs=5G, or --baseline FILE")
    return found


def tell_github(found: list[Finding]) -> None:
    """Annotations and a step summary, where a GitHub workflow runs us."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and (said := error_commands(found)):
        click.echo(said, err=True)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(found))
