"""PyTorch's kernels on a CPU: which an operator runs, and that a calibration measures the same."""

from __future__ import annotations

import json
import runpy
from math import log
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from flopwise import api, devices
from flopwise.analyses import aten
from flopwise.analyses.calibrated import CENTRAL, TOGETHER_EAGER, interval
from flopwise.analyses.cases import Case
from flopwise.analyses.eager import calls, case
from flopwise.analyses.roofline import predict
from flopwise.analyses.terms import terms, work
from flopwise.cli import main
from flopwise.graph import Node
from flopwise.measuring import calibration
from flopwise.measuring import torch as measured
from flopwise.measuring import verify as verifying
from flopwise.measuring.calibration import Reading, Readings, device_file
from flopwise.measuring.torch.kernels import builder
from flopwise.passes.runtimes import EAGER
from support import torchvision_ops

torch = pytest.importorskip("torch")

PLAN = calibration.plan("torch")
KINDS = list(dict.fromkeys(c.kind for c in PLAN))


class Alone(torch.nn.Module):
    """One kernel as a calibration runs it, its weights those of a module."""

    def __init__(self, one: Case) -> None:
        super().__init__()
        self.function, _, weights = builder(one.kind)(torch, one)
        self.learned = torch.nn.ParameterList(torch.rand(shape) for shape in weights)

    def forward(self, *data: Any) -> Any:
        return self.function(*data, *self.learned)


def cases(module: Any, inputs: Any, threads: int = 1) -> list[Case | None]:
    graph = api.load(module.eval(), inputs=inputs)
    return [case(g, graph.orders, threads) for g in EAGER.kernels(graph)]


