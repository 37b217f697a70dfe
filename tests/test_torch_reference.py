"""Multiply-accumulates of published models, to the four digits of a table of references.

The table was measured by hand-checked formulas, on PyTorch 2.13 with torchvision 0.28 and
transformers 5.23; it is not part of this repository. Of its 39 models four are left out, whose
definitions it does not give.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import flopwise
from support import torchvision_ops

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
VISION_THERE = torchvision_ops.available()  # before transformers imports torchvision

SIDES = {"inception_v3": 299, "efficientnet_v2_l": 480, "swin_v2_b": 256, "fcn_resnet50": 520,
         "deeplabv3_resnet50": 520}  # fmt: skip
VISION = [
    "alexnet",
    "vgg16",
    "resnet18",
    "resnet50",
    "resnext101_64x4d",
    "densenet121",
    "squeezenet1_0",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "efficientnet_v2_l",
    "convnext_base",
    "vit_b_16",
    "vit_h_14",
    "swin_t",
    "swin_v2_b",
    "maxvit_t",
    "inception_v3",
    "googlenet",
    "fcn_resnet50",
    "deeplabv3_resnet50",
]


def reference(shared: Path, name: str) -> str:
    text = (shared / "CONVENTIONS.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {name} \| ([\d.]+) \|", text, re.MULTILINE)
    assert found is not None, name
    return found[1]


def equal(profile: Any, wanted: str) -> None:
    assert profile.coverage == 1, profile.not_counted()
    assert float(f"{profile.total().mac / 1e9:.4g}") == float(wanted)


@pytest.mark.parametrize("name", VISION)
def test_torchvision(name: str, shared: Path) -> None:
    if not VISION_THERE:
        pytest.skip("needs torchvision")
    from torchvision import models

    options = {"weights_backbone": None} if "resnet50" in name and name != "resnet50" else {}
    if name in ("inception_v3", "googlenet"):
        options["init_weights"] = False
    with torch.device("meta"):
        module = models.get_model(name, weights=None, **options)
    side = SIDES.get(name, 224)
    equal(flopwise.count(module, inputs=(1, 3, side, side)), reference(shared, name))


def ids(length: int) -> Any:
    return torch.zeros(1, length, dtype=torch.int64)


SMALL_WHISPER = {
    "d_model": 384, "encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 6,
    "decoder_attention_heads": 6, "encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536,
}  # fmt: skip
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "bert_base": ("BertConfig", "BertModel", {}, lambda: {"input_ids": ids(128)}),
    "bert_base_eager": ("BertConfig", "BertModel", {"attn_implementation": "eager"},
                        lambda: {"input_ids": ids(128)}),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {}, lambda: {"input_ids": ids(128)}),
    "llama7b": ("LlamaConfig", "LlamaForCausalLM", {}, lambda: {"input_ids": ids(128)}),
    "t5_small": ("T5Config", "T5ForConditionalGeneration", {}, lambda: {
        "input_ids": ids(128), "decoder_input_ids": ids(32)}),
    "clip_vitb32": ("CLIPConfig", "CLIPModel", {}, lambda: {
        "input_ids": ids(77), "pixel_values": torch.empty(1, 3, 224, 224, device="meta")}),
    "whisper_tiny": ("WhisperConfig", "WhisperForConditionalGeneration", SMALL_WHISPER, lambda: {
        "input_features": torch.empty(1, 80, 3000, device="meta"), "decoder_input_ids": ids(32)}),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str, shared: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config, model, sizes, inputs = TRANSFORMERS[name]
    with torch.device("meta"):
        module = getattr(transformers, model)(getattr(transformers, config)(**sizes))
    equal(flopwise.count(module, inputs=inputs()), reference(shared, name))


class Layer(nn.Module):
    """A layer of an encoder whose attention is one function."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(256, 768), nn.Linear(256, 256)
        self.up, self.down = nn.Linear(256, 1024), nn.Linear(1024, 256)

    def forward(self, x: Any) -> Any:
        q, k, v = (t.unflatten(-1, (8, 32)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(x)))


class Attention(nn.Module):
    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.inner, self.weights = nn.MultiheadAttention(256, 8, batch_first=True), weights

    def forward(self, x: Any) -> Any:
        return self.inner(x, x, x, need_weights=self.weights)


def generator() -> Any:
    widths = (100, 512, 256, 128, 64, 3)
    return nn.Sequential(*(
        nn.ConvTranspose2d(a, b, 4, 2 if i else 1, 1 if i else 0, bias=False)
        for i, (a, b) in enumerate(pairwise(widths))
    ))  # fmt: skip


def encoder() -> Any:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True), 4)


OWN: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "lstm_2x512": (lambda: nn.LSTM(512, 512, 2), (100, 8, 512)),
    "torch_te": (encoder, (1, 196, 256)),
    "sdpa_encoder": (lambda: nn.Sequential(*(Layer() for _ in range(4))), (1, 196, 256)),
    "mha_weights": (lambda: Attention(True), (1, 196, 256)),
    "mha_noweights": (lambda: Attention(False), (1, 196, 256)),
    "dcgan_gen": (generator, (1, 100, 1, 1)),
}


@pytest.mark.parametrize("name", OWN)
def test_modules(name: str, shared: Path) -> None:
    build, shape = OWN[name]
    equal(flopwise.count(build().eval(), inputs=shape), reference(shared, name))
