"""Cases where a counter of PyTorch gave a usable-looking wrong number, and the right one.

Each name ends in the thread that reported it: pt pytorch/pytorch, thop Lyken17/pytorch-OpCounter,
uthop ultralytics/thop, ptflops sovrasov/flops-counter.pytorch, torchinfo TylerYep/torchinfo,
ds deepspeedai/DeepSpeed, calflops MrYxJ/calculate-flops.pytorch, fvcore
facebookresearch/fvcore, torchprofile zhijian-liu/torchprofile.
"""

from typing import Any

import pytest

import flopwise

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


def macs(module: Any, inputs: Any) -> Any:
    profile = flopwise.count(module, inputs=inputs)
    assert not profile.unknown, profile.not_counted()
    return profile.total().mac


class Function(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def sdpa(q: Any) -> Any:
    return F.scaled_dot_product_attention(q, q, q)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_sdpa_is_not_zero_pt195460(device: str) -> None:
    """FlopCounterMode: 0 on a CPU; 2.5 nightly: double (pt134804)."""
    profile = flopwise.count(Function(sdpa), inputs=torch.randn(1, 12, 64, 64, device=device))
    assert profile.total().flops == 12_582_912


@pytest.mark.parametrize("grad", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("training", [True, False])
def test_no_mode_changes_the_count_pt126268(grad: Any, training: bool) -> None:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).train(training)
    with grad():
        assert macs(layer, (2, 16, 32)) == 294_912


@pytest.mark.parametrize("frozen", [True, False])
def test_multi_head_attention_thop197_ptflops65_ptflops101(frozen: bool) -> None:
    """(0.0, 0) in thop; 0 in ptflops where gradients are off, which takes the fused path."""
    module = nn.MultiheadAttention(100, 1).eval().requires_grad_(not frozen)
    length, width = 1000, 100
    x = torch.randn(length, 1, width)
    profile = flopwise.count(module, inputs=(x, x, x))
    assert profile.total().mac == 4 * length * width**2 + 2 * length**2 * width
    assert profile.params == 4 * width * width + 4 * width
    assert profile.trainable_params == (0 if frozen else profile.params)


@pytest.mark.parametrize("training", [True, False])
def test_encoder_and_decoder_layers_uthop157(training: bool) -> None:
    """Half and a third of the truth."""
    n, length, memory, width, wide = 2, 10, 7, 32, 64
    projections, feed = 4 * length * width**2, 2 * length * width * wide
    encoder = nn.TransformerEncoderLayer(width, 4, wide, batch_first=True).train(training)
    own = 2 * length**2 * width
    assert macs(encoder, (n, length, width)) == n * (projections + own + feed)
    decoder = nn.TransformerDecoderLayer(width, 4, wide, batch_first=True).train(training)
    cross = 2 * (length + memory) * width**2 + 2 * length * memory * width
    inputs = {"tgt": (n, length, width), "memory": (n, memory, width)}
    assert macs(decoder, inputs) == n * (projections + own + cross + feed)


def test_padding_mask_and_nested_fast_path_are_whole() -> None:
    """nn.TransformerEncoder converts a padded batch to nested tensors in its fast path."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    module = nn.TransformerEncoder(layer, 2).eval()
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[0, 3:] = True
    x = torch.randn(2, 5, 16)
    given = {"src": x, "src_key_padding_mask": padding}
    plain = macs(module, {"src": x})
    assert macs(module, given) == plain == 2 * 2 * (4 * 5 * 256 + 2 * 25 * 16 + 2 * 5 * 16 * 32)


def test_attention_over_projections_is_a_known_ratio_olmoearth605() -> None:
    """Undercounts of 1.02 to 21.7: the true factor is 1 + N / (6 d)."""
    width = 32
    for length in (16, 512):
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True)
        products = 12 * length * width**2
        expected = products * (1 + length / (6 * width))
        assert macs(layer, (1, length, width)) == pytest.approx(expected)


def test_doubling_a_sequence_is_superlinear_calflops48() -> None:
    """Exactly 2.000 in calflops."""
    layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
    short, long = macs(layer, (1, 1024, 64)), macs(layer, (1, 2048, 64))
    assert long / short == pytest.approx(2 * (1 + 2048 / 384) / (1 + 1024 / 384))


def test_linear_on_tokens_torchinfo77_ptflops28() -> None:
    """160 in torchinfo."""
    profile = flopwise.count(nn.Linear(3, 8), inputs=(5, 10, 3))
    assert profile.total().mac == 1200
    assert profile.total().add == 400


def test_gru_cell_in_a_loop_calflops55() -> None:
    """0 MACs and 63.2 MFLOPs for 320 steps of 128 units."""

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(128, 128)

        def forward(self, x: Any) -> Any:
            state = torch.zeros(x.shape[1], 128, device=x.device)
            for step in x:
                state = self.cell(step, state)
            return state

    assert macs(Steps(), (320, 1, 128)) == 31_457_280


def test_packed_sequences_count_their_steps_uthop160() -> None:
    """57,120 for the padded rectangle of lengths 7, 3 and 1."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(14, 20)

        def forward(self, x: Any, lengths: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths)
            return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0])[0]

    assert macs(Packed(), (torch.randn(7, 3, 14), torch.tensor([7, 3, 1]))) == 29_920


