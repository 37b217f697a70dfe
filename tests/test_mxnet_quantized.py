"""Symbols as MXNet's quantisation rewrites them: fused nodes that hold a graph, and ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flopwise import count
from flopwise.profile import Profile


def node(op: str, name: str, inputs: list[list[int]], **more: Any) -> dict[str, Any]:
    return {"op": op, "name": name, "inputs": inputs, **more}


def variable(name: str) -> dict[str, Any]:
    return node("null", name, [])


def convolution(bias: int, addend: str = "", first: bool = False) -> dict[str, Any]:
    """The graph in a fused node: a convolution, a sum where there is an addend, a relu."""
    attrs = {"kernel": "(3, 3)", "num_filter": "4", "pad": "(1, 1)"}
    nodes = [variable(addend)] if addend and first else []
    x = len(nodes)
    nodes += [variable("x0"), variable("w0"), variable("b0")][: 2 + bias]
    sources = [[i, 0, 0] for i in range(x, len(nodes))]
    nodes.append(node("Convolution", "conv", sources, attrs=attrs | {"no_bias": str(not bias)}))
    if addend:
        y = len(nodes) - 1
        if not first:
            nodes.append(variable(addend))
        pair = [[0 if first else len(nodes) - 1, 0, 0], [y, 0, 0]]
        nodes.append(node("elemwise_add", "sum", pair))
    nodes.append(node("Activation", "relu", [[len(nodes) - 1, 0, 0]], attrs={"act_type": "relu"}))
    return {"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}


def network(first: bool = False) -> dict[str, Any]:
    """Quantised data, two fused convolutions of which the second adds the result of the first,
    both joined, back to floats."""
    once, twice = convolution(1), convolution(0, "s0", first)
    return {
        "nodes": [
            variable("data"),
            node("_contrib_quantize_v2", "q", [[0, 0, 0]], attrs={"out_type": "auto"}),
            variable("w1"),
            variable("b1"),
            node("_sg_mkldnn_conv", "c1", [[1, 0, 0], [2, 0, 0], [3, 0, 0], [1, 1, 0], [1, 2, 0]],
                 attrs={"quantized": "true"}, subgraphs=[once]),
            variable("w2"),
            node("_sg_mkldnn_conv", "c2", [[4, 0, 0], [5, 0, 0], [4, 0, 0], [4, 1, 0], [4, 2, 0]],
                 attrs={"quantized": "true", "with_sum": "true"}, subgraphs=[twice]),
            node("_contrib_quantized_pooling", "p", [[6, 0, 0], [6, 1, 0], [6, 2, 0]],
                 attrs={"kernel": "(2, 2)", "stride": "(2, 2)", "pool_type": "max"}),
            node("_contrib_quantized_concat", "j",
                 [[7, 0, 0], [7, 0, 0], [7, 1, 0], [7, 2, 0], [7, 1, 0], [7, 2, 0]],
                 attrs={"dim": "1", "num_args": "2"}),
            node("_contrib_dequantize", "d", [[8, 0, 0], [8, 1, 0], [8, 2, 0]]),
        ],
        "heads": [[9, 0, 0]],
    }  # fmt: skip


def counted(content: Any, folder: Path) -> Profile:
    file = folder / "net-symbol.json"
    file.write_text(json.dumps(content))
    return count(file, inputs=(2, 3, 8, 8))


def test_fused_nodes_are_what_they_hold(tmp_path: Path) -> None:
    profile = counted(network(), tmp_path)
    assert profile.coverage == 1
    assert profile.total().mac == 2 * 64 * 4 * 9 * (3 + 4)
    assert profile.params == 4 * 3 * 9 + 4 + 4 * 4 * 9
    assert [t.shape for t in profile.graph.outputs] == [(2, 8, 4, 4)]
    assert [t.name for t in profile.graph.inputs] == ["data"]


def test_what_is_added_may_come_first_inside(tmp_path: Path) -> None:
    """Outside it comes last of the operands, whatever the order inside."""
    assert counted(network(first=True), tmp_path).total() == counted(network(), tmp_path).total()


def test_without_fusion(tmp_path: Path) -> None:
    """Each operator by itself, its sum of 32 bits quantised anew."""
    conv = {"kernel": "(3, 3)", "num_filter": "4", "pad": "(1, 1)", "no_bias": "True"}
    nodes = [
        variable("data"),
        node("_contrib_quantize", "q", [[0, 0, 0]], attrs={"out_type": "int8"}),
        variable("w_quantize"),
        variable("w_quantize_min"),
        variable("w_quantize_max"),
        node("_contrib_quantized_conv", "c", [[1, 0], [2, 0], [1, 1], [1, 2], [3, 0], [4, 0]],
             attrs=conv),
        node("_contrib_requantize", "r", [[5, 0], [5, 1], [5, 2]]),
        node("_contrib_quantized_of_my_own", "u", [[6, 0], [6, 1], [6, 2]]),
    ]  # fmt: skip
    profile = counted({"nodes": nodes, "heads": [[7, 0]]}, tmp_path)
    assert (profile.total().mac, profile.params) == (2 * 64 * 4 * 27, 4 * 27)
    assert profile.not_counted() == {"_contrib_quantized_of_my_own": 1}


def test_a_broken_graph_inside_is_listed(tmp_path: Path) -> None:
    content = network()
    content["nodes"][4]["subgraphs"] = [{"nodes": [{"op": "null"}], "heads": []}]
    (tmp_path / "net-symbol.json").write_text(json.dumps(content))
    sizes = {"data": (2, 3, 8, 8), "w1": (4, 3, 3, 3), "b1": (4,), "w2": (4, 4, 3, 3)}
    assert count(tmp_path / "net-symbol.json", sizes).not_counted()["_sg_mkldnn_conv"] == 2
