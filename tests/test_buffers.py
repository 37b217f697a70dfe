"""What onnxruntime holds while it runs: its plan of buffers, and what its kernels allocate.

Bytes per step, in tensors of 1 x 8 x 8 x 8, the input x among them; onnxruntime 1.31 holds the
same of these graphs, but for the records that it keeps of results (`benchmarks/memory.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flopwise.analyses.memory import memory
from flopwise.analyses.scratch import ONNXRUNTIME, joined, scratch
from flopwise.graph import Graph
from support.written import written

X = "x: 1,8,8,8\n"
ONE = 8 * 8 * 8 * 4  # bytes


def steps(graph: Graph, **options: Any) -> list[float]:
    return [m.live_bytes / ONE for m in memory(graph, "onnxruntime", **options).timeline]  # type: ignore[operator, misc]


PLANS = {
    "activations are written in place": (
        "a = relu x\nb = relu a\nc = sigmoid b\nd = relu c\n-> d", [2, 2, 2, 3]),
    "arithmetic is not": ("a = neg x\nb = neg a\nc = neg b\nd = neg c", [2, 3, 3, 3]),
    "the input is the caller's": ("a = relu x\nb = neg a", [2, 3]),
    "what is read later is not overwritten": (
        "a = relu x\nb = relu a\nc = add a b\nd = neg c", [2, 3, 4, 3]),
    "what is read twice at once is not overwritten": (
        "a = neg x\nb = relu a\nc = add b b\nd = neg c", [2, 2, 3, 3]),
    "a buffer is held between two tensors of its shape": (
        "a = neg x\nb = avg_pool a k=2 stride=2\nc = neg b\nd = resize c scale=(1,1,2,2)\n"
        "y = neg d", [2, 2.25, 2.5, 2.25, 3]),
    "as many bytes in another shape are another buffer": (
        "a = neg x\nb = avg_pool a k=2 stride=2\nc = neg b\nd = tile c repeats=(1,4,1,1)\n"
        "y = neg d", [2, 2.25, 1.5, 2.25, 3]),
    "the one that fell free last is taken first": (
        "a = neg x\nb = neg x\nc = add a b\nd = avg_pool c k=2 stride=2\n"
        "e = avg_pool d k=2 stride=2\nf = tile e repeats=(1,1,4,4)\ny = neg f",
        [2, 3, 4, 2.25, 2.3125, 2.0625, 3]),
    "a reshape is the same buffer": ("a = neg x\nb = reshape a shape=(8,64)\nc = neg b", [2, 2, 3]),
    "but as a result of the graph a copy": ("a = neg x\nb = reshape a shape=(8,64)", [2, 3]),
    "a slice is a copy": (
        "a = neg x\nb = slice a starts=(0,) ends=(4,) axes=(1,)\nc = neg b", [2, 2.5, 2]),
    "the parts of a split too": ("a = neg x\nb, c = split a axis=1\nd = add b c", [2, 3, 2.5]),
    "a view of a weight is no buffer": (
        "a = reshape w:8,8,8 shape=(1,8,8,8)\nb = add x a\nc = neg b", [1, 2, 3]),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANS)
def test_each_step_holds_the_buffers_of_the_plan(case: str) -> None:
    text, held = PLANS[case]
    assert steps(written(X + text)) == held


SUM = "a = neg x\nr = neg x\nb = conv a w:8,8,1,1\nc = add {sum}\nd = relu c\n"


@pytest.mark.parametrize("order", ["b r", "r b"])
def test_a_convolution_adds_onto_what_nobody_reads_later(order: str) -> None:
    last = written(X + SUM.format(sum=order) + "y = neg d")
    later = written(X + SUM.format(sum=order) + "e = mul r d\ny = neg e")
    assert steps(last, fused="onnxruntime") == [2, 3, 3, 3]
    assert steps(later, fused="onnxruntime") == [2, 3, 4, 4, 3]


def test_but_not_onto_its_own_image() -> None:
    graph = written(X + "a = neg x\nb = conv a w:8,8,1,1\nc = add b a\ny = neg c")
    assert steps(graph, fused="onnxruntime") == [2, 3, 3]


def test_only_as_it_stands_in_the_file_a_convolution_unfolds_its_image() -> None:
    graph = written(X + "a = conv x w:8,8,3,3 pad=1\ny = neg a")
    slices = 128 * 128 * 4 / ONE
    assert steps(graph) == [2 + slices, 3]
    assert steps(graph, fused="onnxruntime") == [2, 3]


def test_the_parts_of_an_operator_are_one_kernel() -> None:
    """As a frontend writes a fused convolution: what is added is what is written onto."""
    graph = written(
        X + "r = neg x\nk/conv = conv x w:8,8,1,1\nk/add = add k/conv r inplace=True\n"
        "k = relu k/add inplace=True\ny = neg k"
    )
    assert [n.name for n in joined(graph).nodes] == ["r", "k", "y"]
    assert steps(graph) == [2, 2, 3]


def test_what_a_kernel_computes_on_the_way_stands_beside_its_results() -> None:
    graph = written(X + "g/bias = add x b:8\ng = gelu g/bias\ny = neg g")
    assert steps(graph) == [1 + 1 + 1, 3]


def test_operators_of_one_kind_in_a_row_stay_apart() -> None:
    graph = written(X + "m/t = transpose x perm=(0,1,3,2)\nm/t_1 = transpose m/t perm=(0,1,3,2)")
    assert len(joined(graph).nodes) == 2


def test_memory_holds_whole_blocks_of_channels() -> None:
    """24 channels stand in two blocks of 16, also in what reads them, until they leave."""
    graph = written(
        X + "a = conv x w:24,8,1,1 block=16\nb = neg a\nc = copy b\nd = avg_pool c k=8\ny = neg d"
    )
    assert steps(graph) == [1 + 4, 1 + 4 + 4, 1 + 4 + 3, 1 + 3 + 3 / 64, 1 + 6 / 64]
    narrow = replace(graph.nodes[0], attrs={**graph.nodes[0].attrs, "block": 8})
    assert steps(replace(graph, nodes=(narrow, *graph.nodes[1:])))[0] == 1 + 3


# Bytes that a kernel allocates beside its results, as counted while onnxruntime 1.31 ran it.
SCRATCH = {
    "x: 1,48,50,60\ny = conv x w:48,48,1,1": 0,
    "x: 1,48,50,60\ny = conv x w:48,48,3,3 pad=1": 65536,
    "x: 4,48,50,60\ny = conv x w:48,48,3,3 pad=1": 65536,
    "x: 1,48,50,60\ny = conv x w:48,48,1,1 stride=2": 65536,
    "x: 1,48,50,60\ny = conv x w:48,1,3,3 pad=1 groups=48": 65536,
    "x: 1,3,64,64\ny = conv x w:48,3,16,16 stride=16": 49152,  # more filters than places
    "x: 1,48,50,60\ny = conv_transpose x w:48,48,2,2 stride=2": 4 * 576000,
    "x: 4,48,50,60\ny = conv_transpose x w:48,48,2,2 stride=2": 4 * 576000,
    "x: 1,40,50,60\ny = softmax x axis=1": 2 * 480000,
    "x: 1,40,50,60\ny = softmax x axis=2": 2 * 480000,
    "x: 1,40,50,60\ny = softmax x axis=3": 0,
    "x: 1,40,50,60\ny = softmax x axis=-1": 0,
    "x: 1,40,50,60\ny = lrn x size=3": 480000 + 42 * 3000 * 4,
    "x: 1,40,50,60\ny = hard_swish x": 480000,
    "x: 1,40,50,60\nm = less x z:1\ny = where m x z": 2 * 480000,
    "x: 100,4,64\ny = lstm x w:1,256,64 r:1,256,64 hidden=64": 4 * 102400,
    "x: 100,4,64\ny = gru x w:1,192,64 r:1,192,64 hidden=64": 3 * 102400,
    "x: 1,8,98,49\ny = scatter_nd x i:1,8,98,49,4 u:1,8,98,49": 8 * 8 * 98 * 49,
}


@pytest.mark.parametrize("text", SCRATCH)
def test_what_kernels_allocate_beside_their_results(text: str) -> None:
    assert scratch(written(text).nodes[-1], ONNXRUNTIME) == SCRATCH[text]