def data(one: Case) -> tuple[Any, ...]:
    _, shapes, _ = builder(one.kind)(torch, one)
    return tuple(measured._data(torch, shape, one) for shape in shapes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_has_the_kernels_that_a_calibration_measures(kind: str) -> None:
    """Traced, what is measured under the name of a case is that case."""
    if kind in ("view", "call"):
        pytest.skip("no operator of its own")
    for one in [c for c in PLAN if c.kind == kind and work(c)[0] < 2e8][:6]:
        found = [c for c in cases(Alone(one), data(one)) if c is not None and c.kind != "view"]
        assert [c.kind for c in found] == [kind], one
        for name, size, wanted in zip(one.named, found[0].sizes, one.sizes):
            if name == "size":  # shapes are whole numbers of runs
                assert size == pytest.approx(wanted, rel=0.5, abs=200), (one, found)
            elif name in ("scale", "run"):
                assert size == pytest.approx(wanted, abs=1), (one, found)
            else:
                assert size == wanted, (one, found)


BACKENDS = {"slow_conv": "Slow2d", "mkldnn_conv": "Mkldnn", "mkldnn_depthwise": "Mkldnn",
            "image_conv": "Mkldnn"}  # fmt: skip


def _convolution(chance: Random) -> tuple[Any, ...]:
    """An image, a weight, a stride, and groups."""
    groups = chance.choice((1, 1, 1, 2, 8))
    c, f = (groups * chance.choice((1, 1, 3, 8, 64)) for _ in range(2))
    high, wide = chance.choice(((1, 1), (1, 1), (3, 3), (5, 5), (1, 7)))
    image = (1, c, chance.choice((1, 7, 14, 40)), chance.choice((8, 14, 40)))
    return image, (f, c // groups, high, wide), chance.choice((1, 2)), groups


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_convolutions_go_where_torch_sends_them() -> None:
    """The rule is read from ATen's source; here ATen itself is asked."""
    threads, chance, seen = torch.get_num_threads(), Random(0), set()
    torch.set_num_threads(1)
    try:
        for _ in range(80):
            image, weight, stride, groups = _convolution(chance)
            pads = [k // 2 for k in weight[2:]]
            chosen = torch._C._select_conv_backend(
                torch.rand(image), torch.rand(weight), None, [stride] * 2, pads, [1, 1], False,
                [0, 0], groups, None,
            )  # fmt: skip
            layer = torch.nn.Conv2d(image[1], weight[0], weight[2:], stride, pads, 1, groups)
            found = cases(layer, image)[0]
            assert found is not None
            seen.add(found.kind)
            assert BACKENDS[found.kind] == chosen.name, (image, weight, stride, groups)
    finally:
        torch.set_num_threads(threads)
    assert seen == set(BACKENDS)


class Permuted(torch.nn.Module):
    """Channels are last between two permutations, as in a ConvNeXt block."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = torch.nn.Conv2d(32, 32, 7, padding=3, groups=32)
        self.norm = torch.nn.LayerNorm(32)
        self.wide = torch.nn.Linear(32, 64)
        self.narrow = torch.nn.Conv2d(64, 32, 2, 2)

    def forward(self, x: Any) -> Any:
        y = self.norm(self.deep(x).permute(0, 2, 3, 1))
        y = self.narrow(self.wide(y).permute(0, 3, 1, 2))
        y = y + self.deep(x)[:, :, ::2, ::2]
        return y.flatten(2).transpose(1, 2).contiguous()


def test_how_tensors_lie_goes_with_them() -> None:
    """A copy into the order wanted by the norm, channels-last data from there on."""
    found = [c for c in cases(Permuted(), "1x32x16x16") if c is not None and c.kind != "view"]
    assert found == [
        Case("mkldnn_depthwise", (32, 16, 16, 49, 7, 1, 1)),
        Case("native_layer_norm", (256, 32)),
        Case("addmm", (256, 64, 32)),
        Case("slow_conv", (64, 32, 1, 8, 8, 4, 2, 2)),
        Case("mkldnn_depthwise", (32, 16, 16, 49, 7, 1, 1)),
        Case("mixed", (2048, 1)),
    ]


def test_runs_of_what_is_joined_are_those_in_memory() -> None:
    class Joined(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cat((x, x), 1)

    image = torch.rand(1, 8, 4, 4)
    last = image.contiguous(memory_format=torch.channels_last)
    assert cases(Joined(), (image,)) == [Case("cat", (256, 256))]
    assert cases(Joined(), (last,)) == [Case("cat", (256, 16))]


def test_operands_of_fewer_axes_lie_alike() -> None:
    class Added(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x + x.flatten()

    found = [c for c in cases(Added(), "1x8") if c is not None and c.kind != "view"]
    assert found == [Case("pair", (8,))]


def test_modules_are_entered_one_inside_another() -> None:
    part = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Sigmoid())
    graph = api.load(torch.nn.Sequential(part, torch.nn.Tanh()).eval(), inputs="2x3")
    assert calls(EAGER.kernels(graph)) == [2, 1, 1]


def test_chains_have_the_kernels_that_they_are_said_to_have() -> None:
    from flopwise.measuring.torch.chains import SHAPE, drawn

    for number in range(4):
        module, told = drawn(number)
        found = cases(module, SHAPE)
        assert found == [c for c in told if c.kind != "call"]
        assert {c.kind for c in told} <= set(KINDS)


def test_what_a_kernel_takes_longer_among_others() -> None:
    """A chain of three kernels and a call takes two products more than these alone."""
    kernels = [Case("call", (1,)), *(Case("view", (n,)) for n in (2, 3, 4))]

    class Chains:
        @staticmethod
        def chain(number: int) -> Any:
            return "chain", kernels

        @staticmethod
        def kernel(one: Case, threads: int) -> Any:
            return one, 2  # of which two are run at a time

    class Clock:
        threads = 1

        def __init__(self) -> None:
            self.readings: list[float] = []

        def ratios(self, run: Any, rounds: int) -> list[float]:
            self.readings.append(1.0)
            return [2.0 + 4 * 5.0 if run == "chain" else 2 * 5.0] * rounds

    assert calibration._between(Chains, Clock()) == pytest.approx(2.0 / 3)


def _power(one: Case) -> float:
    """A machine of 50 GFLOPS and 10 GB/s where a kernel starts in 2 µs."""
    flops, moved = work(one)
    return flops / 5e10 + 4 * moved / 1e10 + 2e-6


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = tuple(Reading(c, _power(c) / 2e-4, 2e-4) for c in PLAN[::6])
    path = tmp_path_factory.mktemp("device") / "eager.toml"
    path.write_text(device_file(Readings(found, 0.02), "torch", 1, "torch 9"))
    return str(path)


def test_operators_views_and_calls_are_added_up(mine: str) -> None:
    device, module = devices.find(mine), Permuted().eval()
    assert device.runtime == "eager"
    graph = api.load(module, inputs="1x32x16x16")
    found = predict(graph, device, "eager")
    groups = EAGER.kernels(graph)
    assert len(found.kernels) == len(groups)
    alone = [c for g in groups if (c := case(g, graph.orders)) is not None]
    around = [Case("call", (n,)) for n in calls(groups) if n]
    assert len(around) == 5
    assert found.latency_s == pytest.approx(sum(map(_power, alone + around)), rel=0.15)
    assert api.predict(module, mine, "eager", inputs="1x32x16x16") == found


def test_an_interval_is_that_of_the_runtime() -> None:
    assert log(interval(1.0, [], "eager")[1]) == pytest.approx(CENTRAL * TOGETHER_EAGER)


def test_every_kind_has_its_terms() -> None:
    for one in PLAN:
        assert min(work(one)) > 0, one
        assert len(one.named) == len(one.sizes) == len(aten.SIZES.get(one.kind, ("size",))), one
        assert min(terms(one).values()) >= 0, one
    assert set(aten.SIZES) <= set(KINDS)


def test_operators_are_told_apart_in_a_run() -> None:
    """Each operator of the graph is found again in a run, views too."""
    module = Permuted().eval()
    graph = api.load(module, inputs="1x32x16x16")
    found = measured.layers(module, graph, rounds=1)
    assert set(found) == {n.name for n in graph.nodes}
    assert all(seconds >= 0 for seconds in found.values())


def test_operators_are_matched_in_order() -> None:
    """One call of two nodes is the second's; what has no node is looked over."""
    nodes = [Node("x", (), (), {}, str(i), (), origin) for i, origin in enumerate("abbcda")]
    ran = [("a", 1.0), ("drop", 9.0), ("b", 2.0), ("e", 9.0), ("c", 3.0), ("a", 4.0)]
    found = {node.name: seconds for node, seconds in measured.matched(nodes, ran)}
    assert found == {"0": 1.0, "2": 2.0, "3": 3.0, "5": 4.0}


def test_a_network_runs_on_what_its_graph_takes() -> None:
    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(3, 4)

        def forward(self, tokens: Any) -> Any:
            assert tokens.dtype is torch.int64
            return self.table(tokens)

    graph = api.load(Words().eval(), inputs=torch.zeros(1, 5, dtype=torch.int64))
    measured.network(Words().eval(), graph.inputs)()


def test_only_what_is_importable_is_run(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="PyTorch runs package"):
        measured.built("model.onnx")


def test_eager_is_what_torch_runs(mine: str) -> None:
    module = Permuted().eval()
    found = [api.predict(module, mine, name, inputs="1x32x16x16") for name in ("eager", "torch")]
    assert found[0] == found[1]


LINEAR = "torch.nn:Linear?in_features=8&out_features=4"


class Steady:
    """A clock that counts runs: each takes five products."""

    threads = 1

    def ratios(self, run: Any, rounds: int, limit: float = 0.0) -> list[float]:
        run()
        return [5.0] * rounds


def test_a_module_is_measured_by_its_name(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "start", lambda runtime, threads: (measured, Steady()))
    command = ["measure", LINEAR, "--device", mine, "--input", "2x8", "--format", "json"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout)
    assert found["measured_s"] == pytest.approx(5 * 2e-4)
    assert [k["op"] for k in found["layers"]] == ["linear"]
    assert found["layers"][0]["measured_s"] == pytest.approx(found["measured_s"])
    command = ["calibrate", "--verify", LINEAR, "-o", mine, "--input", "2x8", "--format", "json"]
    (again,) = json.loads(CliRunner().invoke(main, command).stdout)
    assert again["runtime"] == "eager"
    assert again["latency_s"] == found["latency_s"]


UNFIT = {
    ("measure", "torch.nn:Linea", "--device"): "did you mean",
    ("measure", "model.onnx", "--device"): "model.onnx",
    ("calibrate", "--verify", LINEAR, "-o"): "give",
    ("calibrate", "--input", "2x8", "-o"): "--input is for the models of --verify",
}


@pytest.mark.parametrize("command", UNFIT)
def test_what_cannot_be_measured_gets_one_line(command: tuple[str, ...], mine: str) -> None:
    result = CliRunner().invoke(main, [*command, mine])
    assert result.exit_code == 2
    assert UNFIT[command] in result.stderr
    assert result.stderr.count("\n") == 1


DEVELOPED = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "latency_networks.py"))[
    "DEVELOPED"
]


@pytest.mark.parametrize("name", DEVELOPED)
def test_a_calibration_has_the_kernels_of_whole_networks(name: str) -> None:
    """Of those that were looked into, on shapes alone: nothing in them is guessed."""
    if not torchvision_ops.available():
        pytest.skip("needs torchvision")
    pytest.importorskip("timm")
    library = "torchvision" if name.startswith("tv:") else "timm"
    graph = api.load(f"{library}:{name.removeprefix('tv:')}", inputs="1x3x224x224")
    found = {g.main.op: case(g, graph.orders) for g in EAGER.kernels(graph)}
    assert {op for op, one in found.items() if one is None or one.kind not in KINDS} == set()
