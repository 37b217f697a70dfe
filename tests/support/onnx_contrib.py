"""One small model per com.microsoft operator, and the MACs that the layers in it come to.

Operands are written `name type sizes`; a `!` after the name marks a stored one, of ones or of
the number behind it, and `-` alone is an operand that is left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .onnx_bytes import field, integer, integers, model, real, reals, text, texts

DTYPES = {
    "f": (1, 4), "u8": (2, 1), "i8": (3, 1), "i16": (5, 2), "i32": (6, 4), "i64": (7, 8),
    "s": (8, 0), "b": (9, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A model of one operator: its MACs, and the shapes of its outputs."""

    op: str
    operands: str
    outputs: str
    macs: int = 0
    attributes: tuple[bytes, ...] = ()
    domain: str = "com.microsoft"
    version: int = 1

    @property
    def data(self) -> bytes:
        """The ONNX file."""
        names, graph = [], b""
        for words in map(str.split, self.operands.split(",")):
            name, stored, number = words[0].partition("!")
            names.append("" if name == "-" else name)
            if name != "-":
                sizes = [int(w) for w in words[2:]]
                if stored:
                    graph += held(name, words[1], sizes, int(number or 1))
                else:
                    graph += told(11, name, words[1], sizes)
        results = [part.split() for part in self.outputs.split(",")]
        body = b"".join(field(1, name) for name in names)
        body += b"".join(field(2, words[0]) for words in results) + field(4, self.op)
        body += b"".join(field(5, a) for a in self.attributes) + field(7, self.domain)
        graph = field(1, body) + field(2, self.op) + graph
        for name, dtype, *_ in results:
            graph += told(12, name, dtype, None)
        if not self.domain:
            return model(graph)
        return model(graph, field(8, field(1, self.domain) + field(2, self.version)))

    @property
    def shapes(self) -> list[tuple[str, ...]]:
        """What the outputs measure; a name stands for a size that is data."""
        return [tuple(part.split()[2:]) for part in self.outputs.split(",")]


def held(name: str, dtype: str, sizes: list[int], number: int) -> bytes:
    """An initializer of one number all over."""
    code, width = DTYPES[dtype]
    one = struct.pack("<f", number) if dtype == "f" else number.to_bytes(width, "little")
    count = 1
    for size in sizes:
        count *= size
    dims = b"".join(field(1, s) for s in sizes)
    return field(5, dims + field(2, code) + field(8, name) + field(9, one * count))


def told(number: int, name: str, dtype: str, sizes: list[int] | None) -> bytes:
    """An input with its shape, or an output without."""
    if dtype == "map":  # of words to floats
        kind = field(5, field(1, 8) + field(2, field(1, field(1, 1))))
        return field(number, field(1, name) + field(2, kind))
    kind = field(1, DTYPES[dtype][0])
    if sizes is not None:
        kind += field(2, b"".join(field(1, field(1, s)) for s in sizes))
    return field(number, field(1, name) + field(2, field(1, kind)))


HEADS = integer("num_heads", 2)
QKV = 5 * 8 * 24  # the projections of five tokens of eight features to queries, keys, values


def attended(queries: int, keys: int, features: int = 8) -> int:
    """Scores and sums of values, over all heads."""
    return 2 * queries * keys * features


CONVOLUTIONS = (
    Example("FusedConv", "x f 1 3 8 8, w! f 4 3 3 3, b! f 4, z f 1 4 6 6", "y f 1 4 6 6",
            4 * 36 * 27, (text("activation", "Relu"),)),
    Example("FusedConv", "x f 1 4 8 8, w! f 4 1 3 3", "y f 1 4 8 8", 4 * 64 * 9,
            (integer("group", 4), integers("pads", 1, 1, 1, 1))),
    Example("NhwcFusedConv", "x f 1 8 8 3, w! f 4 3 3 3, b! f 4", "y f 1 6 6 4", 4 * 36 * 27,
            (text("activation", "Relu"),)),
    Example("NhwcConv", "x f 1 8 8 3, w! f 4 3 3 3", "y f 1 6 6 4", 4 * 36 * 27),
    Example("NhwcMaxPool", "x u8 1 8 8 4", "y u8 1 4 4 4", 0,
            (integers("kernel_shape", 2, 2), integers("strides", 2, 2))),
    Example("Inverse", "x f 2 3 3", "y f 2 3 3"),
    Example("CDist", "a f 4 3, b f 5 3", "y f 4 5", 0, (text("metric", "euclidean"),)),
    Example("GridSample", "x f 1 2 5 5, g f 1 3 4 2", "y f 1 2 3 4"),
)  # fmt: skip

