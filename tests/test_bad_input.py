"""Input that cannot be used: one clear line on standard error, exit code 2, no traceback."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flopwise.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"
INPUT = 'input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }\n'
CONV = 'layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { %s } }\n'


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (bytes(range(256)) * 8, "not a format that flopwise reads"),
        (b"\x89\x00\xff" * 99, "not a format that flopwise reads"),
        (b'layer { name: "caf\xe9" }', "not UTF-8"),
        (INPUT.encode() + b'layer { name: "a" type: "ReLU"', "missing"),
        (b'layer { name: "a" } }', "out of place"),
        (b"layer " + b"{ layer " * 10_000, "nested more than"),
        (b'layer { name: "a" type: "ReLU" bottom: "nowhere" top: "a" }', "size of input 'nowhere'"),
        (
            b'layer { name: "a" type: "ReLU" bottom: "b" top: "a" }\n'
            b'layer { name: "b" type: "ReLU" bottom: "a" top: "b" }',
            "a cycle",
        ),
        ((INPUT + CONV % "num_output: 8 kernel_size: 99").encode(), "a window of 99 does not fit"),
        ((INPUT + CONV % "num_output: 8 kernel_size: 3 group: 2").encode(), "3 input channels"),
        ((INPUT + CONV % "num_output: 0 kernel_size: 3").encode(), "num_output is 0"),
        ((INPUT + CONV % "num_output: 8 kernel_size: -3").encode(), "kernel_size is -3"),
        ((INPUT + CONV % "num_output: 8").encode(), "kernel_size is missing"),
        ((INPUT + CONV % "num_output: 8 kernel_size: x").encode(), "not a whole number"),
        (INPUT.replace("dim: 3", "dim: 0").encode() + b"layer { }", "is not between 1 and"),
        (INPUT.replace("dim: 3", "dim: -3").encode() + b"layer { }", "is not between 1 and"),
        (INPUT.replace("dim: 3", "dim: 3000000000").encode() + b"layer { }", "is not between 1"),
        (
            b'input: "data"\nlayer { name: "r" type: "ReLU" bottom: "data" top: "r" }',
            "give it, as in --input data=",
        ),
    ],
)  # fmt: skip
def test_broken_prototxt(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "net.prototxt"
    file.write_bytes(content)
    if "not a format" in words:
        file = file.rename(tmp_path / "net.bin")
    assert words in refused(run(file))


def test_axes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    shapes = (
        "input_shape { dim: 1 dim: 3 dim: 8 dim: 8 } input_shape { dim: 1 dim: 3 dim: 8 dim: 9 }"
    )
    add = 'layer { name: "s" type: "Eltwise" bottom: "a" bottom: "b" top: "s" }'
    file = tmp_path / "net.prototxt"
    file.write_text(f'input: "a" input: "b" {shapes}\n{add}')
    assert "s (Eltwise layer): axis -1 is both 8 and 9" in refused(run(file))


@pytest.mark.parametrize("cut", range(1, 10))
def test_truncated_anywhere(tmp_path: Path, cut: int) -> None:
    whole = (EXAMPLES / "alexnet.prototxt").read_bytes()
    file = tmp_path / "net.prototxt"
    file.write_bytes(whole[: len(whole) * cut // 10])
    result = run(file)
    if result.exit_code:  # a cut between two layers leaves a smaller network
        refused(result)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "1x3x0x8"], "size 0 is not between 1 and"),
        (["--input", "1x3x-8x8"], "size -8"),
        (["--input", "1x3x8x3000000000"], "size 3000000000"),
        (["--input", "1x3xx8"], "is not a shape"),
        (["--input", "1xbatchxseq"], "is not a shape"),
        (["--input", "1x3x8+"], "is not a size"),
        (["--input", "image=1x3x8x8"], "no input 'image'"),
        (["--input", "1x3"], "has 4 axes"),
        (["--batch", "0"], "size 0"),
        (["--input", "2x3x227x227", "--batch", "4"], "and the batch as 4"),
        (["--dtype", "float23"], "no dtype 'float23'; did you mean"),
        (["--convention", "flop"], "no convention 'flop'; did you mean flops"),
        (["--format", "tabel"], "no report 'tabel'; did you mean table"),
        (["-o", "/nowhere/at/all"], "No such file or directory"),
    ],
)
def test_bad_options(options: list[str], words: str) -> None:
    assert words in refused(run(EXAMPLES / "alexnet.prototxt", *options))


def test_missing_file_and_layer() -> None:
    assert "no such file" in refused(run("nowhere.prototxt"))
    said = refused(run("explain", EXAMPLES / "alexnet.prototxt", "conv9"))
    assert "no layer 'conv9'; did you mean conv5" in said


def test_nothing_half_written(tmp_path: Path) -> None:
    target = tmp_path / "table.txt"
    refused(run(EXAMPLES / "alexnet.prototxt", "--input", "1x3x5x5", "-o", target))
    assert not target.exists()


def test_a_module_without_its_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("flopwise.frontends.torch.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "need torch: pip install torch" in refused(run("some.nets:build"))


def test_of_many_names_the_first_are_told(tmp_path: Path) -> None:
    file = tmp_path / "net.prototxt"
    inputs, bottoms = (
        " ".join(f'{kind}: "x{i}"' for i in range(99)) for kind in ("input", "bottom")
    )
    file.write_text(f'{inputs} layer {{ name: "c" type: "Concat" {bottoms} top: "c" }}')
    assert "x6, x7, and 91 more: --input" in refused(run(file, "--input", "1x3"))
    assert "and 59 more" in refused(run(file, "--input", "?=1x3"))
