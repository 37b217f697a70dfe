"""Calibration: what a kernel's time depends on, timing beside others, fitting, device files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner

from flopwise import api, devices, ops
from flopwise.analyses.calibrated import CENTRAL, TOGETHER, estimates, interval
from flopwise.analyses.cases import BLOCKED, LIKE, SIZES, Case
from flopwise.analyses.kernels import case
from flopwise.analyses.process import fit, fitted, prices
from flopwise.analyses.roofline import predict
from flopwise.analyses.terms import terms, work
from flopwise.analyses.why import critical, why
from flopwise.cli import main
from flopwise.errors import FlopwiseError, UnknownName
from flopwise.measuring import calibration, clock
from flopwise.measuring.calibration import Reading, Readings, device_file, measure
from flopwise.measuring.samples import DESIGN, design
from flopwise.passes.fuse import Group
from flopwise.passes.runtimes import RUNTIMES
from support.written import written

VGG = str(Path(__file__).parents[1] / "examples" / "vgg16.prototxt")
ALEX = str(Path(__file__).parents[1] / "examples" / "alexnet.prototxt")

CASES = {  # text: the case of its first kernel
    "x: 1,32,28,30\ny = conv x w:64,32,3,5 pad=((1,1),(2,2))": (
        "conv",
        32,
        64,
        1,
        28,
        30,
        15,
        5,
        1,
        1,
        1,
    ),
    "x: 1,32,28,28\nz: 1,64,28,28\nc = conv x w:64,32,1,1\na = add c z\ny = relu a": (
        "conv",
        32,
        64,
        1,
        28,
        28,
        1,
        1,
        1,
        2,
        1,
    ),
    "x: 1,32,28,28\nc = conv x w:64,32,1,1\ny = sigmoid c": (
        "conv",
        32,
        64,
        1,
        28,
        28,
        1,
        1,
        1,
        1,
        3,
    ),
    "x: 2,3,64,64\ny = conv x w:16,3,3,3 stride=2 pad=1": ("first_conv", 3, 16, 64, 32, 9, 2, 1),
    "x: 1,32,28,28\ny = conv x w:32,1,3,3 groups=32 pad=1": (
        "depthwise_conv",
        32,
        28,
        28,
        9,
        3,
        1,
        1,
        1,
    ),
    "x: 1,32,28,28\ny = conv x w:32,4,3,3 groups=8 pad=1": ("plain_conv", 4, 4, 8, 28, 28, 9, 1),
    "x: 1,18,28,28\ny = conv x w:32,18,1,1": ("plain_conv", 18, 32, 1, 28, 28, 1, 1),
    "x: 1,8,100\ny = conv x w:16,8,3 pad=1": ("plain_conv", 8, 16, 1, 1, 100, 3, 1),
    "x: 1,8,4,4\ny = conv_transpose x w:8,4,2,2 stride=2": ("conv_transpose", 8, 4, 1, 4, 4, 4, 2),
    "x: 5,7,8\ny = linear x w:16,8": ("gemm", 35, 16, 8),
    "x: 5,7,8\ny = matmul x w:8,16": ("gemm", 35, 16, 8),
    "x: 2,3,7,8\nz: 2,3,8,9\ny = matmul x z": ("matmul", 6, 7, 9, 8, 1),
    "x: 2,5,8\nz: 5,9,8\ny = einsum x z equation='abk,bnk->abn'": ("einsum", 5, 2, 9, 8),
    "x: 2,3,7\ny = softmax x": ("softmax", 6, 7),
    "x: 2,3,7\ny = softmax x axis=1": ("softmax_across", 2, 3, 7),
    "x: 2,3,1\ny = softmax x axis=1": ("softmax", 2, 3),
    "x: 2,3,8\ny = layer_norm x w:8 b:8": ("norm", 6, 8),
    "x: 2,3,4,5\ny = reduce_mean x axes=(2,3) keepdims=True": ("reduce", 6, 20, 1),
    "x: 2,3,4\ny = reduce_mean x axes=(1,) keepdims=True": ("reduce", 2, 3, 4),
    "x: 5,3,4\ny = reduce_sum x axes=(0,) keep=False": ("reduce", 1, 5, 12),
    "x: 2,3,4\ny = reduce_l2 x axes=(-1,)": ("reduce_slow", 6, 4, 1),
    "x: 6,8\ny = batch_norm x m:8 v:8 w:8 b:8": ("batch_norm", 6, 8, 1),
    "x: 2,8,5,5\ny = instance_norm x w:8 b:8": ("instance_norm", 16, 25),
    "x: 1,8,8,8\ny = max_pool x k=(2,2) stride=2": ("plain_pool", 8, 4, 4, 4, 2),
    "x: 1,8,8,8\ny = avg_pool x k=(2,2) stride=2": ("plain_avg_pool", 8, 4, 4, 4, 2),
    "x: 1,8,6,7\ny = global_avg_pool x": ("plain_global_pool", 8, 42),
    "x: 2,3,4,5\ny = transpose x perm=(0,2,1,3)": ("transpose_rows", 2, 3, 4, 5),
    "x: 3,4,5\ny = transpose x perm=(1,0,2)": ("transpose_rows", 1, 3, 4, 5),
    "x: 2,3,4,5,6\ny = transpose x perm=(0,2,3,1,4)": ("transpose_rows", 2, 3, 20, 6),
    "x: 2,3,4,5\ny = transpose x perm=(0,3,1,2)": ("transpose_matrix", 2, 12, 5),
    "x: 1,1,7,3,5\ny = transpose x perm=(0,3,1,4,2)": ("transpose_other", 105, 1),
    "x: 1,7,3,4,5\ny = transpose x perm=(2,0,3,1,4)": ("transpose_other", 420, 5),
    "x: 2,3,4,5\ny = transpose x perm=(0,1,3,2)": ("transpose_matrix", 6, 4, 5),
    "x: 2,3,4,5\ny = transpose x perm=(0,2,3,1)": ("transpose_matrix", 2, 3, 20),
    "x: 2,3,4,5\ny = transpose x perm=(3,2,1,0)": ("transpose_other", 120, 1),
    "x: 2,3,4,5\ny = transpose x perm=(2,1,0,3)": ("transpose_other", 120, 5),
    "x: 1,3,1,5\ny = transpose x perm=(1,2,0,3)": ("copy", 15, 15),
    "x: 2,3\nz: 2,5\ny = concat x z axis=1": ("copy", 16, 8),
    "x: 2,6,5\na, b = split x axis=1": ("split", 60, 15),
    "x: 2,6,5\ny = slice x starts=(1,) ends=(4,) axes=(1,)": ("slice", 30, 15),
    "x: 2,6,5\ny = pad x pads=((0,0),(1,1),(0,0))": ("pad", 80, 40),
    "x: 2,6,5\ny = pad x pads=((0,0),(0,0),(0,0))": ("pad", 60, 60),
    "x: 1,16,3,3\ny = depth_to_space x block=2": ("depth_to_space", 144, 4),
    "x: 4,8\ny = gelu x": ("unary gelu", 32),
    "x: 4,8\nz: 4,8\ny = mul x z": ("binary", 32),
    "x: 4,8\ny = mul x s:": ("binary_scalar", 32),
    "x: 4,8\ny = mul x s:8": ("binary_rows", 32, 8),
    "x: 1,4,5,5\nz: 1,4,1,1\ny = mul x z": ("binary_channels", 100, 25),
}


@pytest.mark.parametrize("text", CASES)
def test_what_the_time_of_a_kernel_depends_on(text: str) -> None:
    kind, *sizes = CASES[text]
    group = RUNTIMES["onnxruntime"].kernels(written(text))[0]
    assert case(group) == Case(kind, tuple(sizes))


LAID = {  # a kernel in onnxruntime's blocks of channels, by its native name: the case that it is
    ("ReorderOutput", "x: 1,8,3,5\ny = transpose x perm=(0,2,3,1)"): ("reorder_output_last", 8, 15),
    ("ReorderInput", "x: 1,3,5,8\ny = transpose x perm=(0,3,1,2)"): ("reorder_input_last", 8, 15),
    ("ReorderOutput", "x: 1,8,3,5\ny = copy x"): ("reorder_output", 8, 15),
    ("AveragePool", "x: 1,16,9,9\ny = avg_pool x k=(3,3) stride=2"): ("avg_pool", 16, 4, 4, 9, 2),
}


@pytest.mark.parametrize(("name", "text"), LAID)
def test_kernels_of_blocks_are_told_by_their_native_names(name: str, text: str) -> None:
    node = replace(written(text).nodes[0], origin=f"{BLOCKED}::{name}")
    if node.op == "transpose":  # to or from channels that lie last
        pattern = "n c *x -> n *x c" if name == "ReorderOutput" else "n *x c -> n c *x"
        node = replace(node, op="copy", attrs={"pattern": pattern})
    kind, *sizes = LAID[name, text]
    assert case(Group((node,), node.op, ops.count(node))) == Case(kind, tuple(sizes))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x: 2,8,7\nz: 2,8,9\nt = swap_axes x axes=(-1,-2)\ny = matmul t z", (2, 7, 9, 8, 2)),
        ("x: 2,7,8\nz: 2,9,8\nt = swap_axes z axes=(-1,-2)\ny = matmul x t", (2, 7, 9, 8, 3)),
    ],
)
def test_a_product_may_take_an_operand_as_it_lies(text: str, found: tuple[int, ...]) -> None:
    nodes = tuple(written(text).nodes)
    assert case(Group(nodes, "matmul", ops.count(nodes[1]))) == Case("matmul", found)


def test_a_sum_before_a_norm_is_a_kernel_of_its_own() -> None:
    nodes = tuple(written("x: 4,8\nz: 4,8\na = add x z\ny = layer_norm a w:8 b:8").nodes)
    assert case(Group(nodes, "layer_norm", ops.count(nodes[1]))) == Case("skip_norm", (4, 8))


def test_rows_a_power_of_two_apart_are_told_from_others() -> None:
    """They meet in few sets of a cache, which no smooth function of sizes can say."""
    for kind, sizes in (("gemm", (8, 8)), ("transpose_matrix", (1, 196))):
        told = {n: terms(Case(kind, (*sizes, n))) for n in (256, 512, 520, 1024, 1536)}
        found = {
            n: [k for k, v in t.items() if v and k.startswith("strides")] for n, t in told.items()
        }
        assert found == {
            256: ["strides of 1 KiB"], 512: ["strides of 2 KiB"], 520: [],
            1024: ["strides of 4 KiB"], 1536: ["strides of 2 KiB"],
        }  # fmt: skip


def test_a_kind_that_was_not_measured_is_taken_as_one_like_it(mine: str) -> None:
    device = devices.find(mine)
    fewer = {name: table for name, table in device.kernels.items() if name != "pad"}
    graph = written("x: 2,6,5\ny = pad x pads=((0,0),(1,1),(0,0))\nz = concat y axis=1")
    pad, copy = estimates(RUNTIMES["eager"].kernels(graph), replace(device, kernels=fewer))
    assert pad == copy
    assert pad.measured


def test_letters_and_strangers_are_no_case() -> None:
    from support.networks import small

    found = RUNTIMES["eager"].kernels(small(batch=1, unknown=True).graph)
    assert [case(g) for g in found if g.kind == "unknown"] == [None]


def test_channels_fill_blocks() -> None:
    """17 channels are computed as 32: onnxruntime lays them out in blocks of 16."""
    two, three = (work(Case("conv", (c, 64, 1, 8, 8, 1, 1, 1, 1, 1)))[0] for c in (17, 32))
    assert two == three == 2 * 32 * 64 * 64


class Machine:
    """A machine whose thread time runs as fast as `speed` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.speed = 0.0, 1.0
        monkeypatch.setattr(clock.time, "thread_time", lambda: self.now)
        monkeypatch.setattr(clock.time, "perf_counter", lambda: self.now)

    def work(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds * self.speed

        return run


def test_a_disturbed_machine_gives_the_same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    timer = clock.Clock(machine.work(1e-4))
    quiet = timer.products(machine.work(3e-3))
    machine.speed = 2.5
    assert timer.products(machine.work(3e-3)) == pytest.approx(quiet) == pytest.approx(30)
    assert timer.unit == pytest.approx(1e-4)


def test_interrupted_readings_of_threads_are_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third try is left alone; one that never is gives its least interrupted reading."""
    machine = Machine(monkeypatch)
    cuts = [0, 5, 5, 7, 7, 7]
    monkeypatch.setattr(clock, "interruptions", lambda: cuts.pop(0))
    lengths = iter((9.0, 8.0, 3.0))
    timer = clock.Clock(machine.work(1e-4), threads=2)
    assert timer.read(lambda: machine.work(next(lengths))()) == pytest.approx(3.0)
    cuts = [0, 9, 9, 11, 11, 15, 15, 19]
    lengths = iter((9.0, 8.0, 7.0, 6.0))
    assert timer.read(lambda: machine.work(next(lengths))()) == pytest.approx(8.0)
    assert clock.TRIES == 4
    assert cuts == []


def test_threads_are_timed_when_nobody_else_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is half as fast now and then: such rounds are left out, and quiet waited for."""
    machine = Machine(monkeypatch)
    monkeypatch.setattr(clock, "interruptions", lambda: 0)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        machine.speed = 1.0

    monkeypatch.setattr(clock.time, "sleep", wait)
    timer = clock.Clock(machine.work(1e-4), threads=2)
    quiet, runs = machine.work(3e-3), iter(range(100))

    def run() -> None:
        quiet()
        machine.speed = 2.0 if next(runs) in (2, 4, 5) else machine.speed

    assert timer.ratios(run, rounds=5) == pytest.approx([30.0] * 5)
    assert waits == [clock.PAUSE] * 3
    assert timer.readings == pytest.approx([1e-4] * 5)


def test_short_work_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    calls = []
    step = machine.work(1e-6)
    clock.Clock(machine.work(1e-4)).ratios(lambda: (calls.append(1), step()), rounds=3)
    assert len(calls) == 2 + 3 * 1000


def test_the_design_is_fixed_and_holds_every_kind_early() -> None:
    found = design()
    assert found == design()
    assert len(set(found)) == len(found) > 1000
    assert {c.kind for c in found[: len(found) // 4]} == set(DESIGN)
    for one in found:
        assert len(one.sizes) == len(SIZES.get(one.kind, ("size",))), one
        assert all(isinstance(s, int) and s > 0 for s in one.sizes), one


def test_stand_ins_have_the_same_sizes() -> None:
    for kind, other in LIKE.items():
        assert SIZES[kind] == SIZES[other], kind


def _power(one: Case) -> float:
    """A machine of 50 GFLOPS and 10 GB/s whose small kernels take 1 µs more."""
    flops, moved = work(one)
    return flops / 5e10 + 4 * moved / 1e10 + 1e-6


GEMMS = [c for c in design() if c.kind == "gemm"]


def test_prices_are_those_of_a_machine_that_adds_up() -> None:
    """Seconds that are sums of amounts give back what each costs; none is below zero."""
    cost = {"starts": 1e-6, "operations": 2e-11, "outputs": 1e-9}
    times = [sum(cost.get(n, 0.0) * a for n, a in terms(c).items()) for c in GEMMS]
    found = dict(zip(terms(GEMMS[0]), prices(GEMMS, times)))
    assert min(found.values()) >= 0
    for one, taken in zip(GEMMS, times):
        assert sum(found[n] * a for n, a in terms(one).items()) == pytest.approx(taken, rel=0.02)


def test_a_fit_predicts_between_what_was_measured() -> None:
    noise = numpy.random.default_rng(0).normal(0, 0.03, len(GEMMS))
    times = [_power(c) * float(numpy.exp(e)) for c, e in zip(GEMMS, noise)]
    found = fit(GEMMS[:100], times[:100], 0.01)
    assert 0.01 <= found.process.noise < 0.08
    mean, deviation = found.predict(GEMMS[100:])
    error = mean - numpy.array([log(_power(c)) for c in GEMMS[100:]])
    assert numpy.abs(error).mean() < 0.04
    assert (deviation > 0).all()


def test_the_process_corrects_what_prices_cannot_say() -> None:
    """A machine that takes twice as long where columns are odd: nearby cases tell."""
    cases = [Case("gemm", (m, 64, k)) for m in range(40, 80, 2) for k in (100, 200, 400)]
    times = [_power(c) * (2 if c.sizes[2] == 200 else 1) for c in cases]
    found = fit(cases[1::2], times[1::2], 0.01)
    mean, _ = found.predict(cases[::2])
    assert numpy.abs(numpy.exp(mean) / numpy.array(times[::2]) - 1).mean() < 0.1


def test_a_fit_is_read_back_from_the_device_file(mine: str) -> None:
    table = devices.find(mine).kernels["gemm"]
    cases = [Case("gemm", tuple(row[:-1])) for row in table["samples"]]
    mean, _ = fitted("gemm", table).predict(cases)
    assert numpy.exp(mean) == pytest.approx(numpy.array(list(map(_power, cases))), rel=0.1)


def test_intervals_hold_what_they_say() -> None:
    low, high = interval(1.0, [(0.5, 0.1), (0.5, 0.1)])
    assert high == pytest.approx(1 / low)
    assert log(high) == pytest.approx(CENTRAL * (2 * 0.05**2 + TOGETHER**2) ** 0.5)
    assert log(interval(1.0, [])[1]) == pytest.approx(CENTRAL * TOGETHER)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A device file of a made-up machine."""
    found = tuple(Reading(c, _power(c) / 2e-4, 2e-4) for c in design(share=0.15))
    path = tmp_path_factory.mktemp("device") / "mine.toml"
    path.write_text(device_file(Readings(found, 0.02), "onnxruntime", 1, "onnxruntime 9"))
    return str(path)


def test_a_calibrated_device_is_a_device(mine: str) -> None:
    device = devices.find(mine)
    assert (device.runtime, device.threads, device.status) == ("onnxruntime", 1, "calibrated")
    assert device.calibration["product"] == 2e-4
    assert 3e10 < device.rate("float32") <= 5e10


def test_times_of_kernels_are_added_up(mine: str) -> None:
    graph, device = api.load(VGG), devices.find(mine)
    found = predict(graph, device, "onnxruntime")
    groups = RUNTIMES["onnxruntime"].kernels(graph)
    known = [c for g in groups if (c := case(g)) is not None and g.counts.bytes != 0]
    assert found.latency_s == pytest.approx(sum(map(_power, known)), rel=0.15)
    assert found.band_s[0] < found.latency_s < found.band_s[1]
    assert found.band_s[1] / found.latency_s < 1.2
    assert found.bound == "compute"
    assert found.notes == ()
    for kernel in found.kernels:
        parts = kernel.compute_s + kernel.memory_s + kernel.overhead_s
        assert parts == pytest.approx(kernel.time_s)


def test_what_nothing_like_was_measured_of_is_told(mine: str) -> None:
    found = predict(written("x: 1,8,32\ny = lrn x size=5"), devices.find(mine), "onnxruntime")
    assert "from bytes and operations alone: lrn" in found.source
    assert found.band_s[1] > 2 * found.latency_s


def test_an_unmeasured_function_is_taken_as_another(mine: str) -> None:
    graph = written("x: 1,9999\na = sigmoid x\nb = mish x")
    group = RUNTIMES["eager"].kernels(graph)
    one, other = estimates(group, devices.find(mine))
    assert one == other
    assert one.measured


def test_a_calibration_says_nothing_of_another_runtime(mine: str) -> None:
    with pytest.raises(UnknownName, match="calibrated with onnxruntime, which says nothing of eag"):
        api.predict(VGG, mine, "eager")


def test_an_interrupted_calibration_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that was cut off is measured again, the others are not."""
    seen: list[Case] = []
    patience = [30]

    def read(module: object, timer: object, one: Case, rounds: int = 7) -> Reading:
        if len(seen) == patience[0]:
            raise KeyboardInterrupt
        seen.append(one)
        return Reading(one, 2.0, 1e-4)

    class Module:
        PRODUCT = Case("gemm", (8, 8, 8))
        version = staticmethod(lambda: "9")

        @staticmethod
        def has(one: Case) -> bool:
            return one.kind in ("gemm", "conv", "unary relu")

    monkeypatch.setattr(calibration, "start", lambda runtime, threads: (Module, None))
    monkeypatch.setattr(calibration, "backend", lambda runtime: Module)
    monkeypatch.setattr(calibration, "read", read)
    partial = tmp_path / "mine.toml.partial"
    with pytest.raises(KeyboardInterrupt):
        measure("onnxruntime", 1, partial, share=0.1)
    partial.write_text(partial.read_text() + '{"kind": "gemm", "siz')
    first = list(seen)
    seen.clear()
    patience[0] = 10**6
    readings = measure("onnxruntime", 1, partial, share=0.1)
    assert len(first) == 30
    assert not set(first) & set(seen[: len(readings.found) - 30])
    assert {r.case.kind for r in readings.found} == {"gemm", "conv", "unary relu"}
    assert readings.noise == 0.0
    with pytest.raises(FlopwiseError, match="partial holds another calibration"):
        measure("onnxruntime", 2, partial, share=0.1)


def test_time_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    moments = iter(range(1000))
    monkeypatch.setattr(calibration, "monotonic", lambda: 10.0 * next(moments))
    monkeypatch.setattr(calibration, "ROUNDS", 1)
    monkeypatch.setattr(calibration, "AGAIN", 1)
    found = measure("onnxruntime", 1, tmp_path / "partial", minutes=1.1, share=0.01).found
    assert len(found) == 6


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_kernels_of_every_kind_run(runtime: str) -> None:
    pytest.importorskip(runtime)
    if runtime == "onnxruntime":
        pytest.importorskip("onnx")
    module = calibration.backend(runtime)
    kinds = set()
    for one in calibration.plan(runtime, share=0.01):
        if one.kind not in kinds and work(one)[0] < 1e8:
            kinds.add(one.kind)
            run, copies = module.kernel(one)
            run()
            assert copies >= 1
    assert len(kinds) > 20


def test_onnxruntime_rewrites_a_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper
    weight = onnx.numpy_helper.from_array(numpy.ones((16, 16, 3, 3), "float32"), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, 1, (1, 16, 8, 8)) for n in "xy"]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], [weight])
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    plain, fused = api.count(path), api.count(path, optimised=True)
    assert plain.total().mac == fused.total().mac
    assert len(plain.rows) == 2
    assert {r.node.origin for r in fused.rows} != {r.node.origin for r in plain.rows}
    asked = ["memory", str(path), "--optimised", "--format", "json"]
    told = json.loads(CliRunner().invoke(main, asked).output)
    found = api.memory(path, "onnxruntime", optimised=True)
    assert told["peak_activation_bytes"] == found.peak_activation_bytes > 0


