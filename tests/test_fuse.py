"""Passes that a deployment does, counted before and after; which operators run as one kernel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flopwise import api
from flopwise.counts import ZERO
from flopwise.errors import UnknownName
from flopwise.graph import Graph
from flopwise.passes import runtimes
from flopwise.passes.drop import drop_identities, fold_constants, fold_shapes
from flopwise.passes.fold_batch_norm import fold_batch_norm
from flopwise.passes.fuse import Group, groups
from flopwise.passes.runtimes import RUNTIMES
from support.written import written
from test_onnx import MODELS, inputs, manifest


def ops_of(graph: Graph) -> str:
    return " ".join(node.op for node in graph.nodes)


IDENTITIES = {
    "in between": ("x: 1,8\na = relu x\nb = identity a\nc = neg b", "relu neg"),
    "in a row": ("x: 1,8\na = identity x\nb = dropout a\nc = neg b", "neg"),
    "as the output": ("x: 1,8\na = relu x\nb = dropout a", "relu"),
    "input to output": ("x: 1,8\na = identity x", "identity"),
    "a mask that is read": ("x: 1,8\na, m = dropout x\nb = mul a m", "dropout mul"),
    "a mask that nobody reads": ("x: 1,8\na, m = dropout x\nb = neg a", "neg"),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_identities_and_dropout_go(case: str) -> None:
    text, left = IDENTITIES[case]
    before = written(text)
    after = drop_identities(before)
    assert ops_of(after) == left
    assert api.count(after).total().ops == api.count(before).total().ops
    made = {t.name for t in before.inputs} | {t.name for n in after.nodes for t in n.outputs}
    assert {t.name for t in after.outputs} <= made


CONSTANTS = {
    "shape arithmetic": (
        "x: 2,3,4\ns = shape_of x\nr = reshape x s\nn = neg r",
        "reshape neg", "reshape neg",
    ),
    "arithmetic on weights": (
        "x: 2,8\nv = mul w:4,8 s:4,1\ny = linear x v",
        "mul linear", "linear",
    ),
    "chance is not constant": ("x: 2,8\nr = random like:2,8\ny = add x r", "random add", None),
    "what nobody reads": ("x: 2,8\nz = neg x\ny = relu x\n-> y", "neg relu", "relu"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONSTANTS)
def test_constants_are_folded(case: str) -> None:
    text, shapes, everything = CONSTANTS[case]
    assert ops_of(fold_shapes(written(text))) == shapes
    assert ops_of(fold_constants(written(text))) == (everything or shapes)


NORM = "m:8 v:8 g:8 b:8"
FOLDED = {
    "conv": ("x: 1,3,4,4\nc = conv x w:8,3,3,3 pad=1\ny = batch_norm c", 8 * 16),
    "conv with a bias": ("x: 1,3,4,4\nc = conv x w:8,3,3,3 b0:8 pad=1\ny = batch_norm c", 8 * 16),
    "grouped conv": ("x: 1,4,4,4\nc = conv x w:8,1,3,3 pad=1 groups=4\ny = batch_norm c", 8 * 16),
    "conv_transpose": ("x: 1,3,4,4\nc = conv_transpose x w:3,8,2,2 stride=2\ny = batch_norm c",
                       512),
    "linear": ("x: 5,3\nc = linear x w:8,3\ny = batch_norm c", 40),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDED)
def test_batch_norm_folds_into_the_layer_before(case: str) -> None:
    """What is left is the layer with one bias per output channel, added once per output."""
    text, outputs = FOLDED[case]
    before = written(f"{text} {NORM}\nz = relu y")
    after = fold_batch_norm(before)
    assert ops_of(after) == f"{before.nodes[0].op} relu"
    counted = api.count(after).total()
    assert counted.mac == api.count(before).total().mac
    assert (counted.add, counted.mul, counted.div, counted.sqrt) == (outputs, 0, 0, 0)
    assert api.count(after).params == before.nodes[0].inputs[1].size + 8
    assert after.nodes[0].outputs[0].name == "y"


KEPT = {
    "its input is read elsewhere": (
        f"x: 1,8,4,4\nc = conv x w:8,8,1,1\ny = batch_norm c {NORM}\nz = add y c"
    ),
    "its input is an output": (
        f"x: 1,8,4,4\nc = conv x w:8,8,1,1\ny = batch_norm c {NORM}\n-> c y"
    ),
    "channels are another axis": f"x: 2,8,4\nc = linear x w:4,4\ny = batch_norm c {NORM}",
    "nothing before it": f"x: 1,8,4,4\ny = batch_norm x {NORM}",
    "an activation between": (
        f"x: 1,8,4,4\nc = conv x w:8,8,1,1\nr = relu c\ny = batch_norm r {NORM}"
    ),
    "a weight that is computed": (f"x: 1,8,4,4\nw: 8,8,1,1\nc = conv x w\ny = batch_norm c {NORM}"),
}


@pytest.mark.parametrize("case", KEPT)
def test_batch_norm_stays(case: str) -> None:
    before = written(KEPT[case])
    assert fold_batch_norm(before) == before


def test_caffe_norms_fold_in_two_steps() -> None:
    """Caffe keeps the mean and the variance in one layer, factor and offset in the next."""
    before = written(
        "x: 1,3,4,4\nc = conv x w:8,3,1,1\nn = batch_norm c m:8 v:8\ny = scale n g:8 b:8"
    )
    after = fold_batch_norm(before)
    assert ops_of(after) == "conv"
    assert api.count(after).total().add == 8 * 16


LAYER_NORM = """
x: 1,10,64
m = reduce_mean x axes=(-1,) keepdims=True
d = sub x m
q = square d
v = reduce_mean q axes=(-1,) keepdims=True
e = add v eps:1
s = sqrt e
n = div d s
g = mul n weight:64
y = add g bias:64
"""
FUSED = {
    "bias": ("x: 4,8\na = matmul x w:8,16\ny = add a b:16", "onnxruntime", ["matmul add"]),
    "activation": ("x: 4,8\na = linear x w:16,8\ny = relu a", "onnxruntime", ["linear relu"]),
    "an activation it has not": ("x: 4,8\na = linear x w:16,8\ny = erf a", "onnxruntime",
                                 ["linear", "erf"]),
    "residual": ("x: 1,8,4,4\na = conv x w:8,8,1,1\nb = conv x v:8,8,1,1\ny = add a b\nz = relu y",
                 "onnxruntime", ["conv", "conv add relu"]),
    "a broadcast is no residual": (
        "x: 1,8,4,4\na = conv x w:8,8,1,1\np = global_avg_pool x\ny = add a p", "tensorrt",
        ["conv", "global_avg_pool", "add"]),
    "read twice": ("x: 4,8\na = linear x w:8,8\ny = relu a\nz = add a y", "tensorrt",
                   ["linear", "relu add"]),
    "layer norm": (LAYER_NORM, "onnxruntime",
                   ["reduce_mean sub square reduce_mean add sqrt div mul add"]),
    "layer norm whose mean is read": (
        LAYER_NORM + "z = add y m", "onnxruntime",
        ["reduce_mean", "sub", "square", "reduce_mean", "add", "sqrt", "div", "mul", "add", "add"]),
    "attention": (
        "q: 2,4,64\nk: 2,64,4\nv: 2,4,64\ns = matmul q k\nt = mul s half:1\np = softmax t\n"
        "y = matmul p v", "tensorrt", ["matmul mul softmax matmul"]),
    "a classifier is no attention": (
        "x: 4,8\na = matmul x w:8,8\np = softmax a\ny = matmul p v:8,8", "tensorrt",
        ["matmul", "softmax", "matmul"]),
    "gelu": ("x: 4,8\nl = linear x w:8,8\na = div l r:1\nb = erf a\nc = add b one:1\n"
             "d = mul l c\ny = mul d h:1", "tensorrt", ["linear div erf add mul mul"]),
    "silu": ("x: 4,8\na = linear x w:8,8\ns = sigmoid a\ny = mul a s", "tensorrt",
             ["linear sigmoid mul"]),
    "pointwise chain": ("x: 4,8\na = neg x\nb = exp a\nc = log b", "tensorrt", ["neg exp log"]),
    "each alone": ("x: 4,8\na = linear x w:8,8\ny = relu a", "eager", ["linear", "relu"]),
    "the norm of a sum": ("x: 4,8\nz: 4,8\na = add x z\ny = layer_norm a w:8 b:8", "onnxruntime",
                          ["add layer_norm"]),
}  # fmt: skip


@pytest.mark.parametrize("case", FUSED)
def test_operators_that_run_as_one_kernel(case: str) -> None:
    text, runtime, expected = FUSED[case]
    before = written(text)
    found = RUNTIMES[runtime].kernels(before)
    assert [" ".join(n.op for n in g.nodes) for g in found] == expected
    assert total(found).ops == api.count(before).total().ops


def total(found: tuple[Group, ...]) -> object:
    return sum((g.repeat * g.counts for g in found), ZERO)


BYTES = {  # text, bytes read and written by the last kernel; float32
    "convolution, sum and relu": (
        "x: 1,8,4,4\na = conv x w:8,8,1,1\nb = conv x v:8,8,1,1\ny = add a b\nz = relu y",
        4 * (128 + 64 + 128), 4 * 128,
    ),
    "x is read once": ("x: 4,8\na = linear x w:8,8\ns = sigmoid a\ny = mul a s",
                       4 * (32 + 64), 4 * 32),
    "layer norm": (LAYER_NORM, 4 * (640 + 1 + 64 + 64), 4 * 640),
}  # fmt: skip


@pytest.mark.parametrize("case", BYTES)
def test_only_bytes_that_cross_the_border_count(case: str) -> None:
    text, read, write = BYTES[case]
    last = RUNTIMES["tensorrt"].kernels(written(text))[-1]
    assert (last.counts.read, last.counts.write) == (read, write)


def test_loops_say_how_often_their_kernels_run() -> None:
    from support.networks import small

    found = RUNTIMES["eager"].kernels(small(unknown=False).graph)
    assert [(g.kind, g.repeat) for g in found if g.kind == "conv"] == [
        ("conv", 1), ("conv", 1), ("conv", 10),
    ]  # fmt: skip


def test_an_operator_without_a_formula_is_told() -> None:
    from support.networks import small

    found = RUNTIMES["tensorrt"].kernels(small(unknown=True).graph)
    assert [g.kind for g in found if not g.known] == ["unknown"]


def test_unknown_runtime() -> None:
    with pytest.raises(UnknownName, match="no runtime 'tensort'; did you mean tensorrt"):
        runtimes.find("tensort")


def test_without_rules_each_operator_is_a_kernel() -> None:
    graph = written(LAYER_NORM)
    assert len(list(groups(graph))) == len(graph.nodes)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", MODELS)
def test_passes_keep_the_products(shared: Path, name: str, runtime: str) -> None:
    row = manifest(shared, f"onnx/{name}.onnx")
    graph = api.load(shared / "models" / row["file"], inputs(row))
    after = RUNTIMES[runtime].optimise(graph)
    assert api.count(after).total().mac == int(row["macs"])
    assert total(RUNTIMES[runtime].kernels(graph)).mac == int(row["macs"])


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_itself_has_as_many_layers(shared: Path, tmp_path: Path, name: str) -> None:
    """The witness: the graph that onnxruntime writes after all its optimisations."""
    ort = pytest.importorskip("onnxruntime")
    row = manifest(shared, f"onnx/{name}.onnx")
    source, fused = shared / "models" / row["file"], tmp_path / "fused.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(fused)
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    ours = RUNTIMES["onnxruntime"].optimise(api.load(source, inputs(row)))
    theirs = api.load(fused, inputs(row))
    assert api.count(ours).total().mac == api.count(theirs).total().mac
    layers = Counter(g.kind for g in RUNTIMES["onnxruntime"].kernels(ours))
    kept = Counter(g.kind for g in groups(theirs))
    for kind in ("conv", "conv_transpose", "lstm", "max_pool", "global_avg_pool", "softmax"):
        assert layers[kind] == kept[kind], kind
