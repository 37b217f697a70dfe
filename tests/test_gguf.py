"""GGUF files written here: headers, packed types, hostile lengths, and whole models."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, UnreadableModel
from support.gguf import header, text, value, write

F32, F16, Q4_K, Q6_K, Q8_0, MXFP4 = 0, 1, 12, 14, 8, 39


# Bits of an element with its share of scales: the sizes of blocks in ggml-common.h of
# llama.cpp (block_q4_K is two halves, 12 bytes of scales and 128 of quants, and so on).
@pytest.mark.parametrize(
    ("kind", "block", "size"),
    [
        (F32, 1, 4), (F16, 1, 2), (2, 32, 2 + 16), (3, 32, 4 + 16), (6, 32, 2 + 4 + 16),
        (7, 32, 4 + 4 + 16), (Q8_0, 32, 2 + 32), (10, 256, 16 + 64 + 4),
        (11, 256, 32 + 64 + 12 + 2),
        (Q4_K, 256, 4 + 12 + 128), (13, 256, 4 + 12 + 32 + 128), (Q6_K, 256, 128 + 64 + 16 + 2),
        (20, 32, 2 + 16), (23, 256, 2 + 2 + 4 + 128), (MXFP4, 32, 1 + 16), (30, 1, 2),
    ],
)  # fmt: skip
def test_logical_elements_and_stored_bytes(
    kind: int, block: int, size: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.gguf", {}, [("blk.0.ffn_up.weight", (96, 512), kind)])
    profile = flopwise.count(path)
    assert profile.params == 96 * 512
    assert profile.weight_bytes == 96 * 512 // block * size
    assert profile.graph.weights[0].shape == (96, 512)


def test_weights_without_operators_say_so(tmp_path: Path) -> None:
    facts = {"general.architecture": "clip", "general.name": "eyes", "clip.x": [1, 2], "on": True}
    path = write(tmp_path / "m.gguf", facts, [("v.weight", (8, 32), F16), ("v.bias", (8,), F32)])
    profile = flopwise.count(path)
    assert (profile.graph.name, profile.params, profile.coverage) == ("eyes", 264, 0.0)
    assert profile.parameters.active is None
    assert "weights only" in profile.graph.notes[0]
    assert "'clip'" in profile.graph.notes[1]
    assert flopwise.count(path).to_dict()["params"]["unused"] is None


def test_frequencies_of_rotations_are_not_learned(tmp_path: Path) -> None:
    tensors = [("rope_freqs.weight", (64,), F32), ("token_embd.weight", (10, 32), F16)]
    profile = flopwise.count(write(tmp_path / "m.gguf", {}, tensors))
    assert (profile.params, profile.buffers) == (320, 64)


def test_long_vocabularies_are_passed_over(tmp_path: Path) -> None:
    facts = {"words": ["token"] * 9000, "scores": list(range(9000)), "general.name": "after"}
    path = write(tmp_path / "m.gguf", facts, [("x", (4,), F32)])
    assert flopwise.count(path).graph.name == "after"


def test_other_order_of_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(header({"general.name": "big"}, [("x", (3, 5), F32)], order=">"))
    profile = flopwise.count(path)
    assert (profile.graph.name, profile.params) == ("big", 15)


def test_files_of_a_split_model(tmp_path: Path) -> None:
    facts = {"split.count": 2}
    first = write(tmp_path / "m-00001-of-00002.gguf", facts, [("a", (4, 4), F32)])
    alone = flopwise.count(first)
    assert alone.params == 16
    assert "one of 2 files" in alone.graph.notes[1]
    write(tmp_path / "m-00002-of-00002.gguf", facts, [("b", (3,), F32)])
    assert flopwise.count(first).params == 19


def hostile() -> dict[str, bytes]:
    """Headers that lie, by what they lie about."""
    good = header({"general.name": "x"}, [("a", (4, 4), F32)])
    counts = b"GGUF" + struct.pack("<I", 3)
    pair = counts + struct.pack("<QQ", 0, 1)
    nested = struct.pack("<I", 9) + b"".join(struct.pack("<IQ", 9, 1) for _ in range(50))
    return {
        "empty": b"GGUF",
        "old version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        "tensors without end": counts + struct.pack("<QQ", 2**63, 0),
        "pairs without end": counts + struct.pack("<QQ", 0, 2**40),
        "long key": pair + struct.pack("<Q", 2**62),
        "long array": pair + text("k") + struct.pack("<IIQ", 9, 8, 2**60),
        "array of numbers past the end": pair + text("k") + struct.pack("<IIQ", 9, 4, 2**40),
        "arrays in arrays": pair + text("k") + nested + b"\0" * 64,
        "unknown value": pair + text("k") + struct.pack("<I", 99) + b"\0" * 16,
        "unknown type": header({}, [("a", (4,), 4)]),
        "half a block": header({}, [("a", (4, 100), Q4_K)]),
        "five axes": header({}, [("a", (1, 1, 1, 1, 1), F32)]),
        "more than there can be": header({}, [("a", (2**40, 2**40), F32)]),
        "nothing": header({}, [("a", (0, 4), F32)]),
        "cut": good[:-9],
    }


@pytest.mark.parametrize("lie", hostile())
def test_headers_that_lie(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(hostile()[lie])
    with pytest.raises(UnreadableModel) as error:
        flopwise.count(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("cut", range(4, 120, 3))
def test_any_cut_is_one_clear_line(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    whole = header({"general.name": "x", "k": [1, 2], "f": 1.5}, [("a", (4, 4), F32)] * 2)
    path.write_bytes(whole[:cut])
    with pytest.raises(FlopwiseError):
        flopwise.count(path)


def test_headers_need_no_framework(tmp_path: Path) -> None:
    """Also one that names an architecture, where torch is not installed."""
    facts = {"general.architecture": "llama", "llama.embedding_length": 32}
    path = write(tmp_path / "m.gguf", facts, [("token_embd.weight", (10, 32), F16)])
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None, torchvision=None)\n"
        f"import flopwise; profile = flopwise.count({str(path)!r})\n"
        "print(profile.params, profile.graph.notes[-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("320 operators: ")
    assert "pip install" in done.stdout


# Tensors of llama.cpp for those of transformers, written down from its tensor_mapping.py.
RENAMED = [
    (r"model\.embed_tokens", "token_embd"), (r"model\.norm", "output_norm"), (r"lm_head", "output"),
    (r"self_attn\.q_proj", "attn_q"), (r"self_attn\.k_proj", "attn_k"),
    (r"self_attn\.v_proj", "attn_v"), (r"self_attn\.o_proj", "attn_output"),
    (r"self_attn\.qkv_proj", "attn_qkv"), (r"self_attn\.q_norm", "attn_q_norm"),
    (r"self_attn\.k_norm", "attn_k_norm"), (r"self_attn\.sinks", "attn_sinks.weight"),
    (r"input_layernorm", "attn_norm"), (r"pre_feedforward_layernorm", "ffn_norm"),
    (r"post_feedforward_layernorm", "post_ffw_norm"), (r"mlp\.(gate|router)\.", "ffn_gate_inp."),
    (r"mlp\.gate_up_proj", "ffn_up"), (r"mlp\.gate_proj", "ffn_gate"), (r"mlp\.up_proj", "ffn_up"),
    (r"mlp\.down_proj", "ffn_down"), (r"model\.layers\.", "blk."),
]  # fmt: skip
SIZES = {
    "embedding_length": 64, "block_count": 2, "feed_forward_length": 96, "context_length": 128,
    "attention.head_count": 4, "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-6,
}  # fmt: skip
MOE = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32}
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {}, {}),
    "mixtral": ("MixtralForCausalLM", {"num_local_experts": 4}, {"expert_count": 4,
                "expert_used_count": 2}),
    "qwen2": ("Qwen2ForCausalLM", {"tie_word_embeddings": True}, {}),
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 32}, {"attention.key_length": 32}),
    "qwen3moe": ("Qwen3MoeForCausalLM", {"num_experts": 4, "num_experts_per_tok": 2,
                 "moe_intermediate_size": 32, "head_dim": 16}, {**MOE, "attention.key_length": 16}),
    "gemma2": ("Gemma2ForCausalLM", {"head_dim": 16}, {"attention.key_length": 16,
               "attention.sliding_window": 4096}),
    "phi3": ("Phi3ForCausalLM", {"pad_token_id": 0}, {}),
    "gpt-oss": ("GptOssForCausalLM", {"num_local_experts": 4, "num_experts_per_tok": 2,
                "intermediate_size": 32, "head_dim": 16}, {**MOE, "attention.key_length": 16,
                "attention.sliding_window": 128}),
}  # fmt: skip


def renamed(name: str, kind: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """A tensor of transformers as llama.cpp has it: stacks of experts in three tensors."""
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    if ".experts." in name and layer:
        last = "bias" if "bias" in name else "weight"
        if "gate_up" not in name:
            return [(f"blk.{layer[1]}.ffn_down_exps.{last}", shape)]
        wide = shape.index(max(shape[1:]), 1)
        half = tuple(s // 2 if i == wide else s for i, s in enumerate(shape))
        return [(f"blk.{layer[1]}.ffn_{part}_exps.{last}", half) for part in ("gate", "up")]
    after = "post_attention_norm" if kind in ("gemma2", "gpt-oss") else "ffn_norm"
    for pattern, word in [*RENAMED, (r"post_attention_layernorm", after)]:
        name = re.sub(pattern, word, name)
    return [(name, shape)]


@pytest.fixture
def transformers() -> Any:
    pytest.importorskip("torch")
    from support import torchvision_ops

    torchvision_ops.available()
    return pytest.importorskip("transformers")


@pytest.mark.parametrize("kind", MODELS)
def test_the_architecture_gives_the_whole_count(
    kind: str, transformers: Any, tmp_path: Path
) -> None:
    """As of the model itself, with the bytes of the file."""
    import torch

    name, own, facts = MODELS[kind]
    model_class = getattr(transformers, name)
    sizes = {
        "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": 160,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "tie_word_embeddings": kind == "gemma2", **own,
    }  # fmt: skip
    config = model_class.config_class(**sizes)
    with torch.device("meta"):
        model = model_class(config)
    named = {n: tuple(p.shape) for n, p in model.named_parameters()}
    tensors = [
        (other, shape, Q8_0 if len(shape) > 1 and shape[-1] % 32 == 0 else F32)
        for n, size in named.items() for other, shape in renamed(n, kind, size)
    ]  # fmt: skip
    arch = "llama" if kind == "mixtral" else kind
    stated = {f"{arch}.{k}": v for k, v in {**SIZES, **facts}.items()}
    path = write(tmp_path / "m.gguf", {"general.architecture": arch, **stated}, tensors)
    profile = flopwise.count(path, prompt=8)
    bare = flopwise.count(path)
    direct = flopwise.count(config.to_dict() | {"architectures": [name]}, prompt=8)
    assert profile.total().mac == direct.total().mac > 0
    assert profile.params == sum(p.numel() for p in model.parameters()) == bare.params
    assert profile.weight_bytes == bare.weight_bytes
    assert profile.coverage == 1.0
    assert not [n for n in profile.graph.notes if n.startswith("not in")]
    assert "--prompt" in bare.graph.notes[-1]


def test_tensors_that_do_not_add_up_are_no_model(transformers: Any, tmp_path: Path) -> None:
    facts = {f"llama.{k}": v for k, v in SIZES.items()} | {"general.architecture": "llama"}
    path = write(tmp_path / "m.gguf", facts, [("token_embd.weight", (160, 64), F16)])
    profile = flopwise.count(path, prompt=8)
    assert not profile.rows
    assert "do not add up" in profile.graph.notes[-1]


def test_values_are_written_as_they_are_read() -> None:
    """The writer above and struct agree on the smallest file."""
    assert header({}, []) == b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
    assert value("ab") == struct.pack("<IQ", 8, 2) + b"ab"