WRONG = {
    ("memory", VGG, "--optimised"): "--optimised is for ONNX files",
    ("memory", VGG, "--optimised", "--train"): "leave out --train",
    ("calibrate", "-o", "x.toml", "--runtime", "tvm"): "no runtime 'tvm' to measure",
    ("calibrate", "model.onnx", "-o", "x.toml"): "a calibration takes none",
    ("calibrate", "--verify", "-o", "x.toml"): "--verify takes the models",
    ("measure", VGG, "--device", "v100"): "v100 is not calibrated",
    ("compare", VGG, ALEX, "--why"): "--why needs a device",
}


@pytest.mark.parametrize("command", WRONG)
def test_wrong_options_get_one_line(command: tuple[str, ...]) -> None:
    with CliRunner().isolated_filesystem():
        result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert WRONG[command] in result.stderr
    assert result.stderr.count("\n") == 1


def test_measuring_without_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    result = CliRunner().invoke(main, ["calibrate", "-o", str(tmp_path / "mine.toml")])
    assert result.exit_code == 2
    assert re.search("needs onnx(runtime)?: pip install onnx onnxruntime\n", result.stderr)


def test_what_cannot_be_run_gets_one_line(mine: str) -> None:
    with pytest.raises(FlopwiseError, match="onnxruntime runs ONNX files; this is caffe"):
        from flopwise.measuring.verify import runner

        runner(VGG, "onnxruntime", 1, False)


