"""Peak activation memory, predicted and held: writes docs/memory-measured.md.

    python benchmarks/latency.py export build     # the ONNX files, once
    python benchmarks/memory.py build

Needs Linux (/proc) and onnxruntime. Each network runs in a process of its own, without
onnxruntime's arena, so that it holds at any moment what it asked for, and with an allocator that
gives back at once what is freed. The peak is that of the process's resident memory during the
second run (VmHWM, reset before it) above what it held before that run, input aside.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import latency_networks as listed

TARGET = Path(__file__).parents[1] / "docs" / "memory-measured.md"
NAMES = (
    "tv:alexnet", "tv:googlenet", "tv:squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "regnety_016", "densenet121", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0",
    "ghostnet_100", "dla34", "hrnet_w18_small", "repvgg_a2", "mobileone_s1", "convnext_atto",
    "vit_tiny_patch16_224", "poolformer_s12",
)  # fmt: skip
HEAD = """# Peak activation memory, predicted and held

Written by `benchmarks/memory.py`: ONNX files with random weights, batch 1, float32, run by
{version} with one thread and without its arena, so that a process holds at any moment what its
operators asked for. *held*: the peak of resident memory during a run above what was there before,
plus the input, which the caller keeps. *predicted*: what `flopwise.memory(FILE, "onnxruntime",
optimised=True)` says of the graph as onnxruntime rewrites it.

| network | predicted | held | error | peak at |
|---|---:|---:|---:|---|
"""
WHY = """
Where the prediction is above: a convolution in onnxruntime adds onto a residual or a branch where
that lies (ResNet-50, RepVGG, MobileOne); flopwise counts the sum as a tensor of its own. Where it
is below (ViT, ConvNeXt, PoolFormer, GhostNet, DenseNet), the reason is not known yet.
"""


def held(path: str) -> dict[str, float]:
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
    session.run_with_ort_values(None, feed)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    results = session.run_with_ort_values(None, feed)
    peak = _status("VmHWM") - before
    del results
    return {"input": sum(v.numpy().nbytes for v in data), "run": peak}


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


def row(name: str, folder: Path) -> tuple[str, float]:
    from flopwise import api

    path = folder / listed.file_name(name)
    # From 64 KiB on, what is freed goes back to the system at once.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__, "--held", str(path)]
    found = json.loads(subprocess.check_output(command, env=environment))
    real = found["input"] + found["run"]
    ours = api.memory(path, "onnxruntime", optimised=True)
    error = ours.peak_activation_bytes / real - 1
    cells = (
        name, f"{ours.peak_activation_bytes / 2**20:.2f} MiB", f"{real / 2**20:.2f} MiB",
        f"{error:+.1%}", f"`{ours.peak_at}`",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |", error


def main() -> None:
    if sys.argv[1] == "--held":
        print(json.dumps(held(sys.argv[2])))
        return
    from flopwise.measuring.onnxruntime import version

    rows = []
    for name in NAMES:
        rows.append(row(name, Path(sys.argv[1])))
        print(rows[-1][0], flush=True)
    errors = [abs(error) for _, error in rows]
    last = WHY + (
        f"\n{sum(e <= 0.1 for e in errors)} of {len(errors)} within 10 %, "
        f"{sum(errors) / len(errors):.1%} in the mean.\n"
    )
    text = HEAD.format(version=version()) + "\n".join(r for r, _ in rows) + "\n" + last
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
