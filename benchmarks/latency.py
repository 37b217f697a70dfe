"""Predicted against measured latency of whole networks: writes docs/latency-measured.md.

From the repository, on a machine with nothing else to do, and with torch, timm, torchvision,
transformers, onnx and onnxruntime installed:

    flopwise calibrate --threads 1 -o build/one.toml      # kernels only; goes on where it stopped
    python benchmarks/latency.py export build             # the ONNX files, once
    python benchmarks/latency.py measure build --device build/one.toml --minutes 10
    python benchmarks/latency.py write build --device build/one.toml

The same with a device of `flopwise calibrate --runtime torch` takes the networks in PyTorch.
`measure` takes whole rounds over all networks, one after the other, and appends them to
`build/<device>.rounds`: the same command adds rounds until there are `ROUNDS`.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy

sys.path.insert(0, str(Path(__file__).parent))
import latency_networks as listed

from flopwise import api, devices
from flopwise.analyses.process import least
from flopwise.analyses.roofline import Prediction
from flopwise.devices import Device
from flopwise.measuring import onnxruntime, torch
from flopwise.measuring.calibration import start

TARGET = Path(__file__).parents[1] / "docs" / "latency-measured.md"
HEAD = """# Latency, predicted and measured

Written by `benchmarks/latency.py`. A calibration measures kernels alone, of sizes drawn at random;
no run of a network enters it. Then each network (an ONNX file with random weights in the layout
that onnxruntime gives it on this machine; a module of PyTorch with random weights, in inference
mode) is predicted as the sum of its kernels, and measured: rounds over all networks in turn, the
median of the rounds. A reading is the time of runs over that of a small matrix product just before
and after, times what the product took when nothing disturbed the calibration; with one thread it is
the processor time of the thread, with more it is wall time.

The list of networks (`benchmarks/latency_networks.py`) was fixed before any of them was run, and no
setting was tuned on it; forty-four other networks served to look into errors, and gave the one
number that the interval needs beside those of kernels. The three simple methods are given the
measured times of all networks of the *other* families to fit their constants by (least relative
squares); flopwise is given none. A section whose noise floor is above the errors that are told
apart says that the machine did not give the threads their processors, and nothing of the methods.
"""
ROUNDS = 15
LONG = 0.06  # s that one reading takes at least
AGAIN = 6  # readings at most, where others had the processors of several threads


def export(arguments: argparse.Namespace) -> None:
    arguments.folder.mkdir(exist_ok=True)
    for name in chosen(arguments):
        began = time.time()
        listed.export(name, arguments.folder)
        print(f"{name} {time.time() - began:.1f} s", flush=True)


def chosen(arguments: argparse.Namespace) -> list[str]:
    others = {"developed": listed.DEVELOPED, "further": listed.FURTHER}
    return list(others[arguments.only]) if arguments.only else listed.networks()


def measure(arguments: argparse.Namespace) -> None:
    """Rounds over all networks until time is up."""
    device = devices.find(str(arguments.device))
    ends = time.monotonic() + 60 * arguments.minutes
    _, clock = start(device.runtime, device.threads or 1)
    names = chosen(arguments)
    runs = {name: runner(name, device, arguments.folder) for name in names}
    record = rounds_of(arguments)
    done = len(readings(record, names))
    print(f"{len(runs)} networks loaded; {done} rounds done", flush=True)
    while done < ROUNDS and time.monotonic() < ends:
        found = {name: reading(clock, run) for name, run in runs.items()}
        with record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        done += 1
        print(f"round {done}", flush=True)


def runner(name: str, device: Device, folder: Path) -> Any:
    """Something that runs a network in the runtime of a device."""
    threads = device.threads or 1
    if device.runtime != "eager":
        return onnxruntime.network(folder / listed.file_name(name), {}, threads)
    module, example = listed.built(name, exported=False)
    return torch.network(module, api.load(module, inputs=example).inputs, threads)


def predicted(name: str, device: Device, folder: Path) -> Prediction:
    if device.runtime != "eager":
        return api.predict(folder / listed.file_name(name), device)
    from torch import device as placed

    with placed("meta"):  # shapes are all that it takes
        module, example = listed.built(name, exported=False)
    return api.predict(module, device, inputs=example)


def reading(clock: Any, run: Any) -> tuple[float, float]:
    """Calibration products that one run takes, and the seconds of a product around it."""
    run()  # its weights come back to where they are when it runs all the time
    times = max(1, round(LONG / clock.read(run)))
    for _ in range(AGAIN):
        before = clock.rule()
        taken = clock.read(run, times)
        after = clock.product_now()
        if not clock.disturbed(after):
            break
    return 2 * taken / (before + after), (before + after) / 2


def rounds_of(arguments: argparse.Namespace) -> Path:
    kind = f".{arguments.only}" if arguments.only else ""
    return arguments.folder / f"{Path(arguments.device).stem}{kind}.rounds"


def readings(record: Path, names: list[str]) -> list[dict[str, tuple[float, float]]]:
    """The rounds that hold all networks."""
    if not record.exists():
        return []
    found = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return [one for one in found if set(names) <= set(one)]


@dataclass(frozen=True)
class Result:
    """A network with its prediction and the medians of all, even and odd rounds, in seconds."""

    name: str
    family: str
    found: Prediction
    measured: float
    halves: tuple[float, float]

    @property
    def inside(self) -> bool:
        low, high = self.found.band_s
        return low <= self.measured <= high


def results(arguments: argparse.Namespace) -> list[Result]:
    device = devices.find(str(arguments.device))
    families = {n: family for family, names in listed.MEASURED.items() for n in names}
    rounds = readings(rounds_of(arguments), chosen(arguments))
    unit = device.calibration["product"]
    rows = []
    for name in chosen(arguments):
        taken = [one[name][0] * unit for one in rounds]
        found = predicted(name, device, arguments.folder)
        halves = median(taken[::2]), median(taken[1::2])
        rows.append(Result(name, families.get(name, name), found, median(taken), halves))
    return rows


def baselines(rows: list[Result]) -> dict[str, numpy.ndarray]:
    """Seconds by simpler models, each fitted to the measured networks of the other families."""
    kinds = sorted({k.kind for r in rows for k in r.found.kernels})
    device = rows[0].found.device
    peak, bandwidth = device.rate("float32"), device.bandwidth
    table = numpy.zeros((len(rows), len(kinds)))
    for i, r in enumerate(rows):
        for k in r.found.kernels:
            table[i, kinds.index(k.kind)] += max(k.flops / peak, k.bytes / bandwidth)
    flops = numpy.array([[float(r.found.flops)] for r in rows])
    found = {
        "time in proportion to FLOPs": flops,
        "roofline of each kernel": table.sum(1, keepdims=True),
        "roofline, an efficiency for each kind": table,
    }
    return {name: others(amounts, rows) for name, amounts in found.items()}


def others(amounts: numpy.ndarray, rows: list[Result]) -> numpy.ndarray:
    """Prices from all but a network's own family, times its amounts."""
    measured = numpy.array([r.measured for r in rows])
    families = numpy.array([r.family for r in rows])
    seconds = numpy.zeros(len(rows))
    for family in set(families):
        own = families == family
        seconds[own] = amounts[own] @ least(amounts[~own], measured[~own])
    return seconds