PRODUCTS = (
    Example("FusedMatMul", "a f 2 3 4, b f 2 5 4", "y f 2 3 5", 2 * 3 * 5 * 4,
            (integer("transB", 1), real("alpha", 0.5))),
    Example("FusedMatMul", "a f 3 2 4, b f 2 4 5", "y f 2 3 5", 2 * 3 * 5 * 4,
            (integer("transBatchA", 1),)),
    Example("TransposeMatMul", "a f 4 3, b f 4 5", "y f 3 5", 3 * 5 * 4, (integer("transA", 1),)),
    Example("FusedMatMulActivation", "a f 3 4, b f 4 5", "y f 3 5", 3 * 5 * 4,
            (text("activation", "Relu"),)),
    Example("FusedGemm", "a f 3 4, b! f 5 4, c! f 5", "y f 3 5", 3 * 5 * 4,
            (integer("transB", 1), text("activation", "Relu"))),
    Example("GemmFastGelu", "x f 2 3 4, w! f 4 5, b! f 5", "y f 2 3 5", 6 * 5 * 4),
    Example("MatMulNBits", "a f 2 3 32, b! u8 8 1 16, s! f 8", "y f 2 3 8", 6 * 8 * 32,
            (integer("K", 32), integer("N", 8), integer("bits", 4), integer("block_size", 32))),
    Example("MatMulBnb4", "a f 3 32, b! u8 128, m! f 8", "y f 3 8", 3 * 8 * 32,
            (integer("K", 32), integer("N", 8), integer("quant_type", 1), integer("block_size",
            32))),
    Example("DynamicQuantizeMatMul", "a f 3 4, b! u8 4 5, s! f, z! u8, c! f 5", "y f 3 5", 60),
    Example("MatMulIntegerToFloat",
            "a u8 3 4, b! u8 4 5, as! f, bs! f 5, az! u8, bz! u8 5, c! f 5", "y f 3 5", 60),
    Example("QGemm", "a u8 3 4, as! f, az! u8, b! u8 5 4, bs! f, bz! u8, c! i32 5, ys! f, yz! u8",
            "y u8 3 5", 60, (integer("transB", 1),)),
    Example("QLinearConv",
            "x u8 1 8 8 3, xs! f, xz! u8, w! u8 4 3 3 3, ws! f, wz! u8, ys! f, yz! u8",
            "y u8 1 6 6 4", 4 * 36 * 27, (integer("channels_last", 1),)),
    Example("MoE", "x f 5 4, r f 5 3, w1! f 3 6 4, b1! f 3 6, w2! f 3 4 6, b2! f 3 4", "y f 5 4",
            2 * 5 * (4 * 6 + 6 * 4), (integer("k", 2), text("activation_type", "relu"))),
    Example("QMoE", "x f 5 32, r f 5 3, w1! u8 3 64 16, s1! f 3 64, -, w2! u8 3 32 16, s2! f 3 32",
            "y f 5 32", 5 * (32 * 64 + 32 * 32),
            (integer("k", 1), text("activation_type", "swiglu"), integer("swiglu_fusion", 1))),
    Example("MatMulNBitsMlp",
            "a f 3 32, -, n! f 32, g! u8 8 1 16, gs! f 8, -, u! u8 8 1 16, us! f 8", "y f 3 8",
            2 * 3 * 8 * 32, (integer("K", 32), integer("N", 8), integer("bits", 4),
                             integer("block_size", 32), text("activation", "silu"))),
    Example("MatMulNBitsQkv",
            "a f 3 32, -, n! f 32, q! u8 8 1 16, qs! f 8, -, k! u8 4 1 16, ks! f 4, -, "
            "v! u8 4 1 16, vs! f 4", "y f 3 8, y1 f 3 4, y2 f 3 4", 3 * 16 * 32,
            (integer("K", 32), integer("Nq", 8), integer("Nkv", 4), integer("bits", 4),
             integer("block_size", 32))),
)  # fmt: skip

