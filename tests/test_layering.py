"""What is never so (ARCHITECTURE.md), held by reading the source and by fresh processes."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path

import pytest

import flopwise
from flopwise import counts, graph, ops, pattern, profile

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/flopwise"
FILES = sorted(SOURCE.rglob("*.py"))
NAMES = {path: path.relative_to(SOURCE).as_posix() for path in FILES}

# Packages that a user has not asked for by naming a model of theirs, and where each may appear.
FRAMEWORKS = {
    "torch": "torch huggingface", "torchvision": "torch", "onnx": "onnx onnxruntime",
    "onnxruntime": "onnx onnxruntime",
    "tensorflow": "tensorflow", "keras": "keras", "h5py": "keras", "jax": "jax", "jaxlib": "jax",
    "transformers": "transformers huggingface", "mxnet": "mxnet", "coremltools": "coreml",
    "sympy": "torch", "lightning": "lightning",
}  # fmt: skip
LATER = {"numpy", "rich", "click", "pandas", "polars", "yaml", "tomli", "cairosvg"}

# Longer than 300 lines today. A name may leave this list, and none may enter.
LONG: set[str] = set()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does as soon as it is itself."""
    module = tree(path)
    inside = {id(n) for f in functions(module) for n in ast.walk(f)}
    for node in ast.walk(module):
        at_once = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = node.module or ""
            names = [public(a.name) for a in node.names] if whole == "flopwise" else [whole]
            yield from ((name, at_once) for name in names)


