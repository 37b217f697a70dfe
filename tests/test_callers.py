"""What Python holds while PyTorch runs a module: tensors live until their last reader and their
callers have let them go. The oracle is Python itself, which tells when a storage goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from flopwise import memory  # noqa: E402
from flopwise.analyses.callers import returns  # noqa: E402
from support.lives import peak  # noqa: E402
from support.written import written  # noqa: E402


def layers(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(8, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                         nn.Conv2d(width, 8, 1))  # fmt: skip


class Residual(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.inner = layers(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Shared(nn.Module):
    """A module of the outside runs inside of it, between an operator and its reader."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.other = [other]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last((self.first(x).exp() * self.other[0](x)).cos().sin().cos())


class Around(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.AdaptiveAvgPool2d((1, None))
        self.inner = nn.Sequential(Shared(self.other))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        return x + self.out((q @ k.transpose(-1, -2)).softmax(-1) @ v)


IMAGE, TOKENS = (2, 8, 16, 16), (2, 10, 16)
MODULES = {
    "one layer": (nn.Conv2d(8, 4, 3), IMAGE),
    "layers in a row": (layers(), IMAGE),
    "rows in rows": (nn.Sequential(layers(16), nn.Sequential(layers(32), nn.GELU())), IMAGE),
    "residual blocks": (nn.Sequential(Residual(), Residual(32), nn.Sigmoid()), IMAGE),
    "a greatest of few": (nn.Sequential(nn.MaxPool2d(2), nn.ReLU()), IMAGE),
    "narrow at the end": (nn.Sequential(Residual(32), nn.AvgPool2d(4), nn.Flatten()), IMAGE),
    "attention": (nn.Sequential(Attention(), nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16)),
                  TOKENS),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_module_holds_what_python_holds(name: str) -> None:
    module, shape = MODULES[name]
    held = peak(module.eval(), torch.rand(shape))
    assert memory(module, inputs=shape).peak_activation_bytes == held


def test_what_a_module_makes_itself_is_no_argument_after_another_ran_inside_of_it() -> None:
    """What the other one gave back is taken for an argument, and held too long."""
    module, pooled = Around().eval(), 2 * 8 * 16 * 4
    held = peak(module, torch.rand(IMAGE))
    assert held <= memory(module, inputs=IMAGE).peak_activation_bytes <= held + pooled


def test_an_argument_is_held_until_the_outermost_call_with_it_returns() -> None:
    graph = written("x: 2,8\na = neg x\nb = relu a\nc = neg b\nd = neg c\ne = neg d")
    paths = [(), ("m", "0"), ("m", "0"), ("m", "1"), ("n",)]
    nodes = tuple(replace(node, scope=path) for node, path in zip(graph.nodes, paths))
    assert returns(replace(graph, nodes=nodes)) == {"a": 3, "c": 3, "d": 4}
