"""How a training step is split between devices, and what one step is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from flopwise.analyses.serving.decoder import Decoder, Experts, StateSpace, shard
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.graph import BITS
from flopwise.ops import optimizers
from flopwise.ops.gradient import Autograd
from flopwise.passes.update import Kept

RECOMPUTED = ("none", "selective", "full")
MOST = 10**7


@dataclass(frozen=True)
class Split:
    """Devices along each axis. Neighbours in `tensor` are next to each other, then come those in
    `context`, `data` and `pipeline` (the order of Megatron-LM, Narayanan et al. 2021, section 3).

    `zero` is the stage of ZeRO: 1 spreads the optimizer's states over the data axis, 2 gradients
    too, 3 weights too (FSDP). `expert` of the data axis share the experts of a layer. A device
    has `interleave` pieces of the pipeline, which have `stages` layers (empty: as `spread` has
    it); with `dual` each device has two stages, the i-th from either end, and micro-batches come
    from both (DualPipe: DeepSeek-V3, arXiv:2412.19437, section 3.2.1). `sequence` spreads what lies
    between the tensor parallel parts over their devices, by tokens (Korthikanti et al. 2022).
    """

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    zero: int = 0
    interleave: int = 1
    sequence: bool = True
    stages: tuple[int, ...] = ()
    dual: bool = False

    def __post_init__(self) -> None:
        for name in ("data", "tensor", "pipeline", "context", "expert", "interleave"):
            if not 0 < getattr(self, name) <= MOST:
                raise FlopwiseError(f"--{name} {getattr(self, name)}: must be 1 or more")
        if self.zero not in range(4):
            raise FlopwiseError(f"--zero {self.zero}: must be 0, 1, 2 or 3")
        if self.replicas % self.expert:
            raise FlopwiseError(
                f"--expert {self.expert} does not divide the {self.replicas} devices of the data "
                "axis that share experts"
            )
        if self.dual and (self.pipeline % 2 or self.interleave > 1):
            raise FlopwiseError("--dualpipe needs an even --pipeline, and no --interleave")
        if self.stages and len(self.stages) != self.pipeline * self.interleave:
            raise FlopwiseError(
                f"--stages: {len(self.stages)} numbers of layers for {self.pieces} pieces"
            )
        if self.interleave > 1 and self.pipeline == 1:
            raise FlopwiseError(f"--interleave {self.interleave} needs a --pipeline of 2 or more")

    @property
    def devices(self) -> int:
        return self.replicas * self.tensor * self.pipeline

    @property
    def pieces(self) -> int:
        """Of the pipeline, on all of its devices."""
        return self.pipeline * self.interleave

    @property
    def replicas(self) -> int:
        """Devices that hold the same weights."""
        return self.data * self.context

    @property
    def shared(self) -> int:
        """Over how many devices the tokens between the tensor parallel parts are spread."""
        return self.tensor if self.sequence else 1

    def of(self, count: int | None) -> None:
        """Raises FlopwiseError where the axes do not make up so many devices."""
        if count is not None and count != self.devices:
            axes = " x ".join(f"--{n} {getattr(self, n)}" for n in AXES if getattr(self, n) > 1)
            raise FlopwiseError(f"{axes or 'one device'} is {self.devices}, and --count {count}")

    def __str__(self) -> str:
        named = [f"{n} {getattr(self, n)}" for n in (*AXES, "expert", "interleave")
                 if getattr(self, n) > 1]  # fmt: skip
        named += [*(["DualPipe"] if self.dual else []), *([f"ZeRO-{self.zero}"] * bool(self.zero))]
        return ", ".join(named) or "one device"


AXES = ("data", "tensor", "pipeline", "context")


@dataclass(frozen=True)
class Job:
    """What one step is over: `micro` micro-batches on each replica, of `batch` samples (of `seq`
    tokens each); and how it is computed. Weights and activations are in `dtype`, gradients in
    `gradients`; weights of 16 bits have `masters`, a copy in 32 (Micikevicius et al. 2018), and
    the optimizer keeps `states` (empty: in the type of what it updates). The products of layers
    are in `matmul` (empty: in `dtype`); routers, the head and the core of attention are not."""

    batch: int = 1
    seq: int = 1
    micro: int = 1
    dtype: str = "bfloat16"
    gradients: str = "float32"
    optimizer: str = "adamw"
    recompute: str = "none"
    autograd: Autograd = field(default_factory=Autograd)
    masters: bool = True
    states: str = ""
    matmul: str = ""

    def __post_init__(self) -> None:
        for name, flag in (("batch", "batch"), ("seq", "seq"), ("micro", "accumulate")):
            if not 0 < getattr(self, name) <= MOST:
                raise FlopwiseError(f"--{flag} {getattr(self, name)}: must be 1 or more")
        if self.recompute not in RECOMPUTED:
            raise UnknownName(
                f"--recompute {self.recompute}: {nearest(self.recompute, list(RECOMPUTED))}"
            )
        if self.gradients not in ("float32", "bfloat16", "float16"):
            raise UnknownName(f"--gradients {self.gradients}: float32, bfloat16 or float16")
        if self.matmul not in ("", "float8"):
            raise UnknownName(f"--matmul {self.matmul}: float8, or leave it out")
        _ = self.kept

    @property
    def kept(self) -> Kept:
        return Kept(optimizers.find(self.optimizer), self.states, self.masters)

    @property
    def copy(self) -> int:
        """Bytes of an element of the copy in 32 bits."""
        return 4 if self.masters and BITS[self.dtype] < 32 else 0

    def samples(self, split: Split) -> int:
        """Of one step, on all devices."""
        return self.batch * self.micro * split.data


def spread(layers: int, split: Split) -> tuple[int, ...]:
    """Layers of each piece of the pipeline. Where they do not divide, the embedding and the head
    are taken for a layer each (Megatron-LM's --account-for-embedding-in-pipeline-split and
    --account-for-loss-in-pipeline-split), and what is left over goes to the pieces after the
    first. Raises FlopwiseError."""
    pieces, given = split.pieces, split.stages
    if given and (sum(given) != layers or min(given) < 0 or 0 in given[1:-1]):
        raise FlopwiseError(f"--stages: {given} are not {layers} layers, some in each piece")
    if pieces > layers + 2:
        times = f" x --interleave {split.interleave}" if split.interleave > 1 else ""
        raise FlopwiseError(f"--pipeline {split.pipeline}{times} is more than the {layers} layers")
    if given or layers % pieces == 0:
        return given or (layers // pieces,) * pieces
    each, more = divmod(layers + 2, pieces)
    sizes = [each + (1 <= i <= more) for i in range(pieces)]
    return (sizes[0] - 1, *sizes[1:-1], sizes[-1] - 1)


def sharded(decoder: Decoder, split: Split, job: Job) -> Decoder:
    """What one tensor and expert parallel rank has of every layer. Raises FlopwiseError where a
    size does not divide."""
    _ = spread(len(decoder.layers), split)
    if job.seq % (split.context * split.shared):
        flags = f"--context {split.context}" + (
            f" x --tensor {split.tensor} (sequence parallel)" if split.shared > 1 else ""
        )
        raise FlopwiseError(f"{flags} does not divide the {job.seq:,} tokens of a sequence")
    if split.context > 1 and any(isinstance(x.mixer, StateSpace) for x in decoder.layers):
        raise FlopwiseError(f"--context {split.context}: not known for state space layers")
    part = shard(decoder, split.tensor, "--tensor")
    if split.expert == 1:
        return part
    if not any(isinstance(layer.network, Experts) for layer in part.layers):
        raise FlopwiseError(f"--expert {split.expert}: the model has no experts")
    return _experts(part, split.expert)


def _experts(part: Decoder, ranks: int) -> Decoder:
    layers = []
    for layer in part.layers:
        network = layer.network
        if isinstance(network, Experts):
            if network.count % ranks:
                raise FlopwiseError(f"--expert {ranks} does not divide the {network.count} experts")
            network = replace(network, held=network.count // ranks)
        layers.append(replace(layer, network=network))
    return replace(part, layers=tuple(layers))
