"""Times per output token against gpt-fast's published table; writes docs/serving-measured.md.

Published: tokens per second of one sequence with a prompt of 5 tokens, on A100 80GB limited to
330 W (https://github.com/pytorch-labs/gpt-fast, README at commit 0f925b5). Its generation makes
200 tokens unless told otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flopwise import devices
from flopwise.analyses.serving import Plan, serve
from flopwise.analyses.serving.families import decoder

# Llama 2 (arXiv:2307.09288): table 1 and the configurations that come with the weights.
LLAMA_7B = {"_name_or_path": "Llama 2 7B", "model_type": "llama", "hidden_size": 4096,
            "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
            "vocab_size": 32000}  # fmt: skip
LLAMA_70B = {"_name_or_path": "Llama 2 70B", "model_type": "llama", "hidden_size": 8192,
             "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
             "num_key_value_heads": 8, "vocab_size": 32000}  # fmt: skip
LINK = 300e9  # NVLink 3, each way
ROWS = [
    (LLAMA_7B, "bfloat16", 1, 104.9), (LLAMA_7B, "bfloat16", 2, 168.84),
    (LLAMA_7B, "bfloat16", 4, 254.02), (LLAMA_7B, "bfloat16", 8, 328.43),
    (LLAMA_70B, "bfloat16", 2, 21.32), (LLAMA_70B, "bfloat16", 4, 38.01),
    (LLAMA_70B, "bfloat16", 8, 62.50), (LLAMA_7B, "int8", 1, 155.58),
    (LLAMA_7B, "int4-g32", 1, 196.80), (LLAMA_70B, "int8", 1, 19.13),
    (LLAMA_70B, "int4-g32", 1, 25.25), (LLAMA_70B, "int8", 8, 80.44),
    (LLAMA_70B, "int4-g32", 8, 90.77),
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    name: str
    weights: str
    ranks: int
    tokens_per_s: float
    ours_s: float


def measured(config: dict[str, Any], weights: str, ranks: int, tokens_per_s: float) -> Row:
    """A published row with our time per output token."""
    plan = Plan(5, 200, 1, ranks=ranks, weights=weights, link=LINK)
    found = serve(decoder(config), devices.find("a100-sxm4-80gb"), plan)
    return Row(str(config["_name_or_path"]), weights, ranks, tokens_per_s, found.tpot)


def page() -> str:
    lines = [
        "# Time per output token, published and ours",
        "",
        " ".join((__doc__ or "").split("\n\n")[1].split()),
        "The rows with 16-bit weights are those that the constants of `timing.py` were fitted to;",
        "the others were not. Written by `benchmarks/serving.py`.",
        "",
        "| model | weights | devices | published tokens/s | ours | ours / published |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in (measured(*r) for r in ROWS):
        ours = 1 / row.ours_s
        lines.append(
            f"| {row.name} | {row.weights} | {row.ranks} | {row.tokens_per_s:g} | {ours:.1f} | "
            f"{ours / row.tokens_per_s:.2f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs/serving-measured.md").write_text(page(), encoding="utf-8")
