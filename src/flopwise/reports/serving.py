"""A served model; tables over many points, and a plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flopwise.analyses.serving import Phase, Serving
from flopwise.analyses.serving.explain import Formula
from flopwise.analyses.serving.sweep import Point
from flopwise.errors import FlopwiseError
from flopwise.reports import exact, memory, percent, plot
from flopwise.reports.latency import duration
from flopwise.reports.page import Grid, Page

HEADINGS = ["first token", "each token", "tokens/s", "per user", "memory", "fit at most", "fits"]


def page(found: Serving, formulas: Sequence[Formula] = ()) -> Page:
    """What a person asks first: how long, how many, does it fit; or each formula."""
    told = [{"what": f.what, "letters": f.letters, "numbers": f.numbers, "result": f.result}
            for f in formulas]  # fmt: skip
    text = explained(formulas) if formulas else "\n".join(_lines(found))
    title = f"{found.decoder.name} on {found.machine.device.name}"
    return Page(title, [text], to_dict(found) | ({"formulas": told} if told else {}), told)


def _lines(found: Serving) -> list[str]:
    low, high = found.band
    text = [
        *_asked(found),
        "",
        f"  time to first token    {duration(found.ttft)} ({_waits(found.prefill)})",
        f"  time per output token  {duration(found.tpot)} ({_waits(found.decode)})",
        f"  tokens per second      {_rate(found.rate)} in all, {_rate(found.per_user)} for each "
        "sequence",
        f"  a request              {duration(found.latency)}, {_rate(found.overall)} output tokens "
        "per second with its prompt",
        *_guessed(found),
        f"  the true times lie between {low:.3g} and {high:.3g} times these",
        "",
        *_held(found),
    ]
    return [*text, *(f"note: {note}" for note in found.notes)]


def _asked(found: Serving) -> list[str]:
    plan, decoder = found.plan, found.decoder
    kinds = Counter(layer.mixer.kind for layer in decoder.layers)
    layers = ", ".join(f"{n} x {kind}" for kind, n in kinds.items())
    active = f", {exact(found.active)} for a token" if found.active != found.params else ""
    name = found.machine.device.name
    devices = name if plan.ranks == 1 else f"{plan.ranks} x {name}"
    cached = f", {exact(plan.prefix)} of the prompt cached" if plan.prefix else ""
    return [
        f"{decoder.name}: {decoder.family}, {exact(found.params)} params{active}; {layers}",
        f"{devices}; {exact(plan.batch)} x {exact(plan.prompt)} tokens and {exact(plan.tokens)} "
        f"more{cached}; weights {found.stored.weights.name}, cache {found.stored.cache}",
    ]


def _waits(phase: Phase) -> str:
    """What takes the most of it."""
    first = [*phase.seconds.shares.items()][:2]
    return ", ".join(f"{percent(share)} {name}" for name, share in first)


def _guessed(found: Serving) -> list[str]:
    if found.guessing is None:
        return []
    return [
        f"  guessing               {found.guessing.tokens} tokens by {found.guessing.draft.name}, "
        f"{found.guessing.expected:.3g} tokens a pass of the model"
    ]


def _held(found: Serving) -> list[str]:
    held, plan = found.held, found.plan
    shared = f", prefix {memory(held.shared)}" if held.shared else ""
    parts = f"weights {memory(held.weights)}, activations {memory(held.activations)}{shared}"
    each = f"{memory(held.sequence)} a sequence"
    lines = [f"  memory of each device  {memory(held.total(plan.batch))}: {parts}, {each}"]
    if held.capacity is None or held.concurrency is None:
        return [*lines, "  whether that fits is not known: the device states no memory"]
    verdict = "fits" if found.fits else "does not fit"
    most = f"{percent(plan.memory_share)} of {memory(held.capacity)}"
    return [*lines, f"  it {verdict} in {most}; at most {exact(held.concurrency)} sequences do"]


def _rate(value: float) -> str:
    """Four digits, no exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def explained(formulas: Sequence[Formula]) -> str:
    """Each number in letters, then in numbers."""
    lines = []
    for f in formulas:
        lines += [f.what, f"  = {f.letters}", *([f"  = {f.numbers}"] if f.numbers else []),
                  f"  = {f.result}"]  # fmt: skip
    return "\n".join(lines)


