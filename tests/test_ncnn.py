"""ncnn networks: single layers against ncnn itself, costs by hand, hostile files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.errors import FlopwiseError, ShapeMismatch, UnknownSize, UnreadableModel
from flopwise.frontends.ncnn.text import HINTS, parse

SHAPES = Path(__file__).with_name("ncnn_shapes.txt")
CASES = [line for line in SHAPES.read_text().splitlines() if not line.startswith("#")]


def network(*layers: str) -> str:
    """A file with the magic number and the counts of its layers."""
    return f"7767517\n{len(layers)} {len(layers)}\n" + "\n".join(layers) + "\n"


def count(text: str, tmp_path: Path, **request: Any) -> Any:
    path = tmp_path / "net.param"
    path.write_text(text)
    return flopwise.count(path, **request)


def single(case: str) -> tuple[str, list[tuple[int, ...]], list[str]]:
    """A network of one layer, the shapes of its blobs, and those of its tops."""
    setting, _, expected = case.partition(" => ")
    shapes, _, layer = setting.partition(";")
    kind, bottoms, tops, *params = layer.split()
    sizes = [tuple(map(int, s.split("x"))) for s in shapes.split()]
    blobs = [f"b{i}" for i in range(int(bottoms))] + [f"t{i}" for i in range(int(tops))]
    inputs = [f"Input in{i} 0 1 b{i}" for i in range(int(bottoms))]
    line = " ".join((kind, "layer", bottoms, tops, *blobs, *params))
    return network(*inputs, line), sizes, expected.split()


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_those_of_ncnn(tmp_path: Path, case: str) -> None:
    text, sizes, expected = single(case)
    inputs = {f"b{i}": (2, *size) for i, size in enumerate(sizes)}
    profile = count(text, tmp_path, inputs=inputs)
    made = {t.name: t.shape for n in profile.graph.nodes for t in n.outputs}
    tops = ["x".join(map(str, made[f"t{i}"][1:])) for i in range(len(expected))]
    assert tops == expected
    assert profile.coverage == 1


# layer, shapes of its blobs, multiply-accumulates, parameters: all by hand
COSTS: list[tuple[str, str, int, int]] = [
    ("Convolution c 1 1 b0 t 0=8 1=3 3=2 4=1 5=1 6=216", "1x3x10x10", 25 * 8 * 27, 224),
    ("ConvolutionDepthWise c 1 1 b0 t 0=8 1=3 5=1 6=72 7=8", "1x8x10x10", 64 * 8 * 9, 80),
    ("Deconvolution c 1 1 b0 t 0=4 1=2 3=2 5=1 6=96", "1x6x5x5", 25 * 6 * 4 * 4, 100),
    ("InnerProduct c 1 1 b0 t 0=7 1=1 2=420", "1x3x4x5", 420, 427),
    ("InnerProduct c 1 1 b0 t 0=7 2=140", "1x6x20", 840, 140),
    ("MultiHeadAttention c 1 1 b0 t 0=12 1=3 2=144", "1x20x12",
     4 * 20 * 144 + 2 * 20 * 20 * 12, 4 * 156),
    ("Gemm c 1 1 b0 t 3=1 5=1 6=1 8=7 9=12 10=4", "1x10x12", 840, 84 + 7),
    ("Gemm c 1 1 b0 t 3=1 5=1 8=7 9=12 10=-1 0=0.5 14=1", "1x10x12", 840, 84),
    ("LSTM c 1 1 b0 t 0=6 1=192", "1x20x8", 20 * 24 * (8 + 6), 24 * (8 + 6 + 1)),
    ("LSTM c 1 1 b0 t 0=3 1=192 3=6", "1x20x8", 20 * (24 * 11 + 18), 24 * (8 + 3 + 1) + 18),
    ("GRU c 1 1 b0 t 0=6 1=288 2=2", "1x20x8", 2 * 20 * 18 * 14, 2 * (18 * 14 + 4 * 6)),
    ("Embed c 1 1 b0 t 0=6 1=100 2=1 3=600", "1x20", 0, 606),
    ("BatchNorm c 1 1 b0 t 0=3", "1x3x4x5", 0, 12),
    ("PReLU c 1 1 b0 t 0=3", "1x3x4x5", 0, 3),
    ("Einsum c 1 1 b0 t -23300=6,105,106,45,62,105,106", "1x3x4", 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape", "macs", "params"), COSTS)
def test_costs_by_hand(tmp_path: Path, layer: str, shape: str, macs: int, params: int) -> None:
    text = network("Input b 0 1 b0", layer)
    profile = count(text, tmp_path, inputs=shape)
    assert (profile.total().mac, profile.params) == (macs, params)
    free = count(text, tmp_path, inputs="N" + shape[1:])
    assert free.at(N=1).total().mac == macs
    assert free.at(N=3).total().mac == 3 * macs


def test_layer_norm_of_rows_and_of_channels(tmp_path: Path) -> None:
    """As many groups as there are rows, or channels: a square root each."""
    for size, groups in ((5, 12), (20, 3)):
        text = network("Input b 0 1 b0", f"LayerNorm n 1 1 b0 t 0={size} 2=1")
        assert count(text, tmp_path, inputs="1x3x4x5").total().sqrt == groups


def test_activations_are_operations_of_their_own(tmp_path: Path) -> None:
    kinds = {1: "relu", 2: "leaky_relu", 3: "clip", 4: "sigmoid", 5: "mish", 6: "hard_swish"}
    for number, op in kinds.items():
        text = network("Input b 0 1 b0", f"Convolution c 1 1 b0 t 0=8 1=1 6=24 9={number}")
        profile = count(text, tmp_path, inputs="1x3x4x4")
        assert profile.by_op()[op].ops > 0
        assert profile.graph.outputs[0].name == "t"


def test_integer_layers_quantise_and_restore(tmp_path: Path) -> None:
    """8=102 hands 8-bit integers on; 8=2 gives floats back."""
    text = network(
        "Input b 0 1 b0 0=8 1=8 2=3",
        "Convolution c 1 1 b0 m 0=8 1=3 4=1 6=216 8=102 9=1",
        "Convolution d 1 1 m t 0=4 1=3 4=1 6=288 8=2",
    )
    graph = count(text, tmp_path).graph
    flow = [(n.op, n.outputs[0].dtype) for n in graph.nodes]
    assert flow == [
        ("quantize", "int8"), ("conv", "int32"), ("dequantize", "float32"), ("relu", "float32"),
        ("quantize", "int8"), ("conv", "int32"), ("dequantize", "float32"),
    ]  # fmt: skip
    assert count(text, tmp_path).weight_bytes == 216 + 288


def test_a_constant_is_stretched_to_the_batch(tmp_path: Path) -> None:
    text = network(
        "Input b 0 1 x 0=8 1=1",
        "MemoryData m 0 1 token 0=8 1=1",
        "Concat c 2 1 token x y 0=0",
        "InnerProduct i 1 1 y z 0=4 2=32",
    )
    assert count(text, tmp_path).total().mac == 64
    profile = count(text, tmp_path, batch=5)
    assert (profile.total().mac, profile.params) == (320, 40)


def test_split_costs_nothing_and_adds_no_row(tmp_path: Path) -> None:
    text = network("Input b 0 1 x 0=8", "Split s 1 2 x y z", "BinaryOp a 2 1 y z t 0=0")
    profile = count(text, tmp_path)
    assert [r.node.op for r in profile.rows] == ["add"]


def test_an_input_without_shape_asks_for_one(tmp_path: Path) -> None:
    text = network("Input b 0 1 data", "ReLU r 1 1 data t")
    with pytest.raises(UnknownSize, match=r"data.*--input data=1x3x224x224"):
        count(text, tmp_path)
    assert count(text, tmp_path, inputs="1x3x5").total().cmp == 15


def test_partly_known_inputs_and_hints(tmp_path: Path) -> None:
    text = network("Input b 0 1 data 0=0 1=0 2=3", "Convolution c 1 1 data t 0=8 1=1 6=24")
    with pytest.raises(UnknownSize, match=r"1x3x\?x\?"):
        count(text, tmp_path)
    assert str(count(text, tmp_path, inputs="1x3xHxW").total().mac) == "24*H*W"
    hinted = network("Input b 0 1 data -23330=4,3,6,5,3", "ReLU r 1 1 data t")
    assert count(hinted, tmp_path).graph.inputs[0].shape == (1, 3, 5, 6)


def test_old_files_have_no_magic_number(tmp_path: Path) -> None:
    text = "2 2\nInput b 0 1 x 0=4\nReLU r 1 1 x t\n"
    assert count(text, tmp_path).total().cmp == 4


def test_unknown_layers_are_told(tmp_path: Path) -> None:
    text = network("Input b 0 1 x 0=4", "Mine m 1 1 x y 0=3", "ReLU r 1 1 y t")
    assert count(text, tmp_path).not_counted() == {"Mine": 1, "ReLU": 1}


def test_sizes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    text = network("Input b 0 1 x 0=8 1=8 2=4", "Convolution c 1 1 x t 0=8 1=3 6=216")
    with pytest.raises(ShapeMismatch, match="axis g is both 3 and 4"):
        count(text, tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Input b 0 1 x 0=4", "ReLU r 1 1 y t"], "its bottom 'y' is not made"),
        (["Input b 0 1 x 0=4", "ReLU r 1 1 t t"], "a cycle"),
        (["Input b 0 1 x 0=4", "ReLU r 1 1 x x"], "made twice"),
        (["Input b 0 1 x 0=4", "Reshape r 1 1 x t 6=*(0w,2"], "'*(0w,2' is no list of sizes"),
        (["Input b 0 1 x 0=4", "ReLU r 9 1 x t"], "10 blobs are counted, 2 named"),
        (["Input b 0 1 x 0=4", "ReLU r one 1 x t"], "not a layer"),
        (["Input b 0 1 x 0=4", "ReLU r 1 1 x t foo"], "'foo' is no parameter"),
        (["Input b 0 1 x 0=4", "ReLU r 1 1 x t a=3"], "pnnx.param"),
        (["Input b 0 1 x 0=4", "ReLU r 1 1 x t -23300=3,1"], "an array of 3 holds 1"),
        (["Input b 0 1 x 0=4", "InnerProduct r 1 1 x t 0=99999999999"], "32 bits"),
        (["Input b 0 1 x 0=4", "InnerProduct r 1 1 x t 0=3 2=10"], "do not divide"),
        (["Input b 0 1 x 0=4", "Convolution r 1 1 x t 0=3 1=3 6=9"], "batch in front"),
        (["Input b 0 1 x 0=4 1=4 2=4", "Convolution r 1 1 x t 0=3 6=9"], "kernel size"),
        (["Input b 0 1 x 0=4", "InnerProduct r 1 1 x t 0=3 2=12 9=77"], "activation 77"),
        (["Input b 0 1 x 0=4", "UnaryOp r 1 1 x t 0=55"], "operation 55"),
        (["Input b 0 1 x 0=4", "UnaryOp r 1 1 x t 0=inf"], "do not fit"),
        (["Input b 0 1 x 0=4 1=4", "Permute r 1 1 x t 0=9"], "no order 9"),
    ],
)  # fmt: skip
def test_broken_files(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UnreadableModel) as caught:
        count(network(*lines), tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def sample() -> str:
    return network(
        "Input b 0 1 x 0=16 1=16 2=3",
        "Convolution c 1 1 x y 0=8 1=3 4=1 5=1 6=216 9=2 -23310=1,0.1",
        "Split s 1 2 y y0 y1",
        "Pooling p 1 1 y0 z 1=2 2=2",
        "Interp i 1 1 z u 0=2 1=2.0 2=2.0",
        "Eltwise e 2 1 u y1 v 0=1",
        "InnerProduct f 1 1 v t 0=10 1=1 2=20480",
    )


def test_truncated_at_every_tenth_byte(tmp_path: Path) -> None:
    text = sample()
    for stop in range(20, len(text) - 10, 10):
        with pytest.raises(FlopwiseError):
            count(text[:stop], tmp_path)


def test_noise_never_crashes(tmp_path: Path) -> None:
    chance = random.Random(0)
    for _ in range(400):
        text = [*sample()]
        for _ in range(chance.choice((1, 3, 10))):
            text[chance.randrange(10, len(text))] = chance.choice("0129-=. ,x\n")
        try:
            count("".join(text), tmp_path)
        except FlopwiseError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet", "resnet18", "yolov4-tiny"])
def test_shapes_are_those_that_a_tool_wrote_into_the_file(shared: Path, name: str) -> None:
    path = shared / f"models/ncnn/{name}.param"
    profile = flopwise.count(path)
    made = {t.name: t.shape for n in profile.graph.nodes for t in n.outputs}
    checked = 0
    for record in parse(path.read_text(), str(path)):
        hints = record.params.get(HINTS, ())
        for top, (rank, w, h, c) in zip(record.tops, zip(*[iter(hints)] * 4)):
            if top in made and record.kind != "Yolov3DetectionOutput":  # how many is data
                assert made[top] == (1, *(c, h, w)[3 - rank :])
                checked += 1
    assert checked > 10


def test_vision_transformer(shared: Path) -> None:
    """ViT-B/32 at 384 x 384: torchvision documents 88,224,232 parameters with 50 positions;
    here are 145. Twelve blocks of 145 tokens, the patches, the classes."""
    profile = flopwise.count(shared / "models/ncnn/vision_transformer.param", inputs="1x3x384x384")
    assert profile.params == 88224232 + (145 - 50) * 768
    block = 145 * (4 + 8) * 768**2 + 2 * 145**2 * 768
    assert profile.total().mac == 12 * block + 144 * 3072 * 768 + 768 * 1000
    assert profile.coverage == 1


def test_attention_with_a_cache(tmp_path: Path) -> None:
    """The layer of an exported language model: the new tokens attend to the cache as well. One
    Input brings in all of the cache, and one pattern gives its shapes."""
    file = tmp_path / "decoder.param"
    file.write_text(
        "7767517\n3 8\nInput q 0 1 q\nInput kv_cache 0 2 cache_k0 cache_v0\n"
        "SDPA a 5 3 q q q cache_k0 cache_v0 y k_all v_all 7=1\n"
    )
    profile = flopwise.count(file, {"q": (1, 4, 6, 8), "cache_*": (1, 4, 10, 8)})
    assert profile.total().mac == 2 * 4 * 6 * 16 * 8
    made = {t.name: t.shape for row in profile.rows for t in row.node.outputs}
    assert made["k_all"] == made["v_all"] == (1, 4, 16, 8) and made["y"] == (1, 4, 6, 8)
