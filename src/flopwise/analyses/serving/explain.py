"""Each number of a served model: its formula in letters, then in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flopwise.analyses.serving import Serving, formats, timing
from flopwise.analyses.serving.decoder import (
    Attention,
    Experts,
    Latent,
    Mixer,
    StateSpace,
    shard,
)
from flopwise.analyses.serving.work import Load


@dataclass(frozen=True)
class Formula:
    """`what` = `letters` = `numbers` = `result`, which has a unit."""

    what: str
    letters: str
    numbers: str
    result: str


def explain(found: Serving) -> list[Formula]:
    """In the order in which one follows from the other."""
    return [*_kept(found), *_weights(found), *_prefill(found), *_decode(found), *_guessed(found),
            *_fitting(found)]  # fmt: skip


def _kept(found: Serving) -> Iterator[Formula]:
    element = formats.size(found.stored.cache)
    for mixer, times in Counter(layer.mixer for layer in found.decoder.layers).items():
        letters, numbers = _mixer(mixer)
        what = "state per sequence" if isinstance(mixer, StateSpace) else "cache per token"
        size = mixer.per_sequence or mixer.per_token
        yield Formula(
            f"{what}, {times} layers of {mixer.kind}", f"layers · {letters} · bytes",
            f"{times} · {numbers} · {element:g}", f"{times * size * element:,.0f} B",
        )  # fmt: skip


def _mixer(mixer: Mixer) -> tuple[str, str]:
    if isinstance(mixer, Attention):
        return "key heads · (key + value)", f"{mixer.kv_heads} · ({mixer.size} + {mixer.value})"
    if isinstance(mixer, Latent):
        return "(latent + rotated key)", f"({mixer.rank} + {mixer.rotated})"
    assert isinstance(mixer, StateSpace)
    return "channels · (state + taps)", f"{mixer.inner} · ({mixer.state} + {mixer.conv})"


def _weights(found: Serving) -> Iterator[Formula]:
    held, stored = found.held, found.stored
    few = f"{stored.weights.bits:g} bits" + (
        "" if stored.quantised == "layers" else " for experts"
    )  # fmt: skip
    plain = f", of tables, norms and routers {stored.dtype}" if stored.weights.bits < 16 else ""
    yield Formula(
        "weights on each device", f"elements · bits / 8{plain}, / devices",
        f"{found.params:,} · {few} / 8 / {found.plan.ranks}", _bytes(held.weights),
    )  # fmt: skip
    for n in dict.fromkeys(layer.network for layer in found.decoder.layers):
        if isinstance(n, Experts):
            tokens = found.decode.step.batch * found.decode.step.tokens
            yield Formula(
                "experts read in a step", "experts · (1 - (1 - chosen/experts)^tokens)",
                f"{n.count} · (1 - (1 - {n.chosen}/{n.count})^{tokens})",
                f"{n.hit(float(tokens)):.4g} of {n.count}",
            )  # fmt: skip


def _prefill(found: Serving) -> Iterator[Formula]:
    plan, step = found.plan, found.prefill.step
    yield Formula(
        "new tokens of the prompts", "batch · (prompt - prefix)",
        f"{plan.batch} · ({plan.prompt} - {plan.prefix})", f"{plan.batch * step.tokens:,}",
    )  # fmt: skip
    yield from _time(found, "time to first token", found.prefill.seconds, found.prefill.loads)


def _decode(found: Serving) -> Iterator[Formula]:
    plan = found.plan
    yield Formula(
        "tokens that a step looks at", "prompt + output/2",
        f"{plan.prompt} + {plan.tokens}/2", f"{plan.context:,}",
    )  # fmt: skip
    what = "a pass of the model" if found.guessing else "time per output token"
    yield from _time(found, what, found.decode.seconds, found.decode.loads)


def _time(
    found: Serving, what: str, seconds: timing.Seconds, loads: Mapping[str, Load]
) -> Iterator[Formula]:
    on, total = found.machine, loads.values()
    bandwidth = f"({on.device.bandwidth:.4g} B/s · {timing.MEMORY:g})"
    for kind, rate in (("matrix", on.matrix), ("attention", on.attention)):
        if kind in loads:
            yield Formula(
                f"{what}: {kind} products", "operations / (peak · share)",
                f"{loads[kind].flops:.4g} / {rate:.4g}/s", _time_text(loads[kind].flops / rate),
            )  # fmt: skip
    for part in ("weights", "cache", "other"):
        moved = sum(getattr(load, part) for load in total)
        name = "activations" if part == "other" else part
        yield Formula(
            f"{what}: {name}", "bytes / (bandwidth · share)", f"{moved:.4g} B / {bandwidth}",
            _time_text(getattr(seconds, name)),
        )  # fmt: skip
    kernels = sum(load.kernels for load in total)
    yield Formula(
        f"{what}: between kernels", "kernels · gap", f"{kernels:,} · {timing.GAP * 1e6:g} µs",
        _time_text(seconds.kernels),
    )  # fmt: skip
    if on.ranks > 1:
        yield Formula(
            f"{what}: sums over devices",
            "sums · (2 · (K - 1)/K · bytes / link + latency)",
            f"K = {on.ranks}, link {on.link:.4g} B/s, latency {timing.REDUCE * 1e6:g} µs",
            _time_text(seconds.link),
        )
    yield Formula(what, "the sum of these", "", _time_text(seconds.total))


def _guessed(found: Serving) -> Iterator[Formula]:
    guessing, draft = found.guessing, found.draft
    if guessing is None or draft is None:
        return
    a, k = guessing.acceptance, guessing.tokens
    yield Formula(
        "tokens expected of a pass", "(1 - a^(k + 1)) / (1 - a)",
        f"(1 - {a:g}^{k + 1}) / (1 - {a:g})" if a < 1 else f"{k} + 1", f"{guessing.expected:.4g}",
    )  # fmt: skip
    yield Formula(
        "time per output token", "(pass + k · pass of the draft) / tokens expected",
        f"({_time_text(found.decode.seconds.total)} + {k} · {_time_text(draft.total)}) / "
        f"{guessing.expected:.4g}", _time_text(found.tpot),
    )  # fmt: skip


def _fitting(found: Serving) -> Iterator[Formula]:
    plan, held = found.plan, found.held
    yield Formula(
        "cache of a sequence at its end", "Σ layers: elements of min(tokens, window) · bytes",
        f"{shard(found.decoder, plan.ranks).kept_at(plan.longest - plan.prefix):,.0f} · "
        f"{formats.size(found.stored.cache):g}" + _drafted(found), _bytes(held.sequence),
    )  # fmt: skip
    if held.capacity is not None and held.concurrency is not None:
        yield Formula(
            "sequences that fit", "(memory · share - weights - activations - prefix) / cache",
            f"({_bytes(held.capacity)} · {plan.memory_share:g} - {_bytes(held.weights)} - "
            f"{_bytes(held.activations)} - {_bytes(held.shared)}) / {_bytes(held.sequence)}",
            f"{held.concurrency:,}",
        )  # fmt: skip


def _drafted(found: Serving) -> str:
    return " and that of the draft" if found.guessing else ""


def _bytes(amount: float) -> str:
    return f"{amount / 1e9:.4g} GB"


def _time_text(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms"
