"""MXNet symbols: what a file may spell, leave out or get wrong.

Shapes and parameters of the golden files equal those that `Symbol.infer_shape` of MXNet
1.9.1 gives for the same files.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from flopwise import count, load
from flopwise.errors import FlopwiseError, ShapeMismatch, UnknownSize, UnreadableModel
from flopwise.profile import Profile

Nodes = list[tuple[Any, ...]]


def write(path: Path, *nodes: tuple[Any, ...], heads: Any = None) -> Path:
    """A symbol file of nodes (op, name, attributes, sources by name or name:output)."""
    places = {name: i for i, (_, name, *_) in enumerate(nodes)}

    def source(text: str) -> list[int]:
        name, _, output = text.partition(":")
        return [places[name], int(output or 0), 0]

    content = {
        "nodes": [
            {"op": op, "name": name, "attrs": {k: str(v) for k, v in attrs.items()},
             "inputs": [source(s) for s in sources]}
            for op, name, attrs, *sources in nodes
        ],
        "heads": heads or [[len(nodes) - 1, 0, 0]],
    }  # fmt: skip
    file = path / "net-symbol.json"
    file.write_text(json.dumps(content))
    return file


DATA = ("null", "data", {})
LABEL = ("null", "softmax_label", {})
FC = ("FullyConnected", "fc", {"num_hidden": 4, "no_bias": True}, "data", "fc_weight")
WEIGHT = ("null", "fc_weight", {})


def manifest() -> list[dict[str, str]]:
    path = Path(__file__).parents[2] / "shared" / "models" / "MANIFEST.csv"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [row for row in csv.DictReader(lines) if row["file"].startswith("mxnet/")]


@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["file"])
def test_auxiliary_states_and_parts_are_those_that_mxnet_counts(
    row: dict[str, str], shared: Path
) -> None:
    """The manifest's note: CalFlops e717cbf run with mxnet 1.9.1; 1 per multiply-add."""
    profile = count(shared / "models" / row["file"], inputs=row["input"])
    found = re.search(r"aux states (\d+)", row["note"])
    parts = dict(re.findall(r"(\w+)=(\d+)", row["note"]))
    counts = profile.by_op()
    assert found and profile.buffers == int(found[1])
    for op, part in (("conv", "conv"), ("conv_transpose", "deconv"), ("linear", "fc")):
        assert int(parts[part]) == (counts[op].mac if op in counts else 0)
    assert int(parts["relu"]) == counts["relu"].cmp


def layers(profile: Profile) -> list[Any]:
    """Counts and parameters of the layers that have products, in their order."""
    return [(row.total, row.params) for row in profile.rows if row.node.op in ("conv", "linear")]


SIZES = [(1, 3, 224, 224), (2, 3, 227, 227)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["bvlc_alexnet_deploy", "bvlc_reference_caffenet_deploy"])
def test_caffenet_is_the_same_in_caffe_and_mxnet(name: str, size: Any, shared: Path) -> None:
    caffe = count(shared / "models" / "caffe" / f"{name}.prototxt", inputs=size)
    mxnet = count(shared / "models" / "mxnet" / "caffenet-symbol.json", inputs=size)
    assert layers(caffe) == layers(mxnet)
    assert len(layers(mxnet)) == 8
    if "caffenet" in name:  # AlexNet has its pooling after its normalisation
        assert caffe.total() == mxnet.total()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_squeezenet_is_the_same_in_caffe_and_mxnet(size: Any, shared: Path) -> None:
    caffe = count(shared / "models" / "caffe" / "SqueezeNet_v1.0_deploy.prototxt", inputs=size)
    mxnet = count(shared / "models" / "mxnet" / "squeezenet_v1.0-symbol.json", inputs=size)
    assert layers(caffe) == layers(mxnet)
    assert len(layers(mxnet)) == 26


def test_the_size_of_data_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, DATA, WEIGHT, FC)
    with pytest.raises(UnknownSize, match="--input data=1x3x224x224"):
        count(file)
    assert count(file, inputs=(2, 5)).total().mac == 2 * 5 * 4


def test_a_batch_completes_a_declared_shape(tmp_path: Path) -> None:
    file = write(tmp_path, ("null", "data", {"__shape__": "(0, 5)"}), WEIGHT, FC)
    assert count(file, batch=3).total().mac == 3 * 5 * 4


