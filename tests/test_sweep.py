"""A sweep's points are the concrete counts, from one count with free sizes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import flopwise
from flopwise import dims
from flopwise.analyses.sweep import COLUMNS, figures
from flopwise.analyses.sweep.points import Points
from flopwise.analyses.sweep.ranges import grid, parse_varies, parse_vary
from flopwise.cli import main
from flopwise.dims import symbol
from flopwise.errors import FlopwiseError, ShapeMismatch
from flopwise.profile import profile

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    "alexnet": (227, 300), "vgg16": (32, 260), "mobilenet_v1": (224, 260),
    "mobilenet_v2": (32, 300),
}  # fmt: skip
CUT = """
input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }
layer { name: "half" type: "Convolution" bottom: "data" top: "half"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "back" type: "Deconvolution" bottom: "half" top: "back"
  convolution_param { num_output: 3 kernel_size: 2 stride: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "back" top: "sum" }
"""


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["sweep", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("convention", ["ops", "opencv"])
def test_points_are_the_concrete_counts(name: str, convention: str) -> None:
    model, span = ROOT / f"examples/{name}.prototxt", EXAMPLES[name]
    # mobilenet_v1 pools over 7x7: only multiples keep that the whole image.
    side = st.just(224) if name == "mobilenet_v1" else st.integers(*span)

    @settings(max_examples=4, deadline=None)
    @given(st.lists(st.integers(1, 9), min_size=1, max_size=2, unique=True),
           st.lists(side, min_size=1, max_size=2, unique=True))  # fmt: skip
    def at_random_sizes(batches: list[int], sides: list[int]) -> None:
        found = flopwise.sweep(model, {"batch": batches, "h,w": sides}, convention=convention)
        assert len(found) == len(batches) * len(sides)
        for row in found.rows():
            shape = (row["batch"], 3, row["h"], row["w"])
            known = flopwise.count(model, inputs={"data": shape}, convention=convention)
            wanted = figures(known, "eager")
            assert {n: row[n] for n in COLUMNS} == wanted

    at_random_sizes()


SHARED = {
    "onnx/rapidocr_ch_PP-OCRv4_det_infer.onnx": ("x", (1, 3), [320, 416], {}),
    "darknet/yolov3-tiny.cfg": ("data", (1, 3), [416, 608], {}),
    "mxnet/resnet-50-symbol.json": ("data", (1, 3), [97, 224], {"data": (1, 3, 224, 224)}),
    "onnx/light_squeezenet.onnx": ("data_0", (1, 3), [224, 301], {}),
}  # fmt: skip


@pytest.mark.parametrize("file", SHARED)
def test_shared_networks(shared: Path, file: str) -> None:
    name, batches, sides, inputs = SHARED[file]
    path = shared / "models" / file
    found = flopwise.sweep(path, {"batch": batches, "h": sides, "w": sides}, inputs=inputs or None)
    by_point = flopwise.sweep(
        path, {"batch": batches, "h": sides, "w": sides}, inputs=inputs or None, by_point=True
    )
    assert found.columns == by_point.columns and len(found) == 8
    shape = (3, 3, sides[1], sides[1])
    known = flopwise.count(path, inputs={name: shape})
    assert [*found.rows()][-1]["macs"] == known.total().mac


def test_a_per_batch_convention_is_divided_point_by_point(shared: Path) -> None:
    path = shared / "models/caffe/SqueezeNet_v1.0_deploy.prototxt"
    vary = {"batch": [1, 3, 7], "h,w": [227, 300]}
    per_batch = [
        name for name, c in flopwise.plugins.load_all("conventions").items() if c.per_batch
    ]
    for name in per_batch:
        found = flopwise.sweep(path, vary, convention=name)
        each = flopwise.sweep(path, vary, convention=name, by_point=True)
        assert found.columns["value"] == pytest.approx(each.columns["value"], rel=1e-12), name


def test_names_of_axes_may_be_the_users_own() -> None:
    vgg = ROOT / "examples/vgg16.prototxt"
    found = flopwise.sweep(vgg, {"n": [2, 4], "tall": [224]}, inputs="nx3xtallx224")
    assert found.varied == ("n", "tall")
    assert found.columns["macs"] == (2 * 15_470_264_320, 4 * 15_470_264_320)
    assert str(found.formulas["macs"]).count("n") and "tall" in str(found.formulas["macs"])


def test_ten_thousand_points_are_three_counts(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with free sizes, and the first and the last point to hold it against."""
    counted = []

    def seen(*given: Any) -> flopwise.Profile:
        counted.append(given)
        return profile(*given)

    monkeypatch.setattr("flopwise.analyses.sweep.profile", seen)
    path = shared / "models/caffe/ResNet-50-deploy.prototxt"
    found = flopwise.sweep(path, {"batch": range(1, 101), "h,w": range(224, 1215, 10)})
    assert len(found) == 10_000 and len(counted) == 3
    assert found.columns["macs"][0] == 3_857_973_248


# Numbers beyond 64 bits, products of floors, fractions, and sizes that are constant.
N, H = symbol("N"), symbol("H")
SIZES = [
    N * H, (N**5) * (H**4) * 12345, dims.floordiv(H + 3, 2) * N - 7 * N * N,
    dims.maximum(N, H) * dims.minimum(N * 3, H), N * (N + 1) / 2, N / 3, 5, 2**80,
    dims.floordiv(N * 2**70, H),
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_arrays_hold_the_exact_numbers(size: Any) -> None:
    columns = {"N": [1, 2, 999_999_999, 17], "H": [7, 1, 999_999_999, 4]}
    points = Points(columns)
    assert points.of(size).tolist() == [dims.at(size, points.at(i)) for i in range(4)]


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("batch=1:64:2", ("batch",), [*range(1, 64, 2)]),
        ("h,w=128:512:32", ("h", "w"), [*range(128, 513, 32)]),
        ("batch=1:64:x2", ("batch",), [1, 2, 4, 8, 16, 32, 64]),
        ("n=3:5", ("n",), [3, 4, 5]),
        ("n = 1, 4,16", ("n",), [1, 4, 16]),
        ("n=7", ("n",), [7]),
    ],
)
def test_ranges(text: str, names: tuple[str, ...], values: list[int]) -> None:
    found = parse_vary(text)
    assert (found.names, [*found.values]) == (names, values)


