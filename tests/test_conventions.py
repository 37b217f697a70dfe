"""Conventions against the numbers that their tools print, and the page that describes them."""

import csv
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flopwise
from flopwise import ops, plugins
from flopwise.cli import main
from flopwise.conventions import Convention
from support.layers import layer, value

ROOT = Path(__file__).parents[1]
RECORDS: dict[str, Convention] = plugins.load_all("conventions")


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_record_says_what_it_is(name: str) -> None:
    record = RECORDS[name]
    assert record.name == name
    assert record.url.startswith("https://")
    assert record.version and record.statement
    assert not record.statement.endswith(".") and "\n" not in record.statement
    known = {entry.name for entry in ops.known()}
    assert known >= set(record.overrides) | (record.ops or set())


def test_the_list_shows_name_and_statement() -> None:
    listed = CliRunner().invoke(main, ["list", "conventions"]).output
    for name, record in RECORDS.items():
        assert re.search(rf"^{name} +{re.escape(record.statement)}$", listed, re.MULTILINE)


def test_the_page_is_what_the_records_say(request: pytest.FixtureRequest) -> None:
    """`pytest --update-goldens` writes it anew."""
    page = ROOT / "docs/conventions.md"
    text = runpy.run_path(str(ROOT / "docs/write_conventions.py"))["page"]()
    if request.config.getoption("--update-goldens"):
        page.write_text(text, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == text


# CalFlops at e717cbf, run with MXNet 1.9.1: MFLOPS (10⁶) and MiB (2²⁰). The first, third,
# fourth, fifth and sixth stand in its README, all in its output.
CALFLOPS = [
    ("caffenet", "1x3x224x224", 723.007176, 232.56387329101562),
    ("caffenet", "2x3x224x224", 1446.014352, 232.56387329101562),
    ("caffenet", "1x3x227x227", 726.826536, 232.56387329101562),
    ("squeezenet_v1.0", "1x3x224x224", 861.603864, 4.762359619140625),
    ("resnet-101", "1x3x224x224", 7818.240488, 169.91277313232422),
    ("resnext-101-64x4d", "1x3x224x224", 15491.88196, 318.3566207885742),
    ("fcn32s", "1x3x384x384", 120265.786832, 519.3821601867676),
    ("resnet-50", "1x3x224x224", 4100.901352, 97.46355438232422),
    ("resnet-50", "4x3x224x224", 16403.605408, 97.46355438232422),
]


@pytest.mark.parametrize(("symbol", "shape", "millions", "mebibytes"), CALFLOPS)
def test_calflops_mxnet(
    symbol: str, shape: str, millions: float, mebibytes: float, shared: Path
) -> None:
    """To the last operation and the last byte."""
    file = shared / f"models/mxnet/{symbol}-symbol.json"
    count = flopwise.count(file, inputs={"data": shape}, convention="calflops-mxnet")
    assert count.value() == round(millions * 10**6)
    assert count.weight_bytes / 2**20 == mebibytes


def burden(file: Path, **options: Any) -> Any:
    return flopwise.count(file, convention="convnet-burden", **options)


def test_convnet_burden(shared: Path) -> None:
    """Its README at 9c7f31b prints whole MFLOPs; the digits are its formulas' by hand."""
    caffe = shared / "models/caffe"
    caffenet = burden(caffe / "bvlc_reference_caffenet_deploy.prototxt", inputs="1x3x224x224")
    assert caffenet.value() == 723_874_060  # published 724
    alexnet = burden(caffe / "bvlc_alexnet_deploy.prototxt", batch=1)
    lrn = sum(alexnet.value_of(row) for row in alexnet.rows if row.node.op == "lrn")
    assert alexnet.value() - lrn == 727_362_344  # published 727
    mobilenet = burden(caffe / "mobilenet_v1_deploy.prototxt")
    # There the last pooling is a window of stride 1 (2 per output), here it is global.
    assert mobilenet.value() - 1024 * 49 + 2 * 1024 == 578_828_776  # published 579


NETSCOPE = (
    *("ResNet-50-deploy", "SqueezeNet_v1.0_deploy", "bvlc_alexnet_deploy", "mobilenet_v1_deploy"),
    *("bvlc_googlenet_deploy", "bvlc_reference_caffenet_deploy", "mobilenet_v2_deploy"),
    *("netscope_SSD300", "netscope_vgg-16"),
)


@pytest.mark.parametrize("stem", NETSCOPE)
def test_netscope_columns(stem: str, shared: Path) -> None:
    """All five columns that netscope at 8ae36d8 printed, run under node.

    Not here: DenseNet-121 (floor pooling is read as ceil), SENet-154 (sigmoid is unknown
    to it, and sizes are 0 from there on), the train_val file (sizes are not a number).
    """
    with (shared / "models/MANIFEST.csv").open() as file:
        notes = {row["file"]: row["note"] for row in csv.DictReader(file)}
    printed = re.findall(r"(macc|comp|add|div|exp)=(\d+)", notes[f"caffe/{stem}.prototxt"])
    assert len(printed) == 5
    for column, number in printed:
        name = "netscope" if column == "macc" else f"netscope-{column}"
        file = shared / f"models/caffe/{stem}.prototxt"
        assert flopwise.count(file, convention=name).value() == int(number), column


def test_darknet_layers() -> None:
    """What darknet (AlexeyAB, 59596d78) prints for layers of YOLOv3 and YOLOv3-tiny, in BF."""
    first = layer("conv", (1, 3, 416, 416), (32, 3, 3, 3), (32,), y=(1, 32, 416, 416))
    second = layer("conv", (1, 32, 416, 416), (64, 32, 3, 3), (64,), y=(1, 64, 208, 208))
    pool = layer("max_pool", (1, 16, 416, 416), y=(1, 16, 208, 208), k=2, stride=2)
    shortcut = layer("add", [(1, 64, 208, 208)] * 2)
    printed = [(first, 0.299), (second, 1.595), (pool, 0.003), (shortcut, 0.003)]
    for node, billions in printed:
        assert round(value("darknet", node) / 10**9, 3) == billions, node.op
    dense = layer("linear", (1, 4096), (1000, 4096), (1000,), y=(1, 1000))
    assert value("darknet", dense) == 0
    assert value("darknet-ops", dense) == 2 * 4096 * 1000


def test_darknet_counts_one_image() -> None:
    conv = [layer("conv", (n, 3, 8, 8), (4, 3, 3, 3), y=(n, 4, 8, 8)) for n in (1, 7)]
    assert value("darknet", conv[0]) == value("darknet", conv[1])


# AlexeyAB's README and the logs of darknet (BFLOPs with pooling and shortcuts), and the tables
# of pjreddie.com (`darknet ops`), in 10⁹ and as printed.
PUBLISHED = [
    ("yolov3", "darknet", "65.9"),
    ("yolov3-tiny", "darknet", "5.571"),
    ("yolov4-tiny", "darknet", "6.9"),
    ("yolov3", "darknet-ops", "65.86"),
    ("yolov3-tiny", "darknet-ops", "5.56"),
    ("alexnet", "darknet-ops", "2.27"),
    ("vgg-16", "darknet-ops", "30.94"),
]


@pytest.mark.parametrize(("stem", "convention", "billions"), PUBLISHED)
def test_darknet_networks(stem: str, convention: str, billions: str, shared: Path) -> None:
    count = flopwise.count(shared / f"models/darknet/{stem}.cfg", convention=convention)
    digits = len(billions.partition(".")[2])
    assert f"{count.value() / 10**9:.{digits}f}" == billions
