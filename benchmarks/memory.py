"""Peak activation memory, predicted and allocated: writes docs/memory-measured.md.

    python benchmarks/latency.py export build     # the ONNX files, once
    python benchmarks/memory.py build

Needs Linux with glibc, gcc, onnxruntime and torch. In onnxruntime each network runs in a process of
its own, without the arena, so that every tensor is an allocation; `allocations.c` is loaded before
everything else and writes each of them down. In PyTorch a dispatch mode sees each storage come, and
Python tells when it goes.
"""

import ctypes
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))
import latency_networks as listed

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
TARGET = HERE.parent / "docs" / "memory-measured.md"
FIRST = (
    "tv:alexnet", "tv:googlenet", "tv:squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "regnety_016", "densenet121", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0",
    "ghostnet_100", "dla34", "hrnet_w18_small", "repvgg_a2", "mobileone_s1", "convnext_atto",
    "vit_tiny_patch16_224", "poolformer_s12",
)  # fmt: skip
HEAD = """# Peak activation memory, predicted and measured

Written by `benchmarks/memory.py`: networks with random weights, batch 1, float32.

## onnxruntime

ONNX files run by {version} with one thread and without its arena. *allocated*: the most
bytes between the start and the end of a third run, counted at every call of malloc and free in the
process, plus the input, which the caller keeps. *predicted*: what
`flopwise memory FILE --optimised` says of the graph as onnxruntime rewrites it.

That prediction is onnxruntime's own plan of buffers (`src/flopwise/analyses/buffers.py`): a
buffer is held from the first tensor that it holds to the last, and is taken again by tensors of
its very shape alone; channels stand in whole blocks; convolutions add onto a residual where it
lies; and some kernels allocate beside their results (`scratch.py`). These rules were looked for
with the networks marked by an asterisk, and in runs of single operators.

onnxruntime's arena, which is on unless it is turned off, asks the system for more at a time than a
tensor needs and keeps what it has: a process holds that, and at least what stands here.

| network | predicted | allocated | error | peak at |
|---|---:|---:|---:|---|
"""
TAIL = """
{near} of {all} within 10 %, {nearer} within 1 %; absolute errors are {mean:.2%} in the mean and
{middle:.2%} in the middle. What is missing is onnxruntime's record of each result (an object
of 160 bytes and its count of 32): some kilobytes, or a hundred where hundreds of small results
are planned into buffers that are still held (ViT, XCiT). Of the networks without an asterisk,
`mnasnet_050` and ShuffleNet were first 16 % and 12 % below: where an activation is fused, the
blocks of its convolution were forgotten. The others stood as they stand here.
"""
EAGER = """
## PyTorch

Modules run by torch {version} on a CPU without gradients. *held*: the most bytes of tensors there
are at once, weights aside: each storage from the operator that makes it until Python lets it go,
and the input, which the caller keeps. What kernels need inside of them, as oneDNN's copies in
other layouts or cuDNN's workspace, is no tensor and not among them. *predicted*: what
`flopwise.memory(MODULE)` says. It holds what a module is called with until that call returns, as
`x = self.layer1(x)` does (`src/flopwise/analyses/callers.py`), a rule that was found with the
networks marked by an asterisk; *last use* is what it would say if each tensor went after the last
operator that reads it. That torch works out the places of maxima was seen with VGG.

| network | predicted | held | error | last use | peak at |
|---|---:|---:|---:|---:|---|
"""
EAGER_TAIL = """
{near} of {all} within 10 %, {nearer} within 1 %; absolute errors are {mean:.1%} in the mean and
{middle:.2%} in the middle; after the last use alone they would be {plain:.1%} in the mean. Where
the prediction is below, a forward keeps a tensor to its end in a variable of its own, which a list
of operators does not show: the parts of Res2Net and of CSPNet, the concatenated layers of DenseNet,
those that VoVNet gathers in a list, the branches of FastViT, RepGhost and StarNet; LeViT keeps the
biases of attention from call to call. Where it is above, the module is a list whose members are
called one by one, or a result that came back from a module is taken for an argument.
"""
SEEN = (
    "resnet18", "resnet50", "mobilenetv2_100", "densenet121", "vit_tiny_patch16_224",
    "convnext_atto", "poolformer_s12", "swin_tiny_patch4_window7_224", "efficientnet_b0",
    "tv:googlenet", "ghostnet_100", "hf:bert",
)  # fmt: skip


class Entry(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_int64), ("place", ctypes.c_uint64))


