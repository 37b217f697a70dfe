"""One network in several formats: equal multiply-accumulates, and parameters that differ by
what each format is known to store, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import flopwise
from flopwise.profile import Profile

# Parameters of the first file of a network; then of each file, how many more are learned, and
# how many of its stored elements are not: indices and shapes in TFLite, statistics in Keras.
NETWORKS: dict[str, tuple[int, dict[str, tuple[int, int]]]] = {
    "basic pitch": (35740, {
        "onnx/basic_pitch_nmp.onnx": (0, 0),
        "tflite/basic_pitch_nmp.tflite": (-1, 163),  # a scalar less
        "coreml/basic_pitch_nmp.mlpackage": (8 * 36, 0),  # biases of zero, on eight convolutions
    }),
    "resnet8": (77706, {
        "tflite/mlctiny_resnet8_float.tflite": (0, 2),
        "tflite/mlctiny_resnet8_int8.tflite": (0, 2),
        "keras/mlctiny_resnet8.h5": (2 * 240, 2 * 240),  # batch norms that TFLite has folded
    }),
    "keyword spotting": (22604, {
        "tflite/mlctiny_kws_float32.tflite": (0, 2),
        "tflite/mlctiny_kws_int8.tflite": (0, 2),
        "tf/mlctiny_kws_savedmodel": (2 * 576, 2 * 576),  # as before
    }),
    "resnet18": (11688872, {"ncnn/resnet18.param": (0, 0), "ncnn/resnet18_int8.param": (0, 0)}),
}  # fmt: skip
FREE = {"onnx/basic_pitch_nmp.onnx", "keras/mlctiny_resnet8.h5", "tf/mlctiny_kws_savedmodel"}


def kernels(profile: Profile) -> list[int]:
    """Elements of the weights of convolutions and products, biases and scalars aside."""
    nodes = [row.node for row in profile.rows if row.counts is not None and row.counts.mac != 0]
    found = {t.name: t for node in nodes for t in node.weights if len(t.sizes) > 1}
    return sorted(t.size for t in found.values() if isinstance(t.size, int))


@pytest.mark.parametrize("network", NETWORKS)
def test_formats_agree(shared: Path, network: str) -> None:
    params, files = NETWORKS[network]
    seen = []
    for name, (more, fixed) in files.items():
        batch = 1 if name in FREE else None
        profile = flopwise.count(shared / "models" / name, batch=batch)
        assert profile.coverage == 1.0, profile.not_counted()
        assert profile.trainable_params == params + more, name
        assert profile.params - profile.trainable_params == fixed, name
        seen.append((profile.total().mac, kernels(profile)))
    assert seen[0][0] > 0
    assert all(other == seen[0] for other in seen[1:])
