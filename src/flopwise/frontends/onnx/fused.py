"""com.microsoft: convolutions, products, activations and norms that onnxruntime fuses."""

from __future__ import annotations

from functools import partial
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.arithmetic import scalar
from flopwise.frontends.onnx.layers import gemm_pattern, window
from flopwise.frontends.onnx.native import Native, lowers, same_meaning
from flopwise.frontends.onnx.recurrent import ACTIVATIONS
from flopwise.graph import Tensor

MICROSOFT = "com.microsoft"
microsoft = partial(lowers, domain=MICROSOFT)

same_meaning({
    "Gelu": "gelu", "QuickGelu": "quick_gelu", "Inverse": "matrix_inverse", "CDist": "cdist",
    "ComplexMul": "complex_mul", "ComplexMulConj": "complex_mul", "ScaledSiLU": "quick_gelu",
}, domain=MICROSOFT)  # fmt: skip


def activation(n: Native) -> str | None:
    """The fused activation, in our word. Raises UnreadableModel for one that we do not know."""
    name = n.text("activation")
    known = {**ACTIVATIONS, "Clip": "clip", "": None, "HardSwish": "hard_swish", "Gelu": "gelu",
             "QuickGelu": "quick_gelu", "SiLU": "silu", "Softmax": "softmax"}  # fmt: skip
    if name not in known:
        raise UnreadableModel(f"its activation '{name}' is not known")
    return known[name]


def finish(n: Native, result: Tensor, steps: list[tuple[str, Any]]) -> None:
    """Further operators on a result, where it lies; the last of them writes the outputs."""
    for i, (op, others) in enumerate(steps):
        part = "" if i == len(steps) - 1 else op
        result = n.emit(op, result, *others, part=part, outputs=n.outputs[:1], inplace=True)


@microsoft("FusedConv", "NhwcFusedConv", "NhwcConv")
def fused_conv(n: Native) -> None:
    """Data, weight, bias, and what is added before the activation."""
    layout = "n *x c, weight: f g *k, bias?: f -> n *y f" if n.op.startswith("Nhwc") else None
    attrs = {"groups": n.integer("group", 1), "pattern": layout, **window(n)}
    other, function = n.input(3), activation(n)
    steps: list[tuple[str, Any]] = [("add", (other,))] if other is not None else []
    steps += [(function, ())] if function else []
    if not steps:
        n.emit("conv", *n.inputs[:3], **attrs)
    else:
        finish(n, n.emit("conv", *n.inputs[:3], part="conv", **attrs), steps)


@microsoft("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation")
def fused_matmul(n: Native) -> None:
    """alpha A B, either transposed; or with its first axis last of the batch axes."""
    sides = [turned(n, n.given(0), "A"), turned(n, n.given(1), "B")]
    function, alpha = activation(n), n.real("alpha", 1.0)
    steps: list[tuple[str, Any]] = [("mul", (scalar(n, alpha),))] if alpha != 1 else []
    steps += [(function, ())] if function else []
    if not steps:
        n.emit("matmul", *sides)
    else:
        finish(n, n.emit("matmul", *sides, part="matmul"), steps)


def turned(n: Native, tensor: Tensor, side: str) -> Tensor:
    if n.integer(f"transBatch{side}"):
        pattern = "m *b k -> *b m k"
        tensor = n.emit("transpose", tensor, part=f"{side}/batch", pattern=pattern)
    if n.integer(f"trans{side}"):
        tensor = n.emit("swap_axes", tensor, part=f"{side}/transpose", axes=(-1, -2))
    return tensor


@microsoft("FusedGemm", "GemmFloat8")
def fused_gemm(n: Native) -> None:
    function = {"NONE": None, "RELU": "relu", "GELU": "gelu"}.get(n.text("activation"), "")
    function = activation(n) if function == "" else function
    attrs = {"pattern": gemm_pattern(n)}
    if function is None:
        n.emit("linear", *n.inputs[:3], **attrs)
    else:
        finish(n, n.emit("linear", *n.inputs[:3], part="linear", **attrs), [(function, ())])


@microsoft("GemmFastGelu")
def gemm_gelu(n: Native) -> None:
    product = n.emit("linear", *n.inputs, part="linear", pattern=IN_OUT)
    finish(n, product, [("gelu_tanh", ())])


IN_OUT = "*n i, weight: i o, bias?: o -> *n o"


@microsoft("FastGelu", "BiasGelu")
def bias_gelu(n: Native) -> None:
    x, bias = n.given(0), n.input(1)
    if bias is not None:
        x = n.emit("add", x, bias, part="bias")
    n.emit("gelu_tanh" if n.op == "FastGelu" else "gelu", x)


