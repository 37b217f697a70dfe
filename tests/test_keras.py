"""Keras configurations: layers against Keras itself, costs by hand, hostile files."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnknownSize, UnreadableModel


def sequential(shape: tuple[int | None, ...], *layers: tuple[str, Mapping[str, Any]]) -> str:
    """A Sequential model; the batch is free."""
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, *shape]}}
    rest = [
        {"class_name": kind, "config": {"name": f"{kind.lower()}_{i}", **config}}
        for i, (kind, config) in enumerate(layers)
    ]
    return json.dumps({"class_name": "Sequential", "config": {"layers": [first, *rest]}})


def functional(layers: list[dict[str, Any]], inputs: list[str], outputs: list[str]) -> str:
    ends = {
        "input_layers": [[n, 0, 0] for n in inputs],
        "output_layers": [[n, 0, 0] for n in outputs],
    }
    return json.dumps({"class_name": "Functional", "config": {"layers": layers, **ends}})


def layer(kind: str, name: str, *calls: list[list[Any]], **config: Any) -> dict[str, Any]:
    """A layer with its calls in the older form: lists of [layer, call, result, arguments]."""
    return {"class_name": kind, "name": name, "config": {"name": name, **config},
            "inbound_nodes": list(calls)}  # fmt: skip


def count(text: str, tmp_path: Path, **request: Any) -> Any:
    path = tmp_path / "model.json"
    path.write_text(text)
    return flopwise.count(path, **request)


# layer, configuration, input, output, parameters: as Keras 3.15.1 gives them
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...], int]] = [
    ("Conv1D", {"filters": 8, "kernel_size": [3], "padding": "causal", "dilation_rate": [2]},
     (20, 6), (20, 8), 152),
    ("Conv2D", {"filters": 8, "kernel_size": [3, 2], "strides": [2, 2], "padding": "same",
     "groups": 2, "use_bias": False}, (9, 8, 6), (5, 4, 8), 144),
    ("Conv3D", {"filters": 4, "kernel_size": [2, 2, 2]}, (5, 6, 7, 2), (4, 5, 6, 4), 68),
    ("DepthwiseConv2D", {"kernel_size": [3, 3], "depth_multiplier": 2}, (9, 8, 6), (7, 6, 12), 120),
    ("SeparableConv2D", {"filters": 10, "kernel_size": [3, 3], "depth_multiplier": 2,
     "padding": "same"}, (9, 8, 6), (9, 8, 10), 238),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": [3, 3], "strides": [2, 2],
     "padding": "same"}, (5, 6, 3), (10, 12, 4), 112),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": [2, 2], "strides": [3, 3]}, (5, 6, 3),
     (15, 18, 4), 52),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": [4, 4], "strides": [2, 2]}, (5, 6, 3),
     (12, 14, 4), 196),
    ("Dense", {"units": 7, "activation": "softmax"}, (5, 6), (5, 7), 49),
    ("MaxPooling2D", {"pool_size": [2, 2]}, (9, 8, 6), (4, 4, 6), 0),
    ("AveragePooling2D", {"pool_size": [3, 3], "strides": [2, 2], "padding": "same"}, (9, 8, 6),
     (5, 4, 6), 0),
    ("GlobalAveragePooling2D", {}, (9, 8, 6), (6,), 0),
    ("GlobalMaxPooling1D", {"keepdims": True}, (9, 6), (1, 6), 0),
    ("UpSampling2D", {"size": [2, 2], "interpolation": "bilinear"}, (4, 5, 6), (8, 10, 6), 0),
    ("UpSampling1D", {"size": 3}, (5, 6), (15, 6), 0),
    ("ZeroPadding2D", {"padding": [[1, 2], [0, 3]]}, (4, 5, 6), (7, 8, 6), 0),
    ("ZeroPadding1D", {"padding": [1, 2]}, (5, 6), (8, 6), 0),
    ("Cropping2D", {"cropping": [[1, 2], [0, 3]]}, (8, 9, 6), (5, 6, 6), 0),
    ("BatchNormalization", {"axis": -1}, (4, 5, 6), (4, 5, 6), 24),
    ("BatchNormalization", {"axis": [3], "scale": False}, (4, 5, 6), (4, 5, 6), 18),
    ("LayerNormalization", {"axis": [-1]}, (5, 6), (5, 6), 12),
    ("GroupNormalization", {"groups": 3}, (4, 4, 6), (4, 4, 6), 12),
    ("UnitNormalization", {"axis": -1}, (5, 6), (5, 6), 0),
    ("RMSNormalization", {"axis": -1}, (5, 6), (5, 6), 6),
    ("Normalization", {"axis": [-1]}, (4, 5, 6), (4, 5, 6), 13),
    ("Normalization", {"axis": [3]}, (4, 5, 6), (4, 5, 6), 13),
    ("LayerScale", {"projection_dim": 6, "init_values": 1e-6}, (4, 5, 6), (4, 5, 6), 6),
    ("StochasticDepth", {"drop_path_rate": 0.1}, (4, 5, 6), (4, 5, 6), 0),
    ("Normalization", {"axis": [1]}, (4, 5, 6), (4, 5, 6), 9),
    ("Normalization", {"axis": None}, (5, 6), (5, 6), 3),
    ("Normalization", {"axis": [-1], "mean": [1.0], "variance": [2.0]}, (5, 6), (5, 6), 0),
    ("Rescaling", {"scale": 0.5, "offset": 1.0}, (4, 5, 6), (4, 5, 6), 0),
    ("RandomErasing", {}, (4, 5, 6), (4, 5, 6), 0),
    ("PReLU", {"shared_axes": [1, 2]}, (4, 5, 6), (4, 5, 6), 6),
    ("PReLU", {"shared_axes": None}, (4, 5), (4, 5), 20),
    ("Flatten", {}, (4, 5, 6), (120,), 0),
    ("Reshape", {"target_shape": [3, -1]}, (4, 6), (3, 8), 0),
    ("Permute", {"dims": [2, 3, 1]}, (4, 5, 6), (5, 6, 4), 0),
    ("RepeatVector", {"n": 3}, (5,), (3, 5), 0),
    ("LSTM", {"units": 4, "return_sequences": True}, (7, 5), (7, 4), 160),
    ("LSTM", {"units": 4, "use_bias": False}, (7, 5), (4,), 144),
    ("GRU", {"units": 4, "reset_after": True}, (7, 5), (4,), 132),
    ("GRU", {"units": 4, "reset_after": False}, (7, 5), (4,), 120),
    ("SimpleRNN", {"units": 4}, (7, 5), (4,), 40),
    ("Bidirectional", {"layer": {"class_name": "LSTM", "config": {"units": 4,
     "return_sequences": True}}}, (7, 5), (7, 8), 320),
    ("Bidirectional", {"merge_mode": "sum", "layer": {"class_name": "GRU", "config": {"units": 4,
     "reset_after": True}}}, (7, 5), (4,), 264),
    ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"units": 3}}}, (7, 5), (7, 3),
     18),
    ("Resizing", {"height": 7, "width": 9}, (4, 5, 3), (7, 9, 3), 0),
    ("Embedding", {"input_dim": 50, "output_dim": 8}, (6,), (6, 8), 400),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "config", "given", "result", "params"), LAYERS)
def test_layers_are_those_of_keras(
    tmp_path: Path, kind: str, config: Any, given: Any, result: Any, params: int
) -> None:
    profile = count(sequential(given, (kind, config)), tmp_path, batch=2)
    assert profile.graph.outputs[0].shape == (2, *result)
    assert (profile.params, profile.coverage) == (params, 1)


# layer, configuration, input, multiply-accumulates by hand
COSTS: list[tuple[str, dict[str, Any], tuple[int, ...], int]] = [
    ("Conv2D", {"filters": 8, "kernel_size": [3, 3]}, (9, 8, 6), 42 * 8 * 54),
    ("DepthwiseConv2D", {"kernel_size": [3, 3], "depth_multiplier": 2}, (9, 8, 6), 42 * 12 * 9),
    ("SeparableConv2D", {"filters": 10, "kernel_size": [3, 3]}, (9, 8, 6), 42 * (54 + 60)),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": [3, 3], "strides": [2, 2]}, (5, 6, 3),
     30 * 3 * 4 * 9),
    ("Dense", {"units": 7}, (5, 6), 5 * 42),
    ("LSTM", {"units": 4}, (7, 5), 7 * 16 * 9),
    ("GRU", {"units": 4, "reset_after": True}, (7, 5), 7 * 12 * 9),
    ("Bidirectional", {"layer": {"class_name": "SimpleRNN", "config": {"units": 4}}}, (7, 5),
     2 * 7 * 4 * 9),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "config", "given", "macs"), COSTS)
def test_costs_by_hand(tmp_path: Path, kind: str, config: Any, given: Any, macs: int) -> None:
    assert count(sequential(given, (kind, config)), tmp_path, batch=1).total().mac == macs
    assert str(count(sequential(given, (kind, config)), tmp_path, batch="N").total().mac) == (
        f"{macs}*N"
    )


def test_channels_first(tmp_path: Path) -> None:
    config = {"filters": 8, "kernel_size": [3, 3], "data_format": "channels_first"}
    profile = count(sequential((6, 9, 8), ("Conv2D", config)), tmp_path, batch=1)
    assert profile.graph.outputs[0].shape == (1, 8, 7, 6)


def test_a_free_batch_needs_a_size(tmp_path: Path) -> None:
    with pytest.raises(UnknownSize, match=r"\?x4.*--input"):
        count(sequential((4,), ("Dense", {"units": 3})), tmp_path)


def shared_model(newer: bool) -> str:
    """x through one layer twice, and both results side by side."""

    def call(*names: tuple[str, int]) -> Any:
        if not newer:
            return [[name, i, 0, {}] for name, i in names]
        tensors = [
            {"class_name": "__keras_tensor__", "config": {"keras_history": [name, i, 0]}}
            for name, i in names
        ]
        return {"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}

    return functional(
        [
            layer("InputLayer", "x", batch_shape=[None, 5]),
            layer("Dense", "d", call(("x", 0)), call(("d", 0)), units=5),
            layer("Concatenate", "c", call(("d", 0), ("d", 1)), axis=-1),
        ],
        ["x"],
        ["c"],
    )


@pytest.mark.parametrize("newer", [False, True])
def test_a_layer_called_twice_holds_its_weights_once(tmp_path: Path, newer: bool) -> None:
    profile = count(shared_model(newer), tmp_path, batch=1)
    assert (profile.total().mac, profile.params) == (50, 30)
    assert profile.graph.outputs[0].shape == (1, 10)


def test_models_inside_models(tmp_path: Path) -> None:
    inner = json.loads(sequential((5,), ("Dense", {"units": 7}), ("Dense", {"units": 5})))
    inner |= {"name": "block", "inbound_nodes": [[["x", 0, 0, {}]]]}
    inner["config"]["name"] = "block"
    layers = [layer("InputLayer", "x", batch_shape=[None, 5]), inner,
              layer("Add", "sum", [["x", 0, 0, {}], ["block", 0, 0, {}]])]  # fmt: skip
    profile = count(functional(layers, ["x"], ["sum"]), tmp_path, batch=1)
    assert profile.total().mac == 70
    assert {r.node.scope[0] for r in profile.rows} == {"block", "sum"}


def test_frozen_layers_are_not_trainable(tmp_path: Path) -> None:
    config = {"units": 3, "trainable": False}
    profile = count(sequential((4,), ("Dense", config)), tmp_path, batch=1)
    assert (profile.params, profile.trainable_params) == (15, 0)


def test_unknown_layers_are_told(tmp_path: Path) -> None:
    profile = count(
        sequential((4,), ("Lambda", {"function": ["4wEAAAA=", None]})), tmp_path, batch=1
    )
    assert profile.not_counted() == {"Lambda layer": 1}


def test_an_archive_and_an_hdf5_file(tmp_path: Path) -> None:
    text = sequential((4,), ("Dense", {"units": 3}))
    archive = tmp_path / "model.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", text)
        file.writestr("model.weights.h5", b"\0" * 100)
    hdf = tmp_path / "model.h5"
    hdf.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(900) + text.encode() + bytes(900))
    for path in (archive, hdf):
        assert flopwise.count(path, batch=1).total().mac == 12


@pytest.mark.parametrize(
    ("name", "macs", "params"), [("resnet8", 12501632, 78666), ("str_ww", 826368, 47707)]
)
def test_shared_files(shared: Path, name: str, macs: int, params: int) -> None:
    """tf.profiler (TensorFlow 2.15) has 1,652,754 float operations for str_ww: twice our
    products, and 18 more."""
    profile = flopwise.count(shared / f"models/keras/mlctiny_{name}.h5", batch=1)
    assert (profile.total().mac, profile.params, profile.coverage) == (macs, params, 1)


# Hostile files


def refused(path: Path) -> str:
    with pytest.raises(FlopwiseError) as caught:
        flopwise.count(path, batch=1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_alone(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    assert "holds no configuration" in refused(path)


def test_archives_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04" + bytes(50))
    assert "without a config.json" in refused(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other.json", "{}")
    assert "without a config.json" in refused(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", b" " * (2**28 + 1))
    assert "larger than" in refused(path)


def test_truncated_at_every_tenth_byte(tmp_path: Path) -> None:
    text, path = shared_model(True), tmp_path / "model.h5"
    for stop in range(0, len(text) - 2, 10):
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + text[:stop].encode())
        refused(path)


def test_noise_never_crashes(tmp_path: Path) -> None:
    original, chance = shared_model(False), random.Random(0)
    path = tmp_path / "model.h5"
    for _ in range(400):
        text = [*original]
        for _ in range(chance.choice((1, 3, 8))):
            text[chance.randrange(len(text))] = chance.choice('[]{}",:019-xn')
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + "".join(text).encode())
        try:
            flopwise.count(path, batch=1)
        except FlopwiseError as error:
            assert "\n" not in str(error)


def test_layers_that_wait_for_each_other(tmp_path: Path) -> None:
    layers = [layer("InputLayer", "x", batch_shape=[None, 5]),
              layer("Dense", "a", [["b", 0, 0, {}]], units=5),
              layer("Dense", "b", [["a", 0, 0, {}]], units=5)]  # fmt: skip
    with pytest.raises(UnreadableModel, match="a cycle"):
        count(functional(layers, ["x"], ["b"]), tmp_path, batch=1)


def test_models_nested_too_deep(tmp_path: Path) -> None:
    model = json.loads(sequential((4,), ("Dense", {"units": 4})))
    for depth in range(300):
        model["config"]["name"] = f"m{depth}"
        model = {"class_name": "Sequential", "config": {"layers": [model]}}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    assert "deep" in refused(path)


@pytest.mark.parametrize(
    "config",
    [{"filters": "many", "kernel_size": [3]}, {"kernel_size": [3, 3]},
     {"filters": 8, "kernel_size": [3, 3], "padding": "odd"}],
)  # fmt: skip
def test_layers_that_do_not_fit(tmp_path: Path, config: Any) -> None:
    with pytest.raises(FlopwiseError, match="conv2d_0"):
        count(sequential((9, 8, 6), ("Conv2D", config)), tmp_path, batch=1)


def test_what_follows_the_stem_of_efficientnet_is_counted(tmp_path: Path) -> None:
    stem = sequential((8, 8, 3), ("Rescaling", {"scale": 0.5}), ("Normalization", {"axis": [3]}),
                      ("Conv2D", {"filters": 4, "kernel_size": 3, "use_bias": False}),
                      ("LayerScale", {"projection_dim": 4}))  # fmt: skip
    total = count(stem, tmp_path, batch=1).total()
    assert (total.mac, total.div, total.mul) == (36 * 4 * 27, 192, 192 + 36 * 4)
