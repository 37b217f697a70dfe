"""TorchScript archives: read as data, and counted as the modules that they were made of."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

import flopwise
from flopwise.errors import UnknownName, UnknownSize, UnreadableModel
from support import torchvision_ops

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
WORDS = torch.zeros(2, 7, dtype=torch.int64)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 32, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 5)

    def forward(self, words):
        found, _ = self.lstm(self.table(words))
        return self.head(found[:, -1])


class Control(nn.Module):
    """Branches and loops on sizes, attributes and lists."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.many = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.steps = 4

    def forward(self, x, scale: float = 1.5, bias: Optional[torch.Tensor] = None):  # noqa: UP045
        i = 0
        while i < self.steps:
            x = self.one(x)
            i += 1
            if i == 3:
                break
        for layer in self.many:
            x = F.relu(layer(x))
        for j in range(x.size(0)):
            if j % 2 == 0:
                x = x * scale
                continue
            x = self.one(x)
        if bias is not None:
            x = x + bias
        if x.dim() == 1:
            raise ValueError(f"{x.dim()} axes")
        parts = [self.one(part) for part in x.unbind(0)]
        return torch.stack(parts), {"x": x}["x"]


class Pair(NamedTuple):
    states: torch.Tensor
    last: Optional[torch.Tensor]  # noqa: UP045


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.cell = nn.GRU(8, 16), nn.LSTMCell(16, 8)

    def forward(self, x):
        states, last = self.gru(x)
        hidden = torch.zeros(x.size(1), 8)
        carried = hidden.clone()
        found = []
        for i in range(states.size(0)):
            hidden, carried = self.cell(states[i], (hidden, carried))
            found.append(hidden)
        return Pair(torch.stack(found), last)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.frozen = nn.Embedding(10, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.table.weight
        self.frozen.weight.requires_grad_(False)
        self.register_buffer("mask", torch.ones(4))

    def forward(self, ids):
        return self.head(self.frozen(self.table(ids) * self.mask))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.cross = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        x = self.encoder(x)
        return self.cross(x, x, x, need_weights=False)[0]


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]


def half() -> nn.Module:
    parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish(), nn.Upsample(scale_factor=2),
             nn.ConvTranspose2d(4, 4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
             nn.Linear(4, 2))  # fmt: skip
    return nn.Sequential(*parts).bfloat16()


def vision(name: str, **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        if not torchvision_ops.available():
            pytest.skip("torchvision is not installed")
        import torchvision

        return torchvision.models.get_model(name, weights=None, **options)

    return make


IMAGE = torch.zeros(1, 3, 64, 64)
SMALL_VIT = {
    "image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 32,
    "mlp_dim": 64,
}  # fmt: skip
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "lstm": (Tagger, (WORDS,)),
    "control": (Control, (torch.zeros(2, 4, 8),)),
    "cells": (Cells, (torch.zeros(5, 2, 8),)),
    "tied": (Tied, (WORDS,)),
    "attention": (Attention, (torch.zeros(2, 5, 16),)),
    "packed": (Packed, (torch.zeros(3, 7, 4), torch.tensor([7, 3, 2]))),
    "half": (half, (torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16),)),
    "resnet": (vision("resnet18"), (IMAGE,)),
    "mobilenet": (vision("mobilenet_v3_small"), (IMAGE,)),
    "vit": (lambda: _small_vit(), (IMAGE,)),
}


def _small_vit() -> nn.Module:
    vision("resnet18")()
    from torchvision.models import VisionTransformer

    return VisionTransformer(**SMALL_VIT)


def save(module: nn.Module, inputs: tuple[Any, ...], how: str, path: Path) -> Path:
    with torch.no_grad():
        made = (
            torch.jit.script(module) if how == "script"
            else torch.jit.trace(module, inputs, check_trace=False)
        )  # fmt: skip
    made.save(str(path))
    return path


SLOW = {("resnet", "trace"), ("mobilenet", "script")}  # seconds of torch's own, and nothing new