def public(name: str) -> str:
    """What `from flopwise import name` brings: a room, or a name of the front door."""
    is_room = (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").exists()
    return f"flopwise.{name}" if is_room else "flopwise.api"


def functions(module: ast.Module) -> Iterator[ast.FunctionDef]:
    return (n for n in ast.walk(module) if isinstance(n, ast.FunctionDef))


def room(module: str) -> str:
    """`flopwise.ops.movement` is in the room `ops`."""
    return module.split(".")[1] if "." in module else "flopwise"


def storeys() -> dict[str, int]:
    """How high each room is, as ARCHITECTURE.md has it."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    line = re.search(r"Imports go one way: `([^`]*)`", text)
    assert line is not None
    levels = [level.split(",") for level in line[1].split("←")]
    return {name.strip(): height for height, level in enumerate(levels) for name in level}


def test_imports_go_one_way() -> None:
    height = storeys()
    for path in FILES:
        here = NAMES[path].removesuffix(".py").split("/")[0]
        if here in ("__init__", "__main__"):
            continue
        assert here in height, f"ARCHITECTURE.md does not say where {here} is"
        for module, at_once in imports(path):
            there = room(module)
            if not module.startswith("flopwise.") or there == here:
                continue
            assert there in height, f"{NAMES[path]}: ARCHITECTURE.md does not say where {there} is"
            shows_itself = here == "profile" and there == "reports" and not at_once
            assert height[there] < height[here] or shows_itself, f"{NAMES[path]} imports {module}"


def test_every_room_is_described() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for name in storeys():
        assert re.search(rf"\b{name}(\.py|/|\b)", text.split("## What is never so")[0]) or (
            name in ("errors", "pytest_plugin")
        ), f"{name} is not in the table of rooms"


def test_a_framework_is_imported_only_by_its_frontend() -> None:
    """Or by the callback of its trainer."""
    for path in FILES:
        for module, _ in imports(path):
            top = module.split(".")[0]
            if top in FRAMEWORKS:
                parts = NAMES[path].removesuffix(".py").split("/")
                where = f"{NAMES[path]} imports {module}"
                assert parts[0] in ("frontends", "callbacks", "measuring"), where
                assert parts[1] in FRAMEWORKS[top].split(), where


def test_nothing_else_is_imported_at_all() -> None:
    known = {*sys.stdlib_module_names, *FRAMEWORKS, *LATER, "flopwise", "pytest"}
    for path in FILES:
        strangers = {module.split(".")[0] for module, _ in imports(path)} - known
        assert not strangers, f"{NAMES[path]} imports {strangers}"


def loaded(code: str) -> set[str]:
    """The top-level modules in a fresh process after some code."""
    report = "import sys, json; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_flopwise_loads_no_framework_and_nothing_heavy() -> None:
    assert not loaded("import flopwise") & {*FRAMEWORKS, *LATER, "pytest"}


def test_counting_a_file_loads_no_framework(tmp_path: Path) -> None:
    """Nor does asking every frontend whether the file is its own."""
    model = tmp_path / "net.prototxt"
    model.write_text(
        'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\\n'
        'layer { name: "c" type: "Convolution" bottom: "data" top: "c"'
        " convolution_param { num_output: 4 kernel_size: 3 } }\\n".replace("\\n", "\n")
    )
    code = f"import flopwise; print(flopwise.count({str(model)!r}).total().ops)"
    assert not loaded(code) & {*FRAMEWORKS}


def test_files_are_short() -> None:
    long = {NAMES[path] for path in FILES if len(path.read_text().splitlines()) > 300}
    assert long - LONG == set(), "split by theme what has grown over 300 lines"


FROZEN = (
    graph.Tensor, graph.Node, graph.Graph, counts.Counts, pattern.Pattern, pattern.Operand,
    profile.Row, profile.Line, profile.Profile,
)  # fmt: skip


@pytest.mark.parametrize("kind", FROZEN)
def test_what_flows_between_rooms_is_frozen(kind: type) -> None:
    assert is_dataclass(kind)
    made = object.__new__(kind)
    for field in fields(kind):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(made, field.name, None)


def test_no_pass_and_no_reading_changes_a_graph() -> None:
    """Also not the attributes of its nodes, which Python cannot freeze."""
    example = next((ROOT / "examples").glob("*.prototxt"))
    before = flopwise.load(example)
    text = repr(before)
    counted = flopwise.count(before)
    counted.at(N=2)
    flopwise.count(before, convention="ops").to_dict()
    str(counted)
    for node in before.nodes:
        ops.count(node)
    assert repr(before) == text


ARITHMETIC = (ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Pow)
# What is worked out in order to print or draw it: not one of these is a count.
PRINTING = {
    "__init__.short": "a prefix: 25.5 M", "__init__.memory": "a unit: 97.4 MiB",
    "card.rounded": "a prefix", "card.coverage": "how many of how many",
    "comparison._change": "in per cent", "footprint.bars": "the height of a bar",
    "latency.duration": "a unit: 1.3 ms", "latency.page": "in per cent",
    "latency._row": "in per cent", "notebook.render": "rows left out",
    "reconciliation.to_json": "the last digit of a claim", "training.duration": "a unit: 26 days",
}  # fmt: skip
DRAWINGS = {"plot", "roofline"}  # files whose every number is a place on paper


def sums(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Arithmetic in a function. `+` joins texts, and `[x] * n` repeats."""
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ARITHMETIC):
            sides = {type(side) for side in (node.left, node.right)}
            yield from () if sides & {ast.List, ast.JoinedStr} else (node,)
        elif isinstance(node, ast.AugAssign):
            yield from (node,) if isinstance(node.op, ARITHMETIC) else ()
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("sum", "math.prod"):
            yield node


def test_a_report_does_no_arithmetic() -> None:
    found = {
        f"{path.stem}.{function.name}": [ast.unparse(node) for node in sums(function)]
        for path in FILES if "reports" in path.parts and path.stem not in DRAWINGS
        for function in functions(tree(path)) if any(sums(function))
    }  # fmt: skip
    assert found.keys() - PRINTING.keys() == set(), found


def test_formulas_hold_no_factor_of_two_and_no_dtype() -> None:
    """A multiply-accumulate is 1; what it is worth is for conventions to say."""
    for path in FILES:
        if path.parent.name != "ops" or path.name in ("__init__.py",):
            continue
        names = {n.attr for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)}
        assert not names & {"flops", "itemsize"}, path.name
        for call in ast.walk(tree(path)):
            if isinstance(call, ast.keyword) and call.arg == "mac":
                assert not any(isinstance(n, ast.Constant) and n.value == 2 for n in ast.walk(call))
