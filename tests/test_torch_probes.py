"""The one-layer probes that tell counters of PyTorch apart."""

import csv
from pathlib import Path
from typing import Any

import pytest

import flopwise

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
R = torch.randn


class Fn(nn.Module):
    """A function of the inputs and of some parameters; one of them unused."""

    def __init__(self, function: Any, **tensors: Any) -> None:
        super().__init__()
        self.function, self.unused = function, nn.Parameter(torch.zeros(1))
        for name, tensor in tensors.items():
            setattr(self, name, nn.Parameter(tensor))

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


class MyConv(nn.Conv2d):
    pass


class MH(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.need_weights = need_weights
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


class BF(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x)[0]


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 32, bias=False)

    def forward(self, x: Any) -> Any:
        return self.linear(self.linear(self.linear(x)))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Any) -> Any:
        return self.head(self.embedding(x))


class RawP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(R(32, 32))
        self.linear = nn.Linear(32, 32, bias=False)

    def forward(self, x: Any) -> Any:
        return self.linear(x @ self.weight)


Parent = RawP


def frozen(module: Any) -> Any:
    return module.requires_grad_(False)


def read() -> list[dict[str, str]]:
    file = Path(__file__).parents[2] / "shared" / "conventions_torch.csv"
    if not file.exists():
        return []
    with file.open() as text:
        return list(csv.DictReader(text))


def build(definition: str) -> tuple[Any, tuple[Any, ...]]:
    if definition.startswith("'script'"):
        conv = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        return torch.jit.script(conv), (R(1, 8, 10, 10),)
    sizes = {"I": R(1, 8, 10, 10), "X": R(4, 32), "X3": R(4, 10, 32), "N": 800}
    pairs = {"q": R(2, 4, 16, 8), "a23": R(2, 3, 4), "b23": R(2, 4, 5)}
    found = eval(definition, {**globals(), **sizes, **pairs})
    return found[0], found[1]


@pytest.mark.parametrize("probe", read(), ids=lambda probe: probe["layer"])
def test_probe(probe: dict[str, str]) -> None:
    if "gqa" in probe["definition"] and torch.__version__ < "2.5":
        pytest.skip("torch 2.4 has no grouped attention")
    module, inputs = build(probe["definition"])
    profile = flopwise.count(module, inputs=inputs)
    assert not profile.unknown
    if probe["true_macs"]:
        assert profile.total().mac == int(probe["true_macs"])
    if probe["true_params"]:
        assert profile.params == int(probe["true_params"])
