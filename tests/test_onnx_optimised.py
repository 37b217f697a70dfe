"""A graph as onnxruntime optimises it costs as many MACs as the graph that went in."""

from __future__ import annotations

from pathlib import Path

import pytest

from flopwise import api
from test_onnx import MODELS, inputs, manifest

ort = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", MODELS)
def test_fused_graph_has_the_macs_of_the_exported_one(
    shared: Path, tmp_path: Path, name: str
) -> None:
    """Level "all": batch norms folded, layers fused, channels laid out in blocks."""
    source, fused = shared / "models" / "onnx" / f"{name}.onnx", tmp_path / "fused.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(fused)
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    given = inputs(manifest(shared, f"onnx/{name}.onnx"))
    before, after = api.count(source, given), api.count(fused, given)
    assert after.coverage == 1.0, after.not_counted()
    assert after.total().mac == before.total().mac
