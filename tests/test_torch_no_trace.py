"""Counting leaves the user's model as it was, also when its forward raises."""

import copy
import functools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flopwise
from flopwise.errors import FlopwiseError

torch = pytest.importorskip("torch")
pytest.importorskip("torch._dynamo")  # which replaces torch.manual_seed when first imported
nn, F = torch.nn, torch.nn.functional


class Meddler(nn.Module):
    """Changes everything that a forward can change."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(4))
        self.plain = torch.ones(3)
        self.cache: dict[str, Any] = {"inner": {}, "list": [1]}
        self.last: Any = None
        self.constraint = False

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.seen.mul_(0.9).add_(x.mean(0))
        self.plain.add_(1)
        self.cache["x"] = x
        self.cache["inner"]["weight"] = self.weight.sum()
        self.cache["list"].append(x)
        self.last, self.new_attribute = x, 1
        self.train()
        self.weight.requires_grad_(False)
        if self.constraint:
            self.weight.data = torch.renorm(self.weight.data, p=2, dim=0, maxnorm=1)
        torch.set_grad_enabled(False)
        torch.manual_seed(random.randrange(9) + int(torch.rand(1).numel()))
        return x @ self.weight


def resettable(name: str) -> Any:
    layers = {
        "batch_norm": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)),
        "meddler": Meddler,
        "lstm": lambda: nn.LSTM(4, 5, 2),
        "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        "spectral": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)),
        "weight_norm": lambda: nn.utils.weight_norm(nn.Linear(4, 4)),
        "tied": lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2),
        "scripted": lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))),
        "half": lambda: nn.Linear(4, 4).bfloat16(),
    }
    return layers[name]()


INPUT = {"batch_norm": (2, 4, 3, 3), "attention": (2, 3, 4), "lstm": (3, 2, 4)}
NAMES = (
    "batch_norm", "meddler", "lstm", "attention", "spectral", "weight_norm", "tied", "scripted",
    "half",
)  # fmt: skip


def state(module: Any) -> dict[str, Any]:
    """All that a user could notice of a module, its values copied."""
    found: dict[str, Any] = {"keys": list(module.state_dict())}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        found[f"tensor {name}"] = (id(tensor), tensor.clone(), tensor.requires_grad, tensor.grad)
    for name, part in module.named_modules():
        found[f"mode {name}"] = part.training
        if isinstance(part, torch.jit.ScriptModule):
            continue
        for attribute, value in vars(part).items():
            kept = copy.copy(value) if isinstance(value, (dict, list)) else value
            found[f"attribute {name} {attribute}"] = (id(value), kept)
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a is b or (isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b))
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a is b or bool(a == b)


def surroundings() -> Any:
    """Global states and functions that counters have been known to leave changed."""
    from torch.nn.modules import module as hooks

    tables = [copy.copy(v) for k, v in vars(hooks).items() if k.startswith("_global_")]
    functions = [
        (owner, name, value)
        for owner in (F, torch, torch.Tensor, nn.Module, nn.Linear, nn.Conv2d)
        for name, value in vars(owner).items()
        if callable(value)
    ]
    return (
        torch.get_rng_state(), random.getstate(), torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(), torch.get_default_dtype(), tables, functions,
        torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled(),
        torch._C._len_torch_dispatch_stack(), torch._C._len_torch_function_stack(),
    )  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_equal_before_and_after(name: str, training: bool) -> None:
    module = resettable(name).train(training)
    shape = INPUT.get(name, (2, 4))
    before, around = state(module), surroundings()
    flopwise.count(module, inputs=shape)
    assert same(surroundings(), around)
    after = state(module)
    assert list(after) == list(before)
    for key, value in before.items():
        assert same(value, after[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_equal_when_the_forward_raises(name: str) -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = resettable(name)

        def forward(self, x: Any) -> Any:
            self.inner(x)
            self.half_done = True
            raise ValueError("no more")

    module = Failing()
    before, around = state(module), surroundings()
    with pytest.raises(FlopwiseError, match=r"forward of Failing fails at .*: no more"):
        flopwise.count(module, inputs=INPUT.get(name, (2, 4)))
    assert same(surroundings(), around)
    assert same(state(module), before)


def test_a_weight_assigned_through_data_is_not_changed() -> None:
    module = Meddler()
    module.constraint = True
    before = state(module)
    assert flopwise.count(module, inputs=(2, 4)).total().mac == 32
    assert same(state(module), before)


def test_the_model_runs_as_before() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).eval()
    x = torch.randn(3, 4)
    expected = module(x)
    flopwise.count(module, inputs=x)
    assert torch.equal(module(x), expected)
    assert type(module(x)) is torch.Tensor


def test_what_a_function_caches_is_still_good() -> None:
    @functools.lru_cache
    def mask(size: int) -> Any:
        return torch.ones(size, size).tril()

    class Masked(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * mask(x.shape[-1])

    module = Masked()
    flopwise.count(module, inputs=(2, 4, 4))
    assert torch.equal(module(torch.ones(2, 4, 4))[0], torch.ones(4, 4).tril())


def test_inputs_are_not_written_to() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Any, lengths: Any) -> Any:
            lengths.sub_(1)
            return x.mul_(2)[: int(lengths.max())]

    x, lengths = torch.ones(4, 3), torch.tensor([2, 3])
    profile = flopwise.count(InPlace(), inputs=(x, lengths))
    assert profile.graph.outputs[0].shape == (2, 3)
    assert torch.equal(x, torch.ones(4, 3))
    assert lengths.tolist() == [2, 3]


@settings(max_examples=15, deadline=None)
@given(
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    frozen=st.booleans(),
    training=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_any_stack(widths: list[int], frozen: bool, training: bool, dtype: Any) -> None:
    layers: list[Any] = []
    for a, b in zip([3, *widths], widths):
        layers += [nn.Conv1d(a, b, 1), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
    module = nn.Sequential(*layers).to(dtype).train(training).requires_grad_(not frozen)
    before, around = state(module), surroundings()
    flopwise.count(module, inputs=(2, 3, 5))
    assert same(state(module), before)
    assert same(surroundings(), around)
