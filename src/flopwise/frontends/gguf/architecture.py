"""Architectures of GGUF files by their hyperparameters and tensors, in the words of
Hugging Face; and the names of tensors.

The names are those of gguf-py/gguf/constants.py and tensor_mapping.py of llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flopwise.graph import Tensor


@dataclass(frozen=True)
class Family:
    """The class of transformers for an architecture; `keys` are hyperparameters beside those
    that all have, `fixed` values that the architecture implies."""

    model_type: str
    architecture: str
    keys: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


COMMON = {
    "embedding_length": "hidden_size", "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size", "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads", "context_length": "max_position_embeddings",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps", "attention.key_length": "head_dim",
}  # fmt: skip
EXPERTS = {
    "expert_count": "num_experts", "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}  # fmt: skip
LOCAL = {"expert_count": "num_local_experts", "expert_used_count": "num_experts_per_tok"}
WINDOW = {"attention.sliding_window": "sliding_window"}
FAMILIES = {
    "llama": Family("llama", "LlamaForCausalLM"),
    "mixtral": Family("mixtral", "MixtralForCausalLM", LOCAL),
    "qwen2": Family("qwen2", "Qwen2ForCausalLM"),
    "qwen3": Family("qwen3", "Qwen3ForCausalLM"),
    "qwen2moe": Family(
        "qwen2_moe", "Qwen2MoeForCausalLM",
        {**EXPERTS, "expert_shared_feed_forward_length": "shared_expert_intermediate_size"},
    ),
    "qwen3moe": Family("qwen3_moe", "Qwen3MoeForCausalLM", EXPERTS),
    "gemma": Family("gemma", "GemmaForCausalLM"),
    "gemma2": Family("gemma2", "Gemma2ForCausalLM", WINDOW),
    "gemma3": Family("gemma3_text", "Gemma3ForCausalLM", WINDOW),
    "phi3": Family("phi3", "Phi3ForCausalLM", fixed={"pad_token_id": 0}),
    "gpt-oss": Family(
        "gpt_oss", "GptOssForCausalLM",
        {**LOCAL, **WINDOW, "expert_feed_forward_length": "intermediate_size"},
    ),
}  # fmt: skip
OUTSIDE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
INSIDE = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "ffn_gate_inp": "mlp.gate", "ffn_gate_exps": "mlp.experts.gate",
    "ffn_up_exps": "mlp.experts.up", "ffn_down_exps": "mlp.experts.down",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj", "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
}  # fmt: skip
GEMMA = {
    "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
OWN = {
    "gemma2": GEMMA,
    "gemma3": GEMMA,
    "phi3": {"ffn_up": "mlp.gate_up_proj"},
    "gpt-oss": {
        "post_attention_norm": "post_attention_layernorm", "ffn_gate_inp": "mlp.router",
        "attn_sinks": "self_attn.sinks",
    },
}  # fmt: skip


def config_of(
    kind: str, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Any] | None:
    """A config as Hugging Face has it; None for an architecture that is not in the table."""
    experts = facts.get(f"{kind}.expert_count") or 0
    family = FAMILIES.get("mixtral" if kind == "llama" and experts else kind)
    table = tensors.get("token_embd.weight")
    if family is None or table is None or len(table.sizes) != 2:
        return None
    config: dict[str, Any] = {
        "model_type": family.model_type,
        "architectures": [family.architecture],
        "vocab_size": table.sizes[0],
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": "output.weight" not in tensors,
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        **family.fixed,
    }
    for key, name in {**COMMON, **family.keys}.items():
        value = facts.get(f"{kind}.{key}")
        if isinstance(value, (int, float)):
            config[name] = value
    return config


def translated(name: str, kind: str) -> str:
    """A tensor's name in transformers; its own where the tables have none."""
    stem, _, last = name.rpartition(".")
    if stem in OUTSIDE:
        return f"{OUTSIDE[stem]}.{last}"
    found = re.fullmatch(r"blk\.(\d+)\.(.+)", stem)
    inner = {**INSIDE, **OWN.get(kind, {})}.get(found[2]) if found else None
    if found is None or inner is None:
        return name
    place = inner if inner.endswith("sinks") else f"{inner}.{last}"
    return f"model.layers.{found[1]}.{place}"
