"""CoreML programs and neural networks: costs by hand, compressed weights, hostile files."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, ShapeMismatch, UnknownSize, UnreadableModel
from flopwise.frontends.coreml.model import MODEL
from flopwise.frontends.coreml.network_schema import KINDS
from support.mil import Block, floats, program, write
from support.protobuf import encode


def count(block: Block, tmp_path: Path, **request: Any) -> Any:
    return flopwise.count(write(tmp_path, program(block)), **request)


def small(batch: int | None = 1) -> Block:
    """A convolution of stride 2, its activation, the mean of each channel, classes."""
    b = Block()
    x = b.input(batch, 3, 8, 8, name="image")
    y = b.op("conv", (batch, 4, 4, 4), x=x, weight=[(4, 3, 3, 3)], bias=[(4,)], strides=(2, 2),
             pad_type="custom", pad=(1, 0, 1, 0), dilations=(1, 1), groups=1)  # fmt: skip
    y = b.op("relu", (batch, 4, 4, 4), x=y)
    y = b.op("reduce_mean", (batch, 4), x=y, axes=(2, 3), keep_dims=False)
    b.op("linear", (batch, 10), x=y, weight=[(10, 4)], bias=[(10,)])
    return b


def test_a_program(tmp_path: Path) -> None:
    profile = count(small(), tmp_path)
    assert profile.total().mac == 4 * 16 * 27 + 40
    assert profile.params == 4 * 27 + 4 + 50
    assert profile.total().cmp == 64
    assert profile.coverage == 1
    assert [r.node.op for r in profile.rows] == ["conv", "relu", "reduce_mean", "linear"]


def test_a_free_axis_needs_a_size(tmp_path: Path) -> None:
    with pytest.raises(UnknownSize, match=r"image.*\?x3x8x8.*--input"):
        count(small(None), tmp_path)
    assert count(small(None), tmp_path, batch=5).total().mac == 5 * (4 * 16 * 27 + 40)
    assert str(count(small(None), tmp_path, inputs="Nx3x8x8").total().mac) == "1768*N"


def test_other_sizes_are_inferred_where_they_fit(tmp_path: Path) -> None:
    assert count(small(), tmp_path, inputs="2x3x16x16").total().mac == 2 * (4 * 64 * 27 + 40)
    with pytest.raises(ShapeMismatch, match="conv"):
        count(small(), tmp_path, inputs="1x4x8x8")


# kind, operands, other arguments, result, multiply-accumulates by hand
COSTS: list[tuple[str, dict[str, Any], dict[str, Any], list[tuple[int, ...]], int]] = [
    ("conv", {"x": (2, 6, 9, 8)}, {"weight": [(8, 3, 3, 3)], "pad_type": "same", "groups": 2,
     "strides": (1, 1)}, [(2, 8, 9, 8)], 2 * 8 * 72 * 27),
    ("conv_transpose", {"x": (1, 3, 5, 6)}, {"weight": [(3, 4, 2, 2)], "pad_type": "valid",
     "strides": (2, 2)}, [(1, 4, 10, 12)], 30 * 3 * 4 * 4),
    ("matmul", {"x": (2, 5, 7), "y": (2, 4, 7)}, {"transpose_y": True}, [(2, 5, 4)], 280),
    ("lstm", {"x": (7, 2, 5), "initial_h": (2, 4), "initial_c": (2, 4)},
     {"weight_ih": [(16, 5)], "weight_hh": [(16, 4)], "bias": [(16,)], "output_sequence": True},
     [(7, 2, 4), (2, 4), (2, 4)], 14 * 16 * 9),
    ("gru", {"x": (7, 2, 5), "initial_h": (2, 4)}, {"weight_ih": [(12, 5)],
     "weight_hh": [(12, 4)], "output_sequence": False}, [(1, 2, 4), (2, 4)], 14 * 12 * 9),
    ("scaled_dot_product_attention", {"query": (2, 8, 5, 16), "key": (2, 8, 7, 16),
     "value": (2, 8, 7, 12)}, {}, [(2, 8, 5, 12)], 16 * 5 * 7 * 28),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "operands", "arguments", "results", "macs"), COSTS)
@pytest.mark.parametrize("inferred", [False, True])
def test_costs_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, operands: Mapping[str, Any],
    arguments: Mapping[str, Any], results: list[tuple[int, ...]], macs: int, inferred: bool,
) -> None:  # fmt: skip
    if inferred:
        monkeypatch.setattr(
            "flopwise.frontends.coreml.program.reshaped", lambda inputs, request: True
        )
    b = Block()
    names = {key: b.input(*shape) for key, shape in operands.items()}
    b.op(kind, *results, **names, **arguments)
    profile = count(b, tmp_path)
    assert profile.total().mac == macs
    assert [t.shape for t in profile.graph.outputs] == results


def test_both_directions_of_an_lstm(tmp_path: Path) -> None:
    b = Block()
    x = b.input(7, 2, 5)
    sides = {f"{w}{s}": [shape] for s in ("", "_back") for w, shape in
             (("weight_ih", (16, 5)), ("weight_hh", (16, 4)))}  # fmt: skip
    b.op("lstm", (7, 2, 8), (2, 8), (2, 8), x=x, **sides, direction="bidirectional",
         output_sequence=True)  # fmt: skip
    assert count(b, tmp_path).total().mac == 2 * 14 * 16 * 9


def test_palettes_count_the_weights_that_they_stand_for(tmp_path: Path) -> None:
    """Four bits an index: 16 numbers and half a byte for each weight."""
    b = Block()
    x = b.input(1, 8)
    lut, packed = b.const([(16,)]), b.const([(32,)])
    b.operations[-1]["outputs"][0]["type"]["tensor"]["type"] = 31  # uint8
    b.operations[-1]["attributes"][0]["value"]["type"]["tensor"]["type"] = 31
    w = b.op("constexpr_lut_to_dense", (8, 8), lut=lut, indices=packed, shape=(8, 8))
    b.op("linear", (1, 8), x=x, weight=w)
    profile = count(b, tmp_path)
    assert (profile.params, profile.weight_bytes) == (64, 32)
    assert profile.buffers == 16


def test_sparse_weights_count_whole_and_are_told(tmp_path: Path) -> None:
    b = Block()
    x = b.input(1, 8)
    w = b.op("constexpr_sparse_to_dense", (8, 8), nonzero_data=[(10,)], mask=[(8,)], shape=(8, 8))
    b.op("linear", (1, 8), x=x, weight=w)
    profile = count(b, tmp_path)
    assert profile.total().mac == 64
    assert profile.params == 64
    assert "10 of their 64 elements" in profile.graph.notes[0]


def test_a_branch_and_a_loop(tmp_path: Path) -> None:
    b = Block()
    x, flag = b.input(1, 4), b.input(name="flag", dtype="bool")
    w = b.const([(4, 4)])
    once, twice = Block("once_"), Block("twice_")
    once.op("linear", (1, 4), x=x, weight=w)
    twice.op("linear", (1, 4), x=twice.op("linear", (1, 4), x=x, weight=w), weight=w)
    y = b.op("cond", (1, 4), pred=flag, blocks=[once, twice])
    test, body = Block("test_"), Block("body_")
    test.op("reduce_max", (), x=test.input(1, 4), keep_dims=False)
    body.op("linear", (1, 4), x=body.input(1, 4), weight=w)
    b.op("while_loop", (1, 4), loop_vars=[y], blocks=[test, body])
    profile = count(b, tmp_path)
    assert str(profile.total().mac).startswith("16*trips_")
    assert str(profile.total().mac).endswith(" + 32")
    assert profile.params == 16


def test_unknown_operations_are_told(tmp_path: Path) -> None:
    b = Block()
    b.op("mine", (1, 4), x=b.input(1, 4))
    assert count(b, tmp_path).not_counted() == {"mine": 1}


def test_weights_are_never_read(tmp_path: Path) -> None:
    """A package whose weights claim more than there is; then one without the file."""
    b = Block()
    b.op("linear", (1, 1 << 20), x=b.input(1, 1 << 10), weight=[(1 << 20, 1 << 10)])
    path = write(tmp_path, program(b), weights=1 << 33)  # sparse on disk
    assert flopwise.count(path).params == 1 << 30
    (path / "Data/com.apple.CoreML/weights/weight.bin").unlink()
    assert flopwise.count(path).params == 1 << 30


# Neural networks


def network(layers: list[dict[str, Any]], shape: tuple[int, ...], exact: bool = True) -> bytes:
    """A .mlmodel with one input and one output."""
    feature = {"name": "x", "type": {"array": {"shape": shape, "type": 65568}}}
    last = {"name": layers[-1]["outputs"][0] if layers else "x", "type": {}}
    description = {"inputs": [feature], "outputs": [last]}
    body = {"layers": layers, "arrays": int(exact)}
    number = 500
    schema = {1: MODEL[1], 2: MODEL[2], number: MODEL[number]}
    return encode(schema, {"version": 4, "description": description, "network": body})


def layer(what: str, blob: str, top: str, **params: Any) -> dict[str, Any]:
    return {"name": top, "inputs": blob.split(), "outputs": top.split(), what: params}


def load(data: bytes, tmp_path: Path, **request: Any) -> Any:
    path = tmp_path / "net.mlmodel"
    path.write_bytes(data)
    return flopwise.count(path, **request)


def test_a_network_of_the_older_mapping(tmp_path: Path) -> None:
    """Channels, height and width; vectors lie along the channels."""
    layers = [
        layer("convolution", "x", "a", f=8, g=3, groups=1, kernel=(3, 3), stride=(2, 2), bias=1,
              same={}, weights=floats(8, 3, 3, 3), biases=floats(8)),
        layer("activation", "a", "b", prelu={"alpha": floats(8)}),
        layer("pooling", "b", "c", kind=1, whole=1),
        layer("innerProduct", "c", "d", i=8, o=10, bias=1, weights=floats(10, 8),
              biases=floats(10)),
        layer("softmax", "d", "e"),
    ]  # fmt: skip
    profile = load(network(layers, (3, 20, 20), exact=False), tmp_path)
    assert profile.total().mac == 100 * 8 * 27 + 80
    assert profile.params == 8 * 27 + 8 + 8 + 80 + 10
    assert profile.graph.outputs[0].shape == (1, 10, 1, 1)
    assert profile.coverage == 1
    assert load(network(layers, (3, 20, 20), exact=False), tmp_path, batch=4).total().mac == 4 * (
        profile.total().mac
    )


def test_a_network_of_exact_shapes(tmp_path: Path) -> None:
    layers = [
        layer("innerProduct", "x", "a", i=8, o=12, weights=floats(12, 8)),
        layer("reshapeStatic", "a", "b", shape=(2, 5, 3, 4)),
        layer("transpose", "b", "c", axes=(0, 1, 3, 2)),
        layer("batchedMatmul", "b c", "d"),
        layer("softmaxND", "d", "e", axis=-1),
        layer("reduceMean", "e", "f", axes=(-1,), keep=0),
        layer("sliceStatic", "f", "g", begin=(0, 1, 0), end=(2, 4, 1), strides=(1, 1, 1),
              beginMasks=(0, 0, 0), endMasks=(0, 0, 0), squeeze=(0, 0, 1)),
    ]  # fmt: skip
    profile = load(network(layers, (2, 5, 8)), tmp_path)
    assert profile.total().mac == 10 * 96 + 10 * 3 * 3 * 4
    assert profile.graph.outputs[0].shape == (2, 3)


def test_a_recurrent_network(tmp_path: Path) -> None:
    layers = [layer("uniDirectionalLSTM", "x", "h", i=5, h=4, params={"sequence": 1, "biases": 1})]
    profile = load(network(layers, (5,), exact=False), tmp_path)
    assert (profile.total().mac, profile.params) == (16 * 9, 16 * 9 + 16)
    steps = load(network(layers, (5,), exact=False), tmp_path, inputs="7x5x1x1")
    assert steps.total().mac == 7 * 16 * 9


def test_every_layer_of_the_schema_has_a_meaning_or_is_told() -> None:
    from importlib import import_module

    from flopwise.frontends.coreml.network_native import LOWERINGS

    for name in ("control", "layers", "moves", "pointwise", "recurrent"):
        import_module(f"flopwise.frontends.coreml.network_{name}")
    assert set(KINDS) - set(LOWERINGS) == {"cropResize"}


def test_custom_layers_are_told_with_their_weights(tmp_path: Path) -> None:
    layers = [layer("custom", "x", "y", **{"class": "Mine", "weights": [floats(7)]})]
    profile = load(network(layers, (1, 4)), tmp_path)
    assert profile.not_counted() == {"custom layer Mine": 1}
    assert profile.params == 7


def test_other_kinds_of_model_are_named(tmp_path: Path) -> None:
    data = encode({1: MODEL[1], 2: MODEL[2], 402: MODEL[402]},
                  {"version": 4, "description": {}, "a tree ensemble": {}})  # fmt: skip
    with pytest.raises(UnreadableModel, match="a tree ensemble, and no network"):
        load(data, tmp_path)


# Hostile files


def refused(path: Path) -> str:
    with pytest.raises(FlopwiseError) as caught:
        flopwise.count(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def specification(package: Path) -> Path:
    return package / "Data/com.apple.CoreML/model.mlmodel"


def test_truncated_at_every_tenth_byte(tmp_path: Path) -> None:
    package = write(tmp_path, program(small()))
    data = specification(package).read_bytes()
    for stop in range(0, len(data) - 5, 10):
        specification(package).write_bytes(data[:stop])
        refused(package)


def test_noise_never_crashes(tmp_path: Path) -> None:
    package, chance = write(tmp_path, program(small())), random.Random(0)
    layers = [layer("convolution", "x", "a", f=8, g=3, kernel=(3, 3), weights=floats(8, 3, 3, 3)),
              layer("pooling", "a", "b", kernel=(2, 2))]  # fmt: skip
    loose = tmp_path / "net.mlmodel"
    loose.write_bytes(network(layers, (1, 3, 9, 9)))
    for path, target in ((specification(package), package), (loose, loose)):
        data = path.read_bytes()
        for _ in range(300):
            noisy = bytearray(data)
            for _ in range(chance.choice((1, 3, 10))):
                noisy[chance.randrange(len(noisy))] = chance.choice((0, 1, 10, 127, 255))
            path.write_bytes(noisy)
            try:
                flopwise.count(target)
            except FlopwiseError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("", "names no root model"),
        ("[" * 100000, "names no root model"),
        ('{"rootModelIdentifier": "A", "itemInfoEntries": {}}', "names no root model"),
    ],
)
def test_manifests_that_lie(tmp_path: Path, manifest: str, message: str) -> None:
    package = write(tmp_path, program(small()))
    (package / "Manifest.json").write_text(manifest)
    assert message in refused(package)


@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "com.apple.CoreML"])
def test_a_manifest_that_leads_out(tmp_path: Path, path: str) -> None:
    package = write(tmp_path, program(small()))
    entries = {"rootModelIdentifier": "A", "itemInfoEntries": {"A": {"path": path}}}
    (package / "Manifest.json").write_text(json.dumps(entries))
    assert "is no file of the package" in refused(package)


def changed(tmp_path: Path, change: Any) -> str:
    block = small()
    change(block)
    return refused(write(tmp_path, program(block)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.operations.pop(0), "nothing before it makes"),
        (lambda b: b.op("relu", (1,), x=b.const([(1 << 60,)])), "claims the shape"),
        (lambda b: b.op("relu", (1,), x=b.const([(1 << 30,)])), "leads out of weights/weight.bin"),
        (lambda b: b.operations.append(b.operations[0]), "made twice"),
        (lambda b: b.outputs.append("nowhere"), "nothing before it makes 'nowhere'"),
        (lambda b: b.op("conv", (1, 4, 4, 4)), "is left out"),
        (lambda b: b.operations.append({"type": "const", "outputs": []}), "without value"),
    ],
)
def test_broken_programs(tmp_path: Path, change: Any, message: str) -> None:
    assert message in changed(tmp_path, change)


def test_weights_outside_of_the_package(tmp_path: Path) -> None:
    block = small()
    blobs = [a["value"]["blob"] for o in block.operations for a in o.get("attributes", ())
             if "blob" in a["value"]]  # fmt: skip
    blobs[0]["file"] = "@model_path/../../../../etc/passwd"
    assert "outside of the package" in refused(write(tmp_path, program(block)))


def test_blocks_nested_too_deep(tmp_path: Path) -> None:
    inner = Block("a")
    inner.op("relu", (1,), x=inner.input(1))
    for depth in range(60):
        outer = Block(f"b{depth}_")
        outer.op("cond", (1,), pred=outer.input(dtype="bool"), blocks=[inner, inner][:1])
        inner = outer
    assert "nested more than" in refused(write(tmp_path, program(inner)))


def test_an_empty_program(tmp_path: Path) -> None:
    model = {"version": 8, "description": {}, "program": {"version": 1}}
    assert "holds no function" in refused(write(tmp_path, model))


def test_a_folder_that_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "Manifest.json").write_text(json.dumps({}))
    with pytest.raises(FlopwiseError, match="not a format"):
        flopwise.count(tmp_path)


def test_the_twins_cost_the_same(shared: Path) -> None:
    """One network in three formats. CoreML stores a bias of zeros for each convolution
    without one, and constants of its own; ONNX and TFLite do not."""
    models = shared / "models"
    mil = flopwise.count(models / "coreml/basic_pitch_nmp.mlpackage")
    lite = flopwise.count(models / "tflite/basic_pitch_nmp.tflite")
    onnx = flopwise.count(models / "onnx/basic_pitch_nmp.onnx", inputs="1x43844x1")
    assert mil.total().mac == lite.total().mac == onnx.total().mac == 524079648
    assert mil.coverage == lite.coverage == onnx.coverage == 1


def test_inferred_shapes_are_those_of_the_file(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared / "models/coreml/basic_pitch_nmp.mlpackage"
    stated = flopwise.count(path)
    monkeypatch.setattr("flopwise.frontends.coreml.program.reshaped", lambda inputs, request: True)
    inferred = flopwise.count(path)
    for a, b in zip(stated.rows, inferred.rows):
        assert [t.shape for t in a.node.outputs] == [t.shape for t in b.node.outputs]
        assert a.counts == b.counts
