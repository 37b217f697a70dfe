"""A verdict on a claim as sentences with their arithmetic, or as JSON."""

from __future__ import annotations

import json
from typing import Any

from flopwise.analyses.reconcile import Claim, Explanation, Verdict
from flopwise.profile import Profile
from flopwise.reports import exact, shape_text, short
from flopwise.reports.json import plain

SHOWN = 5


def render(verdict: Verdict, profile: Profile) -> str:
    """What the claim is, or plainly that nothing explains it."""
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
    off = "exactly" if found.error == 0 else f"{found.error:+.2%}"
    return (
        f"{claim.text} is {_words(found)}: {exact(round(found.reading.value))} ({off}); "
        f"a number without relation would fit as well in {found.chance:.1%} of cases."
    )


def _words(found: Explanation) -> str:
    departures = ", ".join(found.reading.departures)
    return found.reading.counted + (f" [{departures}]" if departures else "")


def _ours(profile: Profile) -> str:
    total = profile.total()
    inputs = ", ".join(shape_text(t.shape) for t in profile.graph.inputs)
    counted = f"{exact(total.mac)} MACs, {exact(total.flops)} FLOPs"
    return f"{counted}, {exact(profile.params)} params at {inputs}"


def to_json(verdict: Verdict, profile: Profile) -> str:
    """The verdict with its stable keys."""
    claim, total = verdict.claim, profile.total()
    found: dict[str, Any] = {
        "claim": {
            "value": _number(claim.value),
            "unit": claim.unit,
            "precision": _number(claim.half * 2),
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
    return json.dumps(found, indent=1, ensure_ascii=False)


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
