"""What each runtime does to a graph before it runs: passes in order, then fusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flopwise.errors import UnknownName, nearest
from flopwise.graph import Graph
from flopwise.passes.drop import drop_identities, fold_constants, fold_shapes
from flopwise.passes.fold_batch_norm import fold_batch_norm
from flopwise.passes.fuse import (
    CHAINS,
    Epilogue,
    Group,
    activation,
    bias,
    groups,
    merged,
    pointwise,
    residual,
    skip_norm,
)

Pass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Runtime:
    """Passes in order, then which chains and epilogues run as one kernel. `statement` says
    where that is from."""

    name: str
    statement: str
    passes: tuple[Pass, ...] = ()
    chains: tuple[str, ...] = ()
    epilogues: tuple[Epilogue, ...] = ()

    def optimise(self, graph: Graph) -> Graph:
        """The graph as the runtime would have it."""
        for step in self.passes:
            graph = step(graph)
        return graph

    def merged(self, graph: Graph) -> Graph:
        """The same with one node for each kernel."""
        return merged(self.optimise(graph), self.chains, self.epilogues)

    def kernels(self, graph: Graph) -> tuple[Group, ...]:
        """The kernels that it would run, in order."""
        return tuple(groups(self.optimise(graph), self.chains, self.epilogues))


EAGER = Runtime(
    "eager", "PyTorch without compilation: one kernel per operator that moves data", (fold_shapes,)
)
# The activations that onnxruntime's CPU convolution does on its result
# (onnxruntime/core/optimizer/conv_activation_fusion.cc), and its sum (nchwc_transformer.cc).
ONNXRUNTIME = Runtime(
    "onnxruntime",
    "onnxruntime 1.x on a CPU, all optimisations: https://onnxruntime.ai/docs/performance/"
    "model-optimizations/graph-optimizations.html",
    (fold_constants, drop_identities, fold_batch_norm),
    ("layer_norm", "layer_norm_rsqrt", "gelu", "silu"),
    (
        bias,
        residual,
        activation("relu", "relu6", "clip", "sigmoid", "tanh", "leaky_relu", "hard_sigmoid"),
        skip_norm,
    ),
)
TENSORRT = Runtime(
    "tensorrt",
    "layer and pointwise fusion as in https://docs.nvidia.com/deeplearning/tensorrt/latest/"
    "performance/optimization.html",
    (fold_constants, drop_identities, fold_batch_norm),
    tuple(CHAINS),
    (bias, residual, activation(), skip_norm, pointwise),
)
RUNTIMES = {runtime.name: runtime for runtime in (EAGER, ONNXRUNTIME, TENSORRT)}
ALIASES = {"torch": "eager"}


def find(name: str) -> Runtime:
    """A runtime by name, or by what runs it. Raises UnknownName."""
    name = ALIASES.get(name, name)
    if name not in RUNTIMES:
        raise UnknownName(f"no runtime '{name}'; {nearest(name, list(RUNTIMES))}")
    return RUNTIMES[name]
