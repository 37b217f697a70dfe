"""Peak bytes of real training steps of PyTorch on a CPU, beside what flopwise says of them.

    python benchmarks/training_memory.py   # writes docs/training-memory-measured.md
    python benchmarks/training_memory.py --case "GPT-2/adamw/block"

Each case is a process of its own. It takes one step (the optimizer makes its states), then
profiles the second: every allocation and release of the CPU allocator, in order of time
(torch.profiler, profile_memory), on top of the storages that are alive when it begins. The loss is
the cross-entropy. flopwise is asked on the same module, with --backend cpu.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import warnings
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from support import torchvision_ops  # noqa: E402

torchvision_ops.available()

import torch  # noqa: E402
from training_cases import MODELS  # noqa: E402

PAGE = ROOT / "docs" / "training-memory-measured.md"
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.01),
    "momentum": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p),
    "adamw": lambda p: torch.optim.AdamW(p),
    "adafactor": lambda p: torch.optim.Adafactor(p),
}
CASES = [
    ("ResNet-18", "momentum", "none"), ("ResNet-18", "adamw", "none"),
    ("ResNet-50", "momentum", "none"), ("ResNet-50", "momentum", "block"),
    ("VGG-11", "sgd", "none"), ("VGG-11", "adam", "none"),
    ("DenseNet-121", "momentum", "none"), ("DenseNet-121", "sgd", "block"),
    ("MobileNetV2", "momentum", "none"), ("MobileNetV2", "momentum", "block"),
    ("EfficientNet-B0", "adamw", "none"), ("ConvNeXt-T", "adamw", "none"),
    ("ConvNeXt-T", "sgd", "block"), ("ViT-B-16", "sgd", "none"), ("ViT-B-16", "adamw", "none"),
    ("ViT-B-16", "sgd", "block"), ("Swin-T", "adamw", "none"), ("Swin-T", "sgd", "block"),
    ("BERT", "adamw", "none"), ("BERT", "adamw", "block"),
    ("BERT, eager attention", "adamw", "none"),
    ("GPT-2", "adamw", "none"), ("GPT-2", "adamw", "block"), ("GPT-2", "adafactor", "none"),
    ("Llama", "adamw", "none"), ("Llama", "sgd", "block"),
    ("Mixture of experts", "adam", "none"), ("Mixture of experts", "adam", "block"),
    ("LSTM", "adam", "none"), ("GRU", "momentum", "none"), ("U-Net", "sgd", "none"),
    ("U-Net", "adam", "block"),
]  # fmt: skip


def checkpoint_modules(model: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Checkpoint the modules that flopwise takes for blocks; how many there are."""
    from torch.utils.checkpoint import checkpoint

    import flopwise
    from flopwise.passes.checkpoint import blocks

    graph = flopwise.load(model, inputs=example(shape), mode="train-forward")
    for start, stop in blocks(graph):
        scopes = [node.scope for node in graph.nodes[start:stop]]
        shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*scopes))
        module = model.get_submodule(".".join(parts[0] for parts in shared))
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    return len(blocks(graph))


def example(shape: tuple[int, ...]) -> torch.Tensor:
    """Pixels, or tokens."""
    return torch.randn(shape) if len(shape) == 4 else torch.randint(0, 1000, shape)


def alive() -> int:
    """Bytes of all storages there are."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [t for t in gc.get_objects() if isinstance(t, torch.Tensor)]
    found = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(found.values())


def measured(name: str, optimizer: str, how: str) -> int:
    """Peak bytes of the second step."""
    torch.manual_seed(0)
    _, build, shape = MODELS[name]
    model = build().train()
    if how == "block":
        checkpoint_modules(model, shape)
    updates = OPTIMIZERS[optimizer](model.parameters())
    data = example(shape)
    with torch.no_grad():
        scores = model(data).shape
    classes = 1 if len(scores) == 4 else len(scores) - 1
    target = torch.randint(0, 5, [s for i, s in enumerate(scores) if i != classes])

    def step() -> None:
        loss_of(model(data), target).backward()
        updates.step()

    step()
    updates.zero_grad(set_to_none=True)
    before = alive()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiled:
        step()
    return before + highest(profiled)


def loss_of(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Over the second axis of images, else over the last."""
    if scores.dim() == 3:
        scores, target = scores.flatten(0, 1), target.flatten()
    return torch.nn.functional.cross_entropy(scores, target)


def highest(profiled: Any) -> int:
    """The most that was allocated at once, beyond what there was."""
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def predicted(name: str, optimizer: str, how: str) -> Any:
    """What flopwise says."""
    import flopwise

    _, build, shape = MODELS[name]
    return flopwise.memory(
        build(), train=True, inputs=example(shape), optimizer=optimizer, checkpoint=how,
        loss="cross-entropy", backend="cpu",
    )  # fmt: skip


def case(name: str, optimizer: str, how: str) -> dict[str, Any]:
    found = predicted(name, optimizer, how)
    return {
        "model": name, "optimizer": optimizer, "checkpoint": how,
        "measured": measured(name, optimizer, how), "ours": int(found.peak_bytes),
        "at": f"{found.peak_phase}: {found.peak_at}",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="MODEL/OPTIMIZER/CHECKPOINTING: print one as JSON")
    parser.add_argument("--only", default="", help="models whose name holds this; nothing written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.case:
        print(json.dumps(case(*given.case.split("/"))))
        return
    rows = []
    for parts in CASES:
        if given.only not in parts[0]:
            continue
        command = [sys.executable, __file__, "--case", "/".join(parts)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print("/".join(parts), done.stderr.strip().splitlines()[-1:], file=sys.stderr)
            continue
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        row = rows[-1]
        off = row["ours"] / row["measured"] - 1
        print(
            f"{'/'.join(parts):44} {row['measured']:>12,} {row['ours']:>12,} {off:+.1%} {row['at']}"
        )
    errors = sorted(abs(r["ours"] / r["measured"] - 1) for r in rows)
    print(f"median {statistics.median(errors):.1%}, worst {errors[-1]:.1%} of {len(rows)}")


if __name__ == "__main__":
    main()
