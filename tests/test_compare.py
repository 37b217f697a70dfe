"""Comparing networks: totals, aligned layers, and where two of them part."""

import json
from pathlib import Path

from click.testing import CliRunner

import flopwise
from flopwise.analyses.compare import align, first_difference
from flopwise.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = (EXAMPLES / "alexnet.prototxt").read_text()
    assert old in text
    file = tmp_path / "edited.prototxt"
    file.write_text(text.replace(old, new))
    return file


def test_a_wider_layer_shows_where_it_is(tmp_path: Path) -> None:
    before = flopwise.count(EXAMPLES / "alexnet.prototxt")
    after = flopwise.count(
        edited(
            tmp_path,
            "num_output: 384 kernel_size: 3 pad: 1 }",
            "num_output: 512 kernel_size: 3 pad: 1 }",
        )
    )
    pairs = {p.before.name: p for p in align(before, after) if p.before and p.after}
    assert len(pairs) == len(align(before, after))
    assert [n for n, p in pairs.items() if p.changed] == ["conv3", "relu3", "conv4"]
    found = first_difference(before, after)
    assert found is not None and found.before is not None and found.after is not None
    assert (found.place, found.before.name) == (3, "conv3")
    assert found.after.counts.mac * 384 == found.before.counts.mac * 512


def test_a_layer_taken_out(tmp_path: Path) -> None:
    text = (EXAMPLES / "alexnet.prototxt").read_text()
    start = text.index('layer {\n  name: "relu2"')
    end = text.index("layer {", start + 1)
    file = tmp_path / "cut.prototxt"
    file.write_text(text[:start] + text[end:])
    pairs = align(flopwise.count(EXAMPLES / "alexnet.prototxt"), flopwise.count(file))
    gone = [p.before.name for p in pairs if p.before and p.after is None]
    assert gone == ["relu2"]
    assert not [p for p in pairs if p.before is None]


def test_a_network_equals_itself() -> None:
    same = flopwise.count(EXAMPLES / "mobilenet_v2.prototxt")
    assert first_difference(same, same) is None
    assert not any(p.changed for p in align(same, same))


def test_formats_of_one_network(shared: Path) -> None:
    size = {"data": (1, 3, 224, 224)}
    caffe = flopwise.count(shared / "models/caffe/bvlc_reference_caffenet_deploy.prototxt", size)
    mxnet = flopwise.count(shared / "models/mxnet/caffenet-symbol.json", size)
    assert first_difference(caffe, mxnet) is None


def test_the_command() -> None:
    files = [str(EXAMPLES / f"mobilenet_v{i}.prototxt") for i in (1, 2)]
    result = CliRunner().invoke(main, ["compare", *files, "--format", "json", "--layers"])
    found = json.loads(result.stdout)
    assert [m["totals"]["macs"] for m in found["models"]] == [568_740_352, 300_774_272]
    assert found["first_difference"]["place"] == 3
    said = CliRunner().invoke(main, ["compare", *files]).stdout
    assert "-47.12%" in said
    alone = CliRunner().invoke(main, ["compare", files[0]])
    assert alone.exit_code == 2 and "two models" in alone.stderr


def test_an_error_names_the_model_it_is_about(tmp_path: Path) -> None:
    open_ended = tmp_path / "open.prototxt"
    open_ended.write_text('layer { name: "r" type: "ReLU" bottom: "data" top: "r" }')
    result = CliRunner().invoke(
        main, ["compare", str(EXAMPLES / "alexnet.prototxt"), str(open_ended)]
    )
    assert result.exit_code == 2
    assert str(open_ended) in result.stderr and result.stderr.count("\n") == 1
