"""The ONNX frontend, on files that need no other package."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from flopwise import api
from support.onnx_bytes import model, node, value, weight

MODELS = (
    "basic_pitch_nmp", "light_bvlc_alexnet", "light_densenet121", "light_resnet50",
    "light_squeezenet", "light_vgg19", "onnx2tf_Attention_torch2.8_23",
    "onnx2tf_LSTM_1layer_fixed", "rapidocr_ch_PP-OCRv4_det_infer",
    "rapidocr_ch_ppocr_mobile_v2.0_cls_infer", "silero_vad_16k_op15",
)  # fmt: skip


def manifest(shared: Path, name: str) -> dict[str, str]:
    """The row of a file in the list of reference numbers."""
    with (shared / "models" / "MANIFEST.csv").open(encoding="utf-8") as file:
        return next(row for row in csv.DictReader(file) if row["file"] == name)


def inputs(row: dict[str, str]) -> dict[str, Any]:
    """Shapes, and values of scalars, as the list gives them."""
    given = json.loads(row["input"])
    return {k: (v["value"],) if isinstance(v, dict) else tuple(v) for k, v in given.items()}


@pytest.mark.parametrize("name", MODELS)
def test_shared_models_have_the_counts_of_the_list(shared: Path, name: str) -> None:
    row = manifest(shared, f"onnx/{name}.onnx")
    profile = api.count(shared / "models" / row["file"], inputs(row))
    assert profile.total().mac == int(row["macs"])
    assert profile.params == int(row["params"])
    assert profile.coverage == 1.0, profile.not_counted()


def test_products_between_dequantised_operands_are_integer_ones(tmp_path: Path) -> None:
    """As QDQ networks are written: floats in the file, integers in a runtime that fuses."""
    one, zero = field_of_one("s"), weight("z", (), b"\x01", 3)
    graph = (
        node("QuantizeLinear", "x s z", "q") + node("DequantizeLinear", "q s z", "d")
        + node("DequantizeLinear", "w s z", "e") + node("MatMul", "d e", "y")
        + one + zero + weight("w", (4, 5), bytes(20), 3)
        + value(11, "x", (2, 4)) + value(12, "y", (2, 5))
    )  # fmt: skip
    path = tmp_path / "model.onnx"
    path.write_bytes(model(graph))
    profile = api.count(path)
    product = next(row.node for row in profile.rows if row.node.op == "matmul")
    assert product.attrs["integers"] == ("int8", "int8")
    assert profile.total().mac == 2 * 4 * 5
    assert profile.params == 4 * 5 + 1  # and the scale
    assert any("(int8 x int8): integer operations" in note for note in profile.graph.notes)


def field_of_one(name: str) -> bytes:
    """A stored scalar 1.0."""
    return weight(name, (), b"\x00\x00\x80\x3f")