def scores(predicted: numpy.ndarray, measured: numpy.ndarray) -> list[str]:
    errors = numpy.abs(predicted / measured - 1)
    ranks = [numpy.argsort(numpy.argsort(v)) for v in (predicted, measured)]
    return [
        f"{errors.mean():.1%}", f"{numpy.median(errors):.1%}", f"{(errors <= 0.1).mean():.0%}",
        f"{(errors <= 0.2).mean():.0%}", f"{numpy.corrcoef(*ranks)[0, 1]:.3f}",
    ]  # fmt: skip


def page(arguments: argparse.Namespace) -> str:
    """One section of the document, without the mark of a heading."""
    rows = results(arguments)
    measured = numpy.array([r.measured for r in rows])
    predicted = numpy.array([r.found.latency_s for r in rows])
    device = rows[0].found.device
    noise = numpy.mean([abs(a / b - 1) for r in rows for a, b in (r.halves,)])
    lines = [
        device.name, "", *(libraries() if device.runtime == "eager" else ()),
        f"{len(rows)} networks of {len({r.family for r in rows})} families, batch 1, float32; "
        f"{device.calibration['kernels']} kernels, {device.calibration['noise']:.1%} apart "
        f"in the median when measured again. Noise floor of the networks: the medians of every "
        f"other round differ by {noise:.1%} in the mean.", "",
        "| method | mean error | median | within 10 % | within 20 % | rank correlation |",
        "|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, seconds in baselines(rows).items():
        lines.append(f"| {name} | {' | '.join(scores(seconds, measured))} |")
    lines.append(f"| **flopwise, calibrated** | {' | '.join(scores(predicted, measured))} |")
    inside = sum(r.inside for r in rows) / len(rows)
    lines += [
        "", f"{inside:.0%} of the measured times are inside the predicted 80 % interval.", "",
        "| network | family | FLOPs | measured | predicted | error | 80 % interval |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for r in sorted(rows, key=lambda r: r.measured):
        low, high = r.found.band_s
        lines.append(
            f"| {r.name} | {r.family} | {r.found.flops / 1e9:.3g} G | {r.measured * 1e3:.2f} ms "
            f"| {r.found.latency_s * 1e3:.2f} ms | {r.found.latency_s / r.measured - 1:+.1%} | "
            f"{low * 1e3:.2f}–{high * 1e3:.2f}{'' if r.inside else ' (outside)'} |"
        )
    return "\n".join(lines)


def libraries() -> list[str]:
    """What PyTorch's kernels are, which the figures depend on."""
    import re

    import torch

    built = torch.__config__.show()
    names = {"oneDNN": r"MKL-DNN v([\d.]+)", "MKL": r"Math Kernel Library Version ([\d.]+)",
             "vectors": r"CPU capability usage: (\w+)"}  # fmt: skip
    found = {n: m[1] for n, pattern in names.items() if (m := re.search(pattern, built))}
    said = ", ".join(f"{name} {version}" for name, version in found.items())
    return [
        f"PyTorch {torch.__version__} with {said}; attention is one operator. These figures hold "
        "for this release, its libraries and this number of threads: each picks other kernels.", "",
    ]  # fmt: skip


def write(arguments: argparse.Namespace) -> None:
    """The sections of the devices given; those of others stay."""
    text = "" if arguments.only else TARGET.read_text(encoding="utf-8")
    sections = {s.partition("\n")[0]: s.rstrip("\n") for s in text.split("\n## ")[1:]}
    for device in arguments.device:
        made = page(argparse.Namespace(**{**vars(arguments), "device": device}))
        sections[made.partition("\n")[0]] = made
    whole = "\n\n".join((HEAD.rstrip("\n"), *(f"## {s}" for s in sections.values()))) + "\n"
    if arguments.only:
        print(whole)
    else:
        TARGET.write_text(whole, encoding="utf-8")


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("export", "measure", "write"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", type=Path, action="append", default=[])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", choices=("developed", "further"), help="networks not reported")
    return parser


def main() -> None:
    given = options().parse_args()
    if given.what == "write":
        write(given)
        return
    given.device = given.device[0] if given.device else None
    {"export": export, "measure": measure}[given.what](given)


if __name__ == "__main__":
    main()
