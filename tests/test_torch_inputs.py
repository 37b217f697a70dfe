"""What a module can be called with, and the forms that modules come in."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy
import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnknownName, UnknownSize, UnknownValue, UnreadableModel
from support import torchvision_ops

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
Pair = namedtuple("Pair", "left right")


def macs(module: Any, inputs: Any = None, **options: Any) -> Any:
    profile = flopwise.count(module, inputs=inputs, **options)
    assert not profile.unknown, profile.not_counted()
    return profile.total().mac


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)

    def forward(self, x: Any, y: Any = None, *, times: int = 1, flag: bool = False) -> Any:
        for _ in range(times):
            x = self.linear(x)
        if y is not None:
            x = x + self.linear(y)
        return {"out": x, "flag": flag, "none": None}


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)

    def forward(self, batch: Any) -> Any:
        if isinstance(batch, dict):
            return [self.linear(x) for x in (batch["a"], *batch["b"]) if x is not None]
        return self.linear(batch.left) if isinstance(batch, Pair) else self.linear(batch[0])


X = torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("inputs", "options", "expected"),
    [
        ((2, 4), {}, 32),
        ("2x4", {}, 32),
        ([2, 4], {}, 32),
        (X, {}, 32),
        (X.numpy(), {}, 32),
        (X.to("meta"), {}, 32),
        ({"x": (2, 4)}, {}, 32),
        ({"x": "2x4", "y": "3x4"}, None, None),
        ({"x": X, "y": X}, {}, 64),
        ((X, X), {}, 64),
        ((X, None), {}, 32),
        (((2, 4), (2, 4)), {}, 64),
        ([(2, 4), None], {}, 32),
        ({"x": X, "times": 3, "flag": True}, {}, 96),
        ((X, X), {"kwargs": {"times": 2}}, 96),
        ({"times": 2}, {"args": (X,)}, 64),
    ],
)
def test_inputs(inputs: Any, options: Any, expected: Any) -> None:
    if expected is None:
        with pytest.raises(UnreadableModel, match="forward of Two fails at"):
            flopwise.count(Two(), inputs=inputs)
        return
    assert macs(Two(), inputs, **options) == expected


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"a": X, "b": [X, None]}, 64),
        ({"batch": {"a": X, "b": (X, X)}}, 96),
        ((Pair(X, X),), 32),
        (([X, 5, "text"],), 32),
    ],
)
def test_nested_inputs(inputs: Any, expected: int) -> None:
    assert macs(Nested(), inputs) == expected


def test_names_and_dtypes_of_inputs() -> None:
    profile = flopwise.count(Two().half(), inputs={"x": (2, 4), "y": (2, 4)})
    assert [(t.name, t.shape, t.dtype) for t in profile.graph.inputs] == [
        ("x", (2, 4), "float16"), ("y", (2, 4), "float16")
    ]  # fmt: skip


def test_batch() -> None:
    assert macs(Two(), (1, 4), batch=8) == 8 * 16
    assert flopwise.count(Two(), (1, 4), batch=8).graph.inputs[0].shape == (8, 4)
    with pytest.raises(UnknownSize, match="--batch 8"):
        flopwise.count(Two(), (2, 4), batch=8)


def test_tokens_are_whole_numbers() -> None:
    """A shape alone, for an embedding: its first use says that it holds places."""
    module = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4, bias=False))
    profile = flopwise.count(module, inputs=(2, 3))
    assert profile.total().mac == 6 * 16
    assert profile.graph.inputs[0].dtype == "int64"


def test_missing_and_wrong_inputs() -> None:
    with pytest.raises(UnknownSize, match="--input x="):
        flopwise.count(Two())
    with pytest.raises(UnknownName, match="no input 'z'"):
        flopwise.count(Two(), inputs={"x": (2, 4), "z": (2, 4)})
    with pytest.raises(UnreadableModel, match="fails at"):
        flopwise.count(Two(), inputs=(2, 5))


class Lengths(nn.Module):
    def forward(self, x: Any, length: Any) -> Any:
        return x[: length.item()] @ x.T


def test_data_decides_a_size() -> None:
    assert macs(Lengths(), (torch.zeros(5, 4), torch.tensor(3))) == 60
    with pytest.raises(UnknownValue, match=r"test_torch_inputs.py:\d+: aten::item asks for values"):
        flopwise.count(Lengths(), inputs=((5, 4), (1,)))


def test_data_decides_a_branch() -> None:
    class Branch(nn.Module):
        def forward(self, x: Any) -> Any:
            if torch.isnan(x).any():
                raise ValueError("not a number")
            return x @ x.T

    class Assertion(nn.Module):
        def forward(self, x: Any) -> Any:
            if not (x.abs() >= 0).all():
                raise ValueError("less than nothing")
            return x @ x.T

    for module, taken in ((Branch(), "false"), (Assertion(), "true")):
        profile = flopwise.count(module, inputs=(2, 4))
        assert profile.total().mac == 16
        (note,) = profile.graph.notes
        assert f"depends on data is taken as {taken}" in note


def test_masks_positions_and_sizes_have_values() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("places", torch.tensor([0, 2, 3]))

        def forward(self, x: Any) -> Any:
            mask = torch.zeros(x.shape[0], dtype=torch.bool, device=x.device)
            mask[1::2] = True
            rows = x[mask]
            steps = torch.arange(4, device=x.device)
            steps.add_(1)
            for i in steps.tolist():
                rows = rows[: max(i, 2)]
            if mask.all() or not bool((self.places > 1).any()):
                raise ValueError
            return rows @ x[self.places].T @ x.new_ones(3, int(steps[-1].item()))

    assert macs(Masked(), (8, 5)) == 2 * 5 * 3 + 2 * 3 * 4


def test_a_mixture_of_experts_counts_the_active() -> None:
    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(8, 4, bias=False)
            self.experts = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(4))

        def forward(self, x: Any) -> Any:
            weights, chosen = torch.topk(self.router(x).softmax(-1), 2)
            out = torch.zeros_like(x)
            for i, expert in enumerate(self.experts):
                rows, place = torch.where(chosen == i)
                if rows.numel():
                    out[rows] += expert(x[rows]) * weights[rows, place, None]
            return out

    profile = flopwise.count(Mixture(), inputs=(16, 8))
    assert profile.total().mac == 16 * 8 * 4 + 16 * 2 * 8 * 8
    assert any("choices among 4 are taken as even" in note for note in profile.graph.notes)


def conv() -> Any:
    return nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())


IMAGE, CONV = (1, 4, 6, 6), 8 * 16 * 36


@pytest.mark.parametrize(
    "module",
    [
        conv(),
        conv().to("meta"),
        conv().half(),
        conv().bfloat16(),
        conv().double(),
        conv().to(memory_format=torch.channels_last),
        conv().requires_grad_(False),
        torch.compile(conv()),
        torch.jit.script(conv()),
        torch.jit.trace(conv().eval(), torch.zeros(IMAGE)),
        nn.DataParallel(conv()),
        torch.nn.utils.fusion.fuse_conv_bn_eval(*conv().eval()[:2]),
        torch.fx.symbolic_trace(conv()),
    ],
    ids=lambda module: type(module).__name__,
)
def test_forms_of_a_module(module: Any) -> None:
    if type(module).__name__ == "TopLevelTracedModule" and torch.__version__ < "2.5":
        pytest.skip("torch 2.4 fails below a mode in what torch.jit.trace made")
    profile = flopwise.count(module, inputs=IMAGE)
    assert profile.total().mac == CONV
    assert profile.params == sum(p.numel() for p in module.parameters())


def test_channels_last_input() -> None:
    x = torch.zeros(IMAGE).to(memory_format=torch.channels_last)
    assert macs(conv(), x) == CONV


def test_a_module_that_calls_itself() -> None:
    class Recursive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4, bias=False)

        def forward(self, x: Any, depth: int = 3) -> Any:
            x = self.linear(x)
            return self(x, depth - 1) if depth else x

    assert macs(Recursive(), (1, 4)) == 4 * 16


def test_complex_products_are_four() -> None:
    class Complex(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.view_as_complex(x) @ torch.view_as_complex(x).T

    assert macs(Complex(), (3, 4, 2)) == 4 * 3 * 4 * 3


def test_gradients_inside_a_forward() -> None:
    """Forces are the gradient of an energy: autograd runs within the forward."""

    class Forces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 8, bias=False)

        def forward(self, x: Any) -> Any:
            with torch.enable_grad():
                x = x.requires_grad_(True)
                energy = self.linear(x).square().sum()
                (force,) = torch.autograd.grad(energy, x)
            return -force

    assert macs(Forces(), (3, 4)) == 2 * 3 * 4 * 8


def test_scopes_and_names() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.relu(self.conv(x)) + x)

    graph = flopwise.load(nn.Sequential(Block(), Block()), inputs=(1, 4, 5, 5))
    assert [(n.name, n.scope, n.origin) for n in graph.nodes[:4]] == [
        ("0.conv", ("0", "conv"), "aten::conv2d"),
        ("0.relu", ("0", "relu"), "aten::relu"),
        ("0.add", ("0",), "aten::add"),
        ("0.relu_2", ("0", "relu"), "aten::relu"),
    ]
    assert [t.name for t in graph.nodes[0].weights] == ["0.conv.weight", "0.conv.bias"]
    assert len({n.name for n in graph.nodes}) == len(graph.nodes)


def test_unused_parameters_are_still_parameters() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(2, 2), nn.Linear(3, 3)
            self.register_buffer("table", torch.zeros(7))

        def forward(self, x: Any) -> Any:
            return self.used(x)

    profile = flopwise.count(Unused(), inputs=(1, 2))
    assert (profile.params, profile.buffers) == (6 + 12, 7)
    assert [t.name for t in profile.graph.weights if t.role == "weight"] == [
        "spare.weight", "spare.bias"
    ]  # fmt: skip


def test_a_source_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_test.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self, width=4, bias=True):\n"
        "        rates = [r.item() for r in torch.linspace(0, 1, 3)]\n"
        "        assert rates == [0, 0.5, 1]\n"
        "        super().__init__(torch.nn.Linear(4, width, bias=bias))\n"
        "broken, number = (lambda: 1 / 0), 3\n"
        "ready = Net(2)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert macs("nets_of_test:Net", (1, 4)) == 16
    assert macs("nets_of_test:Net?width=1_000_000_000&bias=False", (1, 4)) == 4_000_000_000
    assert macs("nets_of_test:ready", (1, 4)) == 8
    for source, words in (
        ("nets_of_test:Nett", "did you mean Net"),
        ("nets_of_tset:Net", "no module named 'nets_of_tset'"),
        ("nets_of_test:broken", "division by zero"),
        ("nets_of_test:number", "is a int"),
        ("nets_of_test:Net?depth=3", "unexpected keyword argument 'depth'"),
        ("builtins:dict", "gives a dict"),
    ):
        with pytest.raises(FlopwiseError, match=words):
            flopwise.count(source, inputs=(1, 4))


@pytest.mark.parametrize("source", ["torchvision:resnet18", "timm:resnet18"])
def test_a_library_makes_models_by_name(source: str) -> None:
    if not torchvision_ops.available():
        pytest.skip("needs torchvision")
    pytest.importorskip(source.partition(":")[0])
    assert macs(source, (1, 3, 224, 224)) == 1_814_073_344
    with pytest.raises(FlopwiseError, match="nosuchnet"):
        flopwise.count(source.replace("resnet18", "nosuchnet"), inputs=(1, 3, 224, 224))


def test_numpy_scalars_and_arrays() -> None:
    assert macs(Lengths(), (numpy.zeros((5, 4), dtype=numpy.float32), torch.tensor(2))) == 40


def test_tensors_that_are_compared_whole() -> None:
    """One that is compared with itself is equal; two whose values nobody knows are not."""

    class Compares(Two):
        def forward(self, x: Any, y: Any) -> Any:  # type: ignore[override]
            same, other = torch.equal(x, x), torch.equal(x, y)
            return self.linear(x) if same and not other else x

    profile = flopwise.count(Compares(), inputs=((2, 4), (2, 4)))
    assert profile.total().mac == 32 and profile.total().cmp == 16 and profile.coverage == 1


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_tensors_are_refused_in_one_line(layout: Any) -> None:
    rows = torch.nested.nested_tensor([torch.zeros(3, 4), torch.zeros(5, 4)], layout=layout)
    with pytest.raises(UnknownSize, match="input 'input' is a nested tensor"):
        flopwise.count(nn.Linear(4, 4), inputs=rows)
