"""Predicted latency: the arithmetic by hand, what bounds a kernel, the JSON, speed."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from flopwise import api
from flopwise.analyses.efficiency import CPU, GPU, OTHER, kind
from flopwise.analyses.roofline import BOUNDS, Prediction, predict
from flopwise.cli import main
from flopwise.devices import Device, find
from flopwise.errors import UnknownName, UnknownSize
from flopwise.reports import picture, roofline
from flopwise.reports.latency import duration
from support.networks import small
from support.work import work
from support.written import written

VGG = str(Path(__file__).parents[1] / "examples" / "vgg16.prototxt")
DEVICE = Device("d", "D", {"float32": 1e12, "float16": 4e12}, 1e11, kind="gpu-dc", status="2+src")
CONV = "x: 8,64,56,56\nc = conv x w:64,64,3,3 pad=1\ny = relu c"


def test_time_of_a_kernel_is_arithmetic_and_bytes_and_a_gap() -> None:
    found = predict(written(CONV), DEVICE)
    conv, relu = found.kernels
    macs, size = 8 * 64 * 56 * 56 * 64 * 9, 4 * 8 * 64 * 56 * 56
    share = GPU.shares["conv"]
    assert conv.compute_s == pytest.approx(2 * macs / (1e12 * share.compute))
    assert conv.memory_s == pytest.approx((2 * size + 4 * 64 * 64 * 9) / (1e11 * share.memory))
    assert conv.time_s == pytest.approx(conv.compute_s + conv.memory_s + GPU.gap)
    assert relu.time_s == pytest.approx(
        2 * size / (1e11 * GPU.shares["pointwise"].memory) + GPU.gap
    )
    assert (conv.bound, relu.bound) == ("compute", "memory")
    assert found.latency_s == conv.time_s + relu.time_s
    assert found.band_s == (found.latency_s / GPU.band, found.latency_s * GPU.band)


def test_small_kernels_wait_for_the_host() -> None:
    found = predict(written("x: 1,8\ny = relu x"), DEVICE)
    assert (found.latency_s, found.bound) == (GPU.dispatch["eager"], "overhead")
    assert found.band_s[1] == pytest.approx(found.latency_s * GPU.loose)


def test_fusion_saves_the_bytes_between() -> None:
    eager, fused = (predict(written(CONV), DEVICE, r) for r in ("eager", "tensorrt"))
    assert len(eager.kernels) == 2
    assert fused.kernels[0].operators == ("conv", "relu")
    assert eager.bytes - fused.bytes == 2 * 4 * 8 * 64 * 56 * 56
    assert eager.flops - fused.flops == 8 * 64 * 56 * 56  # those of relu alone


def test_a_device_may_state_its_own_launch_overhead() -> None:
    slow = Device("s", "S", {"float32": 1e12}, 1e11, launch_overhead=1e-3)
    assert predict(written("x: 1,8\ny = relu x"), slow).latency_s == 1e-3


def test_kernels_of_loops_run_as_often() -> None:
    once, loop = (
        next(k for k in predict(small(unknown=False).graph, DEVICE).kernels if k.name == name)
        for name in ("stem/1/conv", "loop/conv_1")
    )
    assert loop.time_s == pytest.approx(10 * once.time_s)


def test_what_has_no_formula_is_told() -> None:
    found = predict(small(unknown=True).graph, DEVICE)
    assert found.missing == ("acme::Foo_1",)
    assert found.notes == ("1 operators without a formula are left out: acme::Foo_1",)


def test_a_mark_on_a_device_is_told() -> None:
    assert api.predict(VGG, "a10g").notes == (
        "the numbers of NVIDIA A10G (AWS) are marked 'conflict'",
    )


KINDS = {
    "conv": "x: 1,8,4,4\ny = conv x w:8,8,3,3",
    "pointwise_conv": "x: 1,8,4,4\ny = conv x w:8,8,1,1",
    "depthwise_conv": "x: 1,8,4,4\ny = conv x w:8,1,3,3 groups=8",
    "grouped_conv": "x: 1,8,4,4\ny = conv x w:8,2,3,3 groups=4",
    "linear": "x: 1,8\ny = linear x w:8,8",
    "matmul": "x: 2,8\nz: 8,2\ny = matmul x z",
    "batch_norm": "x: 1,8,2\ny = batch_norm x m:8 v:8",
    "norm": "x: 1,8\ny = layer_norm x",
    "softmax": "x: 1,8\ny = softmax x",
    "pointwise": "x: 1,8\ny = gelu x",
    "reduction": "x: 1,8,4,4\ny = global_avg_pool x",
    "movement": "x: 2,8\ny = transpose x",
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_kernels(name: str) -> None:
    assert kind(written(KINDS[name]).nodes[0]) == name


def test_transposed_convolutions_are_told_apart() -> None:
    dense = "x: 1,8,4,4\ny = conv_transpose x w:8,4,2,2 stride=2"
    deep = "x: 1,8,4,4\ny = conv_transpose x w:8,1,2,2 stride=2 groups=8"
    assert [kind(written(t).nodes[0]) for t in (dense, deep)] == ["conv", "depthwise_conv"]


def test_shares_are_of_something() -> None:
    assert GPU.shares.keys() == CPU.shares.keys() == OTHER.shares.keys()
    for share in GPU.shares.values():
        assert 0 < share.memory <= 1
        assert share.compute is None or 0 < share.compute <= 1


def test_tensor_cores_compute_on_float32() -> None:
    exact, fast = (
        api.predict(VGG, "a100", batch=32),
        api.predict(VGG, "a100", batch=32, dtype="tf32"),
    )
    assert (exact.dtype, fast.dtype) == ("float32", "tfloat32")
    assert fast.bytes == exact.bytes
    first = fast.kernels[0].compute_s / exact.kernels[0].compute_s
    assert first == pytest.approx(19.5 / 156)


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp16", "float16"), ("half", "float16"), ("int8", "int8")]
)
def test_dtypes_are_stored_and_computed_in(name: str, dtype: str) -> None:
    found = api.predict(VGG, "t4", dtype=name)
    assert found.dtype == dtype
    assert found.bytes < api.predict(VGG, "t4").bytes


def test_letters_have_no_latency() -> None:
    with pytest.raises(UnknownSize, match="give --batch or --input"):
        api.predict(VGG, "v100", batch="N")


WRONG = {
    ("--device", "v10"): "no device 'v10'; did you mean v100",
    ("--device", "v100", "--dtype", "bf16"): "has no peak for bfloat16",
    ("--device", "tpu-v4"): "has no peak for float32: give --dtype as one of bfloat16",
    ("--device", "v100", "--runtime", "onx"): "no runtime 'onx'; did you mean onnxruntime",
    ("--device", "none.toml"): "none.toml: No such file",
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_get_one_line(options: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["predict", VGG, *options])
    assert result.exit_code == 2
    assert WRONG[options] in result.stderr
    assert result.stderr.count("\n") == 1


def test_json_keys_are_the_contract() -> None:
    command = ["predict", VGG, "--device", "v100", "--format", "json"]
    found = json.loads(CliRunner().invoke(main, command).stdout)
    assert (found["device"], found["runtime"], found["dtype"]) == ("v100-pcie", "eager", "float32")
    assert found["band_s"][0] < found["latency_s"] < found["band_s"][1]
    assert found["bound"] in BOUNDS
    assert set(found["layers"][0]) >= {"name", "op", "time_s", "bound"}
    assert sum(k["time_s"] for k in found["layers"]) == pytest.approx(found["latency_s"])
    assert sum(found["seconds"].values()) == pytest.approx(found["latency_s"])


def test_table_says_what_bounds_and_where_from() -> None:
    said = CliRunner().invoke(main, ["predict", VGG, "--device", "v100", "--batch", "16"]).stdout
    assert "bound by compute" in said
    assert "likely" in said
    assert GPU.source in said


def _picture(found: Prediction) -> ET.Element:
    return ET.fromstring(roofline.render(found))


def test_plot_has_a_dot_per_kernel(tmp_path: Path) -> None:
    found = api.predict(VGG, "v100")
    dots = _picture(found).findall("{*}circle")
    assert len(dots) == len([k for k in found.kernels if k.flops])
    path = tmp_path / "roofline.svg"
    result = CliRunner().invoke(main, ["predict", VGG, "--device", "v100", "-o", str(path)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.read_text().strip() == roofline.render(found)
    other = tmp_path / "other.svg"
    command = ["predict", VGG, "--device", "v100", "--plot", str(other)]
    assert "latency" in CliRunner().invoke(main, command).stdout
    assert other.read_text() == path.read_text()


def test_plot_as_a_page_and_as_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["predict", VGG, "--device", "v100", "--plot"]
    page = tmp_path / "roofline.html"
    assert CliRunner().invoke(main, [*command, str(page)]).exit_code == 0
    assert roofline.render(api.predict(VGG, "v100")) in page.read_text()
    dots = tmp_path / "roofline.png"
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    result = CliRunner().invoke(main, [*command, str(dots)])
    assert (result.exit_code, dots.exists()) == (2, False)
    assert "pip install cairosvg" in result.stderr
    result = CliRunner().invoke(main, [*command, str(tmp_path / "roofline.gif")])
    assert result.exit_code == 2
    assert "a plot is a file .svg, .html or .png, not '.gif'" in result.stderr


def test_plot_as_png() -> None:
    pytest.importorskip("cairosvg")
    made = picture.encoded(roofline.render(api.predict(VGG, "v100")), "VGG", ".png")
    size = [int.from_bytes(made[i : i + 4], "big") for i in (16, 20)]
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    assert size == [roofline.WIDTH * picture.SCALE, roofline.HEIGHT * picture.SCALE]


def test_plot_escapes_names() -> None:
    odd = written("x: 1,8,4,4\n<a>&b = conv x w:8,8,3,3")
    assert "<a>&b" in ET.tostring(_picture(predict(odd, DEVICE)), encoding="unicode", method="text")


def test_dots_lie_under_the_roof() -> None:
    for kernel in api.predict(VGG, "v100", batch=8).kernels:
        if kernel.flops:
            roof = min(15.7e12, kernel.flops / kernel.bytes * 900e9)
            assert kernel.flops / kernel.time_s <= roof * 1.0001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (0.01234, "12.34 ms"), (5e-6, "5 µs"), (1e-8, "10 ns"), (0.0, "0 ns")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_five_thousand_operators_take_a_bounded_number_of_calls() -> None:
    """300 each: twice what they take now, and linear in their number."""
    text, x = "x: 1,8,16,16\n", "x"
    for i in range(1667):
        text += f"c{i} = conv {x} w{i}:8,8,3,3 pad=1\nr{i} = relu c{i}\na{i} = add r{i} {x}\n"
        x = f"a{i}"
    graph = written(text)
    assert len(graph.nodes) == 5001
    find("v100")
    with work(1_500_000):
        predict(graph, find("v100"), "tensorrt")


def test_unknown_runtime_in_python() -> None:
    with pytest.raises(UnknownName):
        predict(written(CONV), DEVICE, "tvm")
