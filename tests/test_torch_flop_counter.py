"""Agreement with torch.utils.flop_counter (2 x MACs of contractions) on small architectures.

FlopCounterMode runs real tensors, with attention by its mathematical definition, since it has no
formula for what torch fuses on a CPU. What it has no formula for at all is listed in
BLIND, and must explain the whole difference.
"""

import inspect
import os
import warnings
from typing import Any

import pytest

import flopwise
from support import torchvision_ops

torch = pytest.importorskip("torch")
nn = torch.nn
os.environ.setdefault("HF_HUB_OFFLINE", "1")
VISION_THERE = torchvision_ops.available()  # before transformers imports torchvision

BLIND = {
    "aten::_grouped_mm": "the matrices of experts are multiplied by one grouped operator",
    "aten::outer": "an elementwise product in torch, products of length one by definition",
    "aten::mv": "a matrix times a vector",
    "aten::dot": "a vector times a vector",
    "aten::lstm": "a CPU runs LSTM by one fused operator",
    "aten::matmul": "its one-dimensional forms are mv and dot",
}
SMALL = {
    "vocab_size": 99, "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "hidden_dim": 64,
    "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "encoder_layers": 2,
    "decoder_layers": 2, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "ffn_dim": 64, "d_ff": 64, "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64, "d_kv": 8, "head_dim": 8, "max_position_embeddings": 64,
    "n_positions": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1, "image_size": 32, "patch_size": 8, "embedding_size": 16,
}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "image_size": 32,
          "num_attention_heads": 4, "patch_size": 8, "projection_dim": 16}  # fmt: skip
TEXT = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 64, "eos_token_id": 2,
        "bos_token_id": 1, "pad_token_id": 0, "projection_dim": 16}  # fmt: skip
STAGES = {"num_attention_heads": None, "num_layers": None, "num_hidden_layers": None,
          "hidden_size": None, "head_dim": None, "embed_dim": 16, "depths": [1, 1],
          "num_heads": [2, 4], "window_size": 2,
          "patch_size": 4}  # fmt: skip
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2,
           "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}  # fmt: skip
BACKBONE = {"backbone_config": {"model_type": "resnet", "embedding_size": 8, "layer_type": "basic",
            "hidden_sizes": [8, 16], "depths": [1, 1], "out_features": ["stage2"]},
            "use_timm_backbone": False, "backbone": None, "num_queries": 5}  # fmt: skip
MEL, WAVE = (1, 16, 40), (1, 4000)
CONVOLUTIONS = {"conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 2],
                "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8,
                "num_conv_pos_embedding_groups": 2}  # fmt: skip
WORDS, IMAGE = "words", "image"

