"""Write the table of docs/huggingface.md: published configs, each in a fresh process.

Run from the repository: `.venv/bin/python benchmarks/huggingface.py`. Needs ../shared. The
configs in ../shared are read, never copied.
"""

import csv
import json
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT.parent / "shared" / "models" / "hf_config"
PAGE = ROOT / "docs" / "huggingface.md"
BEGIN, END = "<!-- benchmarks/huggingface.py -->", "<!-- end -->"
PROMPT = 128
ONE = """
import json, resource, sys, time
import flopwise
from flopwise.analyses.kv_cache import kv_cache
profile = flopwise.count(sys.argv[1], prompt=int(sys.argv[2]))
print(json.dumps({
    "params": profile.params, "active": profile.parameters.active, "macs": profile.total().mac,
    "coverage": profile.coverage, "operators": len(profile.rows),
    "cache": kv_cache(profile.graph.config).per_token, "seconds": time.process_time(),
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measure(path: Path) -> dict[str, Any]:
    """A fresh process, imports and all; its time is the processor's."""
    command = [sys.executable, "-c", ONE, str(path), str(PROMPT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(path.name, found, flush=True)
    return found


def published(path: Path, found: dict[str, Any]) -> str:
    """Whether parameters, active ones and cache are those that the manifest of configs states."""
    with (CONFIGS.parent / "MANIFEST.csv").open(encoding="utf-8") as file:
        stated = next(r for r in csv.DictReader(file) if r["file"].endswith(path.name))
    active, _, cache = map(int, re.findall(r"\d{4,}", stated["note"])[-3:])
    wanted = (int(stated["params"]), active, cache)
    return "equal" if wanted == (found["params"], found["active"], found["cache"]) else str(wanted)


def row(path: Path) -> str:
    found = measure(path)
    name = path.name.removesuffix("_config.json").partition("--")[2]
    cells = (
        name, f"{found['params']:,}", f"{found['active']:,}", f"{found['cache']:,}",
        published(path, found), str(PROMPT), f"{found['macs']:,}",
        f"{found['operators']:,}", f"{found['coverage']:.0%}", f"{found['seconds']:.1f}",
        f"{found['peak']:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    titles = ("model", "params", "active per token", "cache per token", "published", "prompt",
              "MACs", "operators", "coverage", "seconds", "peak MiB")  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(titles) - 1)]
    lines += [row(path) for path in sorted(CONFIGS.glob("*_config.json"))]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    where = f"Python {platform.python_version()}, {versions}; {time.strftime('%Y-%m-%d')}."
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n{where}\n\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
