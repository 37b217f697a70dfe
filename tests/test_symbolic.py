"""Counted with sizes free and then put in, a network costs what it costs at those sizes.

Besides: costs are linear in the batch, and the layers, operators and modules add up.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flopwise
from flopwise import plugins
from flopwise.counts import FIELDS, ZERO
from flopwise.dims import at, symbol, symbols
from flopwise.errors import ShapeMismatch, UnknownSize
from flopwise.profile import Profile
from support.single import single

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared/models"
N, H, W = map(symbol, "NHW")


# What sorts a free number of things is listed, not counted: the comparisons are no polynomial.
SORTING = {"detection_output"}


def layer(kind: str, bottoms: str, top: str, param: str = "") -> str:
    links = " ".join(f'bottom: "{b}"' for b in bottoms.split())
    return f'layer {{ name: "{top}" type: "{kind}" {links} top: "{top}" {param} }}\n'


def conv(bottom: str, top: str, fields: str, kind: str = "Convolution") -> str:
    return layer(kind, bottom, top, f"convolution_param {{ {fields} }}")


def pool(bottom: str, top: str, fields: str) -> str:
    return layer("Pooling", bottom, top, f"pooling_param {{ {fields} }}")


def dense(bottom: str, top: str, units: int) -> str:
    return layer("InnerProduct", bottom, top, f"inner_product_param {{ num_output: {units} }}")


# Each network, and the smallest image that it takes.
NETWORKS = {
    "strides, dilation, groups and a sum": (
        conv("data", "a", "num_output: 4 kernel_size: 3 stride: 2 pad: 1")
        + conv("a", "b", "num_output: 4 kernel_size: 3 dilation: 2 pad: 2 group: 2")
        + layer("ReLU", "b", "r") + layer("Eltwise", "a r", "s")
        + conv("s", "c", "num_output: 2 kernel_h: 1 kernel_w: 5 stride_h: 3 stride_w: 1 pad_h: 0"
               " pad_w: 2 bias_term: false"),
        1,
    ),
    "pools that round up, some over their padding": (
        pool("data", "a", "pool: MAX kernel_size: 3 stride: 2")
        + pool("a", "b", "pool: AVE kernel_size: 2 stride: 2 pad: 1")
        + pool("b", "c", "pool: MAX kernel_size: 2 stride: 3 pad: 1")
        + pool("c", "d", "pool: MAX kernel_size: 2 stride: 2 round_mode: FLOOR")
        + conv("d", "e", "num_output: 3 kernel_size: 1"),
        40,
    ),
    "transposed convolutions": (
        conv("data", "a", "num_output: 6 kernel_size: 4 stride: 2 pad: 1", "Deconvolution")
        + conv("a", "b", "num_output: 6 kernel_size: 3 stride: 5 group: 3", "Deconvolution")
        + layer("Sigmoid", "b", "c"),
        1,
    ),
    "branches that are joined, and responses normalised": (
        conv("data", "a", "num_output: 4 kernel_size: 1")
        + conv("data", "b", "num_output: 5 kernel_size: 3 pad: 1")
        + pool("data", "p", "pool: MAX kernel_size: 3 stride: 1 pad: 1")
        + layer("Concat", "a b p", "c")
        + layer("LRN", "c", "n", "lrn_param { local_size: 5 }")
        + layer("BatchNorm", "n", "m") + layer("Scale", "m", "s", "scale_param { bias_term: true }")
        + layer("PReLU", "s", "t"),
        1,
    ),
    "a global pool before the classifier": (
        conv("data", "a", "num_output: 4 kernel_size: 3 stride: 2")
        + layer("TanH", "a", "t") + pool("t", "g", "pool: AVE global_pooling: true")
        + dense("g", "f", 10) + layer("Softmax", "f", "p"),
        3,
    ),
}  # fmt: skip


def sizes(smallest: int = 1) -> st.SearchStrategy[dict[str, int]]:
    """Batch, height and width of images."""
    side = st.integers(smallest, 70)
    return st.fixed_dictionaries({"N": st.integers(1, 5), "H": side, "W": side})


def written(folder: Path, text: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text('input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }\n' + text)
    return path


def agree(free: Profile, known: Profile, sizes: dict[str, Any]) -> None:
    """Layer by layer, and in what a layer needs not know of: params, shapes, the value."""
    assert len(free.rows) == len(known.rows)
    listed = ZERO
    for before, after in zip(free.rows, known.rows):
        if before.counts is None and before.node.op in SORTING:
            listed += after.total
        else:
            assert before.total.at(**sizes) == after.total, after.node
            assert (before.counts is None) == (after.counts is None), after.node
        assert at(before.params, sizes) == after.params, after.node
        outputs = [_shape(t.shape, sizes) for t in before.node.outputs]
        assert outputs == [t.shape for t in after.node.outputs], after.node
    assert free.total().at(**sizes) + listed == known.total()
    assert at(free.params, sizes) == known.params
    assert at(free.activations, sizes) == known.activations
    assert at(free.value(), sizes) == known.value()


def _shape(shape: Any, sizes: dict[str, Any]) -> Any:
    return None if shape is None else tuple(at(s, sizes) for s in shape)


def parts_add_up(profile: Profile) -> None:
    whole = profile.total()
    assert sum((row.total for row in profile.rows), ZERO) == whole
    for groups in (profile.by_op(), profile.by_scope(1), profile.by_scope(2), profile.by_scope(9)):
        assert sum(groups.values(), ZERO) == whole
    for depth in (None, 1, 3):
        lines = profile.lines(depth)
        assert sum((line.counts for line in lines), ZERO) == whole
        assert sum((line.value for line in lines), 0) == profile.value()
        assert sum((line.params for line in lines), 0) == sum(r.params for r in profile.rows)
    used = {t.name for row in profile.rows for t in row.node.weights}
    unused = sum(t.size for t in profile.weights if t.name not in used)
    assert sum(row.params for row in profile.rows) + unused == profile.params


def is_linear_in_the_batch(free: Profile) -> None:
    """Each image is a product with the same weights; statistics and weights come once."""
    one, two, three = (free.total().at(N=n) for n in (1, 2, 3))
    assert two.mac == 2 * one.mac
    for kind in FIELDS:
        steps = getattr(three, kind) - getattr(two, kind), getattr(two, kind) - getattr(one, kind)
        assert steps[0] == steps[1], kind
    assert "N" not in symbols(free.params)


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_put_in_last_make_no_difference(name: str, tmp_path: Path) -> None:
    text, smallest = NETWORKS[name]
    model = written(tmp_path, text)
    free = flopwise.count(model, inputs={"data": (N, 3, H, W)})
    assert symbols(free.total().ops) == {"N", "H", "W"}
    is_linear_in_the_batch(free)
    parts_add_up(free)

    @settings(max_examples=25, deadline=None)
    @given(sizes(smallest))
    def at_random_sizes(sizes: dict[str, int]) -> None:
        known = flopwise.count(model, inputs={"data": (sizes["N"], 3, sizes["H"], sizes["W"])})
        agree(free, known, sizes)
        agree(free.at(**sizes), known, {})
        agree(
            free.at(N=sizes["N"]), flopwise.count(model, inputs={"data": (sizes["N"], 3, H, W)}), {}
        )
        parts_add_up(known)

    at_random_sizes()


def test_a_dense_layer_on_an_image_settles_the_image(tmp_path: Path) -> None:
    """Only the batch is free: with another image it would be another network, of more
    parameters, and that is what the expression of its parameters says."""
    model = written(
        tmp_path, conv("data", "a", "num_output: 2 kernel_size: 3") + dense("a", "f", 5)
    )
    free = flopwise.count(model, inputs={"data": (N, 3, 64, 64)})
    agree(free, flopwise.count(model, inputs={"data": (7, 3, 64, 64)}), {"N": 7})
    is_linear_in_the_batch(free)
    assert free.params == 2 * (27 + 1) + 5 * (2 * 62 * 62 + 1)
    other = flopwise.count(model, inputs={"data": (1, 3, H, W)})
    assert at(other.params, {"H": 64, "W": 64}) == free.params
    assert symbols(other.params) == {"H", "W"}


@pytest.mark.parametrize("shape", [(1, 9216), (9216,), (3, -1, 3072)])
def test_a_reshape_to_numbers_leaves_a_free_size_no_freedom(shape: Any) -> None:
    """Unless -1 takes what is free; that is how a batch gets lost unseen."""
    if -1 in shape:
        assert single("reshape", (N, 9216), shape=shape).outputs[0].shape == (3, N, 3072)
        return
    with pytest.raises(ShapeMismatch, match=r"9216\*N elements do not reshape to"):
        single("reshape", (N, 9216), shape=shape)


def test_resnet_50_in_two_terms(tmp_path: Path) -> None:
    """With sides that are multiples of 32 every floor goes away. torchvision 0.29.2 states 4.089
    billion multiply-adds and 25,557,032 parameters at 224 x 224."""
    text = runpy.run_path(str(ROOT / "benchmarks/symbols.py"))["resnet50"]()
    model = tmp_path / "resnet50.prototxt"
    model.write_text(text)
    free = flopwise.count(model, inputs="Nx3x32*rx32*r")
    assert str(free.total().mac) == "83410944*N*r**2 + 2048000*N"
    assert free.at(N=1, r=7).total().mac == 4_089_184_256
    assert free.trainable_params == 25_557_032


# Of the shared files: where the size of the image is free beside the batch. None may leave.
ANY_IMAGE = {
    "caffe/SqueezeNet_v1.0_deploy.prototxt", "caffe/mobilenet_v1_deploy.prototxt",
    "caffe/mobilenet_v2_deploy.prototxt", "caffe/netscope_SSD300.prototxt",
    "caffe/soeaver_deploy_densenet121.prototxt", "mxnet/fcn32s-symbol.json",
    "mxnet/resnet-101-symbol.json", "mxnet/resnet-50-symbol.json",
    "mxnet/resnext-101-64x4d-symbol.json", "mxnet/squeezenet_v1.0-symbol.json",
    "darknet/darknet19.cfg", "darknet/yolov3-tiny.cfg", "darknet/yolov3.cfg",
    "darknet/yolov4-tiny.cfg", "onnx/light_squeezenet.onnx",
    "onnx/rapidocr_ch_PP-OCRv4_det_infer.onnx", "onnx/rapidocr_ch_ppocr_mobile_v2.0_cls_infer.onnx",
}  # fmt: skip
# And where the file states its batch: in the shape of a reshape, or in another input's.
BATCH_IN_RESHAPE = {
    "onnx/light_bvlc_alexnet.onnx", "onnx/light_resnet50.onnx", "onnx/light_vgg19.onnx",
    "onnx/onnx2tf_Attention_torch2.8_23.onnx",
}  # fmt: skip
ONE_BATCH = {*BATCH_IN_RESHAPE, "onnx/onnx2tf_LSTM_1layer_fixed.onnx"}
FORMATS = ("caffe", "mxnet", "darknet", "onnx")
FILES = sorted(f"{d}/{p.name}" for d in FORMATS for p in SHARED.glob(f"{d}/*") if p.is_file())


def test_the_formats_are_read() -> None:
    assert {*FORMATS} <= plugins.available("frontends").keys()
    assert not FILES or {*ANY_IMAGE} <= {*FILES}


def images(path: Path) -> Iterator[tuple[str, int]]:
    """The name and the channels of the input, where it is one batch of images."""
    try:
        graph = flopwise.load(path)
    except UnknownSize:
        graph = flopwise.load(path, inputs="1x3x224x224")
    shapes = [t.sizes for t in graph.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 4 and isinstance(shapes[0][1], int):
        yield graph.inputs[0].name, shapes[0][1]


def counted(path: Path, batch: Any) -> Profile:
    try:
        return flopwise.count(path, batch=batch)
    except UnknownSize:
        return flopwise.count(path, inputs={"": (batch, 3, 224, 224)})


@pytest.mark.parametrize("file", FILES or ["none"])
def test_shared_networks_with_a_free_batch(shared: Path, file: str) -> None:
    path = shared / "models" / file
    if file in ONE_BATCH:
        with pytest.raises(ShapeMismatch):
            counted(path, 3)
        return
    free = counted(path, N)
    agree(free, counted(path, 3), {"N": 3})
    is_linear_in_the_batch(free)
    parts_add_up(free)


@pytest.mark.parametrize("file", sorted({*FILES} & BATCH_IN_RESHAPE) or ["none"])
def test_a_batch_that_the_file_writes_out_cannot_be_free(shared: Path, file: str) -> None:
    with pytest.raises(ShapeMismatch, match="elements do not reshape to"):
        counted(shared / "models" / file, N)


@pytest.mark.parametrize("file", FILES or ["none"])
def test_shared_networks_with_images_of_any_size(shared: Path, file: str) -> None:
    """Each at two sizes, odd ones too; fewer where the network takes fewer."""
    path, agreed = shared / "models" / file, 0
    for name, channels in images(path):
        try:
            free = flopwise.count(path, inputs={name: (N, channels, H, W)})
        except ShapeMismatch:
            break
        if symbols(free.params) & {"H", "W"}:
            break
        for n, h, w in ((2, 320, 416), (3, 333, 301)):
            try:
                known = flopwise.count(path, inputs={name: (n, channels, h, w)})
            except ShapeMismatch:
                continue
            agree(free, known, {"N": n, "H": h, "W": w})
            agreed += 1
    assert agreed or file not in ANY_IMAGE