@pytest.mark.parametrize(
    ("name", "how"),
    [(n, how) for n in MODELS for how in ("script", "trace") if (n, how) not in SLOW],
)
def test_an_archive_counts_as_its_module(name: str, how: str, tmp_path: Path) -> None:
    if (name, how) == ("attention", "trace") and torch.__version__ < "2.5":
        pytest.skip("torch 2.4 traces its fused kernel, which has no shapes there")
    make, inputs = MODELS[name]
    module = make().eval()
    expected = flopwise.count(module, inputs=inputs)
    found = flopwise.count(save(module, inputs, how, tmp_path / "net.pt"), inputs=inputs)
    assert found.coverage == 1
    assert found.total().mac == expected.total().mac > 0
    assert found.parameters == expected.parameters
    if how == "script":  # a trace turns sizes into numbers, and moves a little less about
        assert found.total() == expected.total()
        assert {k: v.mac for k, v in found.by_scope(2).items()} == {
            k: v.mac for k, v in expected.by_scope(2).items()
        }


def test_a_trace_states_its_inputs_and_a_script_does_not(tmp_path: Path) -> None:
    module = Tagger().eval()
    expected = flopwise.count(module, inputs=WORDS).total().mac
    traced = save(module, (WORDS,), "trace", tmp_path / "t.pt")
    assert flopwise.count(traced).total().mac == expected
    assert flopwise.count(traced, inputs="2x14").graph.inputs[0].dtype == "int64"
    assert flopwise.count(traced, batch=4).total().mac == 2 * expected
    scripted = save(module, (WORDS,), "script", tmp_path / "s.pt")
    with pytest.raises(UnknownSize, match="the size of input 'words' is not in the model"):
        flopwise.count(scripted)
    assert flopwise.count(scripted, inputs={"words": "2x7"}).total().mac == expected
    with pytest.raises(UnknownName, match="no input 'word'; did you mean words"):
        flopwise.count(scripted, inputs={"word": "2x7"})


def test_free_sizes(tmp_path: Path) -> None:
    path = save(Tagger().eval(), (), "script", tmp_path / "s.pt")
    mac = flopwise.count(path, inputs="NxS").total().mac
    expected = flopwise.count(path, inputs=(3, 9)).total().mac
    assert str(mac) == "36864*N*S + 320*N" and expected == 320 * 3 + 36864 * 27


def test_training(tmp_path: Path) -> None:
    make, inputs = MODELS["half"]
    module = make()
    expected = flopwise.count(module, inputs=inputs, mode="train").total().mac
    path = save(module, inputs, "script", tmp_path / "s.pt")
    assert flopwise.count(path, inputs=inputs, mode="train").total().mac == expected


def test_a_frozen_archive_has_its_weights_as_constants(tmp_path: Path) -> None:
    make, inputs = MODELS["lstm"]
    module = make().eval()
    torch.jit.freeze(torch.jit.script(module)).save(str(tmp_path / "frozen.pt"))
    expected = flopwise.count(module, inputs=inputs)
    found = flopwise.count(tmp_path / "frozen.pt", inputs=inputs)
    assert found.total().mac == expected.total().mac
    assert found.params == expected.params


def test_a_mobile_archive_is_the_same_but_not_as_a_flatbuffer(tmp_path: Path) -> None:
    made = torch.jit.script(nn.Linear(3, 4))
    made._save_for_lite_interpreter(str(tmp_path / "a.ptl"))
    assert flopwise.count(tmp_path / "a.ptl", inputs=(2, 3)).total().mac == 24
    made._save_for_lite_interpreter(str(tmp_path / "b.ptl"), _use_flatbuffer=True)
    with pytest.raises(UnreadableModel, match="a mobile model as a flatbuffer is not read"):
        flopwise.count(tmp_path / "b.ptl", inputs=(2, 3))


def test_older_archives_state_the_version_of_operators_in_the_code(tmp_path: Path) -> None:
    new = save(nn.Linear(3, 4), (), "script", tmp_path / "new.pt")
    with zipfile.ZipFile(new) as file, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for name in file.namelist():
            data = file.read(name)
            old.writestr(name, b"op_version_set = 1\n" + data if name.endswith(".py") else data)
    assert flopwise.count(tmp_path / "old.pt", inputs=(2, 3)).total().mac == 24


def test_what_the_model_itself_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    path = save(Control().eval(), (), "script", tmp_path / "s.pt")
    with pytest.raises(
        UnreadableModel, match=r"code/.*\.py:\d+: the model itself raises ValueError: 1 ax"
    ):
        flopwise.count(path, inputs=(8,))
    with pytest.raises(UnreadableModel, match=r"code/.*\.py:\d+: "):
        flopwise.count(path, inputs=(2, 4, 9))
