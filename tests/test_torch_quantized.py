"""Quantised and packed modules: products by the numbers that were packed, parameters in full."""

from typing import Any

import pytest

import flopwise

torch = pytest.importorskip("torch")
nn = torch.nn
ao = torch.ao.quantization


def counted(module: Any, inputs: Any, params: int, **options: Any) -> Any:
    profile = flopwise.count(module, inputs=inputs, **options)
    assert not profile.unknown, profile.not_counted()
    assert profile.params == params
    return profile


@pytest.mark.parametrize("dtype", [torch.qint8, torch.float16])
def test_dynamic_linear(dtype: Any) -> None:
    """FlopCounterMode gives 0 for these."""
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    module = ao.quantize_dynamic(module, {nn.Linear}, dtype=dtype)
    profile = counted(module, (2, 8), 8 * 16 + 16 + 16 * 4 + 4)
    assert profile.total().mac == 2 * (8 * 16 + 16 * 4)
    assert profile.trainable_params == 0
    if dtype is torch.qint8:
        assert profile.weight_bytes == (8 * 16 + 16 * 4) + 4 * (16 + 4)
    names = [t.name for t in profile.graph.tensors() if t.role == "weight"]
    assert {*names} == {"0.weight", "0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_dynamic_recurrent(kind: Any, gates: int, bidirectional: bool) -> None:
    module = nn.Sequential(kind(8, 16, num_layers=2, bidirectional=bidirectional))
    plain = flopwise.count(module, inputs=(5, 3, 8))
    module = ao.quantize_dynamic(module, {kind}, dtype=torch.qint8)
    profile = counted(module, (5, 3, 8), plain.params)
    assert profile.total().mac == plain.total().mac
    ways = 1 + bidirectional
    loops = 5 * 3 * ways * gates * 16 * ((8 + 16) + (16 * ways + 16))
    assert profile.total().mac == loops


def test_dynamic_cell() -> None:
    module = ao.quantize_dynamic(nn.Sequential(nn.LSTMCell(8, 16)), {nn.LSTMCell})
    profile = counted(module, (3, 8), 4 * 16 * (8 + 16) + 2 * 4 * 16)  # biases once
    assert profile.total().mac == 3 * 4 * 16 * (8 + 16)


class Static(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = ao.QuantStub(), ao.DeQuantStub()
        self.conv, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.sum = torch.ao.nn.quantized.FloatFunctional()
        self.pool, self.linear = nn.MaxPool2d(2), nn.Linear(4 * 9, 5)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.conv(self.quant(x)))
        x = self.depthwise(x)
        x = self.pool(self.up(self.sum.add(x, x)))
        return self.dequant(self.linear(x.flatten(1)))


def test_static_convolutions() -> None:
    torch.backends.quantized.engine = "qnnpack"
    module = Static().eval()
    plain = flopwise.count(module, inputs=(2, 3, 6, 6))
    module.qconfig = ao.get_default_qconfig("qnnpack")
    ao.fuse_modules(module, [["conv", "relu"]], inplace=True)
    ao.prepare(module, inplace=True)
    module(torch.randn(1, 3, 6, 6))
    ao.convert(module, inplace=True)
    profile = counted(module, (2, 3, 6, 6), plain.params)
    loops = 2 * (36 * 8 * 27 + 9 * 8 * 9 + 9 * 8 * 4 * 4 + 36 * 5)
    assert profile.total().mac == plain.total().mac == loops
    assert profile.by_op()["relu"].cmp == 2 * 36 * 8
    assert {t.dtype for t in profile.graph.outputs} == {"float32"}


class Packed(nn.Module):
    def __init__(self, function: Any, **buffers: Any) -> None:
        super().__init__()
        self.function = function
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.buffers())


def test_products_with_packed_weights() -> None:
    x = torch.empty(3, 64, dtype=torch.bfloat16)
    eight = Packed(
        torch._weight_int8pack_mm, weight=torch.empty(16, 64, dtype=torch.int8),
        scales=torch.empty(16, dtype=torch.bfloat16),
    )  # fmt: skip
    assert counted(eight, x, 0).total().mac == 3 * 64 * 16
    four = Packed(
        lambda x, w, s: torch.ops.aten._weight_int4pack_mm_for_cpu(x, w, 32, s),
        weight=torch.empty(16, 32, dtype=torch.uint8),
        scales=torch.empty(2, 16, 2, dtype=torch.bfloat16),
    )
    if hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"):
        profile = counted(four, x, 0)
        assert profile.total().mac == 3 * 64 * 16
        assert profile.total().read == 2 * 3 * 64 + 16 * 32  # four bits a weight


class State:
    shape, quant_type = torch.Size([16, 64]), "nf4"


def test_a_packed_parameter_counts_what_it_stands_for() -> None:
    """bitsandbytes keeps two weights to a byte, and says so beside the parameter (4-bit models
    are reported at half of their size, bitsandbytes#834, transformers#34317)."""

    class Linear4bit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stored = torch.empty(16 * 64 // 2, 1, dtype=torch.uint8)
            self.weight = nn.Parameter(stored, requires_grad=False)
            self.weight.quant_state = State()  # type: ignore[attr-defined]

        def forward(self, x: Any) -> Any:
            return x @ self.weight.new_empty((64, 16), dtype=x.dtype)

    profile = counted(Linear4bit(), (3, 64), 16 * 64)
    assert profile.parameters.stored_bytes == profile.weight_bytes == 16 * 64 // 2
