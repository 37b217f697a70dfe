"""com.microsoft: tables that are looked up, and what they add by position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.frontends.onnx.arithmetic import scalar
from flopwise.frontends.onnx.attention import causal_conv
from flopwise.frontends.onnx.fused import IN_OUT, microsoft
from flopwise.frontends.onnx.fused_attention import rotary
from flopwise.frontends.onnx.native import Native
from flopwise.frontends.onnx.quantized import learned
from flopwise.graph import Tensor

microsoft("MRotaryEmbedding")(rotary)


@microsoft("GatherBlockQuantized")
def gather_quantized(n: Native) -> None:
    """Rows of a table of small numbers, then their scale and zero point. In bytes, numbers of
    fewer bits lie side by side along the last axis."""
    table, bits = learned(n.given(0)), n.integer("bits", 4)
    scales, zero = learned(n.given(2)), n.input(3)
    if table.dtype == "uint8" and table.shape and 8 % bits == 0:
        shape = (*table.shape[:-1], (table.shape[-1] or 0) * (8 // bits))
        table = replace(table, shape=shape, dtype=f"uint{bits}", value=None)
    rows = n.emit("gather", table, n.given(1), part="rows", axis=n.integer("gather_axis"))
    operands = (rows, scales, zero and learned(zero))
    n.emit("dequantize", *operands, like=0, dtype=scales.dtype or "float32")


@microsoft("RelativePositionBias")
def relative_position_bias(n: Native) -> None:
    """T5: of each distance a bucket, of each bucket a number per head. The distances, which
    are the same for all heads, are small beside the rest and not counted."""
    lengths = [n.emit("reshape", n.given(i), part=f"length{i}", shape=(1,)) for i in (1, 2)]
    shape = n.emit("concat", *lengths, part="lengths", axis=0)
    buckets = n.emit("constant_of_shape", shape, part="buckets", dtype="int64")
    bias = n.emit("gather", n.given(0), buckets, part="lookup", axis=0)
    n.emit("transpose", bias, pattern="q k h -> 1 h q k")


@microsoft("GatedRelativePositionBias")
def gated_position_bias(n: Native) -> None:
    """WavLM: (u (r eco - 1) + 2) rel_pos, u and r being sigmoids of sums over a product of the
    queries. Operands: queries, their bias, rel_pos, weight, bias, eco."""
    if n.input(6) is not None:
        n.unknown()  # sequences packed into one, whose lengths are data
        return
    heads = n.integer("num_heads")
    q = n.emit("add", n.given(0), n.given(1), part="query")
    q = n.emit("reshape", q, part="heads", shape=(0, 0, heads, -1))
    q = n.emit("transpose", q, part="transpose", perm=(0, 2, 1, 3))
    gates = n.emit("linear", q, n.given(3), n.given(4), part="linear", pattern=IN_OUT)
    gates = n.emit("reshape", gates, part="halves", shape=(0, 0, 0, 2, -1))
    gates = n.emit("reduce_sum", gates, part="sum", axes=(-1,), keep=False)
    gates = n.emit("sigmoid", gates, part="sigmoid")
    u, r = n.parts("split", gates, part="split", results=2, axis=-1)
    r = n.emit("mul", r, n.given(5), part="eco")
    r = n.emit("sub", r, scalar(n, 1), part="less1")
    gate = n.emit("mul", u, r, part="gate")
    gate = n.emit("add", gate, scalar(n, 2), part="plus2")
    n.emit("mul", gate, n.given(2))


@microsoft("QEmbedLayerNormalization")
def quantized_embed_layer_norm(n: Native) -> None:
    """Operands: words, segments, three tables, weight, offset, mask; then the scales of the
    tables, of weight and offset, and their zero points in the same order."""
    words, segments = n.given(0), n.input(1)
    positions = n.emit("identity", words, part="positions")
    places = [(2, words, "word"), (3, positions, "position"), (4, segments, "segment")]

    def real(i: int, taken: Tensor | None, part: str) -> Tensor:
        held = learned(n.given(i))
        rows = held if taken is None else n.emit("gather", held, taken, part=part)
        order = (2, 3, 4, 5, 6).index(i)
        scale, zero = n.given(8 + order), n.input(13 + order)
        return n.emit("dequantize", rows, scale, zero, part=f"{part}/real", like=0, dtype="float32")

    terms = [real(*place) for place in places if place[1] is not None]
    total = n.emit("add", *terms, part="sum")
    weight, offset = real(5, None, "gamma"), real(6, None, "beta")
    n.emit("layer_norm", total, weight, offset, outputs=n.outputs[:1])
    if len(n.outputs) > 1 and n.outputs[1]:
        mask = n.input(7)
        mask = words if mask is None else mask
        n.emit("reduce_sum", mask, outputs=n.outputs[1:2], axes=(1,), keep=False, dtype="int32")


@microsoft("CausalConvWithState")
def causal_conv_of_steps(n: Native) -> None:
    """As that of ai.onnx, where it is of one axis, channels first, one state kept."""
    usual: dict[str, Any] = {"ndim": 1, "dilation": 1, "channels_last": 0, "state_window": 0}
    if all(n.integer(name, value) == value for name, value in usual.items()):
        causal_conv(n)
    else:
        n.unknown()


@microsoft("LinearAttentionGate")
def linear_attention_gate(n: Native) -> None:
    """decay = scale softplus(a + bias), beta = sigmoid(b). Operands: a, bias, scale, b."""
    decay = n.emit("add", n.given(0), n.given(1), part="bias")
    decay = n.emit("softplus", decay, part="softplus")
    n.emit("mul", decay, n.given(2), outputs=n.outputs[:1])
    if len(n.outputs) > 1 and n.outputs[1]:
        n.emit("sigmoid", n.given(3), outputs=n.outputs[1:2])
