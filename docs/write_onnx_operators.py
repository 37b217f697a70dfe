"""Write docs/onnx-operators.md: python docs/write_onnx_operators.py

The lists of operators are those of the installed onnx and onnxruntime. What each is, is read
off the models that the tests count: one with this operator did arithmetic, or none did.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module, metadata
from pathlib import Path

from flopwise import api
from flopwise.frontends.onnx import TABLES
from flopwise.frontends.onnx.native import LOWERINGS
from flopwise.profile import Profile

PAGE = Path(__file__).with_name("onnx-operators.md")
TESTS = Path(__file__).parents[1] / "tests"

# Operators whose nodes are those of the graphs in them, or are none at all.
BODIES = {"If", "Loop", "Scan", "SequenceMap"}
TENSORS = {"Constant", "RandomNormal", "RandomUniform"}
# Named like the operator that they are, which the models of the tests do hold.
ALIASES = {"SimplifiedLayerNormalization": "RMSNormalization", "MatMulFpQ4": "MatMulNBits"}

INTRODUCTION = """\
# ONNX operators

What flopwise makes of every operator in the schema lists of onnx {onnx} and onnxruntime {ort}, of
any version. *Counted*: it has a formula, or the graphs inside it have. *Costless*: it computes
nothing, it only moves or names data. *Unknown*: it is listed beside the totals and lowers
the coverage. Written by `docs/write_onnx_operators.py` from the models that the tests count.
"""


SHARE = """
## The onnx package's own test models

Every model that the package tests backends with is read, and counted in the tests of flopwise;
the shapes of results that follow are those that the files state. *Without its own shapes*: what a
file says of results whose sizes are data (the boxes that are kept, say) is not looked at.

| | models |
|---|---:|
| read | {models:,} |
| fully covered | {full:,} ({share:.1%}) |
| fully covered without its own shapes | {bare:,} |

Operators not counted: {missing}.
"""


def profiles() -> Iterator[Profile]:
    """The models of the tests: those of the onnx package, and ours."""
    sys.path.insert(0, str(TESTS))
    backend, contrib = import_module("test_onnx_backend"), import_module("support.onnx_contrib")
    yield from map(backend.counted, backend.cases())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for example in contrib.EXAMPLES:
            path.write_bytes(example.data)
            yield api.count(path)


def computed() -> dict[str, bool]:
    """Native operators that were met, and whether one of them computed anything."""
    found: dict[str, bool] = {}
    for row in (row for profile in profiles() for row in profile.rows if row.counts is not None):
        amounts = (v for k, v in row.counts.items() if k not in ("read", "write"))
        found[row.node.origin] = found.get(row.node.origin, False) or any(v != 0 for v in amounts)
    return found


def status(domain: str, name: str, met: dict[str, bool]) -> str:
    """Counted, costless or unknown. Raises KeyError for an operator that no test has met."""
    if (domain, name) not in LOWERINGS:
        return "unknown"
    if domain == "" and name in BODIES:
        return "counted"
    if domain == "" and name in TENSORS:
        return "costless"
    name = ALIASES.get(name, name)
    return "counted" if met[f"{domain}::{name}" if domain else name] else "costless"


def schemas() -> dict[str, set[str]]:
    """Operator names by domain."""
    from onnx import defs
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    found: dict[str, set[str]] = {}
    for schema in defs.get_all_schemas_with_history():
        found.setdefault(schema.domain, set()).add(schema.name)
    for schema in get_all_operator_schema():
        if schema.domain in ("com.microsoft", "com.microsoft.nchwc"):
            found.setdefault(schema.domain, set()).add(schema.name)
    return found


def table(domain: str, names: Iterable[str], met: dict[str, bool]) -> str:
    """The operators of a domain under what they are."""
    groups: dict[str, list[str]] = {"counted": [], "costless": [], "unknown": []}
    for name in sorted(names):
        groups[status(domain, name, met)].append(name)
    lines = [f"\n## {domain or 'ai.onnx'}\n", "| | number | operators |", "|---|---:|---|"]
    lines += [f"| {k} | {len(v)} | {', '.join(v) or '-'} |" for k, v in groups.items()]
    return "\n".join(lines) + "\n"


def share() -> str:
    """How many of the onnx package's own models are covered, and what is missing."""
    backend = import_module("test_onnx_backend")
    names = list(backend.cases())
    partial = [p for p in map(backend.stated, names) if p.coverage < 1]
    bare = sum(backend.counted(name).coverage == 1 for name in names)
    missing = sorted({origin for p in partial for origin in p.not_counted()})
    return SHARE.format(
        models=len(names), full=len(names) - len(partial), bare=bare,
        share=(len(names) - len(partial)) / len(names), missing=", ".join(missing) or "none",
    )  # fmt: skip


def page() -> str:
    for name in TABLES:
        import_module(f"flopwise.frontends.onnx.{name}")
    versions = {"onnx": metadata.version("onnx"), "ort": metadata.version("onnxruntime")}
    met = computed()
    tables = (table(domain, names, met) for domain, names in sorted(schemas().items()))
    return INTRODUCTION.format(**versions) + share() + "".join(tables)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
