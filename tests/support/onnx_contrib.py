"""One small model per com.microsoft operator, and the MACs that the layers in it come to.

Operands are written `name type sizes`; a `!` after the name marks a stored one, of ones or of
the number behind it, and `-` alone is an operand that is left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .onnx_bytes import field, integer, integers, model, real, text

DTYPES = {
    "f": (1, 4), "u8": (2, 1), "i8": (3, 1), "i32": (6, 4), "i64": (7, 8), "b": (9, 1),
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
        return model(graph, field(8, field(1, self.domain) + field(2, 1)))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """What the outputs measure."""
        return [tuple(map(int, part.split()[2:])) for part in self.outputs.split(",")]


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

EXAMPLES = (*CONVOLUTIONS, *PRODUCTS, *ATTENTION, *NORMS, *QUANTIZED, *MOVEMENT)