def test_names_joined_by_a_comma_vary_together() -> None:
    points = grid(parse_varies(["batch=1,2", "h,w=8,16"]))
    assert points == {"batch": [1, 1, 2, 2], "h": [8, 16, 8, 16], "w": [8, 16, 8, 16]}


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ([], "nothing to vary"),
        (["batch"], "write NAME=START:STOP:STEP"),
        (["=1:3"], "write NAME=START:STOP:STEP"),
        (["batch=5:1"], "STOP no less"),
        (["batch=1:9:0"], "STEP at least 1"),
        (["batch=1:9:x1"], "STEP at least 1"),
        (["batch=0:4"], "START is at least 1"),
        (["batch=-3"], "no whole number"),
        (["batch=1:2:3:4"], "write START:STOP:STEP"),
        (["batch=1.5"], "no whole number"),
        (["batch="], "no whole number"),
        (["batch=1:999999999"], "999,999,999 points are more than"),
        (["batch=1:2000", "h,w=1:2000"], "4,000,000 points are more than"),
        (["batch=1:2", "batch=3:4"], "given twice"),
        (["h,=1:2"], "a name is empty"),
        (["depth=1:2"], "no size 'depth'"),
        (["batch=1:2", "h,w=16:64:16"], "at batch=1, h=16, w=16"),
    ],
)
def test_bad_sweeps_are_one_clear_line(vary: list[str], said: str) -> None:
    options = [part for text in vary for part in ("--vary", text)]
    error = run(ROOT / "examples/alexnet.prototxt", *options, code=2)
    assert said in error and error.count("\n") == 1


def test_where_sizes_part_inside_the_grid_the_point_is_named(tmp_path: Path) -> None:
    """The first and the last point are fine: both are even."""
    path = tmp_path / "net.prototxt"
    path.write_text(CUT)
    assert len(flopwise.sweep(path, {"h,w": range(2, 65, 2)})) == 32
    with pytest.raises(ShapeMismatch, match=r"at h=33, w=33: sum .*axis -1 is both"):
        flopwise.sweep(path, {"h,w": [32, 33, 34]})


def test_a_network_of_one_size_says_which_axis_cannot_be_free(shared: Path) -> None:
    onnx = shared / "models/onnx"
    with pytest.raises(FlopwiseError, match=r"^batch cannot be free here: .*Reshape"):
        flopwise.sweep(onnx / "light_resnet50.onnx", {"batch": [1, 2]})
    with pytest.raises(FlopwiseError, match=r"size 'sequence' is still free"):
        flopwise.sweep(onnx / "silero_vad_16k_op15.onnx", {"batch": [1, 2]})


def test_what_free_sizes_leave_uncounted_is_an_error(shared: Path) -> None:
    path = shared / "models/caffe/netscope_SSD300.prototxt"
    with pytest.raises(FlopwiseError, match="DetectionOutput layer: not counted at free sizes"):
        flopwise.sweep(path, {"h,w": [300, 304]})
    assert len(flopwise.sweep(path, {"h,w": [300, 304]}, by_point=True)) == 2


def test_batch_is_given_or_varied() -> None:
    said = run(ROOT / "examples/vgg16.prototxt", "--vary", "batch=1:2", "--batch", 3, code=2)
    assert "both given and varied" in said


def test_formats() -> None:
    options = (ROOT / "examples/vgg16.prototxt", "--vary", "batch=1:4", "--vary", "h,w=224,256")
    found = json.loads(run(*options, "--format", "json"))
    assert found["schema"] == "flopwise-sweep/1" and found["varied"] == ["batch", "h", "w"]
    assert len(found["points"]) == 8 and found["points"][0]["macs"] == 15_470_264_320
    assert [*found["points"][0]] == found["columns"]
    rows = [*csv.DictReader(io.StringIO(run(*options, "--format", "csv")))]
    assert [{k: int(v) for k, v in r.items() if k != "convention"} for r in rows] == found["points"]
    table = run(*options)
    assert "8 points of VGG-16" in table and "the weights depend on h, w" in table
    assert run(*options, "--format", "markdown").count("\n| ") == 10
    assert "no format 'svg'" in run(*options, "--format", "svg", code=2)


def test_modules_are_counted_point_by_point() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    found = flopwise.sweep(
        module, {"batch": [1, 2], "h,w": [16, 20]}, inputs=(1, 3, 16, 16), by_point=True
    )
    assert found.columns["macs"] == tuple(
        n * 8 * 27 * (s - 2) ** 2 for n in (1, 2) for s in (16, 20)
    )


def test_numpy_numbers_are_numbers() -> None:
    found = flopwise.sweep(ROOT / "examples/vgg16.prototxt", {"batch": numpy.arange(1, 4)})
    assert found.columns["batch"] == (1, 2, 3)
