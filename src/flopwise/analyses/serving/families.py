"""From a config.json to the records of `decoder`, family by family, without transformers.

Each family does what the class of its `model_type` in transformers 5.23 does, with that class's
defaults for what a config leaves out. Tests compare each with the traced class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flopwise.analyses.serving.decoder import (
    Attention,
    Decoder,
    Dense,
    Latent,
    Layer,
    Mixer,
    StateSpace,
)
from flopwise.analyses.serving.described import (
    activation_of,
    attention_of,
    dense_of,
    experts_of,
    is_due,
    is_sparse,
    late_windows,
    model,
    rank_of,
    stacked,
    windows_of,
)
from flopwise.analyses.serving.formats import CACHES, WEIGHTS
from flopwise.analyses.serving.stated import Stated, read
from flopwise.errors import UnreadableModel, nearest

Family = Callable[[Stated], Decoder]
FAMILIES: dict[str, Family] = {}


def family(*names: str) -> Callable[[Family], Family]:
    """Enter a reader of configs under its model types."""

    def enter(reader: Family) -> Family:
        FAMILIES.update(dict.fromkeys(names, reader))
        return reader

    return enter


def decoder(source: Any) -> Decoder:
    """The decoder that a config.json describes. Raises UnreadableModel."""
    c = read(source)
    kind = c.text("model_type")
    if kind not in FAMILIES:
        raise UnreadableModel(
            f"{c.where}: the cost of generating is not known for '{kind}'; "
            f"{nearest(kind, list(FAMILIES))}"
        )
    return _quantised(c, FAMILIES[kind](c))


def _quantised(c: Stated, made: Decoder) -> Decoder:
    """What the file says of its own dtypes."""
    found = c.data.get("quantization_config")
    method = found.get("quant_method", "") if isinstance(found, dict) else ""
    bits = found.get("bits") or found.get("w_bit") if isinstance(found, dict) else None
    names = {"fp8": "float8", "mxfp4": "mxfp4", "gptq": f"int{bits}", "awq": f"int{bits}"}
    weights = names.get(str(method), "")
    spared = found.get("modules_to_not_convert") if isinstance(found, dict) else None
    only = any("self_attn" in str(name) for name in spared or ())
    dtype = c.text("torch_dtype", "dtype", default="bfloat16")
    return replace(
        made,
        name=c.text("_name_or_path", default=c.where),
        family=c.text("model_type"),
        dtype=dtype if dtype in CACHES else "bfloat16",
        weights=weights if weights in WEIGHTS else "",
        quantised="experts" if only else "layers",
        longest=c.maybe("max_position_embeddings"),
    )


@family("llama", "granite")
def llama(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", False)
    mixer = attention_of(c, bias=bias, out_bias=bias)
    network = dense_of(c, bias=c.flag("mlp_bias", False))
    return model(c, stacked([None] * c.layers(), mixer, lambda i: network))


@family("mistral", "phi3")
def mistral(c: Stated) -> Decoder:
    mixer = attention_of(c, 8 if c.text("model_type") != "phi3" else 0)
    size = int(mixer.size * c.number("partial_rotary_factor", 1.0))
    network = dense_of(c)
    windows = windows_of(c, lambda i: True)
    return model(c, stacked(windows, replace(mixer, rotated=size), lambda i: network))


@family("mixtral")
def mixtral(c: Stated) -> Decoder:
    mixer = attention_of(c, 8)
    count, chosen = (
        c.whole("num_local_experts", default=8),
        c.whole("num_experts_per_tok", default=2),
    )
    network = experts_of(c, count, chosen, c.whole("intermediate_size"))
    return model(c, stacked(windows_of(c, lambda i: True), mixer, lambda i: network))


@family("qwen2")
def qwen2(c: Stated) -> Decoder:
    mixer, network = attention_of(c, 32, bias=True), dense_of(c)
    return model(c, stacked(late_windows(c), mixer, lambda i: network))


@family("qwen3")
def qwen3(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", False)
    mixer = attention_of(c, 32, 128, bias=bias, out_bias=bias, norm="head")
    network = dense_of(c)
    return model(c, stacked(late_windows(c), mixer, lambda i: network))


@family("qwen2_moe")
def qwen2_moe(c: Stated) -> Decoder:
    shared = c.whole("shared_expert_intermediate_size", default=5632)
    count, chosen = c.whole("num_experts", default=60), c.whole("num_experts_per_tok", default=4)
    width = c.whole("moe_intermediate_size", default=1408)
    network = experts_of(c, count, chosen, width, shared=shared, shared_gate=True)
    sparse, plain = is_sparse(c), dense_of(c)
    bias = c.flag("qkv_bias", True)
    mixer = attention_of(c, 16, bias=bias)
    return model(c, stacked(late_windows(c), mixer, lambda i: network if sparse(i) else plain))


@family("qwen3_moe")
def qwen3_moe(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", False)
    count, chosen = c.whole("num_experts", default=128), c.whole("num_experts_per_tok", default=8)
    network = experts_of(c, count, chosen, c.whole("moe_intermediate_size", default=768))
    sparse, plain = is_sparse(c), dense_of(c)
    mixer = attention_of(c, 4, bias=bias, out_bias=bias, norm="head")
    slides = c.flag("use_sliding_window", False)
    windows = windows_of(c, lambda i: slides)
    return model(c, stacked(windows, mixer, lambda i: network if sparse(i) else plain))


@family("gemma")
def gemma(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", False)
    mixer = attention_of(c, 16, 256, bias=bias, out_bias=bias)
    network = dense_of(c)
    return model(c, stacked([None] * c.layers(), mixer, lambda i: network), tied=True)


@family("gemma2")
def gemma2(c: Stated) -> Decoder:
    cap = c.number("attn_logit_softcapping", 50.0)
    mixer = attention_of(c, 4, 256, softcap=cap)
    network = Dense(c.whole("intermediate_size"), activation=activation_of(c, "hidden_activation"))
    windows = windows_of(c, lambda i: i % 2 == 0)
    return model(c, stacked(windows, mixer, lambda i: network, norms=4), tied=True)


@family("gemma3_text")
def gemma3(c: Stated) -> Decoder:
    """Five layers of six look through a window."""
    mixer = attention_of(c, 4, 256, norm="head")
    network = Dense(c.whole("intermediate_size"), activation=activation_of(c, "hidden_activation"))
    every = c.whole("sliding_window_pattern", "_sliding_window_pattern", default=6)
    windows = windows_of(c, lambda i: (i + 1) % every != 0)
    return model(c, stacked(windows, mixer, lambda i: network, norms=4), tied=True)


@family("olmo2")
def olmo2(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", False)
    mixer = attention_of(c, bias=bias, out_bias=bias, norm="all")
    network = dense_of(c)
    return model(c, stacked([None] * c.layers(), mixer, lambda i: network))


@family("gpt_oss")
def gpt_oss(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", True)
    mixer = attention_of(c, 8, 64, bias=bias, out_bias=bias, sinks=True)
    count, chosen = (
        c.whole("num_local_experts", default=128),
        c.whole("num_experts_per_tok", default=4),
    )
    network = experts_of(
        c, count, chosen, c.whole("intermediate_size"), bias=True, router_bias=True
    )
    return model(c, stacked(windows_of(c, lambda i: i % 2 == 0), mixer, lambda i: network))


@family("deepseek_v2", "deepseek_v3")
def deepseek(c: Stated) -> Decoder:
    three = c.text("model_type") == "deepseek_v3"
    mixer = Latent(
        c.whole("num_attention_heads"), c.whole("qk_nope_head_dim", default=128),
        c.whole("qk_rope_head_dim", default=64), c.whole("v_head_dim", default=128),
        c.whole("kv_lora_rank", default=512), c.maybe("q_lora_rank"),
        c.flag("attention_bias", False),
    )  # fmt: skip
    width = c.whole("moe_intermediate_size", default=2048 if three else 1407)
    shared = width * c.whole("n_shared_experts", default=1 if three else 2)
    count = c.whole("n_routed_experts", default=256 if three else 64)
    chosen = c.whole("num_experts_per_tok", default=8)
    network = experts_of(c, count, chosen, width, shared=shared, correction=three)
    plain = dense_of(c)
    first = c.data.get("first_k_dense_replace", 3 if three else 0)
    layers = [Layer(mixer, plain if i < first else network) for i in range(c.layers())]
    return model(c, layers)


def _old(c: Stated, mixer: Attention, **more: Any) -> Decoder:
    """Layer norms with offsets, and two matrices with offsets."""
    bias = more.pop("bias", True)
    given, act = (
        c.maybe("n_inner") or c.maybe("intermediate_size"),
        activation_of(c, default="gelu"),
    )
    network = Dense(given or 4 * c.whole("hidden_size", "n_embd"), False, bias, act)
    windows = windows_of(c, lambda i: True)
    layers = stacked(windows, mixer, lambda i: network)
    return model(c, layers, norm="layer_norm", norm_bias=True, **more)


@family("gpt2")
def gpt2(c: Stated) -> Decoder:
    places = c.whole("n_positions", "n_ctx", default=1024)
    mixer = attention_of(c, bias=True, out_bias=True, rotated=0)
    return _old(c, mixer, positions=places, tied=True, dropout=c.number("resid_pdrop", 0.1))


@family("gpt_bigcode")
def gpt_bigcode(c: Stated) -> Decoder:
    places = c.whole("n_positions", default=1024)
    one = 1 if c.flag("multi_query", True) else 0
    mixer = attention_of(c, one, bias=True, out_bias=True, rotated=0)
    return _old(c, mixer, positions=places, tied=True, dropout=c.number("resid_pdrop", 0.1))


@family("gpt_neox")
def gpt_neox(c: Stated) -> Decoder:
    bias = c.flag("attention_bias", True)
    alone = Stated({k: v for k, v in c.data.items() if k != "num_key_value_heads"}, c.where)
    mixer = attention_of(alone, bias=bias, out_bias=bias)
    return _old(c, replace(mixer, rotated=int(mixer.size * c.number("rotary_pct", 0.25))))


@family("starcoder2")
def starcoder2(c: Stated) -> Decoder:
    bias = c.flag("use_bias", True)
    return _old(c, attention_of(c, 2, bias=bias, out_bias=bias), bias=bias, tied=True)


@family("mamba")
def mamba(c: Stated) -> Decoder:
    hidden = c.whole("hidden_size")
    mixer = StateSpace(
        c.whole("intermediate_size", default=int(c.number("expand", 2) * hidden)),
        c.whole("state_size", default=16),
        c.whole("conv_kernel", default=4), rank_of(c, "time_step_rank", hidden),
        c.flag("use_bias", False), c.flag("use_conv_bias", True),
    )  # fmt: skip
    return model(c, [Layer(mixer, None, 1)] * c.layers(), tied=True)


@family("jamba")
def jamba(c: Stated) -> Decoder:
    """Mostly state spaces, attention once in so many layers, experts in every second."""
    hidden = c.whole("hidden_size")
    scan = StateSpace(
        int(c.number("mamba_expand", 2) * hidden), c.whole("mamba_d_state", default=16),
        c.whole("mamba_d_conv", default=4), rank_of(c, "mamba_dt_rank", hidden),
        c.flag("mamba_proj_bias", False), c.flag("mamba_conv_bias", True), norms=True,
    )  # fmt: skip
    look, plain = attention_of(c, 8, rotated=0), dense_of(c)
    count, chosen = c.whole("num_experts", default=16), c.whole("num_experts_per_tok", default=2)
    sparse = experts_of(c, count, chosen, c.whole("intermediate_size")) if count > 1 else plain

    def at(i: int) -> Layer:
        mixer: Mixer = look if is_due(c, i, "attn_layer", 8, 4) else scan
        return Layer(mixer, sparse if is_due(c, i, "expert_layer", 2, 1) else plain)

    return model(c, [at(i) for i in range(c.layers())])