ATTENTION = (
    Example("Attention", "x f 1 5 8, w! f 8 24, b! f 24", "y f 1 5 8", QKV + attended(5, 5),
            (HEADS,)),
    Example("Attention", "x f 1 5 8, w! f 8 24, b! f 24, -, p f 2 1 2 3 4",
            "y f 1 5 8, p2 f 2 1 2 8 4", QKV + attended(5, 8), (HEADS, integer("unidirectional",
            1))),
    Example("QAttention", "x u8 1 5 8, w! u8 8 24, b! f 24, xs! f, ws! f, -, xz! u8, wz! u8",
            "y f 1 5 8", QKV + attended(5, 5), (HEADS,)),
    Example("MultiHeadAttention", "q f 1 5 8, k f 1 6 8, v f 1 6 8, b! f 24", "y f 1 5 8",
            attended(5, 6), (HEADS,)),
    Example("MultiHeadAttention", "q f 1 5 2 3 4", "y f 1 5 8", attended(5, 5), (HEADS,)),
    Example("MultiHeadAttention", "q f 1 5 8, k f 1 6 2 2 4", "y f 1 5 8", attended(5, 6), (HEADS,
            )),
    Example("MultiHeadAttention", "q f 1 5 8, k f 1 2 6 4, v f 1 2 6 4", "y f 1 5 8",
            attended(5, 6), (HEADS,)),
    Example("MultiHeadAttention",
            "q f 1 5 8, k f 1 5 8, v f 1 5 8, -, -, -, pk f 1 2 3 4, pv f 1 2 3 4",
            "y f 1 5 8, k2 f 1 2 8 4, v2 f 1 2 8 4", attended(5, 8), (HEADS,)),
    Example("DecoderMaskedMultiHeadAttention", "q f 1 1 8, k f 1 1 8, v f 1 1 8, -, -, "
            "pk f 1 2 9 4, pv f 1 2 9 4, n!3 i32 1", "y f 1 1 8, k2 f 1 2 9 4, v2 f 1 2 9 4",
            attended(1, 4), (HEADS, integer("past_present_share_buffer", 1))),
    Example("GroupQueryAttention", "q f 1 1 64, k f 1 1 16, v f 1 1 16, pk f 1 1 3 16, "
            "pv f 1 1 3 16, l!3 i32 1, t!4 i32", "y f 1 1 64, k2 f 1 1 4 16, v2 f 1 1 4 16",
            attended(1, 4, 64), (integer("num_heads", 4), integer("kv_num_heads", 1))),
    Example("GroupQueryAttention", "q f 1 1 96, -, -, pk f 1 1 3 16, pv f 1 1 3 16, l!3 i32 1, "
            "t!4 i32, c! f 16 8, s! f 16 8", "y f 1 1 64, k2 f 1 1 4 16, v2 f 1 1 4 16",
            attended(1, 4, 64),
            (integer("num_heads", 4), integer("kv_num_heads", 1), integer("do_rotary", 1))),
    Example("RotaryEmbedding", "x f 1 5 8, i i64 1 5, c! f 9 4, s! f 9 4", "y f 1 5 8"),
    Example("GemmaRotaryEmbedding",
            "e f 1 3 4, q f 1 2 3 4, qr f 1 2 3 4, k f 1 2 3 4, kr f 1 2 3 4",
            "a f 1 2 3 4, b f 1 2 3 4"),
)  # fmt: skip

