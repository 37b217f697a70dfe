"""Peak bytes of real training steps of PyTorch on a CPU, beside what flopwise says of them.

    python benchmarks/training_memory.py --measure   # writes training_memory.csv, then the page
    python benchmarks/training_memory.py             # asks flopwise again: the page alone
    python benchmarks/training_memory.py --case "GPT-2/adamw/block"

Each case is measured in a process of its own. It takes one step (the optimizer makes its states),
then profiles the second: every allocation and release of the CPU allocator, in order of time
(torch.profiler, profile_memory), on top of the storages that are alive when it begins. The loss is
the cross-entropy. flopwise is asked on the same module, with --backend cpu.
"""

from __future__ import annotations

import argparse
import csv
import gc
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
FIGURES = ROOT / "benchmarks" / "training_memory.csv"
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
    ("DenseNet-121", "momentum", "none"),
    ("MobileNetV2", "momentum", "none"), ("MobileNetV2", "momentum", "block"),
    ("EfficientNet-B0", "adamw", "none"), ("ConvNeXt-T", "adamw", "none"),
    ("ConvNeXt-T", "sgd", "block"), ("ViT-B-16", "sgd", "none"), ("ViT-B-16", "adamw", "none"),
    ("Swin-T", "adamw", "none"), ("Swin-T", "sgd", "block"),
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


def measure_all() -> None:
    """Each case in a fresh process; what fails is said, and left out."""
    rows = []
    for parts in CASES:
        command = [sys.executable, __file__, "--case", "/".join(parts)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print("/".join(parts), done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        else:
            rows.append((*parts, done.stdout.split()[-1]))
    with FIGURES.open("w", newline="") as file:
        csv.writer(file).writerows([("model", "optimizer", "checkpoint", "bytes"), *rows])


def figures() -> list[dict[str, str]]:
    with FIGURES.open(newline="") as file:
        return list(csv.DictReader(file))


def page() -> str:
    """The table, and how far off it is."""
    lines, errors = [], []
    for row in figures():
        found = predicted(row["model"], row["optimizer"], row["checkpoint"])
        real, ours = int(row["bytes"]), int(found.peak_bytes)
        errors.append(ours / real - 1)
        kind, _, shape = MODELS[row["model"]]
        lines.append(
            f"| {row['model']} | {kind} | {'x'.join(map(str, shape))} | {row['optimizer']} "
            f"| {row['checkpoint']} | {real / 2**20:,.1f} | {ours / 2**20:,.1f} "
            f"| {errors[-1]:+.2%} | {found.peak_phase} |"
        )
        print(lines[-1], flush=True)
    off = sorted(map(abs, errors))
    return HEAD.format(
        torch=torch.__version__, cases=len(lines), models=len({r["model"] for r in figures()}),
        median=f"{statistics.median(off):.2%}", worst=f"{off[-1]:.2%}", rows="\n".join(lines),
    )  # fmt: skip


HEAD = """# Training memory, measured

Written by `benchmarks/training_memory.py`, which says how. Peak bytes of a real training step of
PyTorch {torch} on a CPU with one thread, as its allocator counts them, beside
`flopwise memory --train --backend cpu --loss cross-entropy` on the same module: {cases} steps of
{models} models. **Off by {median} in the median, {worst} at worst.** Batches are small so that the
whole table can be measured again in minutes.

| model | kind | input | optimizer | checkpointing | measured, MiB | flopwise, MiB | off | peak in |
|---|---|---|---|---|---:|---:|---:|---|
{rows}

What is off, and why:

- Depthwise convolutions on data whose channels come last (ConvNeXt): for the gradient of the
  weight oneDNN pads every group to 16 x 16 channels, which is 256 times the weight. That is a
  matter of one kernel on one kind of processor, and is not modelled. So it does with the 3 channels
  of ViT's patches (9.5 MB for a weight of 2.4 MB).
- Small amounts everywhere: the counters of optimizers (4 bytes a tensor) and of batch normalisation
  are tensors too.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="MODEL/OPTIMIZER/CHECKPOINTING: print its measured bytes")
    parser.add_argument("--measure", action="store_true", help="measure all cases anew")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.case:
        print(measured(*given.case.split("/")))
        return
    if given.measure:
        measure_all()
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
