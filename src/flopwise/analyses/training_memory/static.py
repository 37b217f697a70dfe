"""What a training step holds from its start to its end, whatever the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flopwise.analyses.memory import kept as stored
from flopwise.analyses.training.step import Recipe, Training
from flopwise.dims import Dim
from flopwise.graph import Graph, Tensor, every_tensor


@dataclass(frozen=True)
class Static:
    """Bytes, and numbers of parameters. `weights_bytes` has buffers and constants in it; `states`
    says in which type the optimizer keeps its own."""

    params: Dim
    trainable_params: Dim
    weights_bytes: Dim
    by_dtype: Mapping[str, Dim]
    master_bytes: Dim
    gradients_bytes: Dim
    optimizer_bytes: Dim
    states: str

    def always(self, recipe: Recipe) -> Dim:
        """What is there all the time: gradients too, where they are added up over batches."""
        summed = self.gradients_bytes if recipe.accumulate > 1 else 0
        return self.weights_bytes + self.master_bytes + self.optimizer_bytes + summed


def static(training: Training) -> Static:
    """Of the weights that learn, gradients and states are kept; of the others neither."""
    learned, kept = [weight for weight, _ in training.learned], training.recipe.kept
    by_dtype = stored(training.forward)
    return Static(
        params=sum((t.size for t in _learnable(training.forward)), 0),
        trainable_params=sum((t.size for t in learned), 0),
        weights_bytes=sum(by_dtype.values(), 0),
        by_dtype=by_dtype,
        master_bytes=sum(map(kept.master, learned), 0),
        gradients_bytes=sum((grad.bytes for _, grad in training.learned), 0),
        optimizer_bytes=sum(map(kept.states, learned), 0),
        states=kept.statement(t.dtype for t in learned),
    )


def _learnable(graph: Graph) -> list[Tensor]:
    return [t for t in every_tensor(graph) if t.role == "weight" and t.known]
