"""Peak activation memory, predicted and allocated: writes docs/memory-measured.md.

    python benchmarks/latency.py export build     # the ONNX files, once
    python benchmarks/memory.py build

Needs Linux with glibc, gcc and onnxruntime. Each network runs in a process of its own, without
onnxruntime's arena, so that every tensor is an allocation; `allocations.c` is loaded before
everything else and writes each of them down.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))
import latency_networks as listed

HERE = Path(__file__).parent
TARGET = HERE.parent / "docs" / "memory-measured.md"
FIRST = (
    "tv:alexnet", "tv:googlenet", "tv:squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "regnety_016", "densenet121", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0",
    "ghostnet_100", "dla34", "hrnet_w18_small", "repvgg_a2", "mobileone_s1", "convnext_atto",
    "vit_tiny_patch16_224", "poolformer_s12",
)  # fmt: skip
HEAD = """# Peak activation memory, predicted and allocated

Written by `benchmarks/memory.py`: ONNX files with random weights, batch 1, float32, run by
{version} with one thread and without its arena. *allocated*: the most bytes between the start and
the end of a third run, counted at every call of malloc and free in the process, plus the input,
which the caller keeps. *predicted*: what `flopwise.memory(FILE, "onnxruntime", optimised=True)`
says of the graph as onnxruntime rewrites it.

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


def main() -> None:
    if sys.argv[1] == "--allocated":
        print(json.dumps(allocated(sys.argv[2])))
        return
    from flopwise.measuring.onnxruntime import version

    rows = []
    with TemporaryDirectory() as folder:
        shim = Path(folder) / "allocations.so"
        command = ["gcc", "-O2", "-shared", "-fPIC", "-o", shim, HERE / "allocations.c"]
        subprocess.run(command, check=True)
        for name in (*listed.networks(), *listed.DEVELOPED):
            rows.append(row(name, Path(sys.argv[1]), shim))
            print(rows[-1][0], flush=True)
    errors = [abs(error) for _, error in rows]
    last = TAIL.format(
        near=sum(e <= 0.1 for e in errors), nearer=sum(e <= 0.01 for e in errors),
        all=len(errors), mean=sum(errors) / len(errors), middle=median(errors),
    )  # fmt: skip
    text = HEAD.format(version=version()) + "\n".join(r for r, _ in rows) + "\n" + last
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
