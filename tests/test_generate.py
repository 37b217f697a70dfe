"""Serving decoders: their graphs against traced ones, their caches against real ones, their
times against published ones."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import flopwise
from flopwise import devices
from flopwise.analyses.kv_cache import kv_cache
from flopwise.analyses.serving import Plan, formats, graphs, serve
from flopwise.analyses.serving.decoder import Experts, Latent, StateSpace, shard
from flopwise.analyses.serving.explain import explain
from flopwise.analyses.serving.families import FAMILIES, decoder
from flopwise.analyses.serving.plan import Guessing
from flopwise.analyses.serving.work import Stored, loads, weight_bytes
from flopwise.cli import main
from flopwise.errors import FlopwiseError
from flopwise.parameters import parameters

ROOT = Path(__file__).parents[1]
LLAMA = ROOT / "examples/llama_3_8b.json"
MIXTRAL = ROOT / "examples/mixtral_8x7b.json"
H100 = devices.find("h100")

SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT = {
    "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 12,
    "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
    "first_k_dense_replace": 1, "num_key_value_heads": 4,
}  # fmt: skip
OLD = {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64, "vocab_size": 64,
       "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
CLASSES = {
    "llama": ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True}),
    "granite": ("GraniteForCausalLM", {}),
    "mistral": ("MistralForCausalLM", {"sliding_window": 4}),
    "phi3": ("Phi3ForCausalLM", {"partial_rotary_factor": 0.5}),
    "mixtral": ("MixtralForCausalLM", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen2": ("Qwen2ForCausalLM", {"use_sliding_window": True, "sliding_window": 4,
                                   "max_window_layers": 2}),
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 16, "tie_word_embeddings": True}),
    "qwen2_moe": ("Qwen2MoeForCausalLM", {**EXPERTS, "shared_expert_intermediate_size": 40,
                                          "mlp_only_layers": [1]}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", {**EXPERTS, "decoder_sparse_step": 2, "head_dim": 16}),
    "gemma": ("GemmaForCausalLM", {"head_dim": 16, "num_key_value_heads": 1}),
    "gemma2": ("Gemma2ForCausalLM", {"head_dim": 16, "sliding_window": 4}),
    "gemma3_text": ("Gemma3ForCausalLM", {"head_dim": 16, "sliding_window": 4,
                                          "num_hidden_layers": 7}),
    "olmo2": ("Olmo2ForCausalLM", {}),
    "gpt_oss": ("GptOssForCausalLM", {"num_local_experts": 4, "num_experts_per_tok": 2,
                                      "head_dim": 16, "sliding_window": 4}),
    "deepseek_v2": ("DeepseekV2ForCausalLM", {**LATENT, "q_lora_rank": None, "n_shared_experts": 2,
                                              "topk_method": "greedy"}),
    "deepseek_v3": ("DeepseekV3ForCausalLM", {**LATENT, "q_lora_rank": 20, "n_shared_experts": 1,
                                              "n_group": 2, "topk_group": 1}),
    "gpt2": ("GPT2LMHeadModel", OLD),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", {**OLD, "multi_query": True}),
    "gpt_neox": ("GPTNeoXForCausalLM", {"num_key_value_heads": ""}),
    "starcoder2": ("Starcoder2ForCausalLM", {"num_key_value_heads": 1}),
    "mamba": ("MambaForCausalLM", {"state_size": 8, "intermediate_size": 64}),
    "jamba": ("JambaForCausalLM", {"num_hidden_layers": 8, "num_experts": 4, "mamba_d_state": 8,
                                   "attn_layer_period": 4, "attn_layer_offset": 2}),
}  # fmt: skip


@pytest.fixture(scope="module")
def transformers() -> Any:
    pytest.importorskip("torch")
    from support import torchvision_ops

    torchvision_ops.available()  # before transformers imports torchvision
    return pytest.importorskip("transformers")


def small(family: str) -> dict[str, Any]:
    """A config of a few thousand parameters."""
    name, more = CLASSES[family]
    found = {**({} if "n_embd" in more else SMALL), **more}
    found |= {"model_type": family, "architectures": [name]}
    return {key: value for key, value in found.items() if value != ""}


def test_every_family_is_compared() -> None:
    assert CLASSES.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", CLASSES)
def test_counts_are_those_of_the_traced_model(family: str, transformers: Any) -> None:
    """transformers 5.23 runs its own forward; what is compared is all of it."""
    traced = flopwise.count(small(family), prompt=6, batch=2)
    ours = decoder(small(family))
    assert traced.coverage == 1
    assert graphs.params(ours) == traced.params
    assert graphs.active(ours) == parameters(traced.graph).active
    found = graphs.counts(ours, graphs.whole(2, 6))
    assert found.mac + _padding(ours) == traced.total().mac


@pytest.mark.parametrize("family", CLASSES)
def test_training_is_that_of_the_traced_model(family: str, transformers: Any) -> None:
    """Forward and backward of every part by rule, and by the trace through autograd."""
    from flopwise.analyses.parallel.split import Job, Split
    from flopwise.analyses.parallel.stages import of_decoder

    traced = flopwise.train(small(family), 1, prompt=6, batch=2)
    ours = decoder(small(family))
    (stage,) = of_decoder(ours, Split(), Job(2, 6, dtype="float32"), H100)
    padding = 2 * _padding(ours)
    assert stage.operations("forward") + padding == traced.per_step["forward"]
    assert stage.operations("backward") + 2 * padding == traced.per_step["backward"]


def _padding(ours: Any) -> int:
    """transformers convolves the zeros after the last token too, and drops the results."""
    mixers = [layer.mixer for layer in ours.layers if isinstance(layer.mixer, StateSpace)]
    return sum(2 * m.inner * m.conv * (m.conv - 1) for m in mixers)


@pytest.mark.parametrize("family", [f for f in CLASSES if not f.startswith("deepseek")])
def test_caches_are_as_large_as_real_ones(family: str, transformers: Any) -> None:
    """transformers keeps one token less of a window, and expands latents."""
    import torch

    tokens, name = 9, CLASSES[family][0]
    config = transformers.AutoConfig.for_model(**small(family))
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        out = model(torch.ones(1, tokens, dtype=int), use_cache=True)
    cache = getattr(out, "past_key_values", None) or out.cache_params
    kept = 0
    for layer in cache.layers:
        names = ("keys", "values", "conv_states", "recurrent_states")
        kept += sum(t.numel() for n in names for t in _tensors(getattr(layer, n, None)))
    ours = decoder(small(family))
    less = sum(layer.mixer.per_token for layer in ours.layers if layer.mixer.window)
    assert kept == ours.kept_at(tokens) - less


def _tensors(held: Any) -> list[Any]:
    if isinstance(held, dict):
        return [t for part in held.values() for t in _tensors(part)]
    return [held] if hasattr(held, "numel") else []


@pytest.mark.parametrize("family", CLASSES)
def test_caches_are_those_of_the_other_analysis(family: str) -> None:
    ours = decoder(small(family))
    stated = {**small(family), "layer_types": _types(ours), "head_dim": _head(ours)}
    assert ours.per_token == kv_cache(stated).per_token


def _types(ours: Any) -> list[str]:
    kinds = {True: "sliding_attention", False: "full_attention"}
    return [
        "mamba" if isinstance(layer.mixer, StateSpace) else kinds[layer.mixer.window is not None]
        for layer in ours.layers
    ]


def _head(ours: Any) -> int | None:
    return next((layer.mixer.size for layer in ours.layers if hasattr(layer.mixer, "size")), None)


def test_published_configs(shared: Path) -> None:
    """Parameters, those active for a token and cache elements, of the MANIFEST."""
    with (shared / "models/MANIFEST.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["file"].startswith("hf_config/")]
    assert len(rows) == 7
    for row in rows:
        ours = decoder(shared / "models" / row["file"])
        active, _, cache = map(int, re.findall(r"\d{4,}", row["note"]))
        assert graphs.params(ours) == int(row["params"]), row["file"]
        assert (graphs.active(ours), ours.per_token) == (active, cache), row["file"]


@pytest.mark.parametrize("family", CLASSES)
def test_a_prompt_costs_what_its_tokens_cost_one_by_one(family: str) -> None:
    """But for the vocabulary, which is scored once; an odd number has a whole mean."""
    ours, tokens = decoder(small(family)), 7
    if any(isinstance(layer.mixer, Latent) for layer in ours.layers):
        return  # keys and values of a prompt are made once, those of a token are not
    if any(layer.mixer.window for layer in ours.layers):
        tokens = 4  # the window: 1 + 2 + 3 + 4 keys have no whole mean, so it is rounded up
    one_by_one = sum(
        graphs.counts(ours, graphs.decode(ours, 1, c)).mac for c in range(1, tokens + 1)
    )
    at_once = graphs.counts(ours, graphs.prefill(ours, 1, tokens)).mac
    head = ours.vocabulary * ours.hidden
    mixers = [layer.mixer for layer in ours.layers if hasattr(layer.mixer, "size")]
    looks = sum(mixer.heads * 2 * mixer.size for mixer in mixers)
    rounded = 0 if tokens % 2 else looks * tokens // 2
    assert one_by_one - tokens * head == at_once - head - rounded


@pytest.mark.parametrize("family", CLASSES)
def test_a_token_costs_what_traces_of_three_lengths_say(family: str, transformers: Any) -> None:
    """A forward of s tokens is C + A s + B s^2: what a token costs by itself (A), and for each key
    it looks at (B, of which each layer of attention has an equal part)."""
    ours, seen = decoder(small(family)), 12
    at = {s: flopwise.count(small(family), prompt=s, batch=1).total().mac for s in (5, 9, 13)}
    square = (at[13] - 2 * at[9] + at[5]) // 32
    alone = (at[9] - at[5]) // 4 - 14 * square
    mixers = [x.mixer for x in ours.layers if not isinstance(x.mixer, StateSpace)]
    if any(isinstance(m, Latent) for m in mixers):  # through the matrices, at as much for itself
        keys = sum(m.heads * (2 * m.rank + m.rotated) * seen for m in mixers)
    else:
        keys = sum(square // len(mixers) * min(seen, m.window or seen) for m in mixers)
    assert graphs.counts(ours, graphs.decode(ours, 1, seen)).mac == alone + keys


def test_latents_are_absorbed_when_that_is_cheaper() -> None:
    ours = decoder(small("deepseek_v3"))
    assert graphs.decode(ours, 1, 1000).absorbed and not graphs.prefill(ours, 1, 1000).absorbed
    m = next(layer.mixer for layer in ours.layers)
    assert isinstance(m, Latent)
    step = graphs.decode(ours, 1, 1000)
    up = m.rank * m.heads * (m.plain + m.value)
    products = m.heads * 1000 * (m.rank + m.rotated + m.rank)
    found = graphs.counts(ours, step).mac - graphs.counts(ours, graphs.decode(ours, 1, 500)).mac
    assert found == len(ours.layers) * products // 2
    assert products + up < 1000 * up


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("family", ["llama", "gpt_oss", "deepseek_v3", "jamba", "qwen2_moe"])
def test_a_share_is_a_share(family: str, ranks: int) -> None:
    """Matrices are split; latents, routers, and key heads of which there are few are not."""
    ours = decoder(small(family))
    part = shard(ours, ranks)
    stored = Stored("bfloat16", formats.weights("bfloat16"), "bfloat16")
    whole, share = weight_bytes(ours, stored), weight_bytes(part, stored)
    assert whole / ranks <= share < whole
    step = graphs.decode(ours, 4, 32)
    mine, all_ = (
        loads(part, step, stored)["matrix"].flops,
        loads(ours, step, stored)["matrix"].flops,
    )
    assert all_ / ranks <= mine < all_
    if family == "llama":
        norms = (2 * len(ours.layers) + 1) * ours.hidden * 2
        offsets = len(ours.layers) * 2 * ours.hidden * 2  # of the results of split matrices
        spare = norms + offsets
        if ranks == 2:
            assert share == pytest.approx((whole - spare) / 2 + spare)
        heads = ours.per_token / ranks if ranks == 2 else ours.per_token / 2
        assert part.per_token == heads


def test_experts_hit() -> None:
    """Against a simulation of tokens that choose evenly."""
    experts, dice = Experts(16, 3, 1), random.Random(5)
    for tokens in (1, 4, 20):
        hits = [
            len({e for _ in range(tokens) for e in dice.sample(range(16), 3)}) for _ in range(4000)
        ]
        assert experts.hit(tokens) == pytest.approx(sum(hits) / len(hits), rel=0.01)
    assert experts.hit(1) == pytest.approx(3) and experts.hit(10**6) == pytest.approx(16)


def test_a_batch_reads_more_experts() -> None:
    """Mixtral reads 2 of 8 for one sequence, nearly all for sixteen."""
    read = []
    for batch in (1, 16):
        found = serve(decoder(MIXTRAL), H100, Plan(64, 64, batch))
        read.append(sum(load.weights for load in found.decode.loads.values()))
    table = 32_000 * 4096 * 2  # of the input, of which single rows are read
    assert read[0] == pytest.approx(2 * graphs.active(decoder(MIXTRAL)) - table, rel=1e-3)
    stacks = 32 * 8 * 3 * 4096 * 14_336 * 2
    assert read[1] - read[0] == pytest.approx(stacks * ((1 - 0.75**16) - 0.25), rel=1e-9)


def test_expected_tokens() -> None:
    """Of Leviathan et al. 2023, eq. 1, against a simulation."""
    dice = random.Random(3)
    for a, k in ((0.8, 5), (0.5, 3), (0.0, 4), (1.0, 4)):
        guessing = Guessing(decoder(LLAMA), k, a)
        runs = []
        for _ in range(20_000):
            right = 0
            while right < k and dice.random() < a:
                right += 1
            runs.append(right + 1)
        assert guessing.expected == pytest.approx(sum(runs) / len(runs), rel=0.01)


def test_guessing_pays_when_the_draft_is_small() -> None:
    plan = Plan(128, 128)
    alone = serve(decoder(LLAMA), H100, plan)
    draft = decoder({**json.loads(LLAMA.read_text()), "num_hidden_layers": 2, "hidden_size": 1024})
    with_draft = serve(decoder(LLAMA), H100, plan, Guessing(draft, 4, 0.8))
    assert with_draft.tpot < alone.tpot
    assert with_draft.held.weights > alone.held.weights
    useless = serve(decoder(LLAMA), H100, plan, Guessing(draft, 4, 0.0))
    assert useless.tpot > alone.tpot


def published() -> list[Any]:
    found = runpy.run_path(str(ROOT / "benchmarks/serving.py"))
    return [found["measured"](*row) for row in found["ROWS"]]


def test_published_times() -> None:
    """gpt-fast's table (commit 0f925b5): 16-bit rows, which were fitted, and quantised ones."""
    rows = published()
    fitted = [r.ours_s * r.tokens_per_s for r in rows if r.weights == "bfloat16"]
    others = [r.ours_s * r.tokens_per_s for r in rows if r.weights != "bfloat16"]
    assert len(fitted) == 7 and len(others) == 6
    assert max(abs(ratio - 1) for ratio in fitted) < 0.05
    assert all(1 / 1.35 <= ratio <= 1 / 0.95 for ratio in others)


