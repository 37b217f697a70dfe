"""Small networks of many architectures, built in a moment, each with the shape of an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

IMAGE, TOKENS, FRAMES = (2, 3, 64, 64), (2, 12), (2, 9, 16)


def vision(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchvision

        return getattr(torchvision.models, name)(weights=None, num_classes=10, **options)

    return build


class Logits(nn.Module):
    """A library's model, its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.model(x)
        return found.logits if hasattr(found, "logits") else found.last_hidden_state


def language(model: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import transformers

        made = getattr(transformers, config)(**options)
        made.use_cache = False
        return Logits(getattr(transformers, model)(made))

    return build


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.inner = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up, self.head = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.down(x).relu()
        x = self.inner(nn.functional.max_pool2d(skip, 2)).relu()
        return self.head(torch.cat([skip, self.up(x)], 1))


class Recurrent(nn.Module):
    def __init__(self, cells: nn.Module, width: int) -> None:
        super().__init__()
        self.cells, self.head = cells, nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(x)[0])


class Mixer(nn.Module):
    """MLP-Mixer (Tolstikhin et al. 2021), one block."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 16, 16)
        self.first, self.second = nn.LayerNorm(24), nn.LayerNorm(24)
        self.across = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.within = nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 24))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.across(self.first(x).transpose(1, 2)).transpose(1, 2)
        return x + self.within(self.second(x))


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.route = nn.Linear(16, 3)
        self.experts = nn.ModuleList([nn.Linear(16, 16) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = self.route(x).softmax(-1)
        return sum(shares[..., i : i + 1] * e(x).tanh() for i, e in enumerate(self.experts))


class Separate(nn.Module):
    """A convolution over time, gated, as WaveNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Conv1d(16, 32, 3, dilation=2, padding=2)
        self.norm, self.out = nn.GroupNorm(4, 16), nn.Conv1d(16, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        tanh, gate = self.both(x).chunk(2, 1)
        return x + self.out(self.norm(tanh.tanh() * gate.sigmoid()))


SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "intermediate_size": 64, "vocab_size": 99}  # fmt: skip
DROPS: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
# name: (how it is built, shape of the input)
ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "AlexNet": (vision("alexnet"), IMAGE),
    "VGG-11 with norms": (vision("vgg11_bn"), IMAGE),
    "ResNet-18": (vision("resnet18"), IMAGE),
    "ResNeXt-50 (groups)": (vision("resnext50_32x4d"), IMAGE),
    "SqueezeNet": (vision("squeezenet1_1"), IMAGE),
    "DenseNet-121": (vision("densenet121"), IMAGE),
    "MobileNetV2": (vision("mobilenet_v2"), IMAGE),
    "MobileNetV3": (vision("mobilenet_v3_small"), IMAGE),
    "ShuffleNetV2": (vision("shufflenet_v2_x0_5"), IMAGE),
    "MNASNet": (vision("mnasnet0_5"), IMAGE),
    "EfficientNet-B0": (vision("efficientnet_b0"), IMAGE),
    "RegNet": (vision("regnet_y_400mf"), IMAGE),
    "ConvNeXt": (vision("convnext_tiny"), IMAGE),
    "ViT": (vision("vit_b_32", image_size=64), IMAGE),
    "Swin": (vision("swin_t"), IMAGE),
    "MLP-Mixer": (Mixer, IMAGE),
    "U-Net": (UNet, IMAGE),
    "BERT": (language("BertForMaskedLM", "BertConfig", **SMALL, **DROPS), TOKENS),
    "BERT, eager": (
        language("BertForMaskedLM", "BertConfig", attn_implementation="eager", **SMALL, **DROPS),
        TOKENS,
    ),
    "GPT-2": (
        language("GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=4, vocab_size=99,
                 resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0), TOKENS,
    ),
    "Llama": (
        language("LlamaForCausalLM", "LlamaConfig", num_key_value_heads=2, **SMALL), TOKENS,
    ),
    "OPT": (
        language("OPTForCausalLM", "OPTConfig", hidden_size=32, num_hidden_layers=2, ffn_dim=64,
                 num_attention_heads=4, vocab_size=99, word_embed_proj_dim=32, dropout=0.0), TOKENS,
    ),
    "Gated convolutions": (Separate, FRAMES),
    "Mixture of experts": (Experts, FRAMES),
    "LSTM": (lambda: Recurrent(nn.LSTM(16, 8, 2, batch_first=True), 8), FRAMES),
    "Bidirectional GRU": (
        lambda: Recurrent(nn.GRU(16, 8, batch_first=True, bidirectional=True), 16), FRAMES,
    ),
    "RNN": (lambda: Recurrent(nn.RNN(16, 8, batch_first=True), 8), FRAMES),
    "Transformer with dropout": (
        lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), FRAMES,
    ),
}  # fmt: skip


def example(shape: tuple[int, ...]) -> Any:
    """Tokens; of pixels and frames the shape alone."""
    return torch.zeros(shape, dtype=torch.int64) if len(shape) == 2 else shape
