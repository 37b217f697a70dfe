"""Automatic mixed precision: which tensors are of which type, and which casts run.

The rules are those of https://pytorch.org/docs/stable/amp.html#autocast-op-reference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from flopwise import api
from flopwise.graph import Graph
from flopwise.passes.autocast import autocast
from support.networks import small
from support.written import written

CASES = {  # text: the types of results in order, casts marked by *
    "products are half": ("x: 1,8\ny = linear x w:8,8 b:8\nz = relu y", "*16 *16 *16 16 16"),
    "norms are single": ("x: 4,8\na = linear x w:8,8\ny = layer_norm a g:8 b:8",
                         "*16 *16 16 *32 32"),
    "batch norm is as its data": ("x: 1,8,4\nc = conv x w:8,8,1\ny = batch_norm c m:8 v:8 g:8 b:8",
                                  "*16 *16 16 16"),
    "a parameter widens": ("x: 1,8\na = linear x w:8,8\ny = mul a s:8\nz = add y a",
                           "*16 *16 16 32 32"),
    "a number does not": ("x: 1,8\na = linear x w:8,8\ny = mul a s:", "*16 *16 16 16"),
    "a sum of halves": ("x: 1,8\na = linear x w:8,8\nb = linear a v:8,8\ny = add a b",
                        "*16 *16 16 *16 16 16"),
    "weights are cast once": ("x: 8,8\na = linear x w:8,8\ny = linear a w", "*16 *16 16 16"),
    "activations each time": ("x: 8,8\nn = layer_norm x\na = linear n w:8,8\nb = linear n v:8,8",
                              "32 *16 *16 16 *16 *16 16"),
    "comparisons stay": ("x: 1,8\na = linear x w:8,8\ny = greater a a", "*16 *16 16 bool"),
    "integers stay": ("x: 1,8\ny = argmax x", "int64"),
}  # fmt: skip


def types(graph: Graph) -> str:
    found = []
    for node in graph.nodes:
        dtype = node.outputs[0].dtype.removeprefix("float")
        found.append(("*" if node.origin == "autocast" else "") + dtype)
    return " ".join(found)


@pytest.mark.parametrize("case", CASES)
def test_types_and_casts(case: str) -> None:
    text, expected = CASES[case]
    before = written(text)
    after = autocast(before)
    assert types(after) == expected
    assert api.count(after).total().mac == api.count(before).total().mac
    assert after.outputs[0].dtype == after.nodes[-1].outputs[0].dtype


def test_brain_floats() -> None:
    after = autocast(written("x: 1,8\ny = linear x w:8,8"), "bfloat16")
    assert types(after) == "*bfloat16 *bfloat16 bfloat16"


def test_loops_are_cast_inside() -> None:
    graph = autocast(small(unknown=False).graph)
    body = next(n.attrs["body"] for n in graph.nodes if "body" in n.attrs)
    assert body.nodes[-1].outputs[0].dtype == "float16"


def test_predict_reads_amp() -> None:
    vgg = str(Path(__file__).parents[1] / "examples" / "vgg16.prototxt")
    mixed, half = (api.predict(vgg, "3090", dtype=d, batch=8) for d in ("amp", "fp16"))
    assert mixed.dtype == half.dtype == "float16"
    assert sum(k.op == "cast" for k in mixed.kernels) == 34  # 32 parameters, the image, softmax's
    assert mixed.bytes > half.bytes
