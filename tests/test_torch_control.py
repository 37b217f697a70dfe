"""Branches and loops that torch takes as functions: cond, while_loop, scan, map."""

from collections import Counter
from typing import Any

import pytest

import flopwise
from flopwise.errors import UnreadableModel

torch = pytest.importorskip("torch")
nn = torch.nn
modes = pytest.importorskip("torch.utils._python_dispatch")
if not hasattr(modes.TorchDispatchMode, "supports_higher_order_operators"):
    pytest.skip("this torch hides such operators from modes", allow_module_level=True)


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def count(function: Any, inputs: Any, **options: Any) -> Any:
    profile = flopwise.count(Function(function), inputs=inputs, **options)
    assert not profile.unknown, profile.not_counted()
    return profile


def branch(x: Any) -> Any:
    return torch.cond(x.sum() > 0, lambda x: x @ x @ x, lambda x: x @ x, (x,)) @ x


def test_a_known_condition_is_followed() -> None:
    x = torch.ones(4, 4)
    assert count(branch, x).total().mac == 3 * 64
    assert count(branch, -x).total().mac == 2 * 64
    assert not count(branch, x).graph.notes


def test_of_branches_on_data_the_dearer_counts() -> None:
    profile = count(branch, (4, 4))
    assert profile.total().mac == 3 * 64
    assert "condition is not known; the dearer branch is counted" in profile.graph.notes[0]


def higher(name: str) -> Any:
    module = pytest.importorskip(f"torch._higher_order_ops.{name}")
    return getattr(module, name)


def test_a_loop_with_a_known_end() -> None:
    loop = higher("while_loop")
    start = torch.tensor(0)
    profile = count(
        lambda x: loop(lambda i, x: i < 3, lambda i, x: (i + 1, x @ x), (start, x)), (4, 4)
    )
    assert profile.total().mac == 3 * 64
    assert profile.total().cmp == 4  # the last condition ends it


def test_a_loop_whose_end_is_data_has_a_free_number_of_trips() -> None:
    loop = higher("while_loop")
    profile = count(lambda x: loop(lambda x: x.sum() < 3, lambda x: (x @ x,), (x,)), (4, 4))
    assert str(profile.total().mac) == "64*trips_loop"
    assert profile.at(trips_loop=5).total().mac == 320
    assert "that number is 'trips_loop'" in profile.graph.notes[0]


class Scan(nn.Module):
    """Its weight is outside of the body."""

    def __init__(self, axis: int = 0, reverse: bool = False) -> None:
        super().__init__()
        self.linear, self.axis, self.reverse = nn.Linear(8, 8, bias=False), axis, reverse

    def forward(self, x: Any) -> Any:
        return higher("scan")(
            lambda c, x: (self.linear(c) + x, c.sin()), x.select(self.axis, 0), x, dim=self.axis,
            reverse=self.reverse,
        )  # fmt: skip


@pytest.mark.parametrize(("axis", "reverse"), [(0, False), (1, False), (0, True)])
def test_a_scan_runs_for_each_step(axis: int, reverse: bool) -> None:
    shape = (5, 3, 8) if axis == 0 else (3, 5, 8)
    profile = flopwise.count(Scan(axis, reverse), inputs=shape)
    loops = Counter()
    for _ in range(5):
        for _ in range(3):
            for _ in range(8):
                loops["mac"] += 8
                loops["add"] += 1
                loops["trig"] += 1
    total = profile.total()
    assert (total.mac, total.add, total.trig) == (loops["mac"], loops["add"], loops["trig"])
    assert (profile.params, profile.coverage) == (64, 1)
    assert [t.shape for t in profile.graph.outputs] == [(3, 8), shape]


def test_a_scan_of_free_length() -> None:
    profile = flopwise.count(Scan(), inputs="Tx3x8")
    assert str(profile.total().mac) == "192*T"


def test_a_map() -> None:
    over = higher("map")
    profile = count(lambda x, y: over(lambda x, y: x @ y, x, y), ((5, 2, 8), (8, 3)))
    assert profile.total().mac == 5 * 2 * 8 * 3
    assert profile.graph.outputs[0].shape == (5, 2, 3)


def test_one_that_is_not_known_is_an_error() -> None:
    from torch._ops import HigherOrderOperator

    class Strange(HigherOrderOperator):
        def __init__(self) -> None:
            super().__init__("flopwise_test_strange")

        def __call__(self, *args: Any) -> Any:
            return super().__call__(*args)

    with pytest.raises(UnreadableModel, match="'flopwise_test_strange' is not known"):
        flopwise.count(Function(Strange()), inputs=(2, 2))


class Weighted(nn.Module):
    """A higher-order operator, or the same in plain Python."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.ones(4, 4)), function

    def forward(self, x: Any) -> Any:
        return self.function(x, self.weight)


def scanned(x: Any, w: Any) -> Any:
    return higher("scan")(lambda c, y: ((c @ w).tanh() + y, c.clone()), torch.zeros(2, 4), x)[1]


def scanned_plainly(x: Any, w: Any) -> Any:
    state, found = torch.zeros(2, 4), []
    for y in x:
        found.append(state.clone())
        state = (state @ w).tanh() + y
    return torch.stack(found)


def looped(x: Any, w: Any) -> Any:
    return higher("while_loop")(
        lambda i, x: i < 3, lambda i, x: (i + 1, x @ w), (torch.tensor(0), x)
    )[1]


@pytest.mark.parametrize(
    ("function", "plain"),
    [
        (lambda x, w: torch.cond(torch.tensor(True), lambda x: x @ w @ w, lambda x: x @ w, (x,)),
         lambda x, w: x @ w @ w),
        (scanned, scanned_plainly),
        (lambda x, w: higher("map")(lambda y: (y @ w).relu(), x),
         lambda x, w: torch.stack([(y @ w).relu() for y in x])),
        (looped, lambda x, w: x @ w @ w @ w),
    ],
    ids=["cond", "scan", "map", "while"],
)  # fmt: skip
def test_a_training_step_goes_through_them(function: Any, plain: Any) -> None:
    found = flopwise.count(Weighted(function), inputs=(5, 2, 4), mode="train")
    expected = flopwise.count(Weighted(plain), inputs=(5, 2, 4), mode="train")
    assert not found.unknown, found.not_counted()
    assert found.total().mac == expected.total().mac
    assert found.total().mac > flopwise.count(Weighted(plain), inputs=(5, 2, 4)).total().mac


def test_a_training_step_needs_conditions_that_are_known() -> None:
    def asks(x: Any, w: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x @ w @ w, lambda x: x @ w, (x,))

    x = torch.ones(2, 4)
    more = flopwise.count(Weighted(asks), inputs=x, mode="train").total().mac
    less = flopwise.count(Weighted(asks), inputs=-x, mode="train").total().mac
    assert more == 32 * (2 + 2 + 1) and less == 32 * 2
    with pytest.raises(UnreadableModel, match=r"\.py:\d+: in a training step, cond on a condition"):
        flopwise.count(Weighted(asks), inputs=(2, 4), mode="train")
