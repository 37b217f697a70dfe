"""What a forward keeps for its backward, against what PyTorch keeps: types, adapters, dropout."""

from __future__ import annotations

from typing import Any

import pytest

import flopwise
from flopwise.analyses.training.step import Recipe, step
from flopwise.analyses.training_memory import of_step
from flopwise.ops.gradient import Autograd
from flopwise.passes.autocast import autocast
from flopwise.passes.training import training, with_loss

torch = pytest.importorskip("torch")


class Block(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Attention and a network, as in a language model."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.embed = torch.nn.Embedding(50, 32)
        self.norm = torch.nn.LayerNorm(32)
        self.query, self.key, self.value, self.out, self.head = (
            torch.nn.Linear(32, n) for n in (32, 32, 32, 32, 50)
        )

    def forward(self, tokens: Any) -> Any:
        x = self.embed(tokens)
        y = self.norm(x)
        parts = (f(y).view(2, 8, 4, 8).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = torch.nn.functional.scaled_dot_product_attention(*parts, dropout_p=self.dropout)
        x = x + self.out(mixed.transpose(1, 2).reshape(2, 8, 32))
        return self.head(torch.nn.functional.gelu(x))


class Adapter(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base, (o, i) = base, base.weight.shape
        self.down = torch.nn.Linear(i, 3, bias=False)
        self.up = torch.nn.Linear(3, o, bias=False)

    def forward(self, x: Any) -> Any:
        return self.base(x) + self.up(self.down(x)) * 2.0


RECIPES: list[tuple[float, dict[str, Any]]] = [
    (0.1, {}), (0.1, {"dtype": "bfloat16"}), (0.0, {"amp": "bfloat16"}), (0.1, {"amp": "bfloat16"}),
    *((0.1, {"lora": 3, "lora_targets": t}) for t in (("query",), ("key",), ("value",))),
    (0.0, {"amp": "bfloat16", "lora": 3, "lora_targets": ("query", "value")}),
]  # fmt: skip
HALVES = 64  # bytes: on a CPU the statistics of a norm are in the type of its weights


@pytest.mark.parametrize(("dropout", "recipe"), RECIPES, ids=str)
def test_saved_as_in_pytorch(dropout: float, recipe: dict[str, Any]) -> None:
    """All but integers (tokens, classes), which its caller has, weights, and copies of weights."""
    options = dict(recipe)
    stored = getattr(torch, options.pop("dtype", "float32"))
    tokens = torch.arange(16).view(2, 8)
    plain = Block(dropout).to(stored)
    found = flopwise.memory(plain, train=True, inputs=tokens, loss="cross-entropy", backend="cpu",
                            **options)  # fmt: skip
    model = Block(dropout).to(stored)
    if "lora" in options:
        model.requires_grad_(False)
        for name in options["lora_targets"]:
            setattr(model, name, Adapter(getattr(model, name)))
    off = HALVES if stored == torch.bfloat16 else 0
    assert found.saved_bytes == kept(model, tokens, "amp" in options) + off


SINGLE = ("layer_norm", "softmax.int", "log_softmax.int", "rms_norm", "sum", "pow.Tensor_Scalar")


def normed() -> Any:
    """A norm and a softmax of results in half precision, where the lists differ."""
    return torch.nn.Sequential(
        torch.nn.Embedding(50, 32), torch.nn.Linear(32, 32), torch.nn.LayerNorm(32),
        torch.nn.GELU(), torch.nn.Linear(32, 32), torch.nn.Softmax(-1), torch.nn.Linear(32, 50),
    )  # fmt: skip


@pytest.mark.parametrize("build", [normed, lambda: Block(0.1)])
def test_saved_as_with_the_lists_of_cuda(build: Any) -> None:
    """PyTorch's dispatcher on a CPU, with what CUDA computes in float32 (AT_FORALL_FP32 in
    ATen/autocast_mode.h) in place of what a CPU does; kernels are those of the CPU."""
    tokens = torch.arange(16).view(2, 8)
    graph = flopwise.load(build(), inputs=tokens, mode="train-forward")
    forward = autocast(with_loss(training(graph), "cross-entropy"), "bfloat16", "gpu")
    found = of_step(step(forward, Recipe(autograd=Autograd("cpu", scores="float32"))))
    with torch.library._scoped_library("aten", "IMPL") as library:
        for name in SINGLE:
            base, _, overload = name.partition(".")
            of = getattr(getattr(torch.ops.aten, base), overload or "default")
            library.impl(name, in_single(of), "AutocastCPU")
        assert found.saved_bytes == kept(build(), tokens, amp=True)
    if build is normed:  # the CPU's own lists
        assert found.saved_bytes > kept(build(), tokens, amp=True)


def in_single(of: Any) -> Any:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)

    def wide(value: Any) -> Any:
        half = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
        return value.float() if half else value

    def computed(*given: Any, **named: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return of(*map(wide, given), **{k: wide(v) for k, v in named.items()})

    return computed


def kept(model: Any, tokens: Any, amp: bool) -> int:
    saved: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
    with hooks, torch.autocast("cpu", torch.bfloat16, amp):
        loss = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes = {p.numel() for p in model.parameters()}
    found = 0
    for place, tensor in saved.items():
        copied = tensor.dtype == torch.bfloat16 and tensor.dim() == 2 and tensor.numel() in sizes
        is_copy = copied and amp and tensor.shape[0] != 16
        if place not in weights and not is_copy and tensor.is_floating_point():
            found += tensor.untyped_storage().nbytes()
    del loss
    return found
