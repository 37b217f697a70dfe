"""OpenVINO IR: single layers against OpenVINO itself, costs by hand, hostile files."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnknownSize, UnreadableModel
from support.ir import Net, Value

TABLE = Path(__file__).with_name("openvino_shapes.txt")
CASES = [json.loads(line) for line in TABLE.read_text().splitlines() if line[0] != "#"]
WINDOW = {"strides": "1, 1", "dilations": "1, 1", "pads_begin": "0, 0", "pads_end": "0, 0"}


def operand(net: Net, given: Any) -> Value:
    """A blob by its shape, integers, floats, or zeros of a type and shape."""
    if isinstance(given, str):
        return net.input(given)
    if isinstance(given, list):
        return net.ints(*given)
    if isinstance(given, int):
        return net.scalar(given)
    ((kind, value),) = given.items()
    if kind != "f":
        return net.const(None, value, kind)
    floats = value if isinstance(value, list) else [value]
    return net.const(floats, (len(floats),) if isinstance(value, list) else (), "f32")


def single(
    kind: str, version: str, attrs: dict[str, Any], operands: Sequence[Any], outputs: Sequence[str]
) -> Net:
    """One layer between inputs and results."""
    net = Net()
    values = net.layer(kind, [operand(net, o) for o in operands], outputs, version, **attrs)
    for value in values:
        net.result(value)
    return net


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[1]}")
def test_shapes_are_those_of_openvino(tmp_path: Path, case: Any) -> None:
    kind, version, attrs, operands, expected = case
    open_ = [",".join("?" for d in shape.split(",") if d) for shape in expected]
    path = single(kind, version, attrs, operands, open_).write(tmp_path)
    profile = flopwise.count(path)
    assert [",".join(map(str, t.shape)) for t in profile.graph.outputs] == expected
    assert profile.coverage == 1


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[1]}")
def test_openvino_still_infers_these_shapes(tmp_path: Path, case: Any) -> None:
    core = pytest.importorskip("openvino").Core()
    kind, version, attrs, operands, expected = case
    path = single(kind, version, attrs, operands, ["1"] * len(expected)).write(tmp_path)
    results = core.read_model(path).outputs
    assert [",".join(map(str, r.partial_shape)) for r in results] == expected


def test_an_exported_network_costs_what_the_onnx_file_costs(shared: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    names = (
        "light_squeezenet",
        "onnx2tf_LSTM_1layer_fixed",
        "rapidocr_ch_ppocr_mobile_v2.0_cls_infer",
    )
    for name in names:
        file = shared / f"models/onnx/{name}.onnx"
        path = tmp_path / "net.xml"
        openvino.save_model(openvino.convert_model(file), path)
        shape = "1x3x48x192" if "ocr" in name else None
        found, reference = flopwise.count(path, inputs=shape), flopwise.count(file, inputs=shape)
        assert found.total().mac == reference.total().mac
        assert found.coverage == 1


# kind, attributes, operands, result, multiply-accumulates by hand
COSTS: list[tuple[str, dict[str, Any], list[Any], str, int]] = [
    ("Convolution", WINDOW, ["2,3,9,8", {"f32": [6, 3, 3, 3]}], "2,6,7,6", 2 * 42 * 6 * 27),
    ("GroupConvolution", WINDOW, ["2,6,9,8", {"f32": [3, 4, 2, 3, 3]}], "2,12,7,6",
     2 * 42 * 12 * 18),
    ("ConvolutionBackpropData", WINDOW, ["2,3,5,6", {"f32": [3, 4, 3, 3]}], "2,4,7,8",
     2 * 30 * 3 * 4 * 9),
    ("GroupConvolutionBackpropData", WINDOW, ["2,6,5,6", {"f32": [2, 3, 4, 3, 3]}], "2,8,7,8",
     2 * 30 * 6 * 4 * 9),
    ("MatMul", {"transpose_b": "true"}, ["2,5,7", {"f32": [4, 7]}], "2,5,4", 2 * 5 * 4 * 7),
    ("MatMul", {"transpose_a": "true"}, ["2,7,5", "2,7,4"], "2,5,4", 2 * 5 * 4 * 7),
    ("Einsum", {"equation": "abc,cd->abd"}, ["2,3,4", "4,5"], "2,3,5", 2 * 3 * 5 * 4),
    ("LSTMCell", {"hidden_size": 4}, ["2,3", "2,4", "2,4", {"f32": [16, 3]}, {"f32": [16, 4]},
     {"f32": [16]}], "2,4", 2 * 16 * 7),
    ("ScaledDotProductAttention", {"causal": "false"}, ["2,8,5,16", "2,8,7,16", "2,8,7,12"],
     "2,8,5,12", 16 * 5 * 7 * (16 + 12)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "attrs", "operands", "result", "macs"), COSTS)
def test_costs_by_hand(
    tmp_path: Path, kind: str, attrs: dict[str, Any], operands: list[Any], result: str, macs: int
) -> None:
    outputs = [result, result] if kind == "LSTMCell" else [result]
    for shapes in (outputs, ["?" + o[1:] for o in outputs]):
        path = single(kind, "opset5", attrs, operands, shapes).write(tmp_path)
        assert flopwise.count(path).total().mac == macs


def small() -> Net:
    """A convolution of a free batch, its classes, and a shape folded from constants."""
    net = Net()
    x = net.input("?,3,8,8", name="image")
    weights = net.const(None, (4, 3, 3, 3), "f32")
    (y,) = net.layer("Convolution", [x, weights], ["?,4,6,6"], name="conv", **WINDOW)
    (z,) = net.layer("ReLU", [y], ["?,4,6,6"])
    (flat,) = net.layer("Reshape", [z, net.ints(0, -1)], ["?,144"], special_zero="true")
    weights = net.const(None, (10, 144), "f32")
    (classes,) = net.layer("MatMul", [flat, weights], ["?,10"], transpose_b="true")
    net.result(classes)
    return net


def test_a_free_batch_needs_a_size(tmp_path: Path) -> None:
    path = small().write(tmp_path)
    with pytest.raises(UnknownSize, match=r"image.*\?x3x8x8.*--input"):
        flopwise.count(path)
    profile = flopwise.count(path, batch=3)
    assert profile.total().mac == 3 * (36 * 4 * 27 + 1440)
    assert profile.params == 4 * 27 + 1440
    assert str(flopwise.count(path, inputs="Nx3x8x8").total().mac) == "5328*N"


def test_without_the_weights_stated_shapes_still_count(tmp_path: Path) -> None:
    path = small().write(tmp_path)
    path.write_text(path.read_text().replace("?,3,8,8", "1,3,8,8").replace(">-1<", ">1<"))
    path.with_suffix(".bin").unlink()
    assert flopwise.count(path).total().mac == 36 * 4 * 27 + 1440
    profile = flopwise.count(path, batch=2)
    assert profile.not_counted() == {"MatMul": 1}
    assert "net.bin is not at hand" in profile.graph.notes[0]


def test_layers_out_of_order(tmp_path: Path) -> None:
    net = small()
    net.layers.reverse()
    assert flopwise.count(net.write(tmp_path), batch=1).total().mac == 36 * 4 * 27 + 1440


def test_unknown_layers_are_told(tmp_path: Path) -> None:
    profile = flopwise.count(single("Mine", "extension", {}, ["1,4"], ["1,4"]).write(tmp_path))
    assert profile.not_counted() == {"Mine": 1}


def test_scopes_of_pytorch_modules(tmp_path: Path) -> None:
    net = Net()
    net.result(
        net.layer("ReLU", [net.input("1,4")], ["1,4"], name="__module.layer1.0/aten::relu")[0]
    )
    (node,) = flopwise.count(net.write(tmp_path)).graph.nodes
    assert node.scope == ("layer1", "0", "aten::relu")


def matmul_body(net: Net, count: int) -> Net:
    """x w, `count` times, as a body that shares the weights file."""
    body = Net(net.weights)
    x = body.input("2,4")
    for _ in range(count):
        (x,) = body.layer("MatMul", [x, body.const(None, (4, 4), "f32")], ["2,4"])
    body.result(x)
    return body


def test_the_dearer_branch_is_counted(tmp_path: Path) -> None:
    net = Net()
    condition, x = net.input("", "boolean"), net.input("2,4")
    maps = "".join(
        f'<{side}_port_map><input external_port_id="1" internal_layer_id="0"/>'
        f'<output external_port_id="2" internal_layer_id="{result}"/></{side}_port_map>'
        f"<{side}_body>{matmul_body(net, count).body()}</{side}_body>"
        for side, count, result in (("then", 2, 5), ("else", 1, 3))
    )
    net.result(net.layer("If", [condition, x], ["2,4"], "opset8", inside=maps)[0])
    profile = flopwise.count(net.write(tmp_path))
    assert profile.total().mac == 64
    assert "the dearer branch" in profile.graph.notes[0]


def test_a_loop_with_a_stacked_result(tmp_path: Path) -> None:
    net, body = Net(), Net()
    body.input("", "i64")
    x = body.input("2,4")
    (y,) = body.layer("MatMul", [x, body.const(None, (4, 4), "f32")], ["2,4"])
    (step,) = body.layer("Unsqueeze", [y, body.ints(0)], ["1,2,4"])
    go = body.result(body.const([1], (1,), "boolean"))
    last, stacked = body.result(y), body.result(step)
    inside = (
        '<port_map><input external_port_id="2" internal_layer_id="1"/>'
        '<input external_port_id="-1" internal_layer_id="0" purpose="current_iteration"/>'
        f'<output external_port_id="3" internal_layer_id="{last}"/>'
        f'<output axis="0" external_port_id="4" internal_layer_id="{stacked}" part_size="1"/>'
        f'<output external_port_id="-1" internal_layer_id="{go}" purpose="execution_condition"/>'
        f'</port_map><back_edges><edge from-layer="{last}" to-layer="1"/></back_edges>'
        f"<body>{body.body()}</body>"
    )
    net.weights = body.weights
    operands = [net.scalar(7), net.const([1], (), "boolean"), net.input("2,4")]
    results = net.layer("Loop", operands, ["2,4", "?,2,4"], "opset5", inside=inside)
    for value in results:
        net.result(value)
    profile = flopwise.count(net.write(tmp_path))
    assert profile.total().mac == 7 * 32
    assert profile.graph.outputs[1].shape == (7, 2, 4)


def test_an_iterator_runs_along_its_axis(tmp_path: Path) -> None:
    net, body = Net(), Net()
    state, x = body.input("2,4"), body.input("2,1,4")
    (row,) = body.layer("Squeeze", [x, body.ints(1)], ["2,4"])
    (product,) = body.layer("MatMul", [state, body.const(None, (4, 4), "f32")], ["2,4"])
    (total,) = body.layer("Add", [product, row], ["2,4"])
    last = body.result(total)
    inside = (
        '<port_map><input external_port_id="0" internal_layer_id="0"/>'
        '<input axis="1" external_port_id="1" internal_layer_id="1" part_size="1" stride="1"/>'
        f'<output external_port_id="2" internal_layer_id="{last}"/></port_map>'
        f'<back_edges><edge from-layer="{last}" to-layer="0"/></back_edges>'
        f"<body>{body.body()}</body>"
    )
    net.weights = body.weights
    operands = [net.input("2,4"), net.input("2,9,4")]
    net.result(net.layer("TensorIterator", operands, ["2,4"], inside=inside)[0])
    profile = flopwise.count(net.write(tmp_path))
    assert profile.total().mac == 9 * 32
    assert profile.total().add == 9 * 8


# Hostile files


def refused(text: str | bytes, tmp_path: Path) -> str:
    path = tmp_path / "hostile.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FlopwiseError) as caught:
        flopwise.count(path, batch=1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_entities_are_refused_before_they_grow(tmp_path: Path) -> None:
    lol = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<?xml version="1.0"?><net version="11"><!DOCTYPE net [<!ENTITY l0 "ha">{lol}]></net>'
    refused(text, tmp_path)
    text = f'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY l0 "ha">{lol}]><net version="11"/>'
    assert "document type" in refused(text, tmp_path)
    text = '<!DOCTYPE net SYSTEM "file:///etc/passwd"><net version="11"/>'
    assert "document type" in refused(text, tmp_path)
    assert "document type" in refused(text.encode("utf-16"), tmp_path)


def test_truncated_at_every_tenth_byte(tmp_path: Path) -> None:
    text = small().text()
    for stop in range(60, len(text) - 10, 10):
        refused(text[:stop], tmp_path)


def test_noise_never_crashes(tmp_path: Path) -> None:
    chance, original = random.Random(0), small()
    path = original.write(tmp_path)
    for _ in range(300):
        text = [*original.text()]
        for _ in range(chance.choice((1, 3, 8))):
            text[chance.randrange(40, len(text))] = chance.choice('0129-="<>/ ,x')
        path.write_text("".join(text))
        try:
            flopwise.count(path, batch=1)
        except FlopwiseError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version="11"', 'version="7"', "IR version 7"),
        ('from-layer="0"', 'from-layer="88"', "layer '88', which is not there"),
        ('to-layer="2" to-port="1"', 'to-layer="2" to-port="0"', "has two edges"),
        ('from-layer="1" from-port="0"', 'from-layer="3" from-port="1"', "a cycle"),
        ('from-layer="1" from-port="0"', 'from-layer="1" from-port="9"', "no output port 9"),
        ('id="1"', 'id="0"', "there twice"),
        ('shape="4, 3, 3, 3"', 'shape="4, 3, 3, 1152921504606846976"', "no size"),
        ('shape="4, 3, 3, 3"', 'shape="4, 3, 3, 99999999999999999"', "432 bytes for"),
        ('strides="1, 1"', 'strides="one"', "does not fit"),
        ('offset="432"', 'offset="99999999"', "leads out of hostile.bin"),
        ("<layers>", "<layers>" + "<x>" * 200 + "</x>" * 200, "nested more than"),
        ("<layers>", "<layer>", "not XML"),
    ],
)
def test_broken_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    net = small()
    (tmp_path / "hostile.bin").write_bytes(net.weights)
    text = net.text()
    assert old in text
    assert message in refused(text.replace(old, new, 1), tmp_path)


def test_other_xml_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<html><body/></html>")
    with pytest.raises(FlopwiseError, match="not a format"):
        flopwise.count(path)


@pytest.mark.parametrize("root", ["manifest", "rt_info"])
def test_the_root_of_other_xml_is_told(tmp_path: Path, root: str) -> None:
    path = tmp_path / "net.xml"
    path.write_text(f"<{root}/>")
    with pytest.raises(UnreadableModel, match=f"no OpenVINO IR: its root is <{root}>"):
        flopwise.count(path)


def test_broken_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "net.xml"
    path.write_text('<net version="11"></net>')
    with pytest.raises(UnreadableModel, match="holds no layer"):
        flopwise.count(path)
