"""Shapes of operators that move, sample, select and generate, with numbers and with symbols."""

from __future__ import annotations

from typing import Any

import pytest

from flopwise import ops
from flopwise.dims import at, symbol
from flopwise.errors import ShapeMismatch
from flopwise.graph import Tensor
from support.single import OPEN, constant, shapes, single

N, H, W, T = map(symbol, "NHWT")
IMAGE = (N, 3, H, W)

MOVEMENT: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("gather_elements", [(N, 5), (N, 2)], {"axis": 1}, (N, 2)),
    ("gather_nd", [(N, 5, H), (7, 2)], {}, (7, H)),
    ("gather_nd", [(N, 5, H), (N, 1)], {"batch": 1}, (N, H)),
    ("scatter", [(N, 5), (N, 2), (N, 2)], {"axis": 1}, (N, 5)),
    ("scatter_nd", [(N, 5), (7, 1), (7, 5)], {}, (N, 5)),
    ("select", [IMAGE], {"axis": 1, "index": 0}, (N, H, W)),
    ("select", [IMAGE], {"axis": -1, "keep": True}, (N, 3, H, 1)),
    ("compress", [(N, 4), constant([0, 1, 1])], {"axis": 1}, (N, 2)),
    ("compress", [(N, 4), (4,)], {"axis": 1, "most": 3}, (N, 3)),
    ("diagonal", [(N, 4, 6)], {"axes": (1, 2)}, (N, 4)),
    ("diagonal", [(N, 4, 6)], {"axes": (1, 2), "offset": 3}, (N, 3)),
    ("diagonal", [(4, 6)], {"offset": -1}, (3,)),
    ("diagonal_embed", [(N, 4)], {"offset": -1}, (N, 5, 5)),
    ("swap_axes", [IMAGE], {"axes": (1, -1)}, (N, W, H, 3)),
    ("as_strided", [IMAGE], {"shape": (N, 7)}, (N, 7)),
    ("unfold_axis", [(N, T)], {"axis": 1, "size": 4, "step": 2}, (N, (T - 4) // 2 + 1, 4)),
    ("broadcast_like", [(N, 1), (N, H)], {}, (N, H)),
    ("broadcast_like", [(N, 1), (H, W)], {"axes": (1,), "like_axes": (0,)}, (N, H)),
    ("slice_like", [(N, 9, 9), (1, 5, 7)], {"axes": (1, 2)}, (N, 5, 7)),
    ("space_to_batch", [(N, 8, 8, 3)], {"block": (2, 2)}, (4 * N, 4, 4, 3)),
    (
        "space_to_batch",
        [(N, 7, 8, 3), constant([2, 2]), constant([[1, 0], [0, 0]])],
        {},
        (4 * N, 4, 4, 3),
    ),
    ("batch_to_space", [(4 * N, 4, 4, 3)], {"block": (2, 2), "crops": ((1, 0), 0)}, (N, 7, 8, 3)),
    ("reverse_sequence", [(T, N), (N,)], {}, (T, N)),
    ("one_hot", [(N, T)], {"depth": 9}, (N, T, 9)),
    ("one_hot", [(N, T), constant(9.0, "float32")], {"axis": 1}, (N, 9, T)),
    ("embedding_bag", [(N, 8), (100, 16)], {}, (N, 16)),
    ("embedding_bag", [(80,), (100, 16)], {"bags": N}, (N, 16)),
]

GENERATED: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("shape_of", [IMAGE], {}, (4,)),
    ("shape_of", [IMAGE], {"start": 2}, (2,)),
    ("size_of", [IMAGE], {}, ()),
    ("constant_of_shape", [constant([N, 4])], {}, (N, 4)),
    ("constant_of_shape", [], {"shape": (N, 4)}, (N, 4)),
    ("constant_like", [IMAGE], {}, IMAGE),
    ("random", [IMAGE], {"like": 0}, IMAGE),
    ("random", [], {"shape": (2, 3)}, (2, 3)),
    ("eye", [], {"rows": 4}, (4, 4)),
    ("eye", [], {"rows": 4, "columns": N}, (4, N)),
    ("eye", [(4, 5)], {}, (4, 5)),
    ("range", [], {"limit": T}, (T,)),
    ("range", [], {"start": 2, "limit": 9, "step": 3}, (3,)),
    ("range", [], {"start": 9, "limit": 2, "step": -3}, (3,)),
    ("range", [], {"limit": 1, "step": 0.3}, (4,)),
    ("range", [], {"start": 5, "limit": 2}, (0,)),
    ("linspace", [], {"steps": 7}, (7,)),
    ("hann_window", [], {"size": 400}, (400,)),
    ("hamming_window", [constant(400)], {}, (400,)),
]

