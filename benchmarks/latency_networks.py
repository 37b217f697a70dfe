"""The networks of docs/latency-measured.md, how each is made and how it becomes an ONNX file.

`MEASURED` was fixed before the first of them was run; nothing was tuned on it. Whatever had to be
looked into (which kernels onnxruntime runs, what a case of a kernel needs) was looked into on
`DEVELOPED` and `FURTHER`, which the page does not report. `FURTHER` was added later, to see kernels
that `DEVELOPED` lacks.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OPSET = 17

# By family; "tv:" are torchvision's, "hf:" configurations of transformers, the others timm's.
MEASURED: dict[str, tuple[str, ...]] = {
    "AlexNet": ("tv:alexnet",),
    "VGG": ("tv:vgg11",),
    "Inception": ("tv:googlenet", "inception_v3"),
    "SqueezeNet": ("tv:squeezenet1_1",),
    "ShuffleNet": ("tv:shufflenet_v2_x1_0",),
    "MNASNet": ("tv:mnasnet1_0",),
    "ResNet": ("resnet18", "resnet50"),
    "ResNeXt": ("resnext50_32x4d",),
    "SE-ResNet": ("seresnet50",),
    "Res2Net": ("res2net50_26w_4s",),
    "RegNet": ("regnetx_008", "regnety_016"),
    "DenseNet": ("densenet121",),
    "MobileNet": ("mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv4_conv_small"),
    "EfficientNet": ("efficientnet_b0", "tf_efficientnetv2_b0", "efficientnet_lite0"),
    "GhostNet": ("ghostnet_100",),
    "MixNet": ("mixnet_s",),
    "ReXNet": ("rexnet_100",),
    "LCNet": ("lcnet_100",),
    "DLA": ("dla34",),
    "HRNet": ("hrnet_w18_small",),
    "VoVNet": ("ese_vovnet39b",),
    "CSPNet": ("cspresnet50",),
    "DarkNet": ("darknet53",),
    "RepVGG": ("repvgg_a2",),
    "MobileOne": ("mobileone_s1",),
    "RepGhost": ("repghostnet_100",),
    "DPN": ("dpn68",),
    "Xception": ("xception41",),
    "ConvNeXt": ("convnext_atto",),
    "InceptionNeXt": ("inception_next_atto",),
    "ViT": ("vit_tiny_patch16_224", "deit_small_patch16_224"),
    "Swin": ("swin_tiny_patch4_window7_224",),
    "MLP-Mixer": ("mixer_s32_224",),
    "ResMLP": ("resmlp_12_224",),
    "PiT": ("pit_ti_224",),
    "LeViT": ("levit_128s",),
    "MobileViT": ("mobilevit_xxs",),
    "EdgeNeXt": ("edgenext_xx_small",),
    "PoolFormer": ("poolformer_s12",),
    "PVT": ("pvt_v2_b0",),
    "Twins": ("twins_pcpvt_small",),
    "XCiT": ("xcit_nano_12_p16_224",),
    "CoaT": ("coat_lite_tiny",),
    "EfficientFormer": ("efficientformer_l1",),
    "FastViT": ("fastvit_t8",),
    "RepViT": ("repvit_m0_9",),
    "Visformer": ("visformer_tiny",),
    "BERT": ("hf:bert",),
}
DEVELOPED = (
    "tv:vgg13", "resnet34", "legacy_seresnet18", "mobilenetv3_small_100", "mnasnet_050",
    "efficientnet_b2", "tinynet_a", "hardcorenas_a", "convnext_nano", "mobileone_s0",
    "repvgg_b0", "vit_small_patch32_224", "mixer_s16_224", "mobilevit_xs", "swin_s3_tiny_224",
    "hgnetv2_b0", "starnet_s1", "dla46_c", "ghostnetv2_100", "caformer_s18",
)  # fmt: skip

FURTHER = (
    "efficientvit_m0", "davit_tiny", "crossvit_tiny_240", "cait_xxs24_224", "mobilevitv2_050",
    "tnt_s_patch16_224", "nest_tiny", "focalnet_tiny_srf", "gmlp_s16_224", "mvitv2_tiny",
    "tiny_vit_5m_224", "shvit_s1", "selecsls42b", "resnest14d", "skresnet18", "nfnet_l0",
    "maxvit_pico_rw_256", "mambaout_femto", "convmixer_1024_20_ks9_p14", "botnet26t_256",
    "efficientvit_b0", "fbnetc_100", "semnasnet_050", "rdnet_tiny",
)  # fmt: skip


def networks() -> list[str]:
    """All that are measured."""
    return [name for names in MEASURED.values() for name in names]


def file_name(name: str) -> str:
    return f"{name.replace(':', '-')}.onnx"


def export(name: str, folder: Path) -> Path:
    """The ONNX file of a network with random weights, written unless it is there."""
    path = folder / file_name(name)
    if path.exists():
        return path
    import torch

    module, example = built(name)
    partial = path.with_suffix(".partial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (example,), str(partial), dynamo=False, opset_version=OPSET)
    partial.rename(path)
    return path


def built(name: str, exported: bool = True) -> tuple[Any, Any]:
    """A network with random weights, and an input of it.

    Attention is spelled out where it is to be `exported`, and else one operator.
    """
    import torch

    torch.manual_seed(0)
    maker = BUILDERS.get(name.partition(":")[0], _timm)
    module, example = maker(name.partition(":")[2] or name, exported)
    return module.eval(), example


def _timm(name: str, exported: bool) -> tuple[Any, Any]:
    _torchvision_operators()
    import timm
    import torch

    module = timm.create_model(name, exportable=exported)
    size = module.pretrained_cfg["input_size"]
    return module, torch.rand(1, *size)


def _torchvision(name: str, exported: bool) -> tuple[Any, Any]:
    _torchvision_operators()
    import torch
    from torchvision import models

    extra = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    return getattr(models, name)(**extra), torch.rand(1, 3, 224, 224)


def _transformers(name: str, exported: bool) -> tuple[Any, Any]:
    """Google's BERT-Small (4 layers, 512 wide), 128 tokens."""
    _torchvision_operators()
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048,
        attn_implementation="eager" if exported else "sdpa",
    )  # fmt: skip

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel(config)

        def forward(self, tokens: Any) -> Any:
            return self.bert(input_ids=tokens, return_dict=False, use_cache=False)[0]

    return Network(), torch.randint(0, 1000, (1, 128))


BUILDERS: dict[str, Callable[[str, bool], tuple[Any, Any]]] = {
    "tv": _torchvision, "hf": _transformers,
}  # fmt: skip


def _torchvision_operators() -> None:
    """Defined where torchvision's own cannot be loaded."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support import torchvision_ops

    torchvision_ops.available()
