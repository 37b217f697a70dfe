"""Explanations as text: the formula of each number, in letters, then in numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from flopwise.analyses.explain import Explanation, Formula
from flopwise.reports import exact


def render(explanations: Iterable[Explanation]) -> str:
    """One block per layer."""
    return "\n\n".join(_block(e) for e in explanations)


def to_json(explanations: Iterable[Explanation]) -> str:
    """The same as JSON, a list of layers."""
    layers = [asdict(e) for e in explanations]
    return json.dumps(layers, indent=1, ensure_ascii=False, default=str)


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
