"""Findings of a budget check; for GitHub as annotations and step summary too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flopwise.analyses.budget import Finding
from flopwise.reports import exact
from flopwise.reports.page import Page

IN_BYTES = ("weight_bytes", "read_bytes", "write_bytes", "peak_memory")


def render(findings: list[Finding]) -> str:
    """One line per bound."""
    return "\n".join(f"{'OVER' if f.over else 'ok  '} {_said(f)}" for f in findings)


def error_commands(findings: list[Finding]) -> str:
    """GitHub's error commands, one per bound that was passed."""
    over = [f for f in findings if f.over]
    return "\n".join(f"::error title=flopwise {f.model}::{_said(f)}" for f in over)


def summary(findings: list[Finding]) -> str:
    """A Markdown table for a step summary."""
    rows = [
        f"| {f.model} | {f.quantity} | {_number(f, f.value)} | {_number(f, f.bound)} | "
        f"{'**over**' if f.over else 'ok'} |"
        for f in findings
    ]
    return "\n".join(
        ["| model | quantity | is | at most | |", "|---|---|---:|---:|---|", *rows, ""]
    )


def page(findings: list[Finding]) -> Page:
    found = [
        {
            "model": f.model, "quantity": f.quantity, "value": _plain(f.value),
            "bound": _plain(f.bound), "source": f.source, "over": f.over,
        }
        for f in findings
    ]  # fmt: skip
    record = {"passed": not any(f.over for f in findings), "findings": found}
    return Page("Budgets", [render(findings)], record, found)


def _said(finding: Finding) -> str:
    bound = f"at most {_number(finding, finding.bound)} ({finding.source})"
    return f"{finding.model}: {finding.quantity} is {_number(finding, finding.value)}, {bound}"


def _number(finding: Finding, value: Any) -> str:
    """With its unit, where that is no count of things."""
    if finding.quantity == "latency":
        return f"{float(value):.4g} s"
    unit = " bytes" if finding.quantity in IN_BYTES else ""
    return exact(_plain(value)) + unit


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
