"""Write docs/results.md: every shared model file, counted, in each convention.

Run from the repository: `.venv/bin/python benchmarks/results.py`. Needs ../shared.
"""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import flopwise
from flopwise import plugins
from flopwise.errors import FlopwiseError
from flopwise.profile import Profile, profile

ROOT = Path(__file__).parents[1]
MODELS = ROOT.parent / "shared" / "models"
CONVENTIONS = (
    "calflops-mxnet", "convnet-burden", "netscope", "opencv", "ptflops", "fvcore", "thop",
)  # fmt: skip
FORMATS = ("caffe", "mxnet", "darknet", "onnx", "ncnn", "tflite", "coreml")
HEAD = """# Results

Every model file that the developers share, counted by `benchmarks/results.py` in one run.
Parameters are what the format stores as learned. A dash: the convention leaves out the
sizes that the file has, or nothing of the network. Numbers of a convention are
our reading of that tool's rules; docs/conventions.md says how each was checked.

"""


def inputs(text: str) -> Any:
    """The manifest's input column as `count` takes it."""
    if text.startswith("{"):
        shapes = json.loads(text)
        return {n: (s["value"],) if isinstance(s, dict) else tuple(s) for n, s in shapes.items()}
    return text if text.count("x") == 3 else None


def rows() -> list[tuple[str, str, Profile, float]]:
    with (MODELS / "MANIFEST.csv").open() as file:
        listed = [r for r in csv.DictReader(file) if r["file"].partition("/")[0] in FORMATS]
    found = []
    for row in listed:
        if not (row["macs"] or row["params"]):
            continue
        start = time.perf_counter()
        try:
            counted = flopwise.count(MODELS / row["file"], inputs=inputs(row["input"]) or None)
        except FlopwiseError as error:
            print(error, file=sys.stderr)
            continue
        found.append((row["file"], row["macs"], counted, time.perf_counter() - start))
    return found


def table(found: list[tuple[str, str, Profile, float]]) -> str:
    heads = ["file", "input", "params", "MACs", "manifest", "flops", "ops", *CONVENTIONS]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    for name, manifest, counted, _ in found:
        total = counted.total()
        shapes = ", ".join("×".join(map(str, t.sizes)) or "scalar" for t in counted.graph.inputs)
        same = "equal" if manifest and int(manifest) == total.mac else manifest or "-"
        cells = [name, shapes, counted.params, total.mac, same, total.flops, total.ops]
        cells += [read(counted, convention) for convention in CONVENTIONS]
        texts = [f"{c:,}" if isinstance(c, int) else str(c) for c in cells]
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines)


def read(counted: Profile, convention: str) -> Any:
    value = profile(counted.graph, plugins.load("conventions", convention)).value()
    return round(float(value)) if not isinstance(value, int) and value == round(value) else value


def started(*arguments: str) -> float:
    """The median of seven whole processes, in milliseconds."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return sorted(times)[3] * 1000


def main() -> None:
    found = rows()
    blank = started("-c", "pass")
    imported = started("-c", "import flopwise") - blank
    whole = started("-m", "flopwise", "examples/vgg16.prototxt")
    slowest = max(found, key=lambda row: row[3])
    text = (
        f"{HEAD}{table(found)}\n\n## Speed\n\n"
        f"- `import flopwise`: {imported:.0f} ms beyond a bare interpreter ({blank:.0f} ms).\n"
        f"- `flopwise examples/vgg16.prototxt`, whole process: {whole:.0f} ms.\n"
        f"- Slowest of the {len(found)} files above, load and count: {slowest[0]}, "
        f"{slowest[3] * 1000:.0f} ms.\n"
    )
    (ROOT / "docs" / "results.md").write_text(text)


if __name__ == "__main__":
    main()