def test_lstm_projection_uthop160() -> None:
    layer = nn.LSTM(16, 32, 2, proj_size=8)
    first, second = 4 * 32 * (16 + 8) + 32 * 8, 4 * 32 * (8 + 8) + 32 * 8
    assert macs(layer, (10, 3, 16)) == 30 * (first + second)


def test_one_layer_under_two_names_thop98() -> None:
    """800 for 200."""
    shared = nn.Linear(10, 10, bias=False)
    assert macs(nn.Sequential(shared, shared), (1, 10)) == 200


def test_three_calls_of_one_layer_ds7256() -> None:
    """180 kFLOPs for 60."""

    class Thrice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(100, 100, bias=False)

        def forward(self, x: Any) -> Any:
            return self.layer(self.layer(self.layer(x)))

    profile = flopwise.count(Thrice(), inputs=(1, 100))
    assert profile.total().flops == 60_000
    assert profile.params == 10_000


def test_counting_again_gives_the_same_ds2097() -> None:
    """1.28 k, 2.56 k, 3.84 k in three runs of DeepSpeed."""
    layer = nn.LayerNorm(128)
    first, *others = (flopwise.count(layer, inputs=(2, 128)).total() for _ in range(3))
    assert others == [first, first]


def test_conv1d_is_positive_ds1949() -> None:
    assert macs(nn.Conv1d(4, 6, 5, padding=2), (2, 4, 50)) == 2 * 6 * 50 * 4 * 5


def test_a_layer_as_the_whole_model_thop217_thop110() -> None:
    """0 parameters."""
    assert flopwise.count(nn.Linear(22, 44), inputs=(1, 22)).params == 1012


def test_tied_weights_are_one_torchinfo322() -> None:
    """Up to 2.37 times the parameters."""
    embedding, head = nn.Embedding(50, 32), nn.Linear(32, 50)
    head.weight = embedding.weight
    module = nn.Sequential(embedding, head)
    profile = flopwise.count(module, inputs=torch.zeros(1, 7, dtype=torch.int64))
    assert profile.params == 50 * 32 + 50 == sum(p.numel() for p in module.parameters())


def test_names_of_other_counters_mean_nothing_uthop171() -> None:
    """A property called total_ops made thop report 0.0."""

    class Proud(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8, bias=False)

        @property
        def total_ops(self) -> int:
            return 0

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    assert macs(Proud(), (2, 8)) == 128


def test_a_compiled_model_is_counted_once_ptflops110() -> None:
    """Linear three times, custom layers zero."""
    module = nn.Sequential(nn.Linear(8, 8, bias=False), Function(lambda x: x @ x.mT))
    assert macs(torch.compile(module), (2, 4, 8)) == macs(module, (2, 4, 8)) == 2 * (256 + 128)
    module.compile()
    assert macs(module, (2, 4, 8)) == 768


def test_only_what_runs_is_counted_torchprofile10() -> None:
    """A supernet's skipped layers were counted."""

    class Supernet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.choices = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(4))
            self.depth = 4

        def forward(self, x: Any) -> Any:
            for layer in self.choices[: self.depth]:
                x = layer(x)
            return x

    module = Supernet()
    assert macs(module, (1, 8)) == 256
    module.depth = 1
    profile = flopwise.count(module, inputs=(1, 8))
    assert (profile.total().mac, profile.params) == (64, 256)


def test_transposed_convolution_by_its_input_fvcore78_ptflops57() -> None:
    """81 for 288 in fvcore; ptflops counts stride² too many."""
    assert macs(nn.ConvTranspose2d(2, 4, 3, stride=2, bias=False), (1, 2, 2, 2)) == 288
    module = nn.ConvTranspose2d(8, 16, 4, 2, 1, groups=4)
    assert macs(module, (1, 8, 10, 10)) == 100 * 8 * 4 * 16


def test_operations_without_a_module_pt131041() -> None:
    """Functions and operators that hooks do not see."""

    def forward(x: Any) -> Any:
        y = torch.einsum("bij,bkj->bik", x, x) @ x
        return F.linear(y, y[0])

    assert macs(Function(forward), (2, 3, 8)) == 2 * 3 * 3 * 8 * 2 + 2 * 3 * 3 * 8


def test_a_linear_is_counted_once_on_meta_ptflops_10b() -> None:
    """addmm's own meta kernel calls the patched torch.mm: biased layers count twice."""
    with torch.device("meta"):
        module = nn.Linear(32, 64)
    assert macs(module, (4, 32)) == 8192


def test_parents_are_not_summed_torchinfo39() -> None:
    """11.71 G for ResNet-18's 1.8: a nested module's children were added to it."""
    inner = nn.Sequential(nn.Sequential(nn.Linear(4, 4, bias=False)))
    profile = flopwise.count(nn.Sequential(inner, inner[0]), inputs=(1, 4))
    assert profile.total().mac == 32
    assert sum(line.counts.mac for line in profile.lines(depth=1)) == 32