NORMS = (
    Example("SkipLayerNormalization", "x f 1 5 8, s f 1 5 8, g! f 8, b! f 8, c! f 8",
            "y f 1 5 8, m f 1 5 1, v f 1 5 1, t f 1 5 8"),
    Example("SkipSimplifiedLayerNormalization", "x f 1 5 8, s f 1 5 8, g! f 8", "y f 1 5 8"),
    Example("EmbedLayerNormalization", "i i32 2 5, j i32 2 5, w! f 9 8, p! f 9 8, t! f 2 8, "
            "g! f 8, b! f 8, m i32 2 5", "y f 2 5 8, n i32 2, e f 2 5 8"),
    Example("GroupNorm", "x f 1 4 4 8, g! f 8, b! f 8", "y f 1 4 4 8", 0,
            (integer("groups", 2), integer("activation", 1))),
    Example("SkipGroupNorm", "x f 1 4 4 8, g! f 8, b! f 8, s f 1 4 4 8", "y f 1 4 4 8", 0,
            (integer("groups", 2), integer("activation", 0))),
    Example("BiasGelu", "x f 2 3 4, b! f 4", "y f 2 3 4"),
    Example("FastGelu", "x f 2 3 4, b! f 4", "y f 2 3 4"),
    Example("FastGelu", "x f 2 3 4", "y f 2 3 4"),
    Example("Gelu", "x f 2 3 4", "y f 2 3 4"),
    Example("QuickGelu", "x f 2 3 4", "y f 2 3 4"),
    Example("BiasSplitGelu", "x f 2 3 8, b! f 8", "y f 2 3 4"),
    Example("BiasAdd", "x f 2 3 4, b! f 4, s f 2 3 4", "y f 2 3 4"),
    Example("BiasSoftmax", "x f 2 3 4, b f 2 3 4", "y f 2 3 4", 0,
            (integer("axis", 2), integer("is_inner_broadcast", 0))),
    Example("BiasDropout", "x f 2 3 4, b! f 4", "y f 2 3 4"),
    Example("BitmaskDropout", "x f 2 3 4", "y f 2 3 4"),
    Example("GatedAdd", "x f 2 3 4, y f 2 3 4, g f 2 3 1", "z f 2 3 4"),
    Example("GatedRMSNorm", "x f 2 3 4, s! f 4, g f 2 3 4", "y f 2 3 4"),
)  # fmt: skip

QUANTIZED = (
    Example("QuantizeLinear", "x f 2 3, s! f, z! u8", "y u8 2 3"),
    Example("DequantizeLinear", "x u8 2 3, s! f, z! u8", "y f 2 3"),
    Example("QLinearAdd", "a u8 2 3, as! f, az! u8, b u8 2 3, bs! f, bz! u8, cs! f, cz! u8",
            "y u8 2 3"),
    Example("QLinearMul", "a u8 2 3, as! f, az! u8, b u8 3, bs! f, bz! u8, cs! f, cz! u8",
            "y u8 2 3"),
    Example("QLinearSigmoid", "x u8 2 3, s! f, z! u8, ys! f, yz! u8", "y u8 2 3"),
    Example("QLinearLeakyRelu", "x u8 2 3, s! f, z! u8, ys! f, yz! u8", "y u8 2 3", 0,
            (real("alpha", 0.1),)),
    Example("QLinearSoftmax", "x u8 2 3, s! f, z! u8, ys! f, yz! u8", "y u8 2 3", 0,
            (integer("axis", -1), integer("opset", 13))),
    Example("QLinearAveragePool", "x u8 1 4 8 8, s! f, z! u8, ys! f, yz! u8", "y u8 1 4 4 4", 0,
            (integers("kernel_shape", 2, 2), integers("strides", 2, 2))),
    Example("QLinearGlobalAveragePool", "x u8 1 8 8 4, s! f, z! u8, ys! f, yz! u8", "y u8 1 1 1 4",
            0,
            (integer("channels_last", 1),)),
    Example("QLinearConcat", "ys! f, yz! u8, a u8 2 3, as! f, az! u8, b u8 2 4, bs! f, bz! u8",
            "y u8 2 7", 0, (integer("axis", 1),)),
    Example("QLinearWhere",
            "c b 2 3, a u8 2 3, as! f, az! u8, b u8 2 3, bs! f, bz! u8, ys! f, yz! u8",
            "y u8 2 3"),
)  # fmt: skip

MOVEMENT = (
    Example("ExpandDims", "x f 2 3, a! i32", "y f 2 1 3"),
    Example("Trilu", "x f 3 3", "y f 3 3"),
    Example("TorchEmbedding", "w! f 9 4, i i64 2 3", "y f 2 3 4"),
    Example("UnfoldTensor", "x f 2 8", "y f 2 3 4", 0,
            (integer("dim", -1), integer("size", 4), integer("step", 2))),
    Example("GatherND", "x f 3 4, i i64 2 1", "y f 2 4"),
    Example("Range", "a! i64, b! i64, c! i64", "y i64 0"),
)  # fmt: skip

