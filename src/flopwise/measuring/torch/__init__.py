"""Kernels and networks in PyTorch on the CPU, run eagerly, each as something to call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import cache
from inspect import signature
from itertools import groupby
from math import prod
from operator import itemgetter
from typing import Any

from flopwise.analyses.cases import Case
from flopwise.analyses.terms import work
from flopwise.errors import MissingPackage, UnreadableModel
from flopwise.graph import Graph, Node, Tensor
from flopwise.measuring.clock import MOST, copies
from flopwise.measuring.samples import ROOM
from flopwise.measuring.torch.kernels import builder
from flopwise.measuring.torch.samples import DESIGN

PRODUCT = Case("addmm", (192, 192, 192))
ROUNDS = 7  # runs that layers are timed in
AHEAD = 8  # operators that may be looked over to find a node's
TURNS = 3  # places for data and results
AROUND = 4_000_000  # elements that the results of a network take turns in
PRODUCTS = ("mkldnn_conv", "slow_conv", "mkldnn_deconv", "addmm", "bmm", "sdpa")


def package() -> Any:
    """torch. Raises MissingPackage."""
    try:
        import torch
    except ImportError:
        raise MissingPackage("measuring with PyTorch needs torch: pip install torch") from None
    return torch


def version() -> str:
    return f"torch {package().__version__}"


def has(case: Case) -> bool:
    """Whether there is such a kernel; `DESIGN` has no others."""
    return case.kind in DESIGN


def kernel(case: Case, threads: int = 1, times: int = 0) -> tuple[Callable[[], object], int]:
    """Something that runs a kernel, and how many times it does.

    Each run has weights of its own, as in a network; data and results take turns in a few places.
    """
    torch = package()
    torch.set_num_threads(threads)
    function, data, weights = builder(case.kind)(torch, case)
    times = times or copies(case, sum(prod(w) for w in weights))
    given = [[_data(torch, s, case) for s in data] for _ in range(TURNS)]
    learned = [[_weight(torch, s, i) for s in weights] for i in range(times)]
    kept: deque[Any] = deque(maxlen=_kept(case))

    def run() -> None:
        with torch.inference_mode():
            for i, weight in enumerate(learned):
                kept.append(function(*given[i % TURNS], *weight))

    return run, times


def _kept(case: Case) -> int:
    """How many results are held, so that others go elsewhere: as many as fill the memory that
    those of a network take turns in, unless operands are read over and over, or written to."""
    if case.kind in PRODUCTS or case.kind.startswith("inplace"):
        return TURNS
    return max(TURNS, min(MOST, round(2 * AROUND / work(case)[1])))


def _data(torch: Any, shape: tuple[int, ...], case: Case) -> Any:
    """Channels are the last axis in memory where a case has them there. What functions in place
    read again is large, where they give it back: smaller numbers would be halved for ever."""
    data = torch.rand(shape) + 50.0 * case.kind.startswith("inplace")
    last = case.named.get("last", 1) == 2 and data.dim() == 4
    return data.contiguous(memory_format=torch.channels_last) if last else data


@cache
def _chance(torch: Any) -> Any:
    """Numbers for weights; making new ones would take longer than the kernels."""
    return torch.rand(int(ROOM) + MOST) * 0.1


def _weight(torch: Any, shape: tuple[int, ...], place: int) -> Any:
    return _chance(torch)[place : place + prod(shape)].clone().view(shape)


def chain(number: int) -> tuple[Callable[[], object], list[Case]]:
    """Something that runs a random chain of small modules, and the kernels in it."""
    torch = package()
    from flopwise.measuring.torch.chains import SHAPE, drawn

    module, cases = drawn(number)
    data = torch.rand(SHAPE)

    def run() -> None:
        with torch.inference_mode():
            module(data)

    return run, cases


def built(source: str) -> Any:
    """The module that `package.module:callable?name=value` gives, with real weights."""
    package()
    from flopwise.frontends.torch.source import build

    if ":" not in source:
        raise UnreadableModel(f"{source}: PyTorch runs package.module:callable, not this")
    return build(source, real=True)[0].eval()


def network(
    module: Any, inputs: Iterable[Tensor], threads: int = 1, around: Any = nullcontext
) -> Callable[[], object]:
    """Something that runs a module on random data, its inputs those of its graph."""
    torch = package()
    torch.set_num_threads(threads)
    given = {t.name: _random(torch, t) for t in inputs}
    named = given.keys() <= signature(module.forward).parameters.keys()
    args, kwargs = ((), given) if named else (tuple(given.values()), {})

    def run() -> None:
        with torch.inference_mode(), around():
            module(*args, **kwargs)

    return run


def _random(torch: Any, tensor: Tensor) -> Any:
    """Whole numbers are 0 and 1, which are tokens of any vocabulary."""
    kind = getattr(torch, tensor.dtype)
    if kind.is_floating_point:
        return torch.rand(tensor.sizes, dtype=kind)
    return torch.randint(0, 2, tensor.sizes).to(kind)


def layers(module: Any, graph: Graph, threads: int = 1, rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of each operator of a graph: the least of some runs, with what it takes to look.

    The operators that run are matched with those of the graph by their order.
    """
    from flopwise.measuring.torch.dispatched import Stopwatch

    watch = Stopwatch(threads)
    run = network(module, graph.inputs, threads, watch.looking)
    found: dict[str, float] = {}
    for _ in range(rounds):
        run()
        for node, seconds in matched(graph.nodes, watch.taken()):
            found[node.name] = min(found.get(node.name, seconds), seconds)
    return found


def matched(
    nodes: Iterable[Node], ran: Iterable[tuple[str, float]]
) -> Iterator[tuple[Node, float]]:
    """Nodes with the seconds of the operator that they stand for, both in order of running.

    Some operators have no node (dropout); of one that has several the last is what it is for.
    """
    nodes = list(nodes)
    known = {n.origin for n in nodes}
    left = [list(part) for _, part in groupby((r for r in ran if r[0] in known), itemgetter(0))]
    for origin, part in groupby(nodes, lambda n: n.origin):
        here = next((i for i, others in enumerate(left[:AHEAD]) if others[0][0] == origin), None)
        if here is not None:
            pairs = zip(reversed(list(part)), reversed(left[here]))
            yield from ((node, seconds) for node, (_, seconds) in pairs)
            left = left[here + 1 :]