ARCHITECTURES: dict[str, tuple[Any, dict[str, Any]]] = {
    # text
    **dict.fromkeys(
        (
            "bert", "roberta", "distilbert", "albert", "electra", "deberta-v2", "mpnet", "gpt2",
            "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "llama", "mistral", "qwen2", "qwen3",
            "gemma", "phi", "phi3", "falcon", "stablelm", "olmo2", "xlm-roberta", "codegen",
            "squeezebert", "convbert", "fnet", "cohere", "starcoder2",
        ),
        (WORDS, {}),
    ),
    "gpt_neo": (WORDS, {"attention_types": [[["global", "local"], 1]]}),
    "gptj": (WORDS, {"rotary_dim": 4}),
    "codegen": (WORDS, {"rotary_dim": 4}),
    "falcon": (WORDS, {"head_dim": None}),
    "squeezebert": (WORDS, {"embedding_size": 32}),
    **dict.fromkeys(("t5", "bart", "pegasus", "marian", "mbart", "m2m_100", "blenderbot"),
                    ("words and words", {})),
    # mixtures of experts
    "mixtral": (WORDS, EXPERTS),
    "qwen2_moe": (WORDS, {**EXPERTS, "decoder_sparse_step": 1}),
    "qwen3_moe": (WORDS, {**EXPERTS, "decoder_sparse_step": 1}),
    "olmoe": (WORDS, EXPERTS),
    "switch_transformers": ("words and words", {"num_experts": 4, "num_decoder_layers": 2,
                            "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}),
    # state spaces and recurrence
    "mamba": (WORDS, {"state_size": 4}),
    "mamba2": (WORDS, {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2}),
    # images
    **dict.fromkeys(("vit", "deit", "beit", "dinov2", "vit_mae", "dpt"), (IMAGE, {})),
    "yolos": (IMAGE, {"image_size": [32, 32]}),
    "swin": (IMAGE, STAGES),
    "swinv2": (IMAGE, {**STAGES, "pretrained_window_sizes": [0, 0]}),
    "convnext": (IMAGE, {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}),
    "resnet": (IMAGE, {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}),
    "mobilenet_v2": (IMAGE, {"depth_multiplier": 0.25}),
    "poolformer": (IMAGE, {"hidden_sizes": [8, 16], "depths": [1, 1], "num_encoder_blocks": 2,
                   "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1]}),
    "segformer": (IMAGE, {"hidden_sizes": [8, 16], "depths": [1, 1], "num_encoder_blocks": 2,
                  "num_attention_heads": [1, 2], "sr_ratios": [2, 1]}),
    "detr": (IMAGE, BACKBONE),
    "conditional_detr": (IMAGE, BACKBONE),
    "deformable_detr": (IMAGE, {**BACKBONE, "num_feature_levels": 1}),
    # speech
    "whisper": ("mel and words", {"num_mel_bins": 16, "max_source_positions": 20}),
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm"), ("wave", CONVOLUTIONS)),
    "audio-spectrogram-transformer": ("mel", {"num_mel_bins": 16, "max_length": 40}),
    # images and text
    "clip": ("image and words", {"text_config": TEXT, "vision_config": VISION}),
    "siglip": ("image and words", {"text_config": TEXT, "vision_config": VISION}),
    "vilt": ("image and words", {}),
}  # fmt: skip


def inputs_of(kind: str) -> dict[str, Any]:
    words = torch.arange(3, 15)[None]
    given: dict[str, Any] = {}
    if kind == "mel":
        given["input_values"] = torch.randn(MEL).mT
    if "mel and" in kind:
        given["input_features"] = torch.randn(MEL)
    if kind == "wave":
        given["input_values"] = torch.randn(WAVE)
    if "image" in kind:
        given["pixel_values"] = torch.randn(1, 3, 32, 32)
    if kind.startswith("words") or kind == "image and words":
        given["input_ids"] = words
    if kind in ("words and words", "mel and words"):
        given["decoder_input_ids"] = words[:, :5]
    return given


def counted_by_torch(module: Any, given: dict[str, Any]) -> int:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    module.requires_grad_(False)  # its tracker of modules fails on some that have gradients
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(**given)
    return counter.get_total_flops()


def agree(module: Any, given: dict[str, Any], theirs: int) -> None:
    profile = flopwise.count(module, inputs=given)
    assert profile.coverage == 1, profile.not_counted()
    assert profile.params == sum(p.numel() for p in module.parameters())
    unseen = [
        row.total.flops
        for row in profile.rows
        if row.node.origin in BLIND
        and (row.node.origin != "aten::matmul" or 1 in [len(t.shape) for t in row.node.inputs])
    ]
    assert profile.total().flops - theirs in (0, sum(unseen))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_transformers(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    kind, more = ARCHITECTURES[name]
    try:
        sizes = {k: v for k, v in {**SMALL, **more}.items() if v is not None}
        config = transformers.AutoConfig.for_model(name, **sizes)
    except ValueError as error:  # a release without this architecture
        pytest.skip(str(error).partition("\n")[0])
    module = transformers.AutoModel.from_config(config).eval()
    given = inputs_of(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        agree(module, given, counted_by_torch(module, given))


VISION_MODELS = {
    "torchvision.models": (
        "resnet18", "resnext50_32x4d", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
        "densenet121", "squeezenet1_1", "shufflenet_v2_x1_0", "vit_b_16", "swin_t", "maxvit_t",
        "convnext_tiny", "regnet_y_400mf", "mnasnet0_5", "googlenet",
        "segmentation.deeplabv3_mobilenet_v3_large", "segmentation.lraspp_mobilenet_v3_large",
        "segmentation.fcn_resnet50",
    ),
    "timm": ("resnet10t", "vit_tiny_patch16_224", "mixer_s32_224", "coatnet_nano_rw_224",
             "efficientformer_l1", "levit_128s", "mobilevit_xxs", "edgenext_xx_small",
             "hrnet_w18_small", "nfnet_l0", "xcit_nano_12_p16_224", "pvt_v2_b0"),
}  # fmt: skip


@pytest.mark.parametrize(("library", "name"), [(k, n) for k, v in VISION_MODELS.items() for n in v])
def test_vision(library: str, name: str) -> None:
    from flopwise.frontends.torch.source import build

    pytest.importorskip(library.partition(".")[0])
    more = "?weights_backbone=None" if "segmentation" in name else ""
    source = (
        f"timm:create_model?model_name={name}" if library == "timm" else f"{library}:{name}{more}"
    )
    module = build(source)[0].eval().to("meta")
    size = 256 if "mobilevit" in name or "edgenext" in name else 224
    parameter = next(iter(inspect.signature(module.forward).parameters))
    given = {parameter: torch.empty(1, 3, size, size, device="meta")}
    agree(module, given, counted_by_torch(module, given))