def test_what_fits_fits_and_one_more_does_not() -> None:
    for config, more in ((LLAMA, {}), (LLAMA, {"weights": "int4", "cache": "fp8"}),
                         (LLAMA, {"prefix": 512, "ranks": 2, "link": 450e9})):  # fmt: skip
        held = serve(decoder(config), H100, Plan(2048, 512, **more)).held
        most = H100.memory_bytes * 0.9
        assert held.concurrency is not None
        assert held.total(held.concurrency) <= most < held.total(held.concurrency + 1)


def test_memory_of_a_known_model() -> None:
    """Llama 3 8B: 8.03e9 elements of two bytes, 131072 bytes of cache a token."""
    held = serve(decoder(LLAMA), H100, Plan(7000, 1192)).held
    assert held.weights == 2 * 8_030_261_248
    assert held.sequence == 8192 * 32 * 8 * 256 * 2
    quantised = serve(decoder(LLAMA), H100, Plan(7000, 1192, weights="int8", cache="fp8")).held
    plain = 2 * 128_256 * 4096 + 65 * 4096
    assert quantised.weights == 8_030_261_248 - plain + 2 * plain
    assert quantised.sequence == held.sequence / 2


def test_windows_bound_the_cache() -> None:
    ours = decoder({**small("mistral"), "sliding_window": 100})
    assert ours.kept_at(1000) == 100 * ours.per_token == ours.kept_at(10**6)
    step = graphs.prefill(ours, 1, 1000)
    assert step.seen(100) == (-(-(100 * 101 // 2 + 900 * 100) // 1000), 1000)
    assert graphs.decode(ours, 1, 1000).seen(100) == (100, 100)


def test_states_do_not_grow() -> None:
    ours = decoder(small("mamba"))
    assert ours.kept_at(10) == ours.kept_at(10**6) == 4 * 64 * (8 + 4)


def test_a_cached_prefix_is_neither_computed_nor_kept_twice() -> None:
    plain, cached = (serve(decoder(LLAMA), H100, Plan(4096, 64, 8, prefix=p)) for p in (0, 4000))
    assert cached.ttft < plain.ttft / 10 and cached.tpot == plain.tpot
    assert cached.held.shared == 4000 * 131_072
    assert cached.held.sequence == 160 * 131_072
    assert cached.held.concurrency > plain.held.concurrency


def test_more_of_everything_takes_longer() -> None:
    base = serve(decoder(LLAMA), H100, Plan(1024, 256, 4))
    for more in ({"prompt": 2048}, {"batch": 8}):
        found = serve(
            decoder(LLAMA), H100, Plan(**{"prompt": 1024, "tokens": 256, "batch": 4, **more})
        )
        assert found.ttft > base.ttft and found.tpot > base.tpot
    few = serve(decoder(LLAMA), H100, Plan(1024, 256, 4, weights="int4"))
    assert few.tpot < base.tpot and few.held.weights < base.held.weights / 2.5
    eight = serve(decoder(LLAMA), H100, Plan(1024, 256, 4, weights="fp8"))
    assert eight.ttft < base.ttft  # Hopper multiplies 8-bit floats twice as fast
    assert "float8" in " ".join(eight.notes)
    two = serve(decoder(LLAMA), H100, Plan(1024, 256, 4, ranks=2, link=450e9))
    slow = serve(decoder(LLAMA), H100, Plan(1024, 256, 4, ranks=2, link=32e9))
    assert two.ttft < base.ttft and two.tpot < base.tpot and slow.ttft > two.ttft


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["generate", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


ASKED = (LLAMA, "--device", "h100", "--prompt", 2048, "--tokens", 512, "--batch", 8)


def test_json_is_what_python_says() -> None:
    told = json.loads(run(*ASKED, "--format", "json", "--explain"))
    found = flopwise.generate(LLAMA, "h100", prompt=2048, tokens=512, batch=8)
    assert told["schema"] == "flopwise-generate/1"
    assert (told["ttft_s"], told["tpot_s"]) == (found.ttft, found.tpot)
    assert told["params"] == told["active_params"] == 8_030_261_248
    assert told["kv_elements_per_token"] == 65_536
    assert told["memory"]["weights_bytes"] == 16_060_522_496
    assert told["fits"] is True and told["concurrency"] == found.held.concurrency
    parts = {k: v for k, v in told["decode"].items() if k.endswith("_s")}
    assert sum(parts.values()) == pytest.approx(told["tpot_s"])
    assert told["latency_s"] == pytest.approx(told["ttft_s"] + 511 * told["tpot_s"])
    assert {f["what"] for f in told["formulas"]} >= {"time to first token", "sequences that fit"}


def test_explanations_multiply_out() -> None:
    """Numbers that stand in a product are the number that stands after it."""
    found = flopwise.generate(LLAMA, "h100", prompt=2048, tokens=512, batch=8)
    checked = 0
    for f in explain(found):
        if f.result.endswith(" B"):
            numbers = f.numbers.replace("·", "*")
            assert eval(numbers) == int(f.result[:-2].replace(",", ""))  # our own text
            checked += 1
    assert checked == 1
    said = run(*ASKED, "--explain")
    assert "= 32 · 8 · (128 + 128) · 2\n  = 131,072 B" in said
    assert "time per output token\n  = the sum of these" in said


def test_table() -> None:
    said = run(*ASKED)
    assert "llama, 8,030,261,248 params; 32 x GQA" in said and "it fits in 90.0%" in said
    said = run(MIXTRAL, "--device", "h100")
    assert "it does not fit" in said and "note: experts are taken to be chosen evenly" in said
    said = run(*ASKED, "--draft", LLAMA, "--guess", 2, "--acceptance", 0.7, "--prefix", 1024)
    assert "2.19 tokens a pass" in said and "1,024 of the prompt cached" in said


def test_sweeps() -> None:
    vary = ("--vary", "batch=1:16:x4", "--vary", "prompt=512,4096")
    rows = [*csv.DictReader(io.StringIO(run(*ASKED, *vary, "--format", "csv")))]
    assert [(r["batch"], r["prompt"]) for r in rows][:3] == [
        ("1", "512"),
        ("1", "4096"),
        ("4", "512"),
    ]
    points = json.loads(run(*ASKED, *vary, "--format", "json"))["points"]
    assert [float(r["tpot_s"]) for r in rows] == [p["tpot_s"] for p in points]
    one = flopwise.generate(LLAMA, "h100", prompt=4096, tokens=512, batch=16)
    assert points[-1]["tpot_s"] == one.tpot and points[-1]["fits"] is True
    assert run(*ASKED, *vary, "--format", "markdown").count("\n| ") == 8
    assert "first token" in run(*ASKED, *vary)
    picture = ElementTree.fromstring(run(*ASKED, *vary, "--format", "svg"))
    lines = picture.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 3]


BAD = [
    (["--device", "nope"], "no device 'nope'"),
    (["--prompt", 0], "--prompt 0: must be from 1"),
    (["--tokens", -1], "--tokens -1: must be from 1"),
    (["--batch", 0], "--batch 0: must be from 1"),
    (["--tp", 0], "--tp 0: must be 1 or more"),
    (["--tp", 2, "--device", "l4"], "needs the bandwidth between the devices"),
    (["--tp", 16], "--tp 16: a node has 8 devices"),
    (["--tp", 3, "--link", "450G"], "--tp 3 does not divide the 32 query heads"),
    (["--tp", 2, "--link", "fast"], "'fast' is no quantity"),
    (["--tp", 2, "--link", "0"], "--link 0.0: must be above 0"),
    (["--weights", "int3"], "no format of weights 'int3'"),
    (["--kv", "int3"], "no dtype 'int3' of caches"),
    (["--prefix", 1024], "--prefix 1024: must be less than the prompt"),
    (["--prefix", -1], "--prefix -1: must be less"),
    (["--memory-share", 1.5], "--memory-share 1.5: must be above 0"),
    (["--draft", "examples/llama_3_8b.json"], "--draft needs --acceptance"),
    (["--draft", "examples/llama_3_8b.json", "--acceptance", 1.2], "--acceptance 1.2: must be"),
    (["--draft", "examples/llama_3_8b.json", "--acceptance", 0.5, "--guess", 0], "--guess 0"),
    (["--draft", "nowhere.json", "--acceptance", 0.5], "nowhere.json: No such file"),
    (["--vary", "colour=1:3"], "--vary colour: no such size"),
    (["--vary", "batch=1:3", "--explain"], "--explain is for one point"),
    (["--vary", "prompt=1:3", "--format", "svg"], "a plot needs batches"),
    (["--vary", "batch=4096,8192", "--format", "svg"], "no point of this sweep fits"),
    (["--vary", "batch=1:3", "--format", "htm"], "no format 'htm'; did you mean html"),
    (["--format", "cvs"], "no format 'cvs'; did you mean csv"),
    (["--device", "gtx", "--weights", "fp8"], "no device 'gtx'"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "said"), BAD, ids=[" ".join(map(str, m)) for m, _ in BAD])
def test_bad_questions_are_one_line(more: list[Any], said: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(ROOT)
    options = more if "--device" in more else ["--device", "h100", *more]
    error = run(LLAMA, *options, code=2)
    assert said in error and error.count("\n") == 1


CONFIGS = [
    ("", "not well-formed JSON"), ("[]", "a JSON list"), ("{}", "no 'model_type'"),
    ('{"model_type": "resnet"}', "cost of generating is not known for 'resnet'"),
    ('{"model_type": "llama"}', "'num_attention_heads' is missing"),
    (SMALL | {"model_type": "llama", "hidden_size": "big"}, "'hidden_size' is 'big'"),
    (SMALL | {"model_type": "llama", "hidden_size": 33}, "4 heads do not divide"),
    (SMALL | {"model_type": "llama", "num_key_value_heads": 3}, "3 key heads do not divide"),
    (SMALL | {"model_type": "llama", "num_hidden_layers": 10**6}, "layers are more than"),
    (SMALL | {"model_type": "llama", "num_hidden_layers": True}, "no whole number"),
    (SMALL | {"model_type": "llama", "hidden_act": "sine"}, "activation 'sine'"),
    (SMALL | {"model_type": "llama", "attention_bias": 3}, "neither true nor false"),
    (SMALL | {"model_type": "mixtral", "num_experts_per_tok": 9}, "9 of 8 experts"),
    ("[" * 100_000, "not well-formed JSON"), ("\xff\xfe", "JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "said"), CONFIGS)
def test_bad_configs_are_one_line(config: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="latin-1")
    error = run(path, "--device", "h100", code=2)
    assert said in error and error.count("\n") == 1
    assert run(tmp_path, "--device", "h100", code=2) == error


def test_a_cpu_is_marked_as_not_checked() -> None:
    found = flopwise.generate(LLAMA, "xeon-8480", weights="int4")
    assert found.band == (1 / 3, 3.0) and "not" not in found.machine.device.name
    assert any("no rate was checked" in note for note in found.notes)


def test_a_device_that_lacks_a_dtype() -> None:
    """A V100 multiplies 16-bit floats of one kind only."""
    found = flopwise.generate(LLAMA, "v100-sxm2")
    assert any("multiplied in float16" in note for note in found.notes)
    with pytest.raises(FlopwiseError, match="no format of weights"):
        flopwise.generate(LLAMA, "v100-sxm2", weights="int5")
