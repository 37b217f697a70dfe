"""Free sizes: one trace, an expression, and the same numbers as traces of each size."""

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import flopwise
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
