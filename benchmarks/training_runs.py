"""Training runs as published and as we have them; writes docs/training-runs.md.

Run from the repository: `.venv/bin/python benchmarks/training_runs.py`. Needs ../shared, whose
tables are read, never copied, and transformers for models that are no decoders.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import flopwise
from flopwise import devices
from flopwise.analyses.parallel.layout import Layout, layout
from flopwise.analyses.parallel.split import Job, Split
from flopwise.analyses.parallel.stages import of_decoder
from flopwise.analyses.serving import graphs
from flopwise.analyses.serving.decoder import Attention, Decoder, Dense, Layer
from flopwise.analyses.serving.families import decoder
from flopwise.ops.gradient import Autograd

ROOT = Path(__file__).parents[1]
MODELS = ROOT.parent / "shared" / "models"
A100, H100 = devices.find("a100-sxm4-80gb"), devices.find("h100-sxm5")
PLAIN, FUSED = Autograd(fused_attention=False), Autograd()
Answer = tuple[float | None, str]


@dataclass(frozen=True)
class Row:
    """A published number with ours, and why they differ."""

    name: str
    what: str
    published: float
    ours: float | None
    why: str

    @property
    def line(self) -> str:
        if self.ours is None:
            return f"| {self.name} | {self.what} | {self.published:,.5g} | – | – | {self.why} |"
        ratio = self.ours / self.published
        return (
            f"| {self.name} | {self.what} | {self.published:,.5g} | {self.ours:,.5g} | "
            f"{ratio:.3f} | {self.why} |"
        )


def gpt(layers: int, hidden: int, heads: int, words: int, seq: int, dropout: float = 0.1) -> Any:
    """A GPT with learned places, offsets, and the embedding's table as its head."""
    return decoder({"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads,
                    "vocab_size": words, "n_positions": seq, "resid_pdrop": dropout})  # fmt: skip


def laid(model: Decoder, split: Split, job: Job, device: Any) -> Layout:
    return layout(model.name, of_decoder(model, split, job, device), split, job, device)


def operations(model: Decoder, seq: int) -> float:
    """2 per multiply-accumulate, forward and backward, of one token in a sequence of so many."""
    return laid(model, Split(), Job(1, seq), H100).model_operations / seq


def number(text: str) -> int:
    return int(float(text))


def stated(row: dict[str, str]) -> Decoder:
    """The decoder that a row describes."""
    sizes = {k: number(row[k]) for k in ("layers", "hidden", "heads", "ffn", "vocab", "seq")}
    notes = row["arch_notes"]
    if "SwiGLU" in notes:
        return decoder({
            "model_type": "llama", "hidden_size": sizes["hidden"], "vocab_size": sizes["vocab"],
            "intermediate_size": sizes["ffn"], "num_hidden_layers": sizes["layers"],
            "num_attention_heads": sizes["heads"], "num_key_value_heads": number(row["kv_heads"]),
            "tie_word_embeddings": "untied" not in notes, "head_dim": number(row["head_dim"]),
        })  # fmt: skip
    if "NeoX" in notes:
        return decoder({
            "model_type": "gpt_neox", "hidden_size": sizes["hidden"],
            "vocab_size": sizes["vocab"], "intermediate_size": sizes["ffn"],
            "num_hidden_layers": sizes["layers"], "num_attention_heads": sizes["heads"],
            "tie_word_embeddings": False,
        })  # fmt: skip
    return gpt(sizes["layers"], sizes["hidden"], sizes["heads"], sizes["vocab"], sizes["seq"])


def params(row: dict[str, str]) -> Answer:
    if "ALiBi" in row["arch_notes"]:
        config = {"model_type": "bloom", "architectures": ["BloomForCausalLM"],
                  "hidden_size": number(row["hidden"]), "n_layer": number(row["layers"]),
                  "n_head": number(row["heads"]), "vocab_size": number(row["vocab"])}  # fmt: skip
        return flopwise.count(config, prompt=8, batch=1).params, ""
    if "relative" in row["arch_notes"]:
        return _chinchilla(row)
    if row["model"] == "GPT-3 XL":
        return graphs.params(
            stated({**row, "heads": "16"})
        ), "with 16 heads, as the hidden size has"
    if row["model"] == "GPT-3 13B":
        return graphs.params(stated({**row, "hidden": "5120", "ffn": "20480"})), (
            "with a hidden size of 5120 = 40 heads of 128; the paper says 5140"
        )
    found = graphs.params(stated(row))
    return found, "" if found == float(row["published_params"]) else "published as rounded"


