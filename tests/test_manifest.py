"""Every shared model file against its manifest: multiply-accumulates and parameters.

The manifest's own numbers were published or recounted by hand; it names each source.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import flopwise

SHARED = Path(__file__).parents[2] / "shared" / "models"
WITHOUT_FRAMEWORK = {"caffe", "mxnet", "darknet", "onnx", "ncnn", "tflite"}

# MediaPipe's own operator is in no schema: told by its name, and not in the manifest's number.
CUSTOM = {"tflite/mediapipe_selfie_segmentation.tflite": {"CUSTOM Convolution2DTransposeBias": 1}}

# This file has no shape hints, and the manifest's number leaves out the weights of attention,
# the layer norms and the Gemm biases: torchvision's ViT-B/32 has 88,224,232 parameters with 50
# positions, and here are 145 of 768 (see test_ncnn.py).
INPUTS = {"ncnn/vision_transformer.param": "1x3x384x384"}
PARAMS = {"ncnn/vision_transformer.param": 88224232 + 95 * 768}


def rows() -> list[dict[str, str]]:
    if not SHARED.is_dir():
        return []
    with (SHARED / "MANIFEST.csv").open() as file:
        found = [r for r in csv.DictReader(file) if r["macs"] or r["params"]]
    return [r for r in found if r["file"].partition("/")[0] in WITHOUT_FRAMEWORK]


def inputs(text: str) -> Any:
    """The manifest's input column as `count` takes it."""
    if text.startswith("{"):
        shapes = json.loads(text)
        return {n: (s["value"],) if isinstance(s, dict) else tuple(s) for n, s in shapes.items()}
    return text if text.count("x") == 3 else None


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared, which only developers have")
@pytest.mark.parametrize("row", rows(), ids=lambda r: r["file"])
def test_counts_equal_the_manifest(row: dict[str, str]) -> None:
    shapes = INPUTS.get(row["file"]) or inputs(row["input"]) or None
    profile = flopwise.count(SHARED / row["file"], inputs=shapes)
    assert profile.not_counted() == CUSTOM.get(row["file"], {})
    if row["macs"]:
        assert profile.total().mac == int(row["macs"])
    if row["params"]:
        assert profile.params == PARAMS.get(row["file"], int(row["params"]))