def test_labels_vanish_through_what_only_a_loss_reads(tmp_path: Path) -> None:
    flat = ("Reshape", "flat", {"shape": "(-1,)"}, "softmax_label")
    loss = ("SoftmaxOutput", "softmax", {}, "fc", "flat")
    graph = load(write(tmp_path, DATA, WEIGHT, FC, LABEL, flat, loss), inputs=(2, 5))
    assert [t.name for t in graph.inputs] == ["data"]
    assert [n.name for n in graph.nodes] == ["fc/flatten", "fc", "softmax"]


def test_a_label_that_is_computed_with_stays(tmp_path: Path) -> None:
    loss = ("elemwise_sub", "difference", {}, "fc", "softmax_label")
    made = ("MakeLoss", "loss", {}, "difference")
    graph = load(
        write(tmp_path, DATA, WEIGHT, FC, LABEL, loss, made),
        inputs={"data": (2, 5), "softmax_label": (2, 4)},
    )
    assert [t.name for t in graph.inputs] == ["data", "softmax_label"]


def test_weights_used_twice_count_once(tmp_path: Path) -> None:
    again = ("FullyConnected", "again", {"num_hidden": 4, "no_bias": True}, "fc", "fc_weight")
    profile = count(write(tmp_path, DATA, WEIGHT, FC, again), inputs=(2, 4))
    assert (profile.params, profile.total().mac) == (16, 64)


def test_a_learned_variable_is_a_weight_wherever_it_stands(tmp_path: Path) -> None:
    scale = ("null", "scale", {"__shape__": "(1, 5, 1, 1)", "__init__": '["constant", {}]'})
    product = ("broadcast_mul", "product", {}, "data", "scale")
    profile = count(write(tmp_path, DATA, scale, product), inputs=(1, 5, 3, 3))
    assert (profile.params, len(profile.graph.inputs)) == (5, 1)


def test_a_fixed_gamma_is_stored_and_not_learned(tmp_path: Path) -> None:
    gamma, beta = ("null", "bn_gamma", {}), ("null", "bn_beta", {})
    norm = ("BatchNorm", "bn", {"fix_gamma": True}, "data", "bn_gamma", "bn_beta")
    profile = count(write(tmp_path, DATA, gamma, beta, norm), inputs=(1, 8, 3, 3))
    assert (profile.params, profile.trainable_params, profile.buffers) == (16, 8, 16)


def test_states_of_an_open_batch_are_listed_until_it_is_given(tmp_path: Path) -> None:
    zeros = ("_zeros", "begin", {"shape": "(0, 5)"})
    total = ("elemwise_add", "sum", {}, "data", "begin")
    file = write(tmp_path, DATA, zeros, total)
    assert count(file, inputs=(2, 5)).not_counted()["_zeros of an open batch, which --batch gives"]
    assert count(file, inputs=(2, 5), batch=2).coverage == 1
    assert count(file, inputs={"data": (2, 5), "begin": (2, 5)}).total().add == 10


GOOD = {
    "nodes": [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "relu", "name": "r", "inputs": [[0, 0]]},
    ],
    "heads": [[1, 0]],
}


def broken(place: str, value: Any) -> str:
    """The good file with one thing changed: "nodes/1/op"."""
    content: Any = json.loads(json.dumps(GOOD))
    target, *keys = content, *place.split("/")
    for key in keys[:-1]:
        target = target[int(key) if key.isdigit() else key]
    target[int(keys[-1]) if keys[-1].isdigit() else keys[-1]] = value
    return json.dumps(content)


