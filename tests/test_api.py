"""The Python side says the same words as the command line."""

from pathlib import Path

import pytest

import flopwise

EXAMPLES = Path(__file__).parents[1] / "examples"
ALEXNET = EXAMPLES / "alexnet.prototxt"


def test_explain() -> None:
    (layer,) = flopwise.explain(ALEXNET, "conv1")
    macs = next(f for f in layer.formulas if f.what == "MACs")
    assert macs.letters == "n · f · y1 · y2 · g · k1 · k2"
    assert macs.numbers == "1 · 96 · 55 · 55 · 3 · 11 · 11"
    assert macs.result == 105_415_200


def test_compare() -> None:
    pairs = flopwise.compare(ALEXNET, ALEXNET, batch=2)
    assert pairs and not any(p.changed for p in pairs)


def test_memory_of_alexnet() -> None:
    """The peak is relu1, whose input and output are 1 x 96 x 55 x 55 floats each."""
    found = flopwise.memory(ALEXNET)
    assert found.weights_bytes == 4 * 60_965_224
    assert found.peak_activation_bytes == 2 * 4 * 96 * 55 * 55
    assert found.peak_at == "relu1"
    assert {name for name, _ in found.live_at_peak} == {"conv1", "conv1@relu1"}
    in_place = flopwise.memory(ALEXNET, runtime="onnxruntime")
    assert in_place.peak_at == "norm1"  # the image stays the caller's
    squares = (96 + 4) * 55 * 55  # with zeros about the channels, beside a scale for each element
    assert in_place.peak_activation_bytes == 4 * (3 * 96 * 55 * 55 + squares + 3 * 227 * 227)


def test_memory_is_symbolic_as_everything() -> None:
    free = flopwise.memory(ALEXNET, batch="N")
    assert str(free.peak_bytes) == "2323200*N + 243860896"


@pytest.mark.parametrize(
    "inputs", [(1, 3, 227, 227), "1x3x227x227", {"data": (1, 3, 227, 227)}, [1, 3, 227, 227]]
)
def test_shapes_as_people_give_them(inputs: object) -> None:
    assert flopwise.count(ALEXNET, inputs).total().mac == 724_406_816


def test_a_profile_adds_up_and_subtracts() -> None:
    one, two = flopwise.count(ALEXNET), flopwise.count(ALEXNET, batch=2)
    assert (two - one).mac == one.total().mac
    assert sum(c.mac for c in one.by_op().values()) == one.total().mac
    assert one.by_scope(1)[("conv1",)].mac == 105_415_200


def test_a_profile_is_one_line_at_a_prompt() -> None:
    assert repr(flopwise.count("examples/vgg16.prototxt")) == (
        "<Profile of VGG-16: 138,357,544 params, 15,470,264,320 MACs, "
        "30,940,528,640 flops, coverage 100.0%>"
    )