def test_reasons_add_up_to_the_latencies() -> None:
    found = [api.predict(m, "v100", batch=8) for m in (VGG, ALEX)]
    parts = why(*found)
    for i, one in enumerate(found):
        added = sum(p.seconds[i] for p in parts if p.adds)
        assert added == pytest.approx(one.latency_s)
    command = ["compare", VGG, ALEX, "--device", "v100", "--why", "--batch", "8"]
    said = json.loads(CliRunner().invoke(main, [*command, "--format", "json"]).stdout)
    assert [m["latency_s"] for m in said["models"]] == [p.latency_s for p in found]
    assert {p["name"] for p in said["why"]} >= {"bytes read and written", "intensity"}
    assert "bytes read and written" in CliRunner().invoke(main, command).stdout


def test_what_measured_depthwise_kernels_lose_is_theirs(mine: str) -> None:
    deep = written("x: 1,64,28,28\ny = conv x w:64,1,3,3 groups=64 pad=1")
    found = predict(deep, devices.find(mine), "onnxruntime")
    parts = {p.name: p.seconds[0] for p in why(found) if p.adds}
    assert sum(parts.values()) == pytest.approx(found.latency_s)
    assert parts["depthwise, grouped: slower"] == pytest.approx(found.kernels[0].overhead_s)
    assert parts["launches and other losses"] == pytest.approx(0)


def test_the_critical_path_is_the_longest_chain() -> None:
    text = "x: 1,64\na = relu x\nb = neg a\nc = exp x\nd = add b c\n"
    text += "r = reshape d shape=(64,)\ne = neg r"
    kernels = predict(written(text), devices.find("v100")).kernels
    one = kernels[0].time_s
    assert len(kernels) == 5
    assert critical(kernels) == pytest.approx(4 * one)
