"""Low-rank adapters beside frozen weights: LoRA (Hu et al. 2021), QLoRA (Dettmers et al. 2023).

    y = x Wᵀ  becomes  y = x Wᵀ + s (x Aᵀ) Bᵀ     A: rank x inputs, B: outputs x rank

Only A and B learn; they are in the type of the data. Under `quantize` the weights of all dense
layers but the head are stored in few bits, whether they have adapters or not (as QLoRA has it, and
bitsandbytes' `load_in_4bit`), and made whole again for each product that needs them, forward and
backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from flopwise import ops
from flopwise.dims import Dim, ceildiv
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.graph import BITS, Graph, Node, Tensor

BLOCK, SUPER = 64, 256  # elements that share a scale, scales that share one: QLoRA, §3


def nf4(weight: Tensor) -> Dim:
    """Bytes of 4-bit elements, an 8-bit scale a block and a 32-bit one per 256 blocks ("double
    quantization"): 4.127 bits an element."""
    blocks = ceildiv(weight.size, BLOCK)
    return ceildiv(weight.size, 2) + blocks + 4 * ceildiv(blocks, SUPER)


def int8(weight: Tensor) -> Dim:
    """Bytes of 8-bit elements and a 32-bit scale a row: Dettmers et al. 2022 (LLM.int8)."""
    return weight.size + 4 * weight.sizes[0]


QUANTIZED: dict[str, Callable[[Tensor], Dim]] = {"nf4": nf4, "int8": int8}


@dataclass(frozen=True)
class Adapters:
    """Of which rank, beside the weights of which modules (names or patterns as `q_proj`; none:
    all dense layers but the head, after which nothing learns), and the type that those weights
    are stored in."""

    rank: int
    targets: tuple[str, ...] = ()
    quantize: str = ""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise FlopwiseError(f"a LoRA rank of {self.rank}: must be 1 or more")
        if self.quantize and self.quantize not in QUANTIZED:
            raise UnknownName(
                f"no quantization '{self.quantize}'; {nearest(self.quantize, list(QUANTIZED))}"
            )


def adapt(graph: Graph, adapters: Adapters) -> Graph:
    """The graph with every weight frozen and adapters added. Raises FlopwiseError where no
    dense layer fits, UnknownName for a target that none fits."""
    chosen = _chosen(graph, adapters.targets)
    frozen = graph.map_tensors(
        lambda t: replace(t, trainable=False) if t.role == "weight" else t
    )  # fmt: skip
    few = chosen | _chosen(graph, ()) if adapters.quantize else set()
    nodes = [_stored(n, adapters) if i in few else n for i, n in enumerate(frozen.nodes)]
    changed = tuple(
        new for i, node in enumerate(nodes)
        for new in (_adapted(node, adapters) if i in chosen else (node,))
    )  # fmt: skip
    return replace(frozen, nodes=changed)


def module(node: Node) -> str:
    """The name of the module that a dense layer is: that of its weight, less the last part."""
    name = node.weights[0].name
    return name.rpartition(".")[0] or node.name


def _chosen(graph: Graph, targets: tuple[str, ...]) -> set[int]:
    dense = {i: module(n) for i, n in enumerate(graph.nodes) if _dense(n)}
    if not dense:
        raise FlopwiseError(f"{graph.name or 'the model'}: no dense layer for an adapter")
    for target in targets:
        if not any(_fits(name, target) for name in dense.values()):
            leaves = sorted({name.rpartition(".")[2] for name in dense.values()})
            raise UnknownName(f"no dense layer fits '{target}'; {nearest(target, leaves)}")
    if targets:
        return {i for i, name in dense.items() if any(_fits(name, t) for t in targets)}
    last = max(dense)
    head = not any(node.weights for node in graph.nodes[last + 1 :])
    return set(dense) - {last} if head and len(dense) > 1 else set(dense)


def _fits(name: str, target: str) -> bool:
    return any(fnmatchcase(name, p) for p in (target, f"*.{target}"))


def _dense(node: Node) -> bool:
    return node.op == "linear" and len(node.weights) > 0 and node.inputs[1] in node.weights


def _adapted(node: Node, adapters: Adapters) -> Iterator[Node]:
    """The layer, its adapter, and their sum under the name of the result."""
    data, weight = node.inputs[:2]
    (result,) = node.outputs
    assert data is not None and weight is not None
    entry = ops.find(node.op)
    assert entry is not None
    sizes = ops.bind(node, entry)
    rank, name = adapters.rank, module(node)
    down = Tensor(f"{name}.lora_A.weight", (rank, sizes["i"]), data.dtype, "weight")
    up = Tensor(f"{name}.lora_B.weight", (sizes["o"], rank), data.dtype, "weight")
    narrow = replace(result, name=f"{result.name}·lora_A", shape=(*result.sizes[:-1], rank))
    base, wide, scaled = (
        replace(result, name=f"{result.name}·{n}") for n in ("base", "lora_B", "scaled")
    )
    yield replace(node, outputs=(base,))
    yield Node("linear", (data, down), (narrow,), {}, narrow.name, node.scope, "LoRA")
    yield Node("linear", (narrow, up), (wide,), {}, wide.name, node.scope, "LoRA")
    yield Node("mul", (wide,), (scaled,), {}, scaled.name, node.scope, "LoRA")
    yield Node("add", (base, scaled), (result,), {}, f"{node.name}·sum", node.scope, "LoRA")


def _stored(node: Node, adapters: Adapters) -> Node:
    """The layer with its weight in few bits, and the room to make it whole."""
    data, weight, *rest = node.inputs
    assert data is not None and weight is not None
    dtype = adapters.quantize
    stored = replace(weight, dtype=dtype, stored=QUANTIZED[dtype](weight))
    attrs = {**node.attrs, "workspace": weight.size * BITS[data.dtype] // 8}
    return replace(node, inputs=(data, stored, *rest), attrs=attrs)