def allocated(path: str) -> int:
    """Bytes of the input, and the most that a run takes beside it. In a process of its own."""
    import onnxruntime

    from flopwise.measuring.onnxruntime import given

    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    data = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in given(session, {})]
    feed = dict(zip(names, data))
    peak = most(lambda: session.run_with_ort_values(None, feed))
    return peak + sum(v.numpy().nbytes for v in data)


def most(run) -> int:
    """The most bytes that a third run has allocated at once."""
    shim = ctypes.CDLL(None)
    shim.written.restype = ctypes.POINTER(Entry)
    run(), run()
    shim.watch()
    kept = run()
    count = shim.stop()
    entries, live, now, peak = shim.written(), {}, 0, 0
    for entry in entries[:count]:
        now -= live.pop(entry.place, 0)
        if entry.bytes >= 0:
            live[entry.place] = entry.bytes
            now += entry.bytes
            peak = max(peak, now)
    del kept
    return peak


def row(name: str, folder: Path, shim: Path) -> tuple[str, float]:
    from flopwise import api

    path = folder / listed.file_name(name)
    command = [sys.executable, __file__, "--allocated", str(path)]
    real = json.loads(subprocess.check_output(command, env={**os.environ, "LD_PRELOAD": str(shim)}))
    ours = api.memory(path, "onnxruntime", optimised=True)
    error = ours.peak_activation_bytes / real - 1
    cells = (
        f"{name}{' *' * (name in FIRST)}", f"{ours.peak_activation_bytes / 2**20:.2f} MiB",
        f"{real / 2**20:.2f} MiB", f"{error:+.1%}", f"`{ours.peak_at}`",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |", error


def eager(name: str) -> tuple[str, float, float]:
    """The row of a module, its error, and what that would be after the last use."""
    from flopwise import api
    from flopwise.analyses.liveness import walk
    from support.lives import peak

    module, example = listed.built(name, exported=False)
    real = peak(module, example)
    graph = api.load(module, tuple(example.shape) if example.is_floating_point() else example)
    ours = api.memory(graph)
    error = ours.peak_activation_bytes / real - 1
    plain = max(at.bytes for at in walk(graph, held=True)) / real - 1
    cells = (
        f"{name}{' *' * (name in SEEN)}", f"{ours.peak_activation_bytes / 2**20:.2f} MiB",
        f"{real / 2**20:.2f} MiB", f"{error:+.1%}", f"{plain:+.1%}", f"`{ours.peak_at}`",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |", error, plain


def main() -> None:
    if sys.argv[1] == "--allocated":
        print(json.dumps(allocated(sys.argv[2])))
        return
    TARGET.write_text(runtime(Path(sys.argv[1])) + modules(), encoding="utf-8")


def runtime(folder: Path) -> str:
    """The section of onnxruntime."""
    from flopwise.measuring.onnxruntime import version

    rows = []
    with TemporaryDirectory() as build:
        shim = Path(build) / "allocations.so"
        command = ["gcc", "-O2", "-shared", "-fPIC", "-o", shim, HERE / "allocations.c"]
        subprocess.run(command, check=True)
        for name in (*listed.networks(), *listed.DEVELOPED):
            rows.append(row(name, folder, shim))
            print(rows[-1][0], flush=True)
    text = HEAD.format(version=version()) + "\n".join(r for r, _ in rows) + "\n"
    return text + TAIL.format(**sums([error for _, error in rows]))


def modules() -> str:
    """The section of PyTorch."""
    import torch

    torch.set_num_threads(1)
    rows = []
    warnings.simplefilter("ignore")  # of networks, about how they were written
    for name in (*listed.networks(), *listed.DEVELOPED):
        rows.append(eager(name))
        print(rows[-1][0], flush=True)
    text = EAGER.format(version=torch.__version__) + "\n".join(r for r, *_ in rows) + "\n"
    plain = sum(abs(plain) for *_, plain in rows) / len(rows)
    return text + EAGER_TAIL.format(plain=plain, **sums([error for _, error, _ in rows]))


def sums(errors: list[float]) -> dict[str, float]:
    sizes = [abs(error) for error in errors]
    return {
        "near": sum(e <= 0.1 for e in sizes), "nearer": sum(e <= 0.01 for e in sizes),
        "all": len(sizes), "mean": sum(sizes) / len(sizes), "middle": median(sizes),
    }  # fmt: skip


if __name__ == "__main__":
    main()