VISION: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("resize", [IMAGE], {"scale": 2}, (N, 3, 2 * H, 2 * W)),
    ("resize", [IMAGE], {"scale": (0.5, 2.0)}, (N, 3, H // 2, 2 * W)),
    ("resize", [(N, H, W, 3)], {"scale": 2, "axes": (1, 2)}, (N, 2 * H, 2 * W, 3)),
    ("resize", [(1, 3, 7, 7)], {"scale": 1.5}, (1, 3, 10, 10)),
    ("resize", [(N, 3, T)], {"size": 9}, (N, 3, 9)),
    ("resize", [IMAGE], {"size": (N, 3, 9, 9)}, (N, 3, 9, 9)),
    ("resize", [IMAGE, (1, 8, 5, 6)], {"like": 1}, (N, 3, 5, 6)),
    (
        "resize",
        [IMAGE, None, constant([1.0, 1.0, 2.0, 2.0], "float32")],
        {},
        (N, 3, 2 * H, 2 * W),
    ),
    ("resize", [IMAGE, None, None, constant([N, 3, 8, 9])], {}, (N, 3, 8, 9)),
    # keep_aspect_ratio_policy: scales 2 and 3 for 4 x 6
    ("resize", [(1, 1, 4, 6)], {"size": (8, 18), "policy": "not_larger"}, (1, 1, 8, 12)),
    ("resize", [(1, 1, 4, 6)], {"size": (8, 18), "policy": "not_smaller"}, (1, 1, 12, 18)),
    # DeepLab's Interp layer: 65 = 8 (9 - 1) + 1, and back
    ("resize", [(1, 3, 9, 9)], {"zoom": 8}, (1, 3, 65, 65)),
    ("resize", [(1, 3, 65, 65)], {"shrink": 8}, (1, 3, 9, 9)),
    ("resize", [(1, 3, 66, 66)], {"shrink": 8, "zoom": 2, "crop": (0, -1)}, (1, 3, 17, 17)),
    ("grid_sample", [IMAGE, (N, 7, 8, 2)], {}, (N, 3, 7, 8)),
    ("affine_grid", [(N, 2, 3)], {"size": (7, 8)}, (N, 7, 8, 2)),
    ("affine_grid", [(N, 2, 3), constant([N, 3, 7, 8])], {}, (N, 7, 8, 2)),
    ("roi_pool", [IMAGE, (300, 5)], {"size": 7}, (300, 3, 7, 7)),
    ("ps_roi_pool", [(1, 490, H, W), (300, 5)], {"size": 7}, (300, 10, 7, 7)),
    ("roi_align", [IMAGE, (T, 4), (T,)], {"size": (7, 9)}, (T, 3, 7, 9)),
    ("im2col", [(N, 3, 8, 8)], {"k": 3, "pad": 1}, (N, 27, 8, 8)),
    ("unfold", [(N, 3, 8, 8)], {"k": 2, "stride": 2}, (N, 12, 16)),
    ("fold", [(N, 12, 16)], {"k": 2, "size": (8, 8)}, (N, 3, 8, 8)),
    ("spp", [(N, 256, 13, 13)], {"levels": 3}, (N, 256 * 21)),
    ("max_unpool", [IMAGE, IMAGE], {"k": 2}, (N, 3, 2 * H, 2 * W)),
    ("max_unpool", [IMAGE, IMAGE], {"size": (5, 5)}, (N, 3, 5, 5)),
    # SSD 300: conv4_3 has 38 x 38 x 4 priors, fc7 19 x 19 x 6 (Liu 2016, table of the Caffe code)
    (
        "prior_box",
        [(1, 512, 38, 38), (1, 3, 300, 300)],
        {"min_sizes": (30,), "max_sizes": (60,), "aspect_ratios": (2,)},
        (1, 2, 38 * 38 * 4 * 4),
    ),
    (
        "prior_box",
        [(1, 1024, 19, 19), (1, 3, 300, 300)],
        {"min_sizes": (60,), "max_sizes": (111,), "aspect_ratios": (2, 3)},
        (1, 2, 19 * 19 * 6 * 4),
    ),
    ("anchors", [(1, 8, H, W)], {"sizes": (0.2, 0.3), "ratios": (1, 2, 0.5)}, (1, 4 * H * W, 4)),
    ("nms", [(1, 99, 4), (1, 80, 99)], {"kept": 10}, (800, 3)),
    ("nms", [(99, 4), (99,)], {"kept": 10, "columns": 0}, (10,)),
    (
        "detection_output",
        [(N, 400), (N, 2100), (1, 2, 400)],
        {"classes": 21, "keep": 200},
        (1, 1, 200 * N, 7),
    ),
    ("proposal", [(1, 18, H, W), (1, 36, H, W), (1, 3)], {"pre": 6000, "post": 300}, (300, 5)),
    ("yolo", [(N, 255, H, W)], {"anchors": 3, "classes": 80}, (N, 255, H, W)),
    ("region", [(N, 125, H, W)], {"anchors": 5, "classes": 20}, (N, 125, H, W)),
]

OTHERS: list[tuple[str, list[Any], dict[str, Any], Any]] = [
    ("sort", [(N, T)], {}, (N, T)),
    ("top_k", [(N, T)], {"k": 5}, (N, 5)),
    ("top_k", [(N, T), constant([5])], {"axis": 0}, (5, T)),
    ("nonzero", [(N, T)], {"most": 9}, (2, 9)),
    ("nonzero", [(N, T)], {"most": 9, "rows": True}, (9, 2)),
    ("unique", [(N,)], {"most": 9}, (9,)),
    ("bincount", [(N,)], {"bins": 9}, (9,)),
    ("mean_variance_norm", [IMAGE], {}, IMAGE),
    ("fft", [(N, 8)], {"kind": "real"}, (N, 5)),
    ("fft", [(N, 5)], {"kind": "inverse_real"}, (N, 8)),
    ("fft", [(N, 5)], {"kind": "inverse_real", "sizes": (9,)}, (N, 9)),
    ("fft", [(N, 8, 8)], {"axes": (1, 2), "sizes": (16, 16)}, (N, 16, 16)),
    ("dft", [(N, 8, 1)], {"onesided": True}, (N, 5, 2)),
    ("dft", [(N, 5, 2)], {"onesided": True, "inverse": True}, (N, 8, 1)),
    ("dft", [(N, 8, 2), constant(6), constant(1)], {}, (N, 6, 2)),
    ("stft", [(N, 1000), constant(100), (400,)], {}, (N, 7, 201, 2)),
    ("stft", [(N, 1000, 1), constant(100), None, constant(400)], {}, (N, 7, 201, 2)),
    (
        "stft",
        [(N, 1000)],
        {"frame": 400, "hop": 100, "pad": 200, "complex_last": False},
        (N, 201, 11),
    ),
    ("matrix_inverse", [(N, 4, 4)], {}, (N, 4, 4)),
    ("determinant", [(N, 4, 4)], {}, (N,)),
    ("cdist", [(N, 5, 3), (1, 7, 3)], {}, (N, 5, 7)),
    ("attention", [(N, 8, T, 64), (N, 8, H, 64), (N, 8, H, 32)], {}, (N, 8, T, 32)),
    ("attention", [(N, T, 64), (N, H, 64), (N, H, 32)], {}, (N, T, 32)),
    (
        "multi_head_attention",
        [(N, T, 512), (N, H, 128), (N, H, 128)],
        {"heads": 8, "kv_heads": 2},
        (N, T, 512),
    ),
    ("grouped_matmul", [(T, 64), (8, 64, 32)], {}, (T, 32)),
    ("rotary_embedding", [(N, 8, T, 64)], {}, (N, 8, T, 64)),
]


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "shape"), MOVEMENT + GENERATED + VISION + OTHERS
)
def test_shapes(op: str, operands: list[Any], attrs: dict, shape: Any) -> None:
    assert shapes(op, *operands, **attrs) == [shape]


