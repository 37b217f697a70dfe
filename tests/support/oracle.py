"""What loops did must be what a formula says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from flopwise import ops
from flopwise.dims import at, symbol
from support.single import single
from support.tape import Tape


def check(tape: Tape, y: Any, op: str, *operands: Any, free: bool = True, **attrs: Any) -> None:
    """The counts and the shape of an operator are those of the loops; and so they are with
    `free`, when the sizes of the first operand are put in only after counting."""
    node = single(op, *operands, **attrs)
    counts = ops.count(node)
    assert counts is not None
    assert node.outputs[0].shape == y.shape
    assert replace(counts, read=0, write=0) == tape.counts()
    assert counts.read == sum(t.bytes for t in node.inputs if t is not None)
    assert counts.write == node.outputs[0].bytes
    if free:
        sizes = {f"s{i}": size for i, size in enumerate(operands[0])}
        lettered = single(op, tuple(map(symbol, sizes)), *operands[1:], **attrs)
        assert tuple(at(s, sizes) for s in lettered.outputs[0].shape) == y.shape
        assert ops.count(lettered).at(**sizes) == counts


@st.composite
def slidings(draw: Any, ranks: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """Sizes of windows that slide over some axes, padded unevenly."""
    rank = draw(st.sampled_from(ranks))
    most = 3 if rank < 3 else 2

    def axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    k, stride, dilation, before, after, extra = (
        axis(1, most), axis(1, 3), axis(1, 2), axis(0, 2), axis(0, 2), axis(0, 2 * most - 1)
    )  # fmt: skip
    windows = [(t - 1) * d + 1 for t, d in zip(k, dilation)]
    x = [w - b - a + e for w, b, a, e in zip(windows, before, after, extra)]
    return {
        "x": tuple(max(size, 1) for size in x), "n": draw(st.integers(1, 2)), "k": k,
        "stride": stride, "dilation": dilation, "pad": tuple(zip(before, after)),
    }  # fmt: skip
