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
from training_cases import MODELS, with_adapters  # noqa: E402

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
RANK = 8
# What a step is but that in float32: options of `flopwise memory --train`, by their names here.
RECIPES: dict[str, dict[str, Any]] = {
    "": {},
    "bfloat16": {"dtype": "bfloat16"},
    "amp": {"amp": "bfloat16"},
    "LoRA q, v": {"lora": RANK, "lora_targets": ("q_proj", "v_proj")},
    "LoRA query, value": {"lora": RANK, "lora_targets": ("query", "value")},
    "LoRA fc": {"lora": RANK, "lora_targets": ("0", "3")},
    "amp, LoRA q, v": {"amp": "bfloat16", "lora": RANK, "lora_targets": ("q_proj", "v_proj")},
}
OTHERS = [
    ("ResNet-18", "adamw", "none", "bfloat16"), ("GPT-2", "adamw", "none", "bfloat16"),
    ("GPT-2", "adafactor", "none", "bfloat16"), ("Llama", "momentum", "none", "bfloat16"),
    ("BERT", "adamw", "block", "bfloat16"),
    *((m, "adamw", "none", "amp") for m in (
        "ResNet-18", "ResNet-50", "VGG-11", "MobileNetV2", "ConvNeXt-T", "ViT-B-16", "Swin-T",
        "BERT", "GPT-2", "Llama", "Mixture of experts", "U-Net", "LSTM")),
    ("GPT-2", "adamw", "block", "amp"),
    ("Llama", "adamw", "none", "LoRA q, v"), ("Llama", "adamw", "block", "LoRA q, v"),
    ("BERT", "adamw", "none", "LoRA query, value"), ("ViT-B-16", "adamw", "none", "LoRA fc"),
    ("Llama", "adamw", "none", "amp, LoRA q, v"),
]  # fmt: skip


ALL = [*((*case, "") for case in CASES), *OTHERS]
COLUMNS = ("model", "optimizer", "checkpoint", "recipe")


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


