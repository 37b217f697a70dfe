"""The stages of a pipeline: what each device of one has, and the messages of its micro-batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from flopwise.analyses.parallel.exchange import Message
from flopwise.analyses.parallel.piece import Piece, counted, piece
from flopwise.analyses.parallel.split import Job, Split, sharded, spread
from flopwise.analyses.serving import graphs
from flopwise.analyses.serving.decoder import Attention, Decoder, Experts, Latent, Layer
from flopwise.analyses.training.step import Training
from flopwise.devices import Device
from flopwise.errors import FlopwiseError
from flopwise.graph import BITS
from flopwise.passes.training import with_loss


@dataclass(frozen=True)
class Stage:
    """Pieces with how many there are of each, and what is said in one micro-batch."""

    pieces: tuple[tuple[Piece, int], ...]
    messages: tuple[Message, ...] = ()
    layers: int = 0

    def total(self, name: str) -> float:
        return sum(times * getattr(p, name) for p, times in self.pieces)

    def seconds(self, phase: str) -> float:
        return sum(times * p.seconds[phase] for p, times in self.pieces)

    def operations(self, phase: str) -> float:
        return sum(times * p.operations[phase] for p, times in self.pieces)

    @property
    def computing(self) -> float:
        """Seconds of one micro-batch without messages."""
        return sum(sum(p.seconds.values()) * times for p, times in self.pieces)

    @property
    def working(self) -> float:
        """Bytes beside what waits: of one piece at a time."""
        return max(p.working for p, _ in self.pieces)


def of_graph(training: Training, job: Job, device: Device) -> tuple[Stage, ...]:
    """Of any model: one stage, which is all of it."""
    nodes = tuple(n for n in training.graph.nodes if n.op != "update")
    whole = replace(training.graph, nodes=nodes)
    return (Stage(((counted(training.graph.name, whole, job, device), 1),)),)


def of_decoder(decoder: Decoder, split: Split, job: Job, device: Device) -> tuple[Stage, ...]:
    """Of a language model. Raises FlopwiseError where the split does not divide it."""
    part = sharded(decoder, split, job)
    if job.matmul and job.matmul not in device.peak:
        raise FlopwiseError(f"--matmul {job.matmul}: {device.name} has no peak for it")
    sizes, stages = spread(len(part.layers), split), []
    begins = (0, *accumulate(sizes))
    for i in range(split.pipeline):
        chunks = range(i, split.pieces, split.pipeline)
        layers = [x for c in chunks for x in part.layers[begins[c] : begins[c + 1]]]
        first, last = i == 0, i == split.pipeline - 1
        ends = [n for n, is_here in (("embedding", first), ("head", last)) if is_here]
        found = _pieces(part, layers, ends, split, job, device)
        said = [*_within(part, layers, split, job), *_around(part, len(ends), split, job)]
        stages.append(Stage(tuple(found), tuple(said), len(layers)))
    return tuple(stages)


def _pieces(
    part: Decoder, layers: list[Layer], ends: list[str], split: Split, job: Job, device: Device
) -> Iterator[tuple[Piece, int]]:
    """What a stage is made of. What does not change a piece is left out, to make each once."""
    own = Split(tensor=split.tensor, context=split.context, sequence=split.sequence)
    job = replace(job, micro=1)
    for layer, times in Counter(layers).items():
        yield _piece(replace(part, layers=(layer,)), "layer", own, job, device), times
    bare = replace(part, layers=())
    for name in ends:
        # A head that is the embedding's table has no weights of its own beside it.
        tied = part.tied and len(ends) > 1 and name == "head"
        yield _piece(bare, name, own, job, device, (graphs.EMBEDDING,) if tied else ()), 1


PLACES = {"embedding": 0, "layer": 1, "head": -1}


@lru_cache(maxsize=1024)
def _piece(
    part: Decoder, name: str, split: Split, job: Job, device: Device,
    elsewhere: tuple[str, ...] = (),
) -> Piece:  # fmt: skip
    """Only layers run again; the head ends in the loss."""
    tokens = job.seq // split.context
    step = graphs.training(part, job.batch, tokens, split.shared, split.context)
    found = list(graphs.parts(part, step, job.dtype, job.dtype))[PLACES[name]]
    graph = found.graph
    if name == "head":
        graph = with_loss(graph, "cross-entropy", wide=True)
    own = job if name == "layer" else replace(job, recompute="none", matmul="")
    return piece(name, graph, own, device, ("x",), elsewhere, found.few)


def _within(part: Decoder, layers: list[Layer], split: Split, job: Job) -> Iterator[Message]:
    """Of one micro-batch, by the layers of a stage."""
    passes = 3 if job.recompute == "full" else 2  # forward, backward, and forward again
    size = BITS[job.dtype] / 8
    tokens = job.batch * job.seq // split.context
    sums = sum(2 if x.network is not None else 1 for x in layers)
    if split.tensor > 1:
        # Megatron-LM (Shoeybi et al. 2019, section 3): one sum after each mixer and network
        # forward, one backward; with sequence parallelism a scatter and a gather of as much.
        whole = tokens * part.hidden * size
        yield Message("tensor: sums of activations", "all-reduce", whole, split.tensor, 1,
                      passes * sums)  # fmt: skip
        if split.sequence:
            yield Message("tensor: inputs gathered again", "all-gather", whole, split.tensor, 1,
                          sums, "micro")  # fmt: skip
    if split.context > 1:
        # Ring attention (Liu et al. 2023): keys and values go round, then they and their gradients.
        kept = sum(_exchanged(x) for x in layers) * tokens * size
        rounds = (split.context - 1) * (passes + 1)
        yield Message("context: keys and values", "send", kept, split.context, split.tensor,
                      rounds, "micro")  # fmt: skip
    moe = [x.network for x in layers if isinstance(x.network, Experts)]
    if split.expert > 1 and moe:
        # To the experts and back, forward and backward (GShard: Lepikhin et al. 2020). What goes
        # into products in 8 bits is sent in them, what comes out is not (DeepSeek-V3, 3.3.3).
        sent = tokens / split.shared * moe[0].chosen * part.hidden * (_size(job) + size) / 2
        yield Message("expert: tokens to experts and back", "all-to-all", sent, split.expert,
                      split.tensor * split.context, 2 * passes * len(moe),
                      "micro" if split.dual else "")  # fmt: skip


def _size(job: Job) -> float:
    """Bytes of an element of what products read."""
    return BITS[job.matmul or job.dtype] / 8


def _exchanged(layer: Layer) -> float:
    """Elements of keys and values of one token."""
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        return float(mixer.per_token)
    if isinstance(mixer, Latent):
        return float(mixer.heads * (mixer.plain + mixer.rotated + mixer.value))
    return 0.0  # a state goes on once


def _around(part: Decoder, ends: int, split: Split, job: Job) -> Iterator[Message]:
    """Of one micro-batch: the sums of the tables, and what goes from stage to stage."""
    whole = job.batch * job.seq // split.context * part.hidden * BITS[job.dtype] / 8
    if split.tensor > 1 and ends:
        yield Message("tensor: sums at the tables", "all-reduce", whole, split.tensor, 1, ends)
    if split.pipeline > 1:
        # Each tensor parallel rank sends its share (Narayanan et al. 2021, section 4.1).
        yield Message("pipeline: activations and gradients", "send", whole / split.tensor,
                      split.pipeline, split.replicas * split.tensor, 2 * split.interleave,
                      "micro" if split.dual else "")  # fmt: skip