OTHERS = (
    Example("ComplexMul", "a f 2 4 2, b f 2 4 2", "y f 2 4 2"),
    Example("ComplexMulConj", "a f 2 4 2, b f 2 4 2", "y f 2 4 2"),
    Example("ScaledSiLU", "x f 2 4", "y f 2 4"),
    Example("GemmFloat8", "a f 3 4, b! f 5 4", "y f 3 5", 60, (integer("transB", 1),)),
    Example("BitmaskBiasDropout", "x f 2 4, b! f 4, r f 2 4", "y f 2 4"),
    Example("DecoderMaskedSelfAttention", "x f 1 1 8, w! f 8 24, b! f 24, -, p f 2 1 2 9 4, -, "
            "n!3 i32 1", "y f 1 1 8, p2 f 2 1 2 9 4", 8 * 24 + attended(1, 4),
            (HEADS, integer("past_present_share_buffer", 1))),
    Example("SparseAttention", "q f 1 1 64, k f 1 1 16, v f 1 1 16, pk f 1 1 8 16, pv f 1 1 8 16, "
            "r!0 i32 1 5, c!0 i32 1 8, t!4 i32, l!4 i32 1",
            "y f 1 1 64, k2 f 1 1 8 16, v2 f 1 1 8 16", attended(1, 4, 64),
            (integer("num_heads", 4), integer("kv_num_heads", 1),
             integer("sparse_block_size", 16))),
    Example("LinearAttention", "q f 1 3 8, k f 1 3 8, v f 1 3 8, -, d f 1 3 8, b f 1 3 2",
            "y f 1 3 8, s f 1 2 4 4", 3 * 3 * 2 * 4 * 4,
            (integer("q_num_heads", 2), integer("kv_num_heads", 2))),
    Example("Pad", "x f 2 3, p! i64 4", "y f 4 5"),
    Example("Unique", "x f 6", "y f y_count, i i64 6, c i64 y_count"),
    Example("MaxpoolWithMask", "x f 1 2 4 4, m i32 1 2 4 4", "y f 1 2 2 2", 0,
            (integers("kernel_shape", 2, 2), integers("strides", 2, 2))),
    Example("MatMulInteger16", "a i16 3 4, b i16 4 5", "y i32 3 5", 60),
    Example("QLinearReduceMean", "x u8 2 3, s! f, z! u8, ys! f, yz! u8", "y u8 2 1", 0,
            (integers("axes", 1), integer("keepdims", 1))),
    Example("DynamicQuantizeLSTM", "x f 5 1 3, w! u8 1 3 16, r! u8 1 4 16, b! f 1 32, -, -, -, -, "
            "ws! f 1, wz! u8 1, rs! f 1, rz! u8 1", "y f 5 1 1 4, h f 1 1 4, c f 1 1 4",
            5 * 16 * (3 + 4), (integer("hidden_size", 4),)),
)  # fmt: skip


def blocked(op: str, operands: str, outputs: str, macs: int, *attributes: bytes) -> Example:
    return Example(op, operands, outputs, macs, attributes, "com.microsoft.nchwc")


OFFSETS = "t! i32 2 5, c! i32 3"  # of the tokens of two sequences, and where these end
BOTH = 2 * attended(5, 5)
LOOKED_UP = (
    Example("GatherBlockQuantized", "d! u8 9 16, i i64 2 5, s! f 9 2", "y f 2 5 32", 0,
            (integer("block_size", 16), integer("bits", 4), integer("quantize_axis", 1))),
    Example("GatherBlockQuantized", "d! u8 9 32, i i64 5, s! f 9 2, z! u8 9 2", "y f 5 32", 0,
            (integer("block_size", 16), integer("bits", 8), integer("quantize_axis", 1))),
    Example("RelativePositionBias", "t! f 32 2, q!5 i64 1, k!5 i64 1", "y f 1 2 5 5", 0,
            (integer("max_distance", 128),)),
    Example("GatedRelativePositionBias", "q f 2 5 8, b! f 8, r f 1 2 5 5, w! f 4 6, c! f 6, "
            "e! f 1 2 1 1", "y f 2 2 5 5", 2 * 2 * 5 * 4 * 6, (HEADS,)),
    Example("MRotaryEmbedding", "x f 1 5 8, p! i64 3 1 5, c! f 9 2, s! f 9 2", "y f 1 5 8", 0,
            (integers("mrope_section", 1, 1, 0), HEADS, integer("rotary_embedding_dim", 4))),
    Example("QEmbedLayerNormalization", "i i32 2 5, j i32 2 5, w! u8 9 8, p! u8 9 8, t! u8 2 8, "
            "g! u8 8, b! u8 8, m i32 2 5, ws! f, ps! f, ts! f, gs! f, bs! f, wz! u8, pz! u8, "
            "tz! u8, gz! u8, bz! u8", "y f 2 5 8, n i32 2"),
    Example("CausalConvWithState", "x f 1 4 6, w! f 4 1 3, b! f 4", "y f 1 4 6, s f 1 4 2",
            4 * 6 * 3, (text("activation", "silu"),)),
    Example("LinearAttentionGate", "a f 1 5 2, d! f 2, s! f 2, b f 1 5 2",
            "y f 1 5 2, z f 1 5 2"),
    Example("MulInteger", "a u8 2 3, az! u8, b u8 3, bz! u8", "y i32 2 3"),
    Example("ReduceSumInteger", "x u8 2 3", "y i32 2 1", 0,
            (integers("axes", 1), integer("keepdims", 1))),
    Example("Rfft", "x f 2 8", "y f 2 5 2", 0,
            (integer("signal_ndim", 1), integer("normalized", 0), integer("onesided", 1))),
    Example("Irfft", "x f 2 5 2", "y f 2 8", 0,
            (integer("signal_ndim", 1), integer("normalized", 0), integer("onesided", 1))),
)  # fmt: skip

