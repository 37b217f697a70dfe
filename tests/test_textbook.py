"""The textbook numbers, on networks and layers written here or in examples/.

Sources: the formulas of a convolution are those of the seeds' posts, params k²·Cin·Cout and
MACs k²·Cin·Cout·H·W; VGG-16 is configuration D of arXiv 1409.1556, AlexNet the two-group
network of Krizhevsky et al. 2012 ("650,000 neurons"), MobileNet arXiv 1704.04861 (569 M
mult-adds) and V2 arXiv 1801.04381 (300 M).
"""

from pathlib import Path

import pytest

import flopwise
from flopwise.profile import Profile

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str, **options: object) -> Profile:
    return flopwise.count(EXAMPLES / f"{name}.prototxt", **options)


def network(tmp_path: Path, shape: str, *layers: str, convention: str = "ops") -> Profile:
    """A chain of Caffe layers, each "Type {param}"."""
    text, bottom = "", "data"
    for i, layer in enumerate(layers):
        kind, _, param = layer.partition(" ")
        text += f'layer {{ name: "l{i}" type: "{kind}" bottom: "{bottom}" top: "l{i}" {param} }}\n'
        bottom = f"l{i}"
    dims = " ".join(f"dim: {d}" for d in shape.split("x"))
    file = tmp_path / "net.prototxt"
    file.write_text(f'input: "data" input_shape {{ {dims} }}\n{text}')
    return flopwise.count(file, convention=convention)


def conv(f: int, k: int, *, group: int = 1, bias: bool = False) -> str:
    fields = f"num_output: {f} kernel_size: {k} pad: {k // 2} group: {group}"
    return f"Convolution convolution_param {{ {fields} bias_term: {str(bias).lower()} }}"


@pytest.mark.parametrize(
    ("layer", "weights", "macs"),
    [
        ("conv1_1", 1_728, 86_704_128),
        ("conv4_1", 1_179_648, 924_844_032),
        ("fc6", 102_760_448, 102_760_448),
        ("fc7", 16_777_216, 16_777_216),
    ],
)
def test_vgg16_layers(layer: str, weights: int, macs: int) -> None:
    row = next(r for r in example("vgg16").rows if r.node.name == layer)
    bias = row.node.outputs[0].shape[1]
    assert row.params - bias == weights
    assert row.total.mac == macs


def test_vgg16_totals() -> None:
    profile = example("vgg16")
    assert profile.params == 138_357_544
    assert profile.total().mac == 15_470_264_320
    assert profile.coverage == 1


def test_alexnet() -> None:
    profile = example("alexnet")
    assert profile.rows[0].node.outputs[0].shape == (1, 96, 55, 55)
    assert profile.params == 60_965_224
    assert profile.total().dot == 659_272
    assert profile.to_dict()["totals"]["activations"] == 659_272


@pytest.mark.parametrize(
    ("name", "macs", "trainable"),
    [("mobilenet_v1", 568_740_352, 4_231_976), ("mobilenet_v2", 300_774_272, 3_504_872)],
)
def test_mobilenets(name: str, macs: int, trainable: int) -> None:
    """568.74 M and 300.77 M multiply-adds; the parameters are those of torchvision's tables."""
    profile = example(name)
    assert profile.total().mac == macs
    assert profile.trainable_params == trainable


@pytest.mark.parametrize(
    ("shape", "layers", "macs"),
    [
        ("1x3x256x256", [conv(128, 3)], 226_492_416),
        ("1x64x112x112", [conv(64, 3, group=64)], 7_225_344),
        ("1x64x112x112", [conv(128, 1)], 102_760_448),
        ("1x64x112x112", [conv(64, 3, group=64), conv(128, 1)], 109_985_792),
        ("1x64x112x112", [conv(128, 3)], 924_844_032),
        ("1x64x112x112", [conv(384, 1), conv(384, 3, group=384), conv(128, 1)], 968_196_096),
    ],
    ids=["3x3", "depthwise", "pointwise", "separable", "standard", "mobilenet-v2-block"],
)
def test_macs_of_blocks(tmp_path: Path, shape: str, layers: list[str], macs: int) -> None:
    assert network(tmp_path, shape, *layers).total().mac == macs


def test_linear_exactly(tmp_path: Path) -> None:
    linear = "InnerProduct inner_product_param { num_output: 200 bias_term: false }"
    profile = network(tmp_path, "1x100", linear)
    assert profile.total().mac == 20_000
    assert profile.value() == (2 * 100 - 1) * 200


@pytest.mark.parametrize(("bias", "per_output"), [(False, 2 * 16 * 9 - 1), (True, 2 * 16 * 9)])
def test_convolution_exactly(tmp_path: Path, bias: bool, per_output: int) -> None:
    profile = network(tmp_path, "1x16x20x30", conv(24, 3, bias=bias))
    assert profile.value() == per_output * 20 * 30 * 24


@pytest.mark.parametrize(
    ("layer", "per_element"),
    [("ReLU", 1), ("Sigmoid", 4), ("Dropout", 0), ("TanH", 5), ("AbsVal", 1)],
)
def test_activations_exactly(tmp_path: Path, layer: str, per_element: int) -> None:
    assert network(tmp_path, "2x3x4x5", layer).value() == per_element * 120


def test_flops_is_twice_macs() -> None:
    profile = example("mobilenet_v2")
    assert profile.value() == profile.total().flops == 2 * profile.total().mac


def test_free_sizes_meet_the_numbers() -> None:
    free = example("mobilenet_v1", inputs="Nx3x(32*R)x(32*R)")
    assert str(free.total().mac) == "11586048*N*R**2 + 1024000*N"
    assert free.at(N=1, R=7).total().mac == 568_740_352
