"""A verdict on a claim as sentences with their arithmetic, or as JSON."""

from __future__ import annotations

import json
from typing import Any

from flopwise.analyses.reconcile import Claim, Explanation, Verdict
from flopwise.profile import Profile
from flopwise.reports import exact, shape_text, short
from flopwise.reports.json import plain

SHOWN = 5


def render(verdicts: list[Verdict], profile: Profile) -> str:
    """What each claim is, or plainly that nothing explains it."""
    return "\n\n".join(_verdict(v, profile) for v in verdicts)


def _verdict(verdict: Verdict, profile: Profile) -> str:
    lines = [f"claim: {verdict.claim.text}", f"ours:  {_ours(profile)}", ""]
    if verdict.explained:
        for i, found in enumerate(verdict.explanations[:SHOWN], 1):
            lines.append(f"{i}. {sentence(verdict.claim, found, profile)}")
    else:
        lines.append(
            f"Nothing explains it: none of {verdict.tried} readings lands within half a unit of "
            "its last digit without being as likely by chance."
        )
        lines += [f"   near, but too easily by chance ({f.chance:.0%}): {_words(f)}, "
                  f"{short(round(f.reading.value))}" for f in verdict.near[:3]]  # fmt: skip
    return "\n".join(lines)


def sentence(claim: Claim, found: Explanation, profile: Profile) -> str:
    """One explanation in words, with its arithmetic and the odds of a chance hit."""
    off = "exactly" if found.error == 0 else f"{found.error:+.2%} off"
    ours = profile.params if claim.unit == "params" else profile.total().mac
    name = "parameters" if claim.unit == "params" else "multiply-accumulates"
    counted = "" if round(found.reading.value) == ours else f"; we count {short(ours)} {name}"
    return (
        f"{claim.text} is {_words(found)}: {exact(round(found.reading.value))} ({off}){counted}. "
        f"An unrelated number would fit as well in {found.chance:.1%} of cases."
    )


def _words(found: Explanation) -> str:
    return ", ".join((found.reading.counted, *found.reading.departures))


def _ours(profile: Profile) -> str:
    total = profile.total()
    inputs = ", ".join(shape_text(t.shape) for t in profile.graph.inputs)
    counted = f"{exact(total.mac)} MACs, {exact(total.flops)} FLOPs"
    return f"{counted}, {exact(profile.params)} params at {inputs}"


def to_json(verdicts: list[Verdict], profile: Profile) -> str:
    """The verdict with its stable keys; a list of them where several claims were given."""
    found = [_record(v, profile) for v in verdicts]
    return json.dumps(found if len(found) > 1 else found[0], indent=1, ensure_ascii=False)


def _record(verdict: Verdict, profile: Profile) -> dict[str, Any]:
    claim, total = verdict.claim, profile.total()
    return {
        "claim": {
            "value": _number(claim.value),
            "unit": claim.unit,
            "precision": _number(claim.precision),
        },
        "ours": {
            "macs": plain(total.mac),
            "flops": plain(total.flops),
            "ops": plain(total.ops),
            "params": plain(profile.params),
            "activations": plain(profile.activations),
        },
        "explained": verdict.explained,
        "tried": verdict.tried,
        "explanations": [_explanation(claim, e, profile) for e in verdict.explanations],
    }


def _explanation(claim: Claim, found: Explanation, profile: Profile) -> dict[str, Any]:
    return {
        "reading": [found.reading.counted, *found.reading.departures],
        "value": round(found.reading.value),
        "error": found.error,
        "chance": found.chance,
        "sentence": sentence(claim, found, profile),
    }


def _number(value: Any) -> Any:
    return int(value) if value == int(value) else float(value)