PACKED = (
    Example("RemovePadding", "x f 2 5 8, n i32 2", "y f 10 8, o i32 2 5, c i32 3, m i32 1"),
    Example("RestorePadding", "x f 10 8, o i32 2 5", "y f 2 5 8"),
    Example("PackedAttention", f"x f 10 8, w! f 8 24, b! f 24, {OFFSETS}", "y f 10 8",
            10 * 8 * 24 + BOTH, (HEADS,)),
    Example("PackedMultiHeadAttention", f"x f 10 2 3 4, -, -, b! f 24, {OFFSETS}", "y f 10 8",
            BOTH, (HEADS,)),
    Example("PackedMultiHeadAttention", f"q f 10 8, k f 10 8, v f 10 8, -, {OFFSETS}", "y f 10 8",
            BOTH, (HEADS,)),
)  # fmt: skip

BLOCKED = (
    blocked("Conv", "x f 1 16 8 8, w! f 32 16 3 3, b! f 32, z f 1 32 6 6", "y f 1 32 6 6",
            32 * 36 * 144, integers("kernel_shape", 3, 3), text("activation", "Relu")),
    blocked("Conv", "x f 1 16 8 8, w! f 16 1 3 3", "y f 1 16 6 6", 16 * 36 * 9,
            integers("kernel_shape", 3, 3), integer("group", 16)),
    blocked("Conv", "x f 1 16 8 8, w! f 16 1 1 1, b! f 16", "y f 1 16 8 8", 0,
            integers("kernel_shape", 1, 1), integer("group", 16)),
    blocked("MaxPool", "x f 1 16 8 8", "y f 1 16 4 4", 0, integers("kernel_shape", 2, 2),
            integers("strides", 2, 2)),
    blocked("AveragePool", "x f 1 16 8 8", "y f 1 16 4 4", 0, integers("kernel_shape", 2, 2),
            integers("strides", 2, 2)),
    blocked("GlobalAveragePool", "x f 1 16 8 8", "y f 1 16 1 1", 0),
    blocked("GlobalMaxPool", "x f 1 16 8 8", "y f 1 16 1 1", 0),
    blocked("Upsample", "x f 1 16 4 4", "y f 1 16 8 8", 0, integers("scales", 1, 1, 2, 2)),
    blocked("ReorderInput", "x f 1 16 4 4", "y f 1 16 4 4", 0),
    blocked("ReorderOutput", "x f 1 16 4 4", "y f 1 16 4 4", 0, integer("channels", 16)),
)  # fmt: skip


def classical(op: str, operands: str, outputs: str, macs: int, *attributes: bytes) -> Example:
    return Example(op, operands, outputs, macs, attributes, "ai.onnx.ml", 3)


def tree(weights: str) -> tuple[bytes, ...]:
    """One split, two leaves."""
    leaves = {f"{weights}_treeids": (0, 0), f"{weights}_nodeids": (1, 2), f"{weights}_ids": (0, 1)}
    return (
        integers("nodes_treeids", 0, 0, 0), integers("nodes_nodeids", 0, 1, 2),
        integers("nodes_featureids", 0, 0, 0), reals("nodes_values", 0.5, 0.0, 0.0),
        texts("nodes_modes", "BRANCH_LEQ", "LEAF", "LEAF"), integers("nodes_truenodeids", 1, 0, 0),
        integers("nodes_falsenodeids", 2, 0, 0), reals(f"{weights}_weights", 1.0, 2.0),
        *(integers(name, *values) for name, values in leaves.items()),
    )  # fmt: skip


