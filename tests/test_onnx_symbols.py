"""Totals with free sizes are those of any numbers put in their place."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from flopwise import api

# A model with free axes, and sizes that it can run at. Some are multiples, since the networks
# halve and double their maps and add what must be of one size.
MODELS: dict[str, Any] = {
    "rapidocr_ch_PP-OCRv4_det_infer": lambda n, h, w: {"x": (n, 3, 32 * h, 32 * w)},
    "rapidocr_ch_ppocr_mobile_v2.0_cls_infer": lambda n, h, w: {"x": (n, 3, 48, 32 * w)},
    "basic_pitch_nmp": lambda n, h, w: {"serving_default_input_2:0": (n, 43844, 1)},
}


@pytest.mark.parametrize("name", MODELS)
def test_symbolic_totals_equal_concrete_ones(shared: Path, name: str) -> None:
    path, shape = shared / "models" / "onnx" / f"{name}.onnx", MODELS[name]
    from flopwise.dims import symbol

    free = api.count(path, shape(symbol("n"), symbol("h"), symbol("w")))
    assert free.coverage == 1.0, free.not_counted()
    dice = random.Random(name)
    for _ in range(3):
        sizes = {k: dice.randint(1, 9) for k in "nhw"}
        numbers = api.count(path, shape(*sizes.values())).total()
        assert free.total().at(**sizes) == numbers


def test_axes_keep_the_names_of_the_file(shared: Path) -> None:
    """Without a size from the user, totals are expressions in the model's own names."""
    profile = api.count(shared / "models" / "onnx" / "basic_pitch_nmp.onnx")
    assert str(profile.total().mac) == "524079648*unk__749"


def test_a_size_given_to_one_input_is_that_of_all(shared: Path) -> None:
    """`batch` is an axis of two inputs of this model."""
    path = shared / "models" / "onnx" / "silero_vad_16k_op15.onnx"
    profile = api.count(path, {"input": (3, 576), "sr": (16000,)})
    assert [t.shape for t in profile.graph.inputs] == [(3, 576), (2, 3, 128), ()]
