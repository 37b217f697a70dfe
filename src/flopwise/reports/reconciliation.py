"""A verdict on a claim: sentences with their arithmetic."""

from __future__ import annotations

from typing import Any

from flopwise.analyses.reconcile import Claim, Explanation, Reading, Verdict
from flopwise.profile import Profile
from flopwise.reports import exact, shape_text, short
from flopwise.reports.json import plain
from flopwise.reports.page import Page

SHOWN = 5


def page(verdicts: list[Verdict], profile: Profile) -> Page:
    """What each claim is, or plainly that nothing explains it. The record is that of one verdict,
    or a list where several claims were given."""
    found = [_record(v, profile) for v in verdicts]
    rows = [
        {"claim": verdict.claim.text, "explained": verdict.explained, **explanation}
        for verdict, told in zip(verdicts, found) for explanation in told["explanations"] or [{}]
    ]  # fmt: skip
    blocks = [_verdict(v, profile) for v in verdicts]
    return Page(
        f"Claims of {profile.graph.name}", blocks, found if len(found) > 1 else found[0], rows
    )


def _verdict(verdict: Verdict, profile: Profile) -> str:
    lines = [f"claim: {verdict.claim.text}", f"ours:  {_ours(profile)}", ""]
    if verdict.explained:
        for i, found in enumerate(verdict.explanations[:SHOWN], 1):
            lines.append(f"{i}. {sentence(verdict.claim, found, profile)}")
    else:
        lines.append(
            f"Nothing explains it: of {verdict.tried:,} readings, none lands within half a unit of "
            "its last digit that would not as easily do so by chance."
        )
        lines += [f"   near, but too easily by chance ({f.chance:.0%}): {words(f.reading)}: "
                  f"{arithmetic(f.reading)}" for f in verdict.near[:3]]  # fmt: skip
    if verdict.unsearched:
        lines.append(f"Other input sizes were not searched: {verdict.unsearched}.")
    return "\n".join(lines)


def sentence(claim: Claim, found: Explanation, profile: Profile) -> str:
    """One explanation in words, with its arithmetic and the odds of a chance hit."""
    off = "exactly" if found.error == 0 else f"{found.error:+.2%}"
    return (
        f"{claim.text} is {words(found.reading)}: {arithmetic(found.reading)} ({off})"
        f"{_difference(claim, found, profile)}. "
        f"An unrelated number would fit as well in {found.chance:.1%} of cases."
    )


def words(reading: Reading) -> str:
    """What is counted, of which operators and at which size, and the departures."""
    kinds = reading.variant.features.kinds
    what = reading.counted
    if "multiply-add" in what and kinds:
        listed = " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
        size = reading.variant.size.replace(" x ", "x")
        what += f" of {listed}" + (f" at {size}" if size else "")
    said = [d for d in reading.departures if not d.startswith("at an input of")]
    return ", ".join((what, *said))


def arithmetic(reading: Reading) -> str:
    """The sum in numbers, when it is more than one number."""
    core = exact(reading.sum.core[0])
    for part in reading.sum.core[1:]:
        core += f" {'-' if part >= 0 else '+'} {exact(abs(part))}"
    if reading.sum.times > 1:
        core = f"({core})" if len(reading.sum.core) > 1 else core
        core = f"{reading.sum.times} x {core}"
    core += "".join(f" + {exact(part)}" for part in reading.sum.more)
    if reading.sum.after and " " in core:
        core = f"({core})"
    core += "".join(f" {symbol}" for symbol, _ in reading.sum.after)
    value = exact(round(reading.sum.value))
    found = value if core == value else f"{core} = {value}"
    return f"{found} = {reading.scaled:.4g} x {reading.unit}" if reading.unit else found


def _difference(claim: Claim, found: Explanation, profile: Profile) -> str:
    """What we count of the model as it is, where that is another number."""
    ours, name = profile.total().mac, "multiply-adds"
    if claim.unit not in ("macs", "flops", ""):
        ours, name = profile.params, "parameters"
    if claim.unit == "activations":
        ours, name = profile.activations, "output elements"
    if ours in found.reading.sum.core:
        return ""
    if instead := found.reading.variant.instead:
        return f"; you counted {instead.replace(' x ', 'x')} ({short(ours)})"
    return f"; you counted {short(ours)} {name}"


def _ours(profile: Profile) -> str:
    total = profile.total()
    inputs = ", ".join(shape_text(t.shape) for t in profile.graph.inputs)
    counted = f"{exact(total.mac)} MACs, {exact(total.flops)} FLOPs"
    return f"{counted}, {exact(profile.params)} params at {inputs}"


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
            "active_params": plain(profile.parameters.active),
            "activations": plain(profile.activations),
            "weight_bytes": plain(profile.weight_bytes),
        },
        "explained": verdict.explained,
        "explanations": [_explanation(claim, e, profile) for e in verdict.explanations],
    }


def _explanation(claim: Claim, found: Explanation, profile: Profile) -> dict[str, Any]:
    return {
        "reading": [found.reading.counted, *found.reading.departures],
        "value": round(found.reading.value),
        "error": found.error,
        "sentence": sentence(claim, found, profile),
    }


def _number(value: Any) -> Any:
    return int(value) if value == int(value) else float(value)
