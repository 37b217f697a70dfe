"""Write docs/onnx-exports.md: PyTorch modules against their own ONNX exports.

Run from the repository: `.venv/bin/python benchmarks/onnx_exports.py [NETWORK ...]`; rows of
networks that are not named stay as they are. Needs torch, torchvision, transformers and
onnxscript. Each module is counted as it is, and as the files that torch.onnx.export writes of
it: one with numbers for all sizes, and one with a free batch and, of text, a free length.
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from flopwise import api
from flopwise.dims import at, symbols
from flopwise.profile import Profile

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "onnx-exports.md"
BATCH, SIZE, LENGTH = 2, 64, 12

IMAGES = (
    "alexnet", "vgg11_bn", "squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "densenet121", "googlenet", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5",
    "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t",
)  # fmt: skip
LARGER = {"vit_b_16": 224, "squeezenet1_1": 96, "alexnet": 96}

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "vocab_size": 99, "max_position_embeddings": 64,
}  # fmt: skip
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 16}
TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "BERT": ("Bert", SMALL),
    "RoBERTa": ("Roberta", {**SMALL, "pad_token_id": 1}),
    "ALBERT": ("Albert", {**SMALL, "embedding_size": 32}),
    "ELECTRA": ("Electra", {**SMALL, "embedding_size": 32}),
    "DistilBERT": ("DistilBert", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128,
                                  "vocab_size": 99, "max_position_embeddings": 64}),
    "GPT-2": ("GPT2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 99,
                       "n_positions": 64}),
    "GPT-NeoX": ("GPTNeoX", SMALL),
    "OPT": ("OPT", {**SMALL, "ffn_dim": 128, "word_embed_proj_dim": 64}),
    "Llama": ("Llama", GROUPED),
    "Mistral": ("Mistral", GROUPED),
    "Qwen2": ("Qwen2", GROUPED),
    "Qwen3": ("Qwen3", GROUPED),
    "Gemma": ("Gemma", GROUPED),
    "Phi-3": ("Phi3", {**GROUPED, "pad_token_id": 0}),
}  # fmt: skip

HEAD = """# Modules and their ONNX exports

Written by `benchmarks/onnx_exports.py` with torch {torch}, torchvision {vision}, transformers
{transformers} and onnxscript {script}: modules with random weights, counted as they are and as
the files that `torch.onnx.export(dynamo=True, optimize=False)` writes of them. Images are of
{size} x {size} (larger where the network needs it), texts of {length} tokens, the batch is
{batch}; the transformers have 2 layers of 64 features.

*Same modules*: the parts of a network, by their path, whose MACs are equal in both. *Free*: the
file with `batch` (and `sequence`) left open, at other sizes, against the module at those sizes.

| network | MACs of the module | of the export | same modules | free | coverage |
|---|---:|---:|---:|---:|---:|
"""


class Case(NamedTuple):
    """A module, what it takes at given sizes, its free axes, and other sizes to try."""

    module: Any
    example: Callable[..., Any]
    free: dict[int, str]
    other: dict[str, int]


def image(name: str) -> Case:
    """One of torchvision."""
    import torch
    import torchvision

    more = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    size = LARGER.get(name, SIZE)

    def example(batch: int = BATCH) -> Any:
        return torch.zeros(batch, 3, size, size)

    module = getattr(torchvision.models, name)(weights=None, **more)
    return Case(module, example, {0: "batch"}, {"batch": random.Random(name).randint(3, 9)})


def text(name: str) -> Case:
    """One of transformers, from its words to its last layer."""
    import torch
    import transformers

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            family, sizes = TEXTS[name]
            config = getattr(transformers, f"{family}Config")(**sizes)
            self.model = getattr(transformers, f"{family}Model")(config)

        def forward(self, words: Any) -> Any:
            return self.model(words, return_dict=False)  # what a pooler makes, too

    def example(batch: int = BATCH, sequence: int = LENGTH) -> Any:
        return torch.zeros(batch, sequence, dtype=torch.long)

    dice = random.Random(name)
    other = {"batch": dice.randint(3, 9), "sequence": dice.randint(13, 60)}
    module = Hidden()
    if hasattr(module.model.config, "use_cache"):
        module.model.config.use_cache = False
    return Case(module, example, {0: "batch", 1: "sequence"}, other)


def export(case: Case, path: Path, free: bool) -> Profile:
    """The counts of the file that torch writes."""
    import torch

    axes = {i: torch.export.Dim(name, min=2, max=64) for i, name in case.free.items()}
    program = torch.onnx.export(
        case.module, (case.example(),), dynamo=True, optimize=False, verbose=False,
        dynamic_shapes=(axes,) if free else None,
    )  # fmt: skip
    program.save(str(path))
    return api.count(path)


def by_module(profile: Profile, leaf: bool, **sizes: int) -> dict[str, Any]:
    """MACs by module path; in a file the last part of a scope is the node in the module."""
    found: dict[str, Any] = {}
    for row in profile.rows:
        path = ".".join(row.node.scope[:-1] if leaf else row.node.scope)
        if row.total.mac != 0:
            found[path] = found.get(path, 0) + at(row.total.mac, sizes)
    return found


def same(left: dict[str, Any], right: dict[str, Any]) -> str:
    """How many modules agree; those that do not, by name."""
    paths = sorted(left.keys() | right.keys())
    differ = [p for p in paths if left.get(p) != right.get(p)]
    for path in differ:
        print(f"  {path}: {left.get(path)} and {right.get(path)}", file=sys.stderr)
    return f"{len(paths) - len(differ)} of {len(paths)}"


def row(name: str, case: Case, folder: Path) -> str:
    case.module.eval()
    own = api.count(case.module, case.example())
    fixed = export(case, folder / "fixed.onnx", False)
    free = export(case, folder / "free.onnx", True)
    other = api.count(case.module, case.example(**case.other))
    letters = symbols(free.total().mac)
    assert letters == {*case.free.values()}, letters
    left, right = by_module(own, False), by_module(fixed, True)
    at_other = same(by_module(other, False), by_module(free, True, **case.other))
    sizes = ", ".join(f"{k} {v}" for k, v in case.other.items())
    return (
        f"| {name} | {own.total().mac:,} | {fixed.total().mac:,} | {same(left, right)} | "
        f"{at_other} at {sizes} | {min(fixed.coverage, free.coverage):.0%} |"
    )


def before() -> Iterator[tuple[str, str]]:
    """The rows of the page as it is."""
    if PAGE.exists():
        for line in PAGE.read_text(encoding="utf-8").splitlines():
            if line.startswith("| ") and line.split(" ")[1] in (*IMAGES, *TEXTS):
                yield line.split(" ")[1], line


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support import torchvision_ops

    torchvision_ops.available()
    warnings.filterwarnings("ignore")
    rows = dict(before())
    for name in sys.argv[1:] or (*IMAGES, *TEXTS):
        case = text(name) if name in TEXTS else image(name)
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = row(name, case, Path(folder))
        print(rows[name], flush=True)
    packages = ("torch", "torchvision", "transformers", "onnxscript")
    versions = {k: metadata.version(v) for k, v in zip(("torch", "vision", "transformers",
                                                        "script"), packages)}  # fmt: skip
    head = HEAD.format(**versions, size=SIZE, length=LENGTH, batch=BATCH)
    told = "".join(f"{rows[name]}\n" for name in (*IMAGES, *TEXTS) if name in rows)
    PAGE.write_text(head + told, encoding="utf-8")


if __name__ == "__main__":
    main()
