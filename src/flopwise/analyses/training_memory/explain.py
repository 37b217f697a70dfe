"""Each part of the memory of a training step, in letters and in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flopwise.dims import Dim, Expr

if TYPE_CHECKING:
    from flopwise.analyses.training_memory import TrainingMemory


@dataclass(frozen=True)
class Formula:
    """One number of the memory of a step."""

    name: str
    letters: str
    numbers: str


def formulas(found: TrainingMemory) -> Iterator[Formula]:
    """Weights, master copies, gradients, states, what is saved, and the peak."""
    fixed, recipe = found.static, found.recipe
    dtypes = " + ".join(f"{exact(size)} ({dtype})" for dtype, size in fixed.by_dtype.items())
    yield Formula("weights", "elements x bytes of their type, summed", dtypes)
    if fixed.master_bytes != 0:
        yield _per_parameter("master weights", "4 bytes a trainable parameter in half precision",
                             fixed.master_bytes, found)  # fmt: skip
    yield _per_parameter("gradients", "bytes of its type a trainable parameter",
                         fixed.gradients_bytes, found)  # fmt: skip
    kept = f"{recipe.kept.optimizer.statement}, in {fixed.states}"
    yield _per_parameter(f"optimizer states ({recipe.optimizer})", kept, fixed.optimizer_bytes,
                         found)  # fmt: skip
    kinds = [f"{exact(size)} ({op})" for op, size in found.saved_by_op.items()]
    yield Formula(
        "saved activations",
        "what gradients read of the forward, each storage once, by the operator that made it",
        f"{_sum(kinds)} = {exact(found.saved_bytes)}",
    )
    parts = [f"{exact(size)} ({kind})" for kind, size in found.at_peak.items()]
    grows = " (at large sizes)" if isinstance(found.peak_bytes, Expr) else ""
    yield Formula(
        f"peak, at {found.peak_at}",
        "all that lives then",
        f"{_sum(parts)}{grows} = {exact(found.peak_bytes)}",
    )


def _per_parameter(name: str, letters: str, size: Dim, found: TrainingMemory) -> Formula:
    count = found.static.trainable_params
    if isinstance(size, Expr) or isinstance(count, Expr) or not count:
        return Formula(name, letters, f"{size}")
    return Formula(name, letters, f"{size / count:.4g} x {count:,} = {size:,}")


def _sum(parts: list[str]) -> str:
    return " + ".join(parts) or "0"


def exact(number: Any) -> str:
    """All digits, in groups of three; an expression as it is."""
    return str(number) if isinstance(number, Expr) else f"{number:,}"
