"""Models that are trained for one step, to measure what the step holds: built in a moment, of
many kinds, with heads for a cross-entropy."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class UNet(nn.Module):
    """Ronneberger et al. 2015, with padding: three levels and skips across."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            [twice(3, width), twice(width, 2 * width), twice(2 * width, 4 * width)]
        )
        self.bottom = twice(4 * width, 8 * width)
        self.grow = nn.ModuleList(
            [nn.ConvTranspose2d(2 * c, c, 2, 2) for c in (4 * width, 2 * width, width)]
        )
        self.ups = nn.ModuleList([twice(2 * c, c) for c in (4 * width, 2 * width, width)])
        self.head = nn.Conv2d(width, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for down in self.downs:
            skips.append(down(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for grow, up in zip(self.grow, self.ups):
            x = up(torch.cat([skips.pop(), grow(x)], 1))
        return self.head(x)


def twice(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
    )  # fmt: skip


class Recurrent(nn.Module):
    """A language model of an embedding, recurrent layers and a head."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Embedding(2000, 128)
        self.cells = kind(128, 256, num_layers=2, batch_first=True)
        self.head = nn.Linear(256, 2000)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(self.embed(tokens))[0])


class Mixture(nn.Module):
    """Blocks of attention and eight experts of which every token takes all, by their weights."""

    def __init__(self, width: int = 128, experts: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(1000, width)
        self.layers = nn.ModuleList([MixtureBlock(width, experts) for _ in range(3)])
        self.head = nn.Linear(width, 1000)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class MixtureBlock(nn.Module):
    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.route = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
             for _ in range(experts)]
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.before(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = self.after(x)
        shares = self.route(y).softmax(-1)
        return x + sum(shares[..., i : i + 1] * e(y) for i, e in enumerate(self.experts))


class Logits(nn.Module):
    """A library's model, its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(tokens).logits


class Adapter(nn.Module):
    """A frozen dense layer with a low-rank adapter beside it (Hu et al. 2021), as peft 0.21
    computes it: `result + lora_B(lora_A(x)) * scaling`. What is saved is what peft's saves."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.up(self.down(x)) * 2.0


def with_adapters(model: nn.Module, rank: int, targets: tuple[str, ...]) -> nn.Module:
    """The model, all frozen but adapters beside the dense layers of these names."""
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], Adapter(module, rank))
    return model


def vision(name: str, **options: Any) -> nn.Module:
    import torchvision

    return getattr(torchvision.models, name)(weights=None, num_classes=100, **options)


def language(kind: str, config: str, **options: Any) -> nn.Module:
    import transformers

    made = getattr(transformers, config)(use_cache=False, **options)
    return Logits(getattr(transformers, kind)(made))


def bert(**options: Any) -> nn.Module:
    return language(
        "BertForMaskedLM", "BertConfig", hidden_size=192, num_hidden_layers=4,
        num_attention_heads=4, intermediate_size=768, vocab_size=4000, **options,
    )  # fmt: skip


def gpt() -> nn.Module:
    return language(
        "GPT2LMHeadModel", "GPT2Config", n_embd=192, n_layer=4, n_head=4, vocab_size=4000,
        n_positions=256,
    )  # fmt: skip


def llama() -> nn.Module:
    return language(
        "LlamaForCausalLM", "LlamaConfig", hidden_size=256, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=2, intermediate_size=704, vocab_size=4000,
    )  # fmt: skip


IMAGE, TOKENS = (8, 3, 96, 96), (8, 128)
# name: (kind, how it is built, shape of the input)
MODELS: dict[str, tuple[str, Any, tuple[int, ...]]] = {
    "ResNet-18": ("CNN", lambda: vision("resnet18"), IMAGE),
    "ResNet-50": ("CNN", lambda: vision("resnet50"), IMAGE),
    "VGG-11": ("CNN", lambda: vision("vgg11"), (8, 3, 64, 64)),
    "DenseNet-121": ("CNN", lambda: vision("densenet121"), IMAGE),
    "MobileNetV2": ("depthwise CNN", lambda: vision("mobilenet_v2"), IMAGE),
    "EfficientNet-B0": ("depthwise CNN", lambda: vision("efficientnet_b0"), IMAGE),
    "ConvNeXt-T": ("ConvNeXt", lambda: vision("convnext_tiny"), IMAGE),
    "ViT-B-16": ("ViT", lambda: vision("vit_b_16", image_size=96), IMAGE),
    "Swin-T": ("Swin", lambda: vision("swin_t"), IMAGE),
    "BERT": ("encoder", bert, TOKENS),
    "BERT, eager attention": ("encoder", lambda: bert(attn_implementation="eager"), TOKENS),
    "GPT-2": ("decoder", gpt, TOKENS),
    "Llama": ("decoder", llama, TOKENS),
    "Mixture of experts": ("MoE", Mixture, TOKENS),
    "LSTM": ("recurrent", lambda: Recurrent(nn.LSTM), TOKENS),
    "GRU": ("recurrent", lambda: Recurrent(nn.GRU), TOKENS),
    "U-Net": ("U-Net", UNet, IMAGE),
}
