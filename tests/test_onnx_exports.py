"""Modules and their ONNX exports have equal multiply-accumulates, module by module."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from support import torchvision_ops

ROOT = Path(__file__).parents[1]


def script() -> ModuleType:
    """The benchmark that writes the page."""
    spec = importlib.util.spec_from_file_location("exports", ROOT / "benchmarks/onnx_exports.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agree(row: str) -> bool:
    """Whether a row of the page says so: in total, at all modules, and at other sizes."""
    _, _, own, exported, same, free, coverage, _ = (cell.strip() for cell in row.split("|"))
    shares = [re.match(r"(\d+) of (\d+)", cell) for cell in (same, free)]
    return own == exported and coverage == "100%" and all(s and s[1] == s[2] for s in shares)


def test_the_page_tells_of_fifteen_that_agree() -> None:
    text = (ROOT / "docs/onnx-exports.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \S+ \| [\d,]+ \|.*$", text, re.M)
    assert len(rows) >= 15
    assert [row for row in rows if not agree(row)] == []


@pytest.mark.parametrize("name", ["Llama", "squeezenet1_1"])
def test_export_agrees(tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnxscript")
    if not torchvision_ops.available():
        pytest.skip("needs torchvision")
    pytest.importorskip("transformers")
    exports = script()
    case = exports.text(name) if name in exports.TEXTS else exports.image(name)
    assert agree(exports.row(name, case, tmp_path))
