"""Explanations: the formula of each number, in letters, then in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from flopwise.analyses.explain import Explanation, Formula
from flopwise.reports import exact
from flopwise.reports.page import Page


def render(explanations: Iterable[Explanation]) -> str:
    """One block per layer."""
    return "\n\n".join(_block(e) for e in explanations)


def page(explanations: Sequence[Explanation], title: str) -> Page:
    """One block per layer; the record is a list of layers, a row each formula."""
    layers = [asdict(e) for e in explanations]
    rows = [{"layer": x["name"], "op": x["op"], **f} for x in layers for f in x["formulas"]]
    return Page(title, [*map(_block, explanations)], layers, rows)


def _block(explanation: Explanation) -> str:
    lines = [f"{explanation.name} ({explanation.op})"]
    lines += [f"  {explanation.meaning}"] if explanation.meaning else []
    lines += [f"  {explanation.pattern}"] if explanation.pattern else []
    if explanation.letters:
        lines.append("  " + ", ".join(f"{k} = {v}" for k, v in explanation.letters.items()))
    width = max((len(f.what) for f in explanation.formulas), default=0)
    for formula in explanation.formulas:
        lines += _formula(formula, width)
    return "\n".join("\n  ".join(line.splitlines()) for line in lines)


def _formula(formula: Formula, width: int) -> list[str]:
    texts = dict.fromkeys((formula.letters, formula.numbers, exact(formula.result)))
    marks = (formula.what, *[""] * 2)
    return [f"  {mark:<{width}} = {text}" for mark, text in zip(marks, texts)]