def test_several_outputs() -> None:
    assert shapes("top_k", (N, T), k=5, outputs=2) == [(N, 5), (N, 5)]
    assert shapes("sort", (N, T), outputs=2) == [(N, T), (N, T)]
    operands = [(1, 18, H, W), (1, 36, H, W), (1, 3)]
    assert shapes("proposal", *operands, pre=6000, post=300, outputs=2) == [(300, 5), (300, 1)]


def test_a_slice_of_a_free_size() -> None:
    """What is left of it may be nothing, so the size is read at numbers."""
    (shape,) = shapes("slice", IMAGE, starts=(1,), ends=(-1,), axes=(2,))
    assert [at(shape[2], {"H": h}) for h in (1, 2, 9)] == [0, 0, 7]


def test_weights_of_an_expert_layer_are_found() -> None:
    node = single("grouped_matmul", (T, 64), OPEN, n=32, e=8)
    assert node.inputs[1].shape == (8, 64, 32)


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "words"),
    [
        ("resize", [(1, 3, 4, 4)], {"size": (1, 2, 3)}, "3 sizes"),
        ("multi_head_attention", [(1, 4, 10)] * 3, {"heads": 3}, "3 heads"),
        ("attention", [(1, 4, 5, 8), (1, 4, 5, 7), (1, 4, 5, 8)], {}, "axis d"),
        ("matrix_inverse", [(4, 5)], {}, "axis n"),
        ("roi_align", [(1, 3, 4, 4), (9, 4)], {}, "size"),
        ("diagonal", [(4,)], {}, "diagonal of 1 axes"),
        ("gather_nd", [(4,), (2, 2)], {}, "2 indices into 1 axes"),
    ],
)
def test_what_cannot_fit_is_told(op: str, operands: list, attrs: dict, words: str) -> None:
    with pytest.raises(ShapeMismatch, match=words):
        single(op, *operands, **attrs)


SIZES = {"N": 8, "H": 32, "W": 48, "T": 40}


def numbered(value: Any) -> Any:
    """The same with numbers for symbols."""
    if isinstance(value, tuple):
        return tuple(map(numbered, value))
    if isinstance(value, Tensor):
        fixed = [at(v, SIZES) for v in value.value.ravel()]
        return constant(fixed, value.dtype) if value.shape else constant(fixed[0], value.dtype)
    return at(value, SIZES)


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "shape"), MOVEMENT + GENERATED + VISION + OTHERS
)
def test_symbols_and_numbers_agree(op: str, operands: list, attrs: dict, shape: Any) -> None:
    """What is counted with symbols and then given sizes is what is counted with the sizes."""
    free = single(op, *operands, **attrs)
    fixed = single(op, *map(numbered, operands), **{k: numbered(v) for k, v in attrs.items()})
    assert tuple(at(s, SIZES) for s in free.outputs[0].sizes) == fixed.outputs[0].shape
    counts, wanted = ops.count(free), ops.count(fixed)
    assert wanted is not None
    assert counts is None or counts.at(**SIZES) == wanted