@microsoft("BiasSplitGelu")
def bias_split_gelu(n: Native) -> None:
    """Half of the last axis times the gelu of the other half."""
    x = n.emit("add", *n.inputs, part="bias")
    left, right = n.parts("split", x, part="split", results=2, axis=-1)
    n.emit("mul", left, n.emit("gelu", right, part="gelu"))


@microsoft("BiasAdd")
def bias_add(n: Native) -> None:
    finish(n, n.emit("add", n.given(0), n.given(1), part="bias"), [("add", (n.given(2),))])


@microsoft("GatedAdd")
def gated_add(n: Native) -> None:
    finish(n, n.emit("mul", n.given(1), n.given(2), part="gate"), [("add", (n.given(0),))])


@microsoft("BiasSoftmax")
def bias_softmax(n: Native) -> None:
    x = n.emit("add", *n.inputs, part="bias")
    n.emit("softmax", x, axis=n.integer("axis", 1), onward=True)


@microsoft("BiasDropout", "BitmaskBiasDropout")
def bias_dropout(n: Native) -> None:
    x = n.emit("add", n.given(0), n.given(1), part="bias")
    residual = n.input(2)
    if residual is not None:
        x = n.emit("add", x, residual, part="residual")
    n.emit("dropout", x, outputs=n.outputs[:1])


@microsoft("BitmaskDropout")
def bitmask_dropout(n: Native) -> None:
    n.emit("dropout", n.given(0), outputs=n.outputs[:1])


def summed(n: Native, skip: int, bias: int) -> Tensor:
    """Input, skip and bias added up: the fourth output, where there is one."""
    terms = [t for t in (n.input(0), n.input(skip), n.input(bias)) if t is not None]
    wanted = n.outputs[3:4] if len(n.outputs) > 3 and n.outputs[3] else None
    if wanted is None:
        return n.emit("add", *terms, part="sum")
    return n.emit("add", *terms, outputs=wanted)


@microsoft("SkipLayerNormalization")
def skip_layer_norm(n: Native) -> None:
    """Operands: input, skip, weight, offset, bias of the sum."""
    total = summed(n, 1, 4)
    n.emit("layer_norm", total, n.given(2), n.input(3), outputs=n.outputs[:3])


@microsoft("SkipSimplifiedLayerNormalization")
def skip_rms_norm(n: Native) -> None:
    total = summed(n, 1, 3)
    n.emit("rms_norm", total, n.given(2), outputs=n.outputs[:1])


@microsoft("GatedRMSNorm")
def gated_rms_norm(n: Native) -> None:
    """The norm times an activation of the gate."""
    normed = n.emit("rms_norm", n.given(0), n.given(1), part="norm")
    function = {"sigmoid": "sigmoid"}.get(n.text("activation"), "silu")
    n.emit("mul", normed, n.emit(function, n.given(2), part="gate"))


@microsoft("GroupNorm", "SkipGroupNorm")
def group_norm(n: Native) -> None:
    """Channels last unless told; the skip, its bias and an activation may be fused."""
    x, groups = n.given(0), n.integer("groups")
    if n.op == "SkipGroupNorm":
        terms = [t for t in (x, n.input(3), n.input(4)) if t is not None]
        outputs = n.outputs[1:2]
        x = n.emit("add", *terms, outputs=outputs) if outputs else n.emit("add", *terms, part="sum")
    last = "n *x c, weight?: c, bias?: c -> n *x c" if n.integer("channels_last", 1) else None
    operands, attrs = (x, n.given(1), n.given(2)), {"groups": groups, "pattern": last}
    if n.integer("activation"):
        finish(n, n.emit("group_norm", *operands, part="norm", **attrs), [("silu", ())])
    else:
        n.emit("group_norm", *operands, outputs=n.outputs[:1], **attrs)


@microsoft("EmbedLayerNormalization")
def embed_layer_norm(n: Native) -> None:
    """Word, position and segment embeddings added up and normalised. Operands: words,
    segments, three tables, weight, offset, mask, positions."""
    words, segments, mask = n.given(0), n.input(1), n.input(7)
    total = n.emit("gather", n.given(2), words, part="word")
    where = n.input(8)
    positions = where if where is not None else n.emit("identity", words, part="positions")
    terms = [total, n.emit("gather", n.given(3), positions, part="position")]
    if segments is not None and n.input(4) is not None:
        terms.append(n.emit("gather", n.given(4), segments, part="segment"))
    sums = n.outputs[2:3] if len(n.outputs) > 2 and n.outputs[2] else None
    total = n.emit("add", *terms, outputs=sums) if sums else n.emit("add", *terms, part="sum")
    n.emit("layer_norm", total, n.given(5), n.given(6), outputs=n.outputs[:1])
    if len(n.outputs) > 1 and n.outputs[1]:
        mask = words if mask is None else mask
        n.emit("reduce_sum", mask, outputs=n.outputs[1:2], axes=(1,), keep=False, dtype="int32")
