"""The memory of a forward pass: before and after fusion, and with the workspace of im2col."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import flopwise
from flopwise.analyses.memory import Memory
from flopwise.cli import main
from flopwise.dims import at

EXAMPLES = Path(__file__).parents[1] / "examples"

NET = """input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "s" type: "Sigmoid" bottom: "c" top: "s" }
layer { name: "d" type: "Convolution" bottom: "s" top: "d"
  convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "t" type: "TanH" bottom: "d" top: "t" }
"""
DATA, C, D = 3 * 64 * 4, 4 * 64 * 4, 2 * 64 * 4  # bytes


@pytest.fixture
def net(tmp_path: Path) -> Path:
    file = tmp_path / "net.prototxt"
    file.write_text(NET)
    return file


def live(memory: Memory) -> dict[str, int]:
    return {m.name: m.live_bytes for m in memory.timeline}


def test_each_tensor_lives_until_it_is_read(net: Path) -> None:
    assert live(flopwise.memory(net)) == {"c": DATA + C, "s": C + C, "d": C + D, "t": D + D}


def test_what_lives_inside_a_kernel_is_gone(net: Path) -> None:
    """A convolution with its activation is one kernel, which writes one tensor."""
    assert live(flopwise.memory(net, fused="onnxruntime")) == {"c": DATA + C, "d": C + D}
    assert live(flopwise.memory(net, fused="eager")) == live(flopwise.memory(net))


def test_im2col_unfolds_windows_of_more_than_one_element(net: Path) -> None:
    """64 windows of 3 x 3 over 3 channels; a window of one element is the image as it lies."""
    plain, columns = live(flopwise.memory(net)), 64 * 9 * 3 * 4
    assert live(flopwise.memory(net, im2col=True)) == {**plain, "c": plain["c"] + columns}


def test_columns_are_those_of_one_image_and_may_be_free(net: Path) -> None:
    both = flopwise.memory(net, im2col=True, inputs="Nx3x8x8")
    assert at(both.timeline[0].live_bytes, {"N": 5}) == 5 * (DATA + C) + 64 * 9 * 3 * 4


def test_fusion_never_holds_more(shared: Path) -> None:
    for name in ("ResNet-50-deploy", "bvlc_googlenet_deploy", "mobilenet_v2_deploy"):
        path = shared / f"models/caffe/{name}.prototxt"
        before, after = (flopwise.memory(path, fused=f) for f in ("", "onnxruntime"))
        assert after.peak_activation_bytes <= before.peak_activation_bytes
        assert len(after.timeline) < len(before.timeline)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fused", "onnxruntim"], "did you mean onnxruntime"),
        (["--train", "--im2col"], "--im2col is for a forward pass"),
        (["--train", "--fused", "eager"], "--fused is for a forward pass"),
        (["--optimizer", "sgd"], "--optimizer is for a training step"),
    ],
)
def test_wrong_options_get_one_line(arguments: list[str], words: str) -> None:
    said = CliRunner().invoke(main, ["memory", str(EXAMPLES / "alexnet.prototxt"), *arguments])
    assert said.exit_code == 2 and words in said.stderr and said.stderr.count("\n") == 1