def _chinchilla(row: dict[str, str]) -> Answer:
    """Queries, keys, values, results; two matrices; and a projection of relative places."""
    heads, size, hidden = (number(row[k]) for k in ("heads", "head_dim", "hidden"))
    layer = Layer(Attention(heads, heads, size, size), Dense(number(row["ffn"]), False))
    layers = number(row["layers"])
    model = Decoder("", "", hidden, number(row["vocab"]), (layer,) * layers, tied=True)
    return graphs.params(model) + layers * hidden * heads * size, (
        "as published sizes say; the paper's own count is not given"
    )


SC21 = re.compile(r"(\d+) A100-80GB TP(\d+) PP(\d+) batch (\d+)")


def megatron(row: dict[str, str], recompute: str = "full") -> Layout:
    """A run of Megatron-LM on a split that its row states, with the micro-batches that we find
    fastest, where none are stated."""
    found = SC21.match(row["hardware"])
    assert found is not None
    count, tensor, pipeline, batch = map(int, found.groups())
    sizes = [number(row[k]) for k in ("layers", "hidden", "heads", "vocab", "seq")]
    model = gpt(*sizes)
    stated_micro = {"Megatron 22B": 4, "Megatron 530B": 1, "Megatron 1T": 1}
    tried = [stated_micro[row["model"]]] if row["model"] in stated_micro else [1, 2, 4, 8]
    interleave = 3 if row["model"] == "Megatron 530B" else 1
    split = Split(count // tensor // pipeline, tensor, pipeline, interleave=interleave,
                  sequence=recompute == "selective")  # fmt: skip
    jobs = [
        Job(b, 2048, batch // split.data // b, recompute=recompute, autograd=PLAIN)
        for b in tried if batch // split.data % b == 0
    ]  # fmt: skip
    layouts = [laid(model, split, job, A100) for job in jobs]
    return min((x for x in layouts if x.fits), key=lambda x: x.seconds, default=layouts[0])


def rate(row: dict[str, str]) -> Answer:
    found = megatron(row)
    return found.hfu * 312, (
        f"predicted; {found.job.micro} micro-batches of {found.job.batch}, which are not stated"
    )


def iteration(row: dict[str, str]) -> Answer:
    return megatron(row).seconds, "predicted"


def share(row: dict[str, str]) -> Answer:
    if row["model"] == "PaLM 540B":
        return _palm()
    if row["model"] not in ("Megatron 22B", "Megatron 1T"):
        return None, "published without a rate, sizes or a split to work from"
    found = megatron(row, "selective")
    kind = "hfu" if "HFU" in row["unit"] else "mfu"
    return 100 * getattr(found, kind), "predicted, with selective recomputation and by sequence"


def _palm() -> Answer:
    """Chowdhery et al. 2022, table 1: 118 layers of 18432, 48 heads of 256 on one key head."""
    layer = Layer(Attention(48, 1, 256, 256), Dense(4 * 18432), 1)
    model = Decoder("PaLM", "", 18432, 256_000, (layer,) * 118, tied=True)
    each = laid(model, Split(), Job(1, 2048), devices.find("tpu-v4")).model_operations / 2048
    return 100 * each * 238.3e3 / (6144 * 275e12), "our count at the published 238.3k tokens/s"


FIGURE = {
    "megatron-22B": (48, 6144, 64, 4, 1, 1), "gpt3-175B": (96, 12288, 96, 1, 8, 3),
    "turing-530B": (105, 20480, 128, 1, 35, 3), "megatron-1T": (128, 25600, 160, 1, 64, 1),
}  # fmt: skip


def activations(row: dict[str, str]) -> Answer:
    layers, hidden, heads, batch, pipeline, interleave = FIGURE[row["model"]]
    plain = "none" in row["notes"].partition(";")[0]
    job = Job(batch, 2048, 512, recompute="none" if plain else "selective", autograd=PLAIN)
    split = Split(tensor=8, pipeline=pipeline, interleave=interleave, sequence=not plain)
    held = laid(gpt(layers, hidden, heads, 51200, 2048), split, job, A100).held
    states = (held.weights + held.gradients + held.states) / 2**30
    why = f"by liveness; weights, gradients, states {states:.2f} GiB with the tables"
    return held.activations / 2**30, why


def hours(row: dict[str, str]) -> Answer:
    if row["model"] == "DeepSeek-V3":
        return _deepseek(row)
    size = {"LLaMA 7B": (4096, 11008, 32, 32), "LLaMA 13B": (5120, 13824, 40, 40)}[row["model"]]
    model = decoder({"model_type": "llama", "hidden_size": size[0], "intermediate_size": size[1],
                     "num_hidden_layers": size[2], "num_attention_heads": size[3],
                     "vocab_size": 32000})  # fmt: skip
    # 4 M tokens a step (section 2.2 of the paper); on 256 devices, which it does not state.
    jobs = [Job(b, 2048, 2048 // 256 // b) for b in (1, 2, 4, 8)]
    found = [laid(model, Split(256, zero=3), job, A100) for job in jobs]
    best = min((x for x in found if x.fits), key=lambda x: x.seconds)
    steps = number(row["tokens"]) / (best.samples * 2048)
    used = operations(model, 2048) * number(row["tokens"])
    mfu = used / (float(row["published_value"]) * 3600 * 312e12)
    return best.seconds * steps * 256 / 3600, (
        "predicted, on 256 devices with ZeRO-3, as nothing says how it was split; published hours "
        f"are an MFU of {mfu:.1%}"
    )


def _deepseek(row: dict[str, str]) -> Answer:
    if "pre-training" not in row["notes"]:
        return None, "no number of tokens is published for the parts beside pre-training"
    model = decoder(MODELS / "hf_config" / "deepseek-ai--DeepSeek-V3_config.json")
    used = operations(model, 4096) * number(row["tokens"])
    mfu = used / (float(row["published_value"]) * 3600 * 989e12)
    # Sections 3.1, 3.2, 3.3.2 and 4.2 of the report (arXiv:2412.19437). An H800 has 400 GB/s of
    # NVLink, both ways together; section 3.2.2 has 160 of 200 each way.
    split = Split(128, pipeline=16, expert=64, zero=1, dual=True)
    link = devices.Link(200e9, 8, 50e9)
    found = {}
    for again in ("none", "full"):
        for matmul in ("", "float8"):
            job = Job(1, 4096, 15360 // 128, states="bfloat16", matmul=matmul, recompute=again)
            step = layout("", of_decoder(model, split, job, H100), split, job, H100, link)
            steps = number(row["tokens"]) / (step.samples * 4096)
            found[again, matmul] = step.seconds * steps * 2048 / 3600
    return found["none", "float8"], (
        "predicted in FP8 with DualPipe over 16 stages, 64 shared experts and ZeRO-1, nothing run "
        f"again; {found['none', '']:.3g} in bfloat16, and with full recomputation "
        f"{found['full', 'float8']:.3g}. Theirs runs norms, up-projections and SwiGLU again, which "
        "is between the two, sends each token to 4 nodes at most (ours to all), and has another "
        f"layer, which predicts one more token. Published hours are an MFU of {mfu:.1%} of the "
        "16-bit peak"
    )


GPT3 = {"GPT-3-Small": (12, 768, 12), "GPT-3-XL": (24, 2048, 16), "GPT-3-13B": (40, 5120, 40)}
ENCODERS = {
    "BERT-Base": ("bert", "BertForMaskedLM", {}, 30522),
    "RoBERTa-Large": ("roberta", "RobertaForMaskedLM", {
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
        "intermediate_size": 4096, "max_position_embeddings": 514}, 50265),
}  # fmt: skip
T5 = {"T5-Small": (512, 2048, 6, 8, 64), "T5-Large": (1024, 4096, 24, 16, 64),
      "T5-3B": (1024, 16384, 24, 32, 128)}  # fmt: skip


def compute(row: dict[str, str]) -> Answer:
    """Operations of a whole run, at the length of its sequences."""
    name, tokens = row["model"], float(row["tokens"])
    if name in GPT3:
        each, why = operations(gpt(*GPT3[name], 50257, 2048), 2048), "sequences of 2048"
    elif name in ENCODERS:
        kind, architecture, sizes, words = ENCODERS[name]
        config = {"model_type": kind, "architectures": [architecture], "vocab_size": words, **sizes}
        found = flopwise.train(config, 1, prompt=512, batch=1)
        each, why = found.model_operations / 512, "sequences of 512, traced"
    else:
        each, why = _t5(*T5[name]), "512 tokens read and 512 written, traced"
    return each * tokens, f"{why}: with attention and the head, which 6 N D leaves out"


def _t5(hidden: int, width: int, layers: int, heads: int, size: int) -> float:
    config = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"],
              "d_model": hidden, "d_ff": width, "num_layers": layers, "num_heads": heads,
              "d_kv": size, "vocab_size": 32128}  # fmt: skip
    inputs = {"input_ids": (1, 512), "decoder_input_ids": (1, 512)}
    return float(flopwise.train(config, 1, inputs=inputs).model_operations) / 1024


UNITS: dict[str, Callable[[dict[str, str]], Answer]] = {
    "params": params, "TFLOP/s/GPU": rate, "training FLOPs": compute, "GPU hours": hours,
    "MFU %": share, "HFU %": share, "s/iteration full recompute": iteration,
    "GiB activations per GPU": activations,
}  # fmt: skip


def rows() -> list[Row]:
    found = []
    with (MODELS / "training.csv").open() as file:
        for row in csv.DictReader(file):
            published = row["published_value"] or row["published_params"]
            ours, why = UNITS[row["unit"]](row)
            if row["unit"] == "params":
                published = row["published_params"]
            found.append(Row(row["model"], row["unit"], float(published), ours, why))
    return found


MPT = {
    "125m": (12, 768, 12), "350m": (24, 1024, 16), "760m": (24, 1536, 12), "1b": (24, 2048, 16),
    "3b": (32, 2560, 20), "7b": (32, 4096, 32), "13b": (40, 5120, 40), "30b": (48, 7168, 56),
    "70b": (80, 8192, 64),
}  # fmt: skip
CARDS = {"a100_80gb": A100, "a100_40gb": devices.find("a100-sxm4-40gb"), "h100_80gb": H100}


def throughput() -> Iterable[tuple[dict[str, str], Decoder, float, float, Layout]]:
    """Rows of llm-foundry with our model, the MFU of their rate by our count, and our step."""
    with (MODELS / "training_mfu.csv").open() as file:
        for row in csv.DictReader(file):
            seq, card = int(row["SeqLen (T)"]), CARDS[row["GPU"]]
            model = gpt(*MPT[row["Model"]], 50368, seq, 0.0)
            eight = row["Precision"] == "amp_fp8"
            peak = card.peak["float8" if eight else "bfloat16"]
            mfu = operations(model, seq) * float(row["Throughput (T/s/GPU)"]) / peak
            split = Split(int(row["# GPUs"]), zero=3)
            again = "full" if row["Activation Checkpointing"] == "True" else "none"
            gradients = "bfloat16" if row["MP Mode"] == "PURE" else "float32"
            job = Job(int(row["MicroBatchSize"]), seq, int(row["GradAccum"]), recompute=again,
                      gradients=gradients, matmul="float8" if eight else "")  # fmt: skip
            yield row, model, mfu, peak, laid(model, split, job, card)


HEAD = """# Training runs, published and ours

Written by `benchmarks/training_runs.py` from tables that the developers share. A dash: nothing
that was published lets us compute it.

"Predicted" is what `flopwise train` gives for the split of the row: the roofline of each kernel,
products no faster than the best that was measured on the card, bytes at 0.8 of its bandwidth (as
decoders that are bound by it, docs/serving.md), messages at 0.8 of the links, and nothing fitted
to these runs. Real runs are slower than that: hosts that launch kernels late, data,
clocks that sink under load, messages that take processors from the kernels beside them, and the
software of their year (those of llm-foundry are of 2023, and reach on an H100 less of its peak than
on an A100). The band below, from 1, is what `train` prints.

"""


def page() -> str:
    lines = [
        HEAD + "| run | what | published | ours | ours / published | |",
        "|---|---|--:|--:|--:|---|",
    ]
    found = rows()
    lines += [row.line for row in found]
    table, ratios = _mpt()
    slower = sorted([*ratios, *_slower(found)])
    low, high = (slower[round(q * (len(slower) - 1))] for q in (0.05, 0.95))
    lines += ["", *_summary(found), "", "## Throughput of llm-foundry", "", *table, ""]
    lines += ["## The band", "", f"Published time / predicted time of all {len(slower)} predicted "
              f"rows: median {median(slower):.2f}, "
              f"nine of ten between {low:.2f} and {high:.2f}."]  # fmt: skip
    return "\n".join([*lines, ""])


def _slower(found: list[Row]) -> list[float]:
    """How much longer runs took than predicted."""
    kept = [r for r in found if r.why.startswith("predicted") and r.ours]
    return [
        r.published / r.ours if r.what.startswith(("s/", "GPU")) else r.ours / r.published
        for r in kept if r.ours
    ]  # fmt: skip


def _summary(found: list[Row]) -> list[str]:
    lines = ["Ours / published, by what is compared:", "",
             "| what | rows | median | least | most |", "|---|--:|--:|--:|--:|"]  # fmt: skip
    for unit in UNITS:
        ratios = [r.ours / r.published for r in found if r.what == unit and r.ours is not None]
        if ratios:
            lines.append(f"| {unit} | {len(ratios)} | {median(ratios):.3f} | {min(ratios):.3f} | "
                         f"{max(ratios):.3f} |")  # fmt: skip
    return lines


def _mpt() -> tuple[list[str], list[float]]:
    """MPT models on FSDP: https://github.com/mosaicml/llm-foundry, scripts/train/benchmarking."""
    lines = [
        "MFU in per cent, of 30 rows (https://github.com/mosaicml/llm-foundry, "
        "scripts/train/benchmarking,", "commit 8c8dd48). \"Counted\" is their tokens per second "
        "times our count of a token; \"predicted\" is", "ours alone, with the split, micro-batches "
        "and recomputation of the row.", "",
        "| model | tokens | devices | card | parameters ours / theirs | MFU published | counted | "
        "predicted | predicted / published |", "|---|--:|--:|---|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    ratios: list[float] = []
    small: list[tuple[float, float]] = []
    cards: dict[str, list[float]] = {}
    for row, model, mfu, peak, found in throughput():
        published = float(row["MFU"])
        same = graphs.params(model) / int(row["NumParams"])
        share = 100 * found.mfu * found.peak / (peak * found.split.devices)
        ratios.append(share / published)
        ours, ratio = f"{share:.1f}", f"{ratios[-1]:.2f}"
        lines.append(
            f"| {row['Model']} | {row['SeqLen (T)']} | {row['# GPUs']} | {row['GPU']} "
            f"{row['Precision']} | {same:.4f} | {published} | {100 * mfu:.2f} | {ours} | {ratio} |"
        )
        small.append((found.update / found.seconds, found.waited))
        cards.setdefault(row["GPU"].partition("_")[0], []).append(ratios[-1])
    lines += ["", "Shares of runs in FP8 are of the peak in 8 bits, as theirs are. Median of "
              "predicted / published: " + ", ".join(
                  f"{median(of):.2f} on {card.upper()}" for card, of in cards.items()) + ".",
              "", *_terms(small)]  # fmt: skip
    return lines, ratios


def _terms(small: list[tuple[float, float]]) -> list[str]:
    """What was looked at to explain that predictions are short."""
    update, waited = (max(share[i] for share in small) for i in (0, 1))
    return [
        "What could be missing in these: the optimizer's traffic takes "
        f"{update:.2%} of a step at most,",
        f"and messages that nothing hides {waited:.1%}, so neither explains it. Bytes were taken",
        "at all of the bandwidth until they were set to 0.8 of it, as decoders reach; the median",
        "of all rows was 1.28 then. What is left is in the kernels: products are taken at the best",
        "rate that was measured of any shape, and attention at that too, over the full square of",
        "scores (kernels that skip half of it are faster, and reach less of the peak); no rates",
        "by shape are published for these cards. The rows on H100 are of its first software.",
    ]


if __name__ == "__main__":
    (ROOT / "docs/training-runs.md").write_text(page(), encoding="utf-8")
