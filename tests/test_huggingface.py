"""Hugging Face configs: exact parameters, inputs by task, and clear errors."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.analyses.kv_cache import kv_cache
from flopwise.errors import FlopwiseError, UnknownName, UnknownSize, UnreadableModel

torch = pytest.importorskip("torch")
from support import torchvision_ops  # noqa: E402

torchvision_ops.available()  # before transformers imports torchvision
transformers = pytest.importorskip("transformers")

TEXT = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 100,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "image_size": 32,
          "num_attention_heads": 4, "patch_size": 8}  # fmt: skip
EXPERTS = {"num_experts": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
           "moe_intermediate_size": 32}  # fmt: skip
LATENT = {
    "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 2,
    "topk_group": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "kv_lora_rank": 16,
    "q_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
}  # fmt: skip


def config(kind: str, architecture: str, **own: Any) -> dict[str, Any]:
    return {"model_type": kind, "architectures": [architecture], **own}


LLAMA = config("llama", "LlamaForCausalLM", **TEXT)


def manifest(shared: Path) -> list[dict[str, str]]:
    with (shared / "models/MANIFEST.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["file"].startswith("hf_config/")]


def test_published_configs_are_exact(shared: Path) -> None:
    """Parameters, those that one token uses with and without the embedding, and the cache."""
    for row in manifest(shared):
        path = shared / "models" / row["file"]
        profile = flopwise.count(path, prompt=16)
        active, bare, cache = map(int, re.findall(r"\d{4,}", row["note"])[-3:])
        found = profile.parameters
        assert profile.params == int(row["params"]), path.name
        assert (found.active, found.active_without_lookups) == (active, bare), path.name
        assert kv_cache(profile.graph.config).per_token == cache, path.name
        assert kv_cache(json.loads(path.read_text())).per_token == cache, path.name
        assert profile.coverage == 1.0
        assert not profile.unknown


def test_a_published_checkpoint_has_as_many_bytes(shared: Path) -> None:
    """metadata.total_size in model.safetensors.index.json of openai/gpt-oss-20b."""
    path = shared / "models/hf_config/openai--gpt-oss-20b_config.json"
    assert flopwise.count(path, prompt=1).weight_bytes == 13_761_264_768


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["Meta-Llama-3.1-405B", "DeepSeek-V3"])
def test_the_largest_in_two_gibibytes(name: str, shared: Path) -> None:
    """In a fresh process, imports and all. (Not by getrusage, which a child inherits.)"""
    (path,) = (shared / "models/hf_config").glob(f"*{name}_config.json")
    code = (
        f"import flopwise\nflopwise.count({str(path)!r}, prompt=128)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * 2**20


def test_products_of_a_decoder_by_hand() -> None:
    """Matrices times tokens, and two products of all pairs of tokens for each head."""
    tokens, size, heads = 10, 16, 4
    profile = flopwise.count(LLAMA, prompt=tokens)
    queries, keys, between = 64 * heads * size, 64 * 2 * size, 64 * 96
    layer = tokens * (2 * queries + 2 * keys + 3 * between) + 2 * heads * tokens * tokens * size
    assert profile.total().mac == 2 * layer + tokens * 64 * 100


MIXTURES = {
    "mixtral": config("mixtral", "MixtralForCausalLM", **TEXT, **EXPERTS),
    "qwen3_moe": config("qwen3_moe", "Qwen3MoeForCausalLM", **TEXT, **EXPERTS, head_dim=16),
    "gpt_oss": config("gpt_oss", "GptOssForCausalLM", **TEXT, **EXPERTS, head_dim=16),
    "deepseek_v3": config("deepseek_v3", "DeepseekV3ForCausalLM", **{**TEXT, **LATENT,
                          "num_key_value_heads": 4}),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXTURES)
def test_what_one_token_uses(name: str) -> None:
    """All but the experts that it is not sent to; products are of those alone."""
    profile = flopwise.count(MIXTURES[name], prompt=6)
    stacks = [t for t in profile.weights if ".experts." in t.name]
    idle = sum(t.size for t in stacks) * 6 // 8
    assert idle > 0
    assert profile.parameters.active == profile.params - idle
    assert any("2 of 8 experts" in note for note in profile.graph.notes)
    grouped = [r for r in profile.rows if r.node.op == "grouped_matmul"]
    matrices = sum(t.size for t in stacks if len(t.sizes) == 3)
    assert sum(r.counts.mac for r in grouped if r.counts) == 6 * matrices * 2 // 8


def test_more_experts_are_more_parameters_and_no_more_products() -> None:
    """But for the router, which scores them all."""
    data = {k: v for k, v in MIXTURES["mixtral"].items() if k != "num_experts"}
    small, large = (flopwise.count({**data, "num_local_experts": n}, prompt=6) for n in (4, 8))
    assert large.params > small.params
    routers = 2 * 6 * 64 * 4
    assert large.total().mac - small.total().mac == routers


def test_tied_weights_count_once() -> None:
    own, shared_ = (
        flopwise.count(
            config("llama", "LlamaForCausalLM", **TEXT, tie_word_embeddings=tie), prompt=4
        )
        for tie in (False, True)
    )
    table = 100 * 64
    assert own.params - shared_.params == table
    assert (own.parameters.tied, shared_.parameters.tied) == (0, table)
    assert own.parameters.embedding == shared_.parameters.embedding == table
    assert own.parameters.active_without_lookups == own.params - table
    assert shared_.parameters.active_without_lookups == shared_.params
    assert own.total().mac == shared_.total().mac


def test_what_the_forward_does_not_read_is_unused() -> None:
    small = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 50,
             "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32,
             "decoder_ffn_dim": 32, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
             "decoder_start_token_id": 2}  # fmt: skip
    profile = flopwise.count(config("bart", "BartForCausalLM", **small), prompt=4)
    across = [t for t in profile.graph.weights if "encoder_attn" in t.name]
    assert profile.parameters.unused == sum(t.size for t in across) > 0
    assert profile.parameters.active == profile.params - profile.parameters.unused


# What goes in by task: an option or nothing, and the shapes of the inputs that are built.
TASKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "tokens": (
        config("bert", "BertForMaskedLM", **TEXT), {"prompt": 7, "batch": 3}, {"input_ids": (3, 7)},
    ),
    "image of the config": (
        config("vit", "ViTForImageClassification", **VISION), {"batch": 2},
        {"pixel_values": (2, 3, 32, 32)},
    ),
    "image asked for": (
        config("resnet", "ResNetForImageClassification", embedding_size=8, hidden_sizes=[8, 16],
               depths=[1, 1], layer_type="basic"), {"image": "64x96"},
        {"pixel_values": (1, 3, 64, 96)},
    ),
    "video": (
        config("videomae", "VideoMAEForVideoClassification", **VISION, num_frames=4),
        {}, {"pixel_values": (1, 4, 3, 32, 32)},
    ),
    "sound": (
        config("whisper", "WhisperForConditionalGeneration", d_model=32, encoder_layers=1,
               decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
               encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=60, num_mel_bins=20,
               max_source_positions=50, pad_token_id=0, bos_token_id=1, eos_token_id=2,
               decoder_start_token_id=1), {"prompt": 5},
        {"input_features": (1, 20, 100), "decoder_input_ids": (1, 5)},
    ),
    "encoder and decoder": (
        config("t5", "T5ForConditionalGeneration", d_model=32, d_ff=32, d_kv=8, num_layers=1,
               num_heads=4, vocab_size=60, decoder_start_token_id=0), {"prompt": 9},
        {"input_ids": (1, 9), "decoder_input_ids": (1, 1)},
    ),
    "tokens and an image": (
        config("clip", "CLIPModel", text_config=TEXT, vision_config=VISION, projection_dim=16),
        {"prompt": 7}, {"input_ids": (1, 7), "pixel_values": (1, 3, 32, 32)},
    ),
    "an image among tokens": (
        config("llava", "LlavaForConditionalGeneration",
               text_config={**TEXT, "model_type": "llama"}, image_token_index=99,
               vision_config={**VISION, "model_type": "clip_vision_model"}), {"prompt": 7},
        {"input_ids": (1, 16 + 7), "pixel_values": (1, 3, 32, 32)},
    ),
    "patches among tokens": (
        config("qwen2_vl", "Qwen2VLForConditionalGeneration",
               text_config={**TEXT, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
               vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 64, "num_heads": 2,
                              "mlp_ratio": 2, "patch_size": 8, "spatial_merge_size": 2},
               image_token_id=99, video_token_id=98, vision_start_token_id=97,
               vision_end_token_id=96), {"prompt": 7, "image": "32x64"},
        {"pixel_values": (32, 3 * 2 * 64), "image_grid_thw": (1, 3), "input_ids": (1, 8 + 7)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_inputs_by_task(task: str) -> None:
    data, options, shapes = TASKS[task]
    profile = flopwise.count(data, **options)
    found = {t.name: t.shape for t in profile.graph.inputs}
    assert {name: found.get(name) for name in shapes} == shapes
    assert profile.total().mac > 0
    assert profile.coverage == 1.0


def test_what_is_decided_is_told() -> None:
    notes = flopwise.count(TASKS["encoder and decoder"][0], prompt=9).graph.notes
    assert any("--input decoder_input_ids=1xn" in note for note in notes)
    notes = flopwise.count(TASKS["an image among tokens"][0], prompt=7).graph.notes
    assert "what is seen or heard takes 16 tokens beside the prompt" in notes


def test_inputs_that_are_given() -> None:
    data = TASKS["encoder and decoder"][0]
    longer = flopwise.count(data, prompt=9, inputs={"decoder_input_ids": "1x4"})
    assert {t.name: t.shape for t in longer.graph.inputs}["decoder_input_ids"] == (1, 4)
    ids = torch.ones((2, 6), dtype=torch.int64)
    given = flopwise.count(config("bert", "BertModel", **TEXT), inputs={"input_ids": ids})
    assert given.graph.inputs[0].shape == (2, 6)


CHECKED = {
    "llama": (LLAMA, {"prompt": 8}),
    "mixtral": (MIXTURES["mixtral"], {"prompt": 8}),
    "deepseek_v3": (MIXTURES["deepseek_v3"], {"prompt": 8}),
    # (Where an image is among the tokens, a real forward wants real marks for it.)
    **{name: TASKS[name][:2] for name in TASKS if not name.endswith("among tokens")},
}


@pytest.mark.parametrize("name", CHECKED)
def test_agreement_with_the_counter_of_torch(name: str) -> None:
    """torch.utils.flop_counter on small real models; it has no formula for grouped products."""
    from torch.utils.flop_counter import FlopCounterMode

    from flopwise.frontends import Request
    from flopwise.frontends.huggingface.build import model_of
    from flopwise.frontends.huggingface.config import config_of
    from flopwise.frontends.huggingface.inputs import call_of

    data, options = CHECKED[name]
    profile = flopwise.count(data, **options)
    made = config_of(data)
    on_meta, _ = model_of(made, data)
    rest = {k: v for k, v in options.items() if k != "batch"}
    call = call_of(on_meta, made, Request(batch=options.get("batch"), options=rest), {})
    model = type(on_meta)._from_config(made, attn_implementation="eager").eval()
    given = {
        k: torch.zeros(v.shape, dtype=v.dtype) if isinstance(v, torch.Tensor) else v
        for k, v in call.arguments.items()
    }
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**given)
    blind = sum(r.counts.mac for r in profile.rows if r.node.op == "grouped_matmul" and r.counts)
    assert counter.get_total_flops() == 2 * (profile.total().mac - blind)


SMALL_CACHES = {
    "mha": config("llama", "LlamaForCausalLM", **{**TEXT, "num_key_value_heads": 4}),
    "gqa": config("qwen3", "Qwen3ForCausalLM", **TEXT, head_dim=32),
    "mqa": config("gemma", "GemmaForCausalLM", **{**TEXT, "num_key_value_heads": 1}, head_dim=16),
    "one key head": config("falcon", "FalconForCausalLM", hidden_size=64, num_hidden_layers=2,
                           num_attention_heads=4, vocab_size=100, multi_query=True),
    "sliding": config("mistral", "MistralForCausalLM", **TEXT, sliding_window=64),
    "alternating": config("gemma2", "Gemma2ForCausalLM", **TEXT, head_dim=16, sliding_window=64),
    "old names": config("gpt2", "GPT2LMHeadModel", n_embd=64, n_layer=2, n_head=4, vocab_size=100),
}  # fmt: skip


@pytest.mark.parametrize("kind", SMALL_CACHES)
def test_the_cache_of_transformers_itself_holds_as_much(kind: str) -> None:
    """Every tensor in the cache after a real forward of a few tokens."""
    data = SMALL_CACHES[kind]
    model_class = getattr(transformers, data["architectures"][0])
    model = model_class(model_class.config_class.from_dict(data)).eval()
    ids = torch.full((2, 5), 7)
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert kv_cache(model.config.to_dict()).elements(5, batch=2) == held


CACHES = [
    ({"layer_types": ["linear_attention", "full_attention"]}, [0, 64]),
    ({"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}, [64, 64]),
    ({"attn_layer_period": 2, "attn_layer_offset": 1}, [0, 64]),
    ({"full_attention_interval": 2}, [0, 64]),
    ({"attn_layer_indices": [0]}, [64, 0]),
    ({"num_kv_shared_layers": 1}, [64, 0]),
    ({"kv_lora_rank": 16, "qk_rope_head_dim": 8}, [24, 24]),
    ({"sliding_window": 8, "use_sliding_window": False}, [64, 64]),
    ({"num_key_value_heads": [1, 2]}, [32, 64]),
    ({"v_head_dim": 8}, [48, 48]),
]


@pytest.mark.parametrize(("own", "wanted"), CACHES)
def test_kinds_of_layers_keep_what_they_keep(own: dict[str, Any], wanted: list[int]) -> None:
    assert [layer.per_token for layer in kv_cache({**TEXT, **own}).layers] == wanted


def test_a_window_bounds_what_is_kept() -> None:
    found = kv_cache({**TEXT, **CACHES[1][0]})
    assert [found.elements(tokens) for tokens in (1, 8, 100)] == [128, 1024, 64 * (8 + 100)]
    assert found.bytes(1, batch=3) == 2 * 3 * 128


@pytest.mark.parametrize("own", [{"layer_types": ["strange"] * 2}, {"num_hidden_layers": None},
                                 {"layer_types": ["full_attention"]},
                                 {"is_encoder_decoder": True}])  # fmt: skip
def test_a_cache_that_is_not_known_is_an_error(own: dict[str, Any]) -> None:
    with pytest.raises(UnknownSize):
        kv_cache({**TEXT, **own})


def test_blocks_of_eight_bits_are_stored_as_transformers_stores_them() -> None:
    """Bytes of the modules that its own quantiser puts in place of ours."""
    from transformers.quantizers import AutoHfQuantizer

    said = {"quant_method": "fp8", "weight_block_size": [16, 16], "activation_scheme": "dynamic"}
    data = {**MIXTURES["deepseek_v3"], "torch_dtype": "bfloat16"}
    profile = flopwise.count({**data, "quantization_config": said}, prompt=1)
    made = transformers.DeepseekV3Config.from_dict(data)
    with torch.device("meta"):
        model = transformers.DeepseekV3ForCausalLM._from_config(made, dtype=torch.bfloat16)
    AutoHfQuantizer.from_config(said, pre_quantized=True).preprocess_model(model)
    stored = sum(p.numel() * p.element_size() for p in model.parameters())
    biases = sum(b.numel() for n, b in model.named_buffers() if n.endswith("correction_bias"))
    learned = [t for t in profile.weights if t.name.endswith("correction_bias")]
    assert sum(t.size for t in learned) == biases
    assert profile.weight_bytes - sum(t.bytes for t in learned) == stored


BROKEN: dict[str, tuple[dict[str, Any], dict[str, Any], type[FlopwiseError], str]] = {
    "no prompt": (LLAMA, {}, UnknownSize, "--prompt"),
    "no image": (TASKS["image asked for"][0], {}, UnknownSize, "--image"),
    "no sound": (config("wav2vec2", "Wav2Vec2ForCTC"), {}, UnknownSize, "--input input_values="),
    "a free image": (TASKS["image asked for"][0], {"image": "H"}, UnknownSize, "numbers only"),
    "free routing": (config("mixtral", "MixtralForCausalLM", **TEXT, **EXPERTS), {"prompt": "S"},
                     UnknownSize, "MixtralForCausalLM is not counted for free sizes"),
    "an image of three sizes": (
        TASKS["image asked for"][0], {"image": "1x2x3"}, UnknownSize, "height x width",
    ),
    "model type": (config("lama", "LlamaForCausalLM"), {}, UnreadableModel, "llama"),
    "architecture": (config("llama", "LlamaForFun", **TEXT), {}, UnreadableModel, "LlamaForFun"),
    "no module": (config("llama", "os", **TEXT), {}, UnreadableModel, "no os"),
    "no type": ({"architectures": ["Nothing"]}, {}, UnreadableModel, "model_type"),
    "depth": (
        config("llama", "LlamaForCausalLM", **{**TEXT, "num_hidden_layers": 10**9}), {},
        UnreadableModel, "num_hidden_layers",
    ),
    "text for a number": (
        config("llama", "LlamaForCausalLM", **{**TEXT, "hidden_size": "wide"}), {"prompt": 1},
        UnreadableModel, "hidden_size",
    ),
    "input": (
        config("bert", "BertModel", **TEXT), {"inputs": {"inputs_id": (1, 4)}}, UnknownName,
        "input_ids",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_errors_are_one_line_that_helps(kind: str) -> None:
    data, options, error, word = BROKEN[kind]
    with pytest.raises(error) as raised:
        flopwise.count(data, **options)
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    """Nor are its kernels or the weights of its backbone fetched."""
    (tmp_path / "modeling_evil.py").write_text("raise SystemExit('was run')")
    data = {
        **LLAMA,
        "auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"},
        "_attn_implementation": "kernels-community/evil", "use_pretrained_backbone": True,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(data))
    assert flopwise.count(tmp_path, prompt=2).params == flopwise.count(
        LLAMA, prompt=2
    ).params  # fmt: skip


@pytest.mark.parametrize("text", ['{"model_type": ', '["model_type"]', '{"model_type": "llama"'])
def test_a_broken_file_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(FlopwiseError) as error:
        flopwise.count(path)
    assert "\n" not in str(error.value)


def test_a_config_object_stays_as_it_was() -> None:
    made = transformers.LlamaConfig(**TEXT)
    before = made.to_dict()
    by_object = flopwise.count(made, prompt=4)
    assert made.to_dict() == before
    by_data = flopwise.count({**before, "architectures": ["LlamaModel"]}, prompt=4)
    assert by_object.params == by_data.params
    assert "names no architecture: counted as LlamaModel" in by_object.graph.notes[1]


def test_a_directory_and_what_stands_beside_its_config(tmp_path: Path) -> None:
    data, options, _ = TASKS["image asked for"]
    (tmp_path / "config.json").write_text(json.dumps(data))
    size = {"do_center_crop": True, "crop_size": {"height": 64, "width": 96}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(size))
    assert flopwise.count(tmp_path).total() == flopwise.count(data, **options).total()


def test_the_command_line(tmp_path: Path) -> None:
    """In a fresh process: also where torchvision does not fit torch."""
    path = tmp_path / "any_config.json"
    path.write_text(json.dumps(MIXTURES["mixtral"]))
    command = [sys.executable, "-m", "flopwise", str(path), "--prompt", "4", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["model"] == {"name": "MixtralForCausalLM", "format": "huggingface"}
    assert found["inputs"][0]["shape"] == [1, 4]
    assert found["params"]["active"] < found["params"]["total"] == found["totals"]["params"]
    bare = subprocess.run(command[:4], capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert bare.stderr.count("\n") == 1
    assert "--prompt" in bare.stderr


def test_options_of_other_formats_are_refused() -> None:
    example = Path(__file__).parents[1] / "examples/vgg16.prototxt"
    with pytest.raises(UnknownName, match="--prompt: not for caffe models"):
        flopwise.count(example, prompt=4)


FREE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "decoder": (LLAMA, {"prompt": "S", "batch": "N"}),
    "tokens by name": (LLAMA, {"inputs": {"input_ids": "NxS"}}),
    "encoder": (config("bert", "BertModel", **TEXT), {"prompt": "S", "batch": "N"}),
    "encoder and decoder": (
        config("t5", "T5ForConditionalGeneration", d_model=32, d_kv=8, d_ff=64, num_layers=2,
               num_heads=4, vocab_size=100), {"prompt": "S", "batch": "N"}),
    "images": (config("vit", "ViTModel", **VISION), {"batch": "N"}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FREE))
def test_free_sizes_give_what_numbers_give(name: str) -> None:
    model, asked = FREE[name]
    numbers = {"prompt": 12, "batch": 3, "inputs": {"input_ids": (3, 12)}}
    given = {key: numbers[key] for key in asked}
    profile = flopwise.count(model, **asked)
    symbols = {"N": 3, "S": 12} if name != "images" else {"N": 3}
    assert profile.coverage == 1
    assert profile.at(**symbols).total().mac == flopwise.count(model, **given).total().mac
