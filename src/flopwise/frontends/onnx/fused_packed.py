"""com.microsoft: sequences of several lengths packed into one row of tokens.

How many tokens are no padding is data: counted as if all were, at the dearest.
"""

from __future__ import annotations

from flopwise.frontends.onnx.fused import IN_OUT, microsoft
from flopwise.frontends.onnx.fused_attention import projected
from flopwise.frontends.onnx.native import Native
from flopwise.graph import Tensor

MERGED = (-3, -2)  # batch and sequence become one axis


@microsoft("RemovePadding")
def remove_padding(n: Native) -> None:
    """Tokens, their offsets, where sequences end, the longest of them."""
    x, note = n.given(0), f"{n.name} ({n.origin}): counted as if no sequence had padding"
    n.block.model.notes.append(note)
    n.emit("reshape", x, outputs=n.outputs[:1], shape=MERGED)
    patterns = ("n s _ -> n s", "n s _ -> n", "n s _ -> 1")
    for i, pattern in enumerate(patterns, 1):
        if i >= len(n.outputs) or not n.outputs[i]:
            continue
        if i == 2:
            ends = n.emit("slice", x, part="ends", pattern=pattern, dtype="int32")
            n.emit("pad", ends, outputs=n.outputs[i : i + 1], pads=((1, 0),))
        else:
            n.emit("slice", x, outputs=n.outputs[i : i + 1], pattern=pattern, dtype="int32")


@microsoft("RestorePadding")
def restore_padding(n: Native) -> None:
    n.emit("gather", n.given(0), n.given(1), pattern="_ h, n s -> n s h")


def apart(n: Native, tensor: Tensor, offsets: Tensor, part: str) -> Tensor:
    """Each sequence by itself again."""
    pattern = "_ h, n s -> n s h"
    return n.emit("gather", tensor, offsets, part=f"{part}/apart", pattern=pattern, view=True)


def attend(n: Native, parts: tuple[Tensor, ...], offsets: Tensor, mask: Tensor | None) -> None:
    """Attention within each sequence."""
    q, k, v = (apart(n, t, offsets, f"{name}") for name, t in zip("qkv", parts))
    heads = n.integer("num_heads")
    y = n.emit("cached_attention", q, k, v, mask, part="attention", heads=heads)
    n.emit("reshape", y, shape=MERGED)


@microsoft("PackedAttention")
def packed_attention(n: Native) -> None:
    """Operands: tokens, weight, bias, offsets, ends of sequences, bias of scores."""
    sizes = n.integers("qkv_hidden_sizes")
    joined = n.emit("linear", n.given(0), n.given(1), n.input(2), part="qkv", pattern=IN_OUT)
    q, k, v = n.parts("split", joined, part="split", results=3, axis=-1, sizes=sizes)
    attend(n, (q, k, v), n.given(3), n.input(5))


@microsoft("PackedMultiHeadAttention")
def packed_multi_head(n: Native) -> None:
    """Operands: query, key, value, bias, offsets, ends of sequences, bias of scores. Without
    a key, all three lie in the query: tokens, heads, 3, size of a head."""
    if n.input(1) is not None:
        attend(n, projected(n), n.given(4), n.input(6))
        return
    merged = n.emit("transpose", n.given(0), part="order", perm=(0, 2, 1, 3))
    joined = n.emit("reshape", merged, part="joined", shape=(0, -1))
    if n.input(3) is not None:
        joined = n.emit("add", joined, n.given(3), part="bias")
    q, k, v = n.parts("split", joined, part="split", results=3, axis=-1)
    attend(n, (q, k, v), n.given(4), n.input(6))
