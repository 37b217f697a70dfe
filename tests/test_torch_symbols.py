"""Free sizes: one trace, an expression, and the same numbers as traces of each size."""

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import flopwise
from flopwise.dims import symbol
from flopwise.errors import UnknownSize

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 16)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    def forward(self, ids: Any) -> Any:
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1], device="meta")
        positions = torch.arange(ids.shape[1], device=ids.device)
        return self.layer(self.table(ids) + self.table(positions % 11), src_mask=mask)


class Pyramid(nn.Module):
    """Strides, padding to a multiple, windows, enlarging by a factor and to a size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.mix = nn.Linear(8, 8)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Any) -> Any:
        small = self.pool(F.relu(self.norm(self.stem(x))))
        n, c, h, w = small.shape
        rows = self.mix(small.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(n, c, h, w)
        large = F.interpolate(rows, scale_factor=1.5, mode="bilinear")
        back = F.interpolate(large, size=x.shape[-2:])
        return F.adaptive_avg_pool2d(torch.cat([back, x], 1), 1).flatten(1)


class Windows(nn.Module):
    """Attention in windows: padded to a multiple of 7, shifted, put back, and halved, padded to
    an even size. A `grid` is a number of windows that the module was built for."""

    def __init__(self, grid: int = 0) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.mix, self.halved, self.grid = nn.Linear(8, 24), nn.Linear(32, 8), grid

    def windows(self, x: Any) -> Any:
        n, h, w, c = x.shape
        x = F.pad(x, (0, 0, 0, (7 - w % 7) % 7, 0, (7 - h % 7) % 7))
        _, high, wide, _ = x.shape
        x = torch.roll(x, (-3, -3), (1, 2))
        x = x.view(n, high // 7, 7, wide // 7, 7, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 49, c)
        q, k, v = self.mix(x).chunk(3, -1)
        x = (q @ k.transpose(1, 2)).softmax(-1) @ v
        high, wide = (self.grid * 7, self.grid * 7) if self.grid else (high, wide)
        x = x.view(n, high // 7, wide // 7, 7, 7, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, high, wide, c)[:, :h, :w]

    def forward(self, x: Any) -> Any:
        x = self.patches(x).permute(0, 2, 3, 1)
        for _ in range(3):
            x = self.windows(self.windows(x))
            n, h, w, c = x.shape
            if self.grid:
                continue
            x = F.pad(x, (0, 0, 0, w % 2, 0, h % 2))
            x = x.reshape(n, (h + h % 2) // 2, 2, (w + w % 2) // 2, 2, c).permute(0, 1, 3, 4, 2, 5)
            x = self.halved(x.flatten(3))
        return x


class Rows(nn.Module):
    """A product of operands with two batch axes each."""

    def forward(self, x: Any) -> Any:
        return x @ x.transpose(2, 3)


CASES = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)), "Nx4"),
    "image": (Pyramid, "Nx3xHxW"),
    "grid": (Pyramid, "Nx3x32*Hx32*W"),
    "tokens": (Attention, "NxS"),
    "lstm": (lambda: nn.LSTM(4, 5, 2, batch_first=True), "NxSx4"),
    "speech": (lambda: nn.Sequential(nn.Conv1d(1, 4, 10, 5), nn.Conv1d(4, 4, 3, 2)), "Nx1xS"),
    "volume": (lambda: nn.Conv3d(1, 2, 3, padding=1), "Nx1xHxHxW"),
    "products": (Rows, "Nx3xHxW"),
    "up": (lambda: nn.ConvTranspose2d(2, 3, 4, 2, 1), "Nx2xHxW"),
}  # fmt: skip


@settings(max_examples=6, deadline=None, phases=[Phase.generate])
@given(sizes=st.tuples(st.integers(2, 4), st.integers(40, 70), st.integers(40, 70)))
@pytest.mark.parametrize("name", CASES)
def test_symbolic_equals_concrete(name: str, sizes: tuple[int, int, int]) -> None:
    build, shape = CASES[name]
    module = build()
    values = {"N": sizes[0], "H": sizes[1], "W": sizes[2], "S": sizes[1]}
    profile = flopwise.count(module, inputs=shape)
    concrete = profile.at(**values)
    again = flopwise.count(module, inputs=concrete.graph.inputs[0].shape)
    assert concrete.total() == again.total()
    assert not profile.graph.notes


def longest(graph: Any) -> int:
    """The length of the size of an axis, in words."""
    return max(len(str(size)) for n in graph.nodes for t in n.outputs for size in t.sizes)


def test_windows_stay_short_and_right() -> None:
    """Three stages of padding, windows and halving: each size is a floor or two of the image's."""
    module = Windows()
    free = flopwise.count(module, inputs=(1, 3, symbol("H"), symbol("W")))
    assert longest(free.graph) < 50
    for height, width in ((224, 224), (64, 96), (300, 231)):
        numbers = flopwise.count(module, inputs=(1, 3, height, width))
        assert free.at(H=height, W=width).total().mac == numbers.total().mac


def test_a_fixed_grid_holds_at_one_size() -> None:
    free = flopwise.count(Windows(grid=8), inputs=(1, 3, symbol("H"), symbol("W")))
    assert longest(free.graph) < 50
    assert free.graph.holds(H=224, W=224)
    assert not free.graph.holds(H=256, W=256)


def test_sizes_that_grow_with_every_layer_are_given_up() -> None:
    class Growing(nn.Module):
        def forward(self, x: Any) -> Any:
            for divisor in range(2, 60):
                x = x.new_zeros(x.shape[0] * x.shape[1] // divisor + x.shape[1] ** 2, x.shape[0])
            return x

    with pytest.raises(UnknownSize, match="grow without end"):
        flopwise.count(Growing(), inputs="HxW")


def test_expressions_read_well() -> None:
    profile = flopwise.count(nn.Conv2d(3, 8, 3, padding=1, bias=False), inputs="Nx3xHxW")
    assert str(profile.total().mac) == "216*H*N*W"
    attention = flopwise.count(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), "NxSx16")
    assert str(attention.total().mac) == "32*N*S**2 + 2048*N*S"


def test_a_condition_is_told() -> None:
    class Choosy(nn.Module):
        def forward(self, x: Any) -> Any:
            assert x.shape[1] == 64
            return x @ x.mT if x.shape[0] > 1 and x.shape[2] < 100 else x

    profile = flopwise.count(Choosy(), inputs="NxSxC")
    (note,) = profile.graph.notes
    assert note == "the counts hold where S == 64; C < 100"


def test_a_loop_over_a_free_size_is_refused() -> None:
    class Loop(nn.Module):
        def forward(self, x: Any) -> Any:
            return sum(x[i] for i in range(x.shape[0]))

    with pytest.raises(UnknownSize, match="the model needs a number for N"):
        flopwise.count(Loop(), inputs="NxS")


def test_batch_as_a_symbol() -> None:
    profile = flopwise.count(nn.Linear(4, 8), inputs=(1, 4), batch="B")
    assert str(profile.total().mac) == "32*B"


def test_a_language_model() -> None:
    pytest.importorskip("transformers")
    from support import torchvision_ops

    torchvision_ops.available()
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=99, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    module = transformers.LlamaForCausalLM(config).eval()
    profile = flopwise.count(module, inputs={"input_ids": "NxS"})
    for n, s in ((1, 7), (3, 200)):
        again = flopwise.count(module, inputs={"input_ids": (n, s)})
        assert profile.at(N=n, S=s).total().mac == again.total().mac