def to_dict(found: Serving) -> dict[str, Any]:
    """The JSON of schema flopwise-generate/1; seconds, bytes, tokens."""
    plan, held = found.plan, found.held
    return {
        "schema": "flopwise-generate/1",
        "model": {"name": found.decoder.name, "family": found.decoder.family},
        "device": found.machine.device.name,
        "tp": plan.ranks, "prompt": plan.prompt, "output": plan.tokens, "batch": plan.batch,
        "prefix": plan.prefix, "weights": found.stored.weights.name, "kv": found.stored.cache,
        "params": found.params, "active_params": found.active,
        "kv_elements_per_token": found.decoder.per_token,
        "ttft_s": found.ttft, "tpot_s": found.tpot, "latency_s": found.latency,
        "tokens_per_s": found.rate, "tokens_per_s_per_user": found.per_user,
        "tokens_per_s_with_prompt": found.overall, "band": list(found.band),
        "prefill": _phase(found.prefill), "decode": _phase(found.decode),
        "memory": {
            "weights_bytes": round(held.weights), "activation_bytes": round(held.activations),
            "prefix_bytes": round(held.shared), "sequence_bytes": round(held.sequence),
            "total_bytes": round(held.total(plan.batch)), "device_bytes": held.capacity,
        },
        "concurrency": held.concurrency, "fits": found.fits,
        "speculative": found.guessing and {
            "draft": found.guessing.draft.name, "guess": found.guessing.tokens,
            "acceptance": found.guessing.acceptance, "expected_tokens": found.guessing.expected,
        },
        "notes": list(found.notes),
    }  # fmt: skip


def _phase(phase: Phase) -> dict[str, Any]:
    parts = {f"{name}_s": value for name, value in phase.seconds.parts.items()}
    return {"macs": phase.macs, "seconds": phase.seconds.total, **parts}


def swept(points: Sequence[Point]) -> Page:
    """Many points, a row each."""
    first, rows = points[0].found, [dict(p.row()) for p in points]
    title = f"{first.decoder.name} on {first.machine.device.name}"
    record = {"schema": "flopwise-generate-sweep/1", "points": rows}
    return Page(title, [Grid([*points[0].sizes, *HEADINGS], _cells(points), 0)], record, rows)


def _cells(points: Sequence[Point]) -> list[list[str]]:
    return [
        [*(str(size) for size in p.sizes.values()), duration(row["ttft_s"]),
         duration(row["tpot_s"]), _rate(row["tokens_per_s"]), _rate(row["tokens_per_s_per_user"]),
         memory(row["memory_bytes"]), "?" if row["fits"] is None else str(row["concurrency"]),
         {True: "yes", False: "no", None: "?"}[row["fits"]]]
        for p in points for row in (p.row(),)
    ]  # fmt: skip


def curves(points: Sequence[Point]) -> str:
    """Tokens per second of one user against those of all, a line for each context: what is
    traded for what as the batch grows, as far as it fits. Raises FlopwiseError where the batch
    does not vary, or nothing fits."""
    if "batch" not in points[0].sizes:
        raise FlopwiseError("a plot needs batches: --vary batch=1:64:x2")
    series: dict[str, list[tuple[float, float]]] = {}
    for p in (p for p in points if p.found.fits is not False):
        series.setdefault(_series(p.sizes), []).append((p.found.per_user, p.found.rate))
    if not series:
        raise FlopwiseError("nothing to draw: no point of this sweep fits")
    first = points[0].found
    title = f"{first.decoder.name} on {first.machine.device.name}"
    return plot.lines(title, "tokens per second, each user", "tokens per second, all", series)


def _series(sizes: Mapping[str, int]) -> str:
    others = {name: size for name, size in sizes.items() if name != "batch"}
    return ", ".join(f"{name} {size}" for name, size in others.items()) or "batches"