LABELS = integers("classlabels_ints", 0, 1, 2)
VECTORS = reals("support_vectors", *[1.0] * 15)
CLASSICAL = (
    classical("ZipMap", "x f 4 3", "y f 4 3", 0, integers("classlabels_int64s", 0, 1, 2)),
    classical("Imputer", "x f 2 3", "y f 2 3", 0, reals("imputed_value_floats", 1.0)),
    classical("CategoryMapper", "x i64 2 3", "y s 2 3", 0, texts("cats_strings", "a", "b"),
              integers("cats_int64s", 0, 1)),
    classical("CastMap", "x map", "y f x_length", 0),
    classical("DictVectorizer", "x map", "y f 1 3", 0, texts("string_vocabulary", "a", "b", "c")),
    classical("FeatureVectorizer", "a f 2 3, b f 2 4", "y f 2 7", 0,
              integers("inputdimensions", 3, 4)),
    classical("OneHotEncoder", "x i64 2 3", "y f 2 3 4", 0, integers("cats_int64s", 0, 1, 2, 3)),
    classical("Scaler", "x f 2 3", "y f 2 3", 0, reals("offset", 1, 1, 1), reals("scale", 1, 1, 1)),
    classical("Normalizer", "x f 2 3", "y f 2 3", 0, text("norm", "L1")),
    classical("Normalizer", "x f 2 3", "y f 2 3", 0, text("norm", "L2")),
    classical("Normalizer", "x f 2 3", "y f 2 3", 0, text("norm", "MAX")),
    classical("LinearRegressor", "x f 4 3", "y f 4 2", 4 * 2 * 3, integer("targets", 2),
              reals("coefficients", *[1.0] * 6), reals("intercepts", 1, 1)),
    classical("LinearClassifier", "x f 4 3", "y i64 4, z f 4 3", 4 * 3 * 3, LABELS,
              reals("coefficients", *[1.0] * 9), reals("intercepts", 1, 1, 1),
              text("post_transform", "SOFTMAX")),
    classical("SVMRegressor", "x f 4 3", "y f 4 1", 4 * 5 * 3 + 4 * 5, integer("n_supports", 5),
              VECTORS, reals("coefficients", *[1.0] * 5), reals("rho", 1),
              text("kernel_type", "LINEAR"), reals("kernel_params", 1, 0, 3)),
    classical("SVMClassifier", "x f 4 3", "y i64 4, z f 4 3", 4 * 5 * 3 + 4 * 2 * 5, LABELS,
              integers("vectors_per_class", 2, 2, 1), VECTORS, reals("rho", 1, 1, 1),
              reals("coefficients", *[1.0] * 10), text("kernel_type", "LINEAR"),
              reals("kernel_params", 1, 0, 3)),
    classical("TreeEnsembleRegressor", "x f 4 3", "y f 4 2", 0, integer("n_targets", 2),
              *tree("target")),
    classical("TreeEnsembleClassifier", "x f 4 3", "y i64 4, z f 4 2", 0,
              integers("classlabels_int64s", 0, 1), *tree("class")),
)  # fmt: skip


def standard(op: str, operands: str, outputs: str, *attributes: bytes) -> Example:
    return Example(op, operands, outputs, 0, attributes, "")


STANDARD = (
    standard("GlobalLpPool", "x f 1 2 4 4", "y f 1 2 1 1"),
    standard("RandomNormalLike", "x f 2 3", "y f 2 3"),
    standard("Multinomial", "x f 2 3", "y i32 2 5", integer("sample_size", 5)),
    standard("MaxRoiPool", "x f 1 2 8 8, r f 3 5", "y f 3 2 2 2", integers("pooled_shape", 2, 2)),
)  # fmt: skip

EXAMPLES = (
    *CONVOLUTIONS, *PRODUCTS, *ATTENTION, *NORMS, *QUANTIZED, *MOVEMENT, *OTHERS, *LOOKED_UP,
    *PACKED, *BLOCKED,
    *CLASSICAL, *STANDARD,
)  # fmt: skip
