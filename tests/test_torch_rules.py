"""Rules of users: three lines for an operator, a function or a class of modules."""

import math
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import flopwise
from flopwise import Counts
from flopwise.errors import FlopwiseError, UnreadableModel
from flopwise.rules import RULES

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


if not hasattr(torch.ops.flopwise_test, "scan"):
    torch.library.define("flopwise_test::scan", "(Tensor x, Tensor decay, int states) -> Tensor")
    torch.library.define("flopwise_test::blind", "(Tensor x) -> Tensor")
    torch.library.register_fake(
        "flopwise_test::scan", lambda x, decay, states: x.new_empty(x.shape)
    )


class Scan(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.ones(4))

    def forward(self, x: Any) -> Any:
        return torch.ops.flopwise_test.scan(x.cos(), self.decay, 16)


def test_a_custom_operator_is_listed_until_it_has_a_rule() -> None:
    profile = flopwise.count(Scan(), inputs=(2, 4))
    assert profile.not_counted() == {"flopwise_test::scan": 1}
    assert profile.coverage == 0.5

    @flopwise.rule("flopwise_test::scan")
    def scan(x: Any, states: int) -> Counts:
        return Counts(mac=x.size * states)

    profile = flopwise.count(Scan(), inputs=(2, 4))
    assert (profile.total().mac, profile.coverage, profile.params) == (128, 1, 4)
    assert [r.node.attrs["of"] for r in profile.rows if r.node.op == "custom"] == [
        "flopwise_test::scan"
    ]


def test_an_operator_without_shapes() -> None:
    class Blind(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.ops.flopwise_test.blind(x) @ x.T

    with pytest.raises(UnreadableModel, match=r"flopwise_test::blind|no shape rule"):
        flopwise.count(Blind(), inputs=(2, 4))

    @flopwise.rule("flopwise_test::blind", result=lambda x: x.new_empty(3, 4))
    def blind(x: Any) -> Counts:
        return Counts(add=x.size)

    profile = flopwise.count(Blind(), inputs=(2, 4))
    assert (profile.total().mac, profile.total().add) == (24, 8)


def test_a_rule_of_ours_can_be_replaced() -> None:
    @flopwise.rule("aten::relu")
    def relu(self: Any) -> Counts:
        return Counts(bit=self.size)

    assert flopwise.count(nn.ReLU(), inputs=(2, 4)).total().bit == 8


class Kernel(nn.Module):
    """Fails wherever there is no device."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))

    def forward(self, x: Any, times: int = 1) -> Any:
        raise RuntimeError("no kernel image is available")


class Faster(Kernel):
    pass


def test_a_class_of_modules_and_its_subclasses() -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False), Kernel(4), Faster(4))
    with pytest.raises(UnreadableModel, match="no kernel image"):
        flopwise.count(net, inputs=(2, 4))

    @flopwise.rule(Kernel, result=lambda module, x, times=1: x)
    def kernel(module: Any, x: Any, times: int) -> Counts:
        return Counts(mac=times * x.shape[0] * module.weight.numel())

    profile = flopwise.count(net, inputs=(2, 4))
    assert profile.total().mac == 3 * 2 * 16
    assert profile.params == 3 * 16
    assert [r.node.name for r in profile.rows] == ["0", "1", "2"]
    assert "forward" not in vars(net[1])


def test_what_runs_inside_a_ruled_module_is_not_counted_twice() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

        def forward(self, x: Any) -> Any:
            return self.inner(self.inner(x))

    @flopwise.rule(nn.Sequential)
    def sequential(module: Any, input: Any) -> Counts:
        return Counts(mac=len(module) * input.size)

    assert flopwise.count(Outer(), inputs=(2, 4)).total().mac == 2 * 2 * 8


def test_a_function_wherever_it_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    library, user = (
        types.ModuleType("flopwise_test_kernels"),
        types.ModuleType("flopwise_test_user"),
    )

    def triton(x: Any, factor: float = 2.0) -> Any:
        raise RuntimeError("Pointer argument cannot be accessed from Triton")

    library.triton = user.imported = triton  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, library.__name__, library)
    monkeypatch.setitem(sys.modules, user.__name__, user)

    class Calls(nn.Module):
        def forward(self, x: Any) -> Any:
            return user.imported(library.triton(x), factor=3.0)

    @flopwise.rule("flopwise_test_kernels:triton", result=lambda x, factor=2.0: x)
    def cost(x: Any, factor: float) -> Counts:
        return Counts(mul=int(factor) * x.size)

    assert flopwise.count(Calls(), inputs=(2, 4)).total().mul == 5 * 8
    assert library.triton is user.imported is triton  # type: ignore[attr-defined]


def test_a_rule_with_free_sizes() -> None:
    @flopwise.rule("flopwise_test::scan")
    def scan(x: Any, states: int) -> Counts:
        return Counts(mac=x.size * states)

    profile = flopwise.count(Scan(), inputs="Nx4")
    assert str(profile.total().mac) == "64*N"
    assert profile.at(N=3).total().mac == 192


def test_a_rule_that_fails_is_named() -> None:
    @flopwise.rule("flopwise_test::scan")
    def scan(x: Any) -> Counts:
        return Counts(mac=math.factorial(-x.size))

    with pytest.raises(FlopwiseError, match="the rule of flopwise_test::scan: factorial"):
        flopwise.count(Scan(), inputs=(2, 4))
