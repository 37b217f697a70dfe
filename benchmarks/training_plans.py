"""Plans of `train --plan` beside published splits; writes docs/training-plans.md.

Run from the repository: `.venv/bin/python benchmarks/training_plans.py`. Needs transformers for
the model that is no decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flopwise
from flopwise import devices
from flopwise.analyses.parallel.layout import Layout, layout
from flopwise.analyses.parallel.split import Job, Split
from flopwise.analyses.parallel.stages import of_decoder
from flopwise.analyses.serving.families import decoder

ROOT = Path(__file__).parents[1]
GIB = 2**30


def mpt(hidden: int, layers: int, heads: int, seq: int) -> Any:
    """As llm-foundry trains it: learned places, no dropout."""
    return {"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads,
            "vocab_size": 50368, "n_positions": seq, "resid_pdrop": 0.0}  # fmt: skip


LLAMA_405B = {
    "model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
    "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
    "vocab_size": 128256,
}  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What is asked, and the split that was published for it, with its source."""

    name: str
    config: Any
    device: str
    count: int
    seq: int
    samples: int
    published: Split
    job: Job
    source: str


FOUNDRY = "llm-foundry, scripts/train/benchmarking (commit 8c8dd48)"
SCENARIOS = (
    Scenario(
        "MPT 7B on 8 A100 of 80 GB", mpt(4096, 32, 32, 16384), "a100-sxm4-80gb", 8, 16384, 64,
        Split(8, zero=3), Job(4, 16384, 2, recompute="full"),
        f"FSDP, everything run again, 52.0% MFU: 7b, 16384 tokens, 8 devices of {FOUNDRY}",
    ),
    Scenario(
        "MPT 70B on 64 H100", mpt(8192, 80, 64, 2048), "h100", 64, 2048, 2048,
        Split(64, zero=3), Job(8, 2048, 4, recompute="full"),
        f"FSDP, everything run again, 42.6% MFU: 70b, 2048 tokens, 64 devices of {FOUNDRY}",
    ),
    Scenario(
        "Llama 3 405B on 16,384 H100", LLAMA_405B, "h100", 16384, 8192, 2048,
        Split(128, 8, 16, zero=1, interleave=8), Job(1, 8192, 16),
        "tensor 8, pipeline 16, data 128, interleaved, nothing run again, 41% MFU: "
        "arXiv:2407.21783, table 4 and section 3.3.2, which also says that tensors are freed as "
        "soon as may be, and gradients spread",
    ),
)  # fmt: skip


def lines(asked: Scenario) -> list[str]:
    """The best splits, where the published one is among all, and what it takes."""
    on, model = devices.find(asked.device), decoder(asked.config)
    plan = flopwise.plan(asked.config, asked.device, asked.count, seq=asked.seq,
                         global_batch=asked.samples)  # fmt: skip
    made = of_decoder(model, asked.published, asked.job, on)
    theirs = layout(model.name, made, asked.published, asked.job, on)
    rows = [row(f"{i + 1}. of our plan", found) for i, found in enumerate(plan.best[:3])]
    return [
        f"## {asked.name}", "",
        f"{asked.samples:,} sequences of {asked.seq:,} tokens a step; {plan.tried:,} splits tried, "
        f"{plan.fitting:,} fit.", "", f"Published: {asked.source}.", "",
        "| | split | micro-batches | run again | step, s | MFU | memory, GiB |",
        "|---|---|---|---|--:|--:|--:|", *rows, row("published", theirs), "",
        *(f"- {i + 1}.: {'; '.join(why)}." for i, why in enumerate(plan.reasons[:3])), "",
    ]  # fmt: skip


def row(name: str, found: Layout) -> str:
    fits = "" if found.fits else " (does not fit)"
    return (
        f"| {name} | {found.split} | {found.job.micro} of {found.job.batch} | "
        f"{found.job.recompute} | {found.seconds:.2f} | {found.mfu:.1%} | "
        f"{found.held.total / GIB:.1f}{fits} |"
    )


VIT = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 1024,
       "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
       "num_labels": 1000}  # fmt: skip


def alone() -> list[str]:
    """What is not planned but asked of one device."""
    vit = {"inputs": (16, 3, 224, 224), "amp": "float16", "loss": "cross-entropy"}
    lora = {"lora": 8, "lora_targets": ("q_proj", "v_proj"), "dtype": "bfloat16",
            "loss": "cross-entropy", "inputs": (1, 2048), "checkpoint": "block"}  # fmt: skip
    llama8 = str(ROOT / "examples" / "llama_3_8b.json")
    asked: list[tuple[str, Any, str, dict[str, Any], str]] = [
        ("ViT-L/16 on each of 4 V100 of 16 GB, float16 amp", VIT, "v100-sxm2", vit, ""),
        ("the same, blocks run again", VIT, "v100-sxm2", {**vit, "checkpoint": "block"}, ""),
        ("LoRA of 8B (rank 8; q, v) on a card of 24 GB, 2 x 2048", llama8, "4090",
         {**lora, "inputs": (2, 2048)}, "18.5 GB: torchtune, docs/source/tutorials/llama3.rst "
         "(20747cd), 2 sequences of an instruct dataset"),
        ("the same in nf4 (QLoRA)", llama8, "4090",
         {**lora, "inputs": (2, 2048), "quantize": "nf4"}, "below 10 GB: the same, 2 sequences"),
    ]  # fmt: skip
    found = [
        "## On one device",
        "",
        "| what | peak, GB | fits | largest batch | published |",
        "|---|--:|---|--:|---|",
    ]
    for name, source, device, options, said in asked:
        told = flopwise.memory(source, train=True, device=device, **options)
        assert told.fit is not None
        found.append(f"| {name} | {told.peak_bytes / 1e9:.1f} | {'yes' if told.fit.fits else 'no'} "
                     f"| {told.fit.largest_batch} | {said} |")  # fmt: skip
    return [*found, ""]


REMARKS = """Where the published split runs everything again, the plan finds one that need not, by
less of a micro-batch. Of Llama 3 405B the published axes come second. Meta's run fits without
running anything again, where ours takes 96 GiB for that: what it frees early is not known to us.
The LoRA recipe's sequences are shorter than the 2,048 tokens here.
"""

HEAD = """# Plans beside published splits

Written by `benchmarks/training_plans.py`. What `flopwise train --plan` finds for cases of which the
split is published. The published split is run through the same model; its MFU here is ours.
"""


def page() -> str:
    return "\n".join([HEAD, *(line for s in SCENARIOS for line in lines(s)), *alone(), REMARKS])


if __name__ == "__main__":
    (ROOT / "docs/training-plans.md").write_text(page(), encoding="utf-8")