def built(name: str, how: str, recipe: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """The model and its data. Blocks are those of the plain model."""
    _, build, shape = MODELS[name]
    model, data, options = build().train(), example(shape), RECIPES[recipe]
    if how == "block":
        checkpoint_modules(model, shape)
    if "lora" in options:
        model = with_adapters(model, RANK, options["lora_targets"])
    if "dtype" in options:
        model = model.to(torch.bfloat16)
        data = data.to(torch.bfloat16) if data.is_floating_point() else data
    return model, data


def measured(name: str, optimizer: str, how: str, recipe: str = "") -> tuple[int, int]:
    """Peak bytes of the second step, and bytes of what the forward of the third saves."""
    torch.manual_seed(0)
    model, data = built(name, how, recipe)
    updates = OPTIMIZERS[optimizer]([p for p in model.parameters() if p.requires_grad])
    mixed = partial(torch.autocast, "cpu", torch.bfloat16, "amp" in RECIPES[recipe])
    with torch.no_grad():
        scores = model(data).shape
    classes = 1 if len(scores) == 4 else len(scores) - 1
    target = torch.randint(0, 5, [s for i, s in enumerate(scores) if i != classes])

    def forward() -> torch.Tensor:
        with mixed():
            return loss_of(model(data), target)

    def step() -> None:
        forward().backward()
        updates.step()

    step()
    updates.zero_grad(set_to_none=True)
    before = alive()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiled:
        step()
    peak = before + highest(profiled)
    updates.zero_grad(set_to_none=True)
    return peak, saved(model, forward, data)


def saved(model: torch.nn.Module, forward: Any, data: torch.Tensor) -> int:
    """Bytes of the storages that autograd keeps, but for the data, weights, and their copies."""
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward()
    frozen = {p.numel() for p in model.parameters() if not p.requires_grad}
    for tensor in (*model.parameters(), *model.buffers(), data):
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    found = sum(t.untyped_storage().nbytes() for t in kept.values() if not copied(t, frozen))
    del loss
    return found


def copied(tensor: torch.Tensor, frozen: set[int]) -> bool:
    """Whether it is a cast weight, or a view of one; those of frozen weights have no history."""
    if tensor.grad_fn is None and tensor.dtype == torch.bfloat16 and tensor.dim() == 2:
        return tensor.numel() in frozen
    made = (tensor if tensor._base is None else tensor._base).grad_fn
    into = made.next_functions[0][0] if made and made.next_functions else None
    return "ToCopy" in type(made).__name__ and "AccumulateGrad" in type(into).__name__


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


def predicted(name: str, optimizer: str, how: str, recipe: str = "") -> Any:
    """What flopwise says."""
    import flopwise

    options = dict(RECIPES[recipe])
    plain = recipe if "dtype" in options else ""  # adapters are added to the graph of the model
    model, data = built(name, "none", plain)
    options.pop("dtype", None)
    return flopwise.memory(
        model, train=True, inputs=data, optimizer=optimizer, checkpoint=how,
        loss="cross-entropy", backend="cpu", **options,
    )  # fmt: skip


def measure_all() -> None:
    """Each case in a fresh process; what fails is said, and left out."""
    rows = []
    for parts in ALL:
        command = [sys.executable, __file__, "--case", "/".join(parts)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print("/".join(parts), done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        else:
            rows.append((*parts, *done.stdout.split()[-2:]))
    with FIGURES.open("w", newline="") as file:
        csv.writer(file).writerows([(*COLUMNS, "bytes", "saved"), *rows])


def figures() -> list[dict[str, str]]:
    with FIGURES.open(newline="") as file:
        return list(csv.DictReader(file))


def page() -> str:
    """The table, and how far off it is."""
    lines: dict[bool, list[str]] = {False: [], True: []}
    errors: dict[bool, list[float]] = {False: [], True: []}
    kept = []
    for row in figures():
        found = predicted(*(row[name] for name in COLUMNS))
        real, ours = int(row["bytes"]), int(found.peak_bytes)
        saves, our_saves = int(row["saved"] or 0), int(found.saved_bytes)
        other = bool(row["recipe"])
        errors[other].append(ours / real - 1)
        kept += [our_saves / saves - 1] if saves else []
        saved_off_by = (
            f"{mib(saves)} | {mib(our_saves)} | {kept[-1]:+.2%}" if saves else "– | – | –"
        )
        kind, _, shape = MODELS[row["model"]]
        what = row["recipe"] if other else f"{kind} | {'x'.join(map(str, shape))}"
        lines[other].append(
            f"| {row['model']} | {what} | {row['optimizer']} "
            f"| {row['checkpoint']} | {mib(real)} | {mib(ours)} | {errors[other][-1]:+.2%} "
            f"| {found.peak_phase} | {saved_off_by} |"
        )
        print(lines[other][-1], flush=True)
    return HEAD.format(
        torch=torch.__version__, cases=len(lines[False]), others=len(lines[True]),
        models=len({r["model"] for r in figures()}), off=off(errors[False]),
        others_off=off(errors[True]), saved_off=off(kept), rows="\n".join(lines[False]),
        other_rows="\n".join(lines[True]),
    )  # fmt: skip


def mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"


def off(errors: list[float]) -> str:
    """How far they are from nothing."""
    found = sorted(map(abs, errors))
    return f"off by {statistics.median(found):.2%} in the median, {found[-1]:.2%} at worst"


COLUMNS_OF_TABLE = (
    "optimizer | checkpointing | measured, MiB | flopwise, MiB | off | peak in | saved, measured "
    "| saved, flopwise | off |\n"
)
HEAD = (
    """# Training memory, measured

Written by `benchmarks/training_memory.py`, which says how. Peak bytes of a real training step of
PyTorch {torch} on a CPU with one thread, as its allocator counts them, beside
`flopwise memory --train --backend cpu --loss cross-entropy` on the same module: {cases} steps of
{models} models in float32, **{off}**, and {others} with other types or
adapters, **{others_off}**. "Saved" is what the forward keeps for the
backward, as `torch.autograd.graph.saved_tensors_hooks` sees it, without weights and their copies:
{saved_off}. Batches are small so that the whole table can be measured again
in minutes.

| model | kind | input | """
    + COLUMNS_OF_TABLE
    + """|---|---|---|---|---|---:|---:|---:|---|---:|---:|---:|
{rows}

## Half precision, mixed precision, adapters

"bfloat16": the module itself is in it, and so are the states of its optimizer. "amp":
`torch.autocast` with bfloat16 (`--amp bfloat16`). "LoRA": adapters of rank 8 beside the
dense layers named, all else frozen (`--lora 8 --lora-target q_proj`).

| model | recipe | """
    + COLUMNS_OF_TABLE
    + """|---|---|---|---|---:|---:|---:|---|---:|---:|---:|
{other_rows}

What is off, and why:

- Depthwise convolutions on data whose channels come last (ConvNeXt): for the gradient of the
  weight oneDNN pads every group to 16 x 16 channels, which is 256 times the weight. That is a
  matter of one kernel on one kind of processor, and is not modelled. So it does with the 3 channels
  of ViT's patches (9.5 MB for a weight of 2.4 MB), and with other convolutions in bfloat16.
- Swin's stochastic depth draws its noise in the type of the data, which a trace in float32 does not
  tell: with amp it is taken to widen what it is multiplied with.
- What CUDA's autocast does differently (norms and softmax in float32) cannot be measured here, but
  `tests/test_saved_activations.py` puts its lists in place of the CPU's, with the same bytes saved.
- Classes of pixels (U-Net: 0.6 MB) are among what is saved, and with flopwise among the inputs.
- Small amounts everywhere: the counters of optimizers (4 bytes a tensor) and of batch normalisation
  are tensors too.
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="MODEL/OPTIMIZER/CHECKPOINTING/RECIPE: print its bytes")
    parser.add_argument("--measure", action="store_true", help="measure all cases anew")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.case:
        print(*measured(*given.case.split("/")))
        return
    if given.measure:
        measure_all()
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
