"""What a report says beside its table: the cost card, and a sentence to cite."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from flopwise.dims import Expr
from flopwise.graph import Tensor
from flopwise.profile import Profile
from flopwise.reports import exact, memory

PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def facts(profile: Profile) -> list[tuple[str, str]]:
    """The cost card: totals, the convention, and what they hold for, as label and text."""
    total, convention = profile.total(), profile.convention
    card = [
        ("Model", f"{title(profile)} ({profile.graph.format or 'graph'})"),
        ("Convention", f"{convention.name}, {convention.statement}: {exact(profile.value())}"),
        ("Parameters", f"{exact(profile.params)}, of which trainable "
                       f"{exact(profile.trainable_params)}; {memory(profile.weight_bytes)}"),
        ("MACs", exact(total.mac)),
        ("FLOPs", f"{exact(total.flops)} (2 x MACs)"),
        ("Elementary operations", exact(total.ops)),
        ("Memory traffic", f"{memory(total.read)} read, {memory(total.write)} written"),
        ("Inputs", ", ".join(map(_input, profile.graph.inputs)) or "none"),
        ("Batch", _batch(profile)),
        ("Dtype of weights", ", ".join(sorted({t.dtype for t in profile.weights})) or "no weights"),
        ("Coverage", coverage(profile)),
    ]  # fmt: skip
    if profile.unknown:
        card.append(("Not counted", missing(profile)))
    card += [("Note", note) for note in profile.graph.notes]
    return [*card, ("Counted with", program())]


def methods(profile: Profile) -> str:
    """A sentence for the methods section of a paper.

    It never leaves out what was not counted.
    """
    total, convention = profile.total(), profile.convention
    text = (
        f"We report {rounded(total.mac, 'MACs')} ({rounded(total.flops, 'FLOPs')}, counting a "
        f"multiply-add as two operations) and {rounded(profile.params, ' parameters')} for "
        f"{title(profile)}{_at(profile)}, counted with {program()}."
    )
    if convention.name not in ("macs", "flops"):
        text += (
            f" In the convention {convention.name} ({convention.statement}) the cost is "
            f"{rounded(profile.value())}."
        )
    if profile.unknown:
        text += f" Operators without a formula are left out: {missing(profile)}."
    return text


def title(profile: Profile) -> str:
    return profile.graph.name or "the model"


def program() -> str:
    return f"flopwise {version('flopwise')}"


def coverage(profile: Profile) -> str:
    """How many operators have a formula; never rounded up to all."""
    whole = len(profile.rows)
    counted = whole - len(profile.unknown)
    return f"{counted:,} of {whole:,} operators have a formula or cost nothing"


def missing(profile: Profile) -> str:
    """The operators that were not counted, in words."""
    return ", ".join(f"{n} × {origin}" for origin, n in profile.not_counted().items())


def shape(sizes: Any) -> str:
    """A shape for people: 1×3×224×224."""
    return "scalar" if sizes == () else "×".join(map(_size, sizes or ()))


def _size(size: Any) -> str:
    if size is None:
        return "?"
    return f"({size})" if isinstance(size, Expr) and len(size.terms) > 1 else str(size)


def rounded(number: Any, unit: str = "") -> str:
    """Three digits, a decimal prefix and a unit: `4.09 GMACs`, `25.6 M parameters`."""
    if isinstance(number, Expr):
        return f"{number} {unit.strip()}".rstrip()
    if abs(number) < 1000:
        return f"{number:,} {unit.strip()}".rstrip()
    mantissa, _, power = f"{number:.2e}".partition("e")
    digits, thousands = mantissa.replace(".", ""), int(power) // 3
    whole = int(power) % 3 + 1 + mantissa.startswith("-")
    text = f"{digits[:whole]}.{digits[whole:]}".rstrip(".")
    return f"{text} {PREFIXES[thousands]}{unit}".rstrip()


def _input(tensor: Tensor) -> str:
    return f"{tensor.name} {shape(tensor.shape)} {tensor.dtype}"


def _batch(profile: Profile) -> str:
    if profile.batch is not None:
        return f"{profile.batch} (first axis of the inputs)"
    axes = any(t.shape for t in profile.graph.inputs)
    return "the first axes of the inputs differ" if axes else "no input has an axis"


def _at(profile: Profile) -> str:
    inputs = profile.graph.inputs
    if len(inputs) == 1:
        return f" at {shape(inputs[0].shape)}"
    return " at " + ", ".join(f"{t.name} {shape(t.shape)}" for t in inputs) if inputs else ""