def convolution(**attrs: Any) -> str:
    nodes = [
        *({"op": "null", "name": name, "inputs": []} for name in ("data", "w")),
        {"op": "Convolution", "name": "c", "attrs": attrs, "inputs": [[0, 0], [1, 0]]},
    ]
    return json.dumps({"nodes": nodes, "heads": [[2, 0]]})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        (b"\x80\x81\x00\xff" * 99, "not UTF-8 text at byte 0"),
        ('{"nodes": [{"op": "null", "name": "caf\xe9'.encode("latin-1"), "not UTF-8"),
        (json.dumps(GOOD)[:60], "net-symbol.json:1: not JSON"),
        ('{"nodes": ' + "[" * 10_000, "nested too deep"),
        ('{"nodes": [], "op": 1}', "holds no list of nodes"),
        ("[1, 2]", "holds no list of nodes"),
        (broken("nodes/1/op", ""), r"node 1 \('r'\) has no op"),
        (broken("nodes/1", {"name": "r"}), r"node 1 \('r'\) has no op"),
        (broken("nodes/1", 7), "node 1 .* has no op"),
        (broken("nodes/1/inputs", [[9, 0]]), "reads node 9, and there are 2 nodes"),
        (broken("nodes/1/inputs", [[-1, 0]]), r"an input is \[-1, 0\]"),
        (broken("nodes/1/inputs", [[1, 0]]), r"reads node 1, which comes later \(a cycle\?\)"),
        (broken("nodes/0/inputs", [[1, 0]]), "reads node 1, which comes later"),
        (broken("nodes/1/inputs", [[0]]), "an input is"),
        (broken("nodes/1/inputs", {"a": 0}), "inputs are no list"),
        (broken("nodes/1/inputs", [[0, 3]]), "output 3 of 'data' does not exist"),
        (broken("heads", [[5, 0]]), "heads reads node 5"),
        (broken("heads", [[1, 2]]), "heads: output 2 of 'r' does not exist"),
        (broken("nodes/0/attrs", {"__shape__": "(1, -8)"}), "__shape__ holds -8"),
        (broken("nodes/0/attrs", {"__shape__": "(1, 9999999999)"}), "__shape__ holds 9999999999"),
        (broken("nodes/0/attrs", {"__shape__": "(one,)"}), "__shape__ is .* not a whole number"),
        (convolution(), "num_filter is missing"),
        (convolution(num_filter="8"), "kernel is missing"),
        (convolution(num_filter="8", kernel="(3, x)"), "not a whole number"),
        (convolution(num_filter="-8", kernel="(3, 3)"), "num_filter is -8"),
        (convolution(num_filter="9" * 30, kernel="(3, 3)"), "not a whole number"),
        (convolution(num_filter="8", kernel="(3, 3)", stride="(0, 1)"), "stride is 0"),
        (convolution(num_filter="8", kernel="(-3, 3)"), "kernel is -3"),
    ],
)
def test_broken_files_are_told_in_one_line(tmp_path: Path, content: Any, words: str) -> None:
    file = tmp_path / "net-symbol.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableModel, match=words) as raised:
        count(file, inputs=(1, 3, 8, 8))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"kernel": "(99, 99)"}, "a window of 99 does not fit"),
        ({"kernel": "(3, 3)", "num_group": "2"}, "3 input channels do not divide into 2"),
        ({"kernel": "(3, 3, 3)"}, "3 sizes"),
    ],
)
def test_sizes_that_do_not_fit_name_the_node(
    tmp_path: Path, attrs: dict[str, str], words: str
) -> None:
    file = tmp_path / "net-symbol.json"
    file.write_text(convolution(num_filter="8", **attrs))
    with pytest.raises(ShapeMismatch, match=rf"c \(Convolution\): .*{words}"):
        count(file, inputs=(1, 3, 8, 8))


def test_an_operator_without_its_operands(tmp_path: Path) -> None:
    file = write(tmp_path, DATA, ("FullyConnected", "fc", {"num_hidden": 4}, "data"))
    with pytest.raises(FlopwiseError, match="1 inputs, and it takes 2 at least"):
        count(file, inputs=(2, 5))


def test_einsum_of_version_2(tmp_path: Path) -> None:
    product = ("_npi_einsum", "product", {"num_args": 2, "subscripts": "bij,kj->bki"}, "data", "w")
    file = write(tmp_path, DATA, ("null", "w", {}), product)
    profile = count(file, inputs={"data": (2, 3, 4), "w": (5, 4)})
    assert (profile.total().mac, profile.rows[0].node.outputs[0].shape) == (
        2 * 5 * 3 * 4,
        (2, 5, 3),
    )


def test_an_unknown_operator_is_listed(tmp_path: Path) -> None:
    odd = ("_contrib_of_my_own", "odd", {}, "data")
    profile = count(write(tmp_path, DATA, odd), inputs=(2, 5))
    assert profile.not_counted() == {"_contrib_of_my_own": 1}
    assert profile.coverage == 0
