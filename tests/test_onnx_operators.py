"""The page that lists every ONNX operator is what its script writes."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_no_standard_operator_is_unknown() -> None:
    text = (DOCS / "onnx-operators.md").read_text(encoding="utf-8")
    standard = re.search(r"## ai\.onnx\n(.*?)(\n## |\Z)", text, re.S)
    assert standard is not None
    assert "| unknown | 0 | - |" in standard[1]


def test_page_is_what_its_script_writes() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    text = (DOCS / "onnx-operators.md").read_text(encoding="utf-8")
    if f"onnx {metadata.version('onnx')} and" not in text:
        pytest.skip("the page is of another version of onnx")
    spec = importlib.util.spec_from_file_location("page", DOCS / "write_onnx_operators.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.page() == text
