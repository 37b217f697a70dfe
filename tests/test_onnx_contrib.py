"""The operators of onnxruntime's own domain, one small model each."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from flopwise import api
from support.onnx_contrib import EXAMPLES, Example

TYPES = {
    "tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8",
    "tensor(int16)": "int16", "tensor(int32)": "int32", "tensor(int64)": "int64",
    "tensor(bool)": "bool", "tensor(string)": "object",
}  # fmt: skip


# Of types that numpy has none of, or bound to buffers that are given and taken.
UNRUN = ("GemmaRotaryEmbedding", "ZipMap", "CastMap", "DictVectorizer", "SparseAttention")


def name(example: Example) -> str:
    return f"{example.op}({example.operands})"


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_macs_and_shapes(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(example.data)
    profile = api.count(path)
    assert profile.coverage == 1.0, profile.not_counted()
    assert profile.total().mac == example.macs
    assert [tuple(map(str, t.sizes)) for t in profile.graph.outputs] == example.shapes


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_onnxruntime_gives_outputs_of_these_shapes(example: Example) -> None:
    """So that the example is one of the operator as it is, not as we take it to be."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if example.op in UNRUN or not all(a.isdigit() for s in example.shapes for a in s):
        pytest.skip("cannot be fed from here, or is of a size that is data")
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

    try:
        session = ort.InferenceSession(example.data, options, providers=["CPUExecutionProvider"])
    except NoKernel:
        pytest.skip("this build of onnxruntime has no CPU kernel for it")
    given = {i.name: numpy.zeros(i.shape, TYPES[i.type]) for i in session.get_inputs()}
    try:
        results = session.run(None, given)
    except Exception as error:
        if "not implemented for CPU" in str(error):
            pytest.skip("this build of onnxruntime has no CPU kernel for it")
        raise
    assert [tuple(map(str, y.shape)) for y in results] == example.shapes
