"""The command line and its JSON, which scripts outside this repository rely on."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flopwise.cli import COMMANDS, main

EXAMPLES = Path(__file__).parents[1] / "examples"
VGG = str(EXAMPLES / "vgg16.prototxt")
PYTHON_LAYER = """
input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }
layer { name: "p" type: "Python" bottom: "data" top: "p" python_param { layer: "Proposal" } }
layer { name: "c" type: "Convolution" bottom: "p" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 } }
"""


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_count_is_the_command_without_a_name() -> None:
    assert run(VGG) == run("count", VGG)


def test_options_may_stand_first() -> None:
    assert run("--format", "json", VGG) == run(VGG, "--format", "json")


def test_json_keys_are_the_contract() -> None:
    found = json.loads(run(VGG, "--format", "json"))
    assert found["schema"] == "flopwise/1"
    assert found["model"] == {"name": "VGG-16", "format": "caffe"}
    assert found["inputs"] == [{"name": "data", "shape": [1, 3, 224, 224], "dtype": "float32"}]
    assert found["convention"] == "flops"
    assert set(found["totals"]) >= {
        "value", "params", "trainable_params", "macs", "flops", "ops", "activations",
        "weight_bytes", "read_bytes", "write_bytes", "coverage",
    }  # fmt: skip
    assert found["totals"]["value"] == found["totals"]["flops"] == 30_940_528_640
    assert found["unknown"] == []
    assert set(found["layers"][0]) >= {
        "name", "op", "scope", "output_shape", "params", "macs", "flops", "ops", "value",
        "read_bytes", "write_bytes",
    }  # fmt: skip
    for key in ("params", "macs", "ops", "value", "read_bytes"):
        assert sum(layer[key] for layer in found["layers"]) == found["totals"][key]


def test_symbolic_numbers_are_text() -> None:
    found = json.loads(run(VGG, "--format", "json", "--batch", "N"))
    assert found["totals"]["macs"] == "15470264320*N"
    assert found["inputs"][0]["shape"] == ["N", 3, 224, 224]


def test_batch_and_dtype() -> None:
    found = json.loads(run(VGG, "--format", "json", "--batch", "4", "--dtype", "float16"))
    assert found["totals"]["macs"] == 4 * 15_470_264_320
    assert found["totals"]["weight_bytes"] == 2 * 138_357_544


def test_batch_and_a_given_shape() -> None:
    found = json.loads(run(VGG, "--format", "json", "--input", "1x3x224x224", "--batch", "4"))
    assert found["inputs"][0]["shape"] == [4, 3, 224, 224]
    assert found["totals"]["macs"] == 4 * 15_470_264_320


def test_depth_folds_and_keeps_the_sums() -> None:
    deep = str(EXAMPLES / "mobilenet_v2.prototxt")
    folded = json.loads(run(deep, "--format", "json", "--depth", "1"))
    assert len(folded["layers"]) < 30
    assert sum(layer["macs"] for layer in folded["layers"]) == folded["totals"]["macs"]


def test_what_is_not_counted_is_told(tmp_path: Path) -> None:
    file = tmp_path / "net.prototxt"
    file.write_text(PYTHON_LAYER)
    found = json.loads(run(file, "--format", "json"))
    assert found["totals"]["coverage"] == 0
    assert found["unknown"][0] == {"origin": "Python (Proposal) layer", "count": 1}
    assert "NOT COUNTED: 1 x Python (Proposal) layer" in run(file)
    run(file, "--strict", code=1)
    run(VGG, "--strict")


def test_a_shape_past_an_unknown_operator_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "net.prototxt"
    file.write_text(PYTHON_LAYER)
    found = json.loads(run(file, "--format", "json", "--input", "p=1x8x10x10"))
    assert found["totals"]["macs"] == 4 * 8 * 9 * 64
    assert found["totals"]["coverage"] == 0.5


def test_output_file(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert run(VGG, "--format", "json", "-o", target) == ""
    assert json.loads(target.read_text())["totals"]["params"] == 138_357_544


def test_explain_prints_letters_then_numbers() -> None:
    said = run("explain", VGG, "conv1_1", "--convention", "ops")
    assert "MACs         = n · f · y1 · y2 · g · k1 · k2" in said
    assert "= 1 · 64 · 224 · 224 · 3 · 3 · 3" in said
    assert "= 86,704,128" in said
    assert "params       = f · g · k1 · k2 + f" in said


@pytest.mark.parametrize("what", ["formats", "ops", "conventions"])
def test_list(what: str) -> None:
    expected = {"formats": "caffe", "ops": "conv_transpose", "conventions": "flops"}
    assert expected[what] in run("list", what)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    said = run(command, "--help")
    assert main.get_command(None, command).help
    assert "Usage:" in said
