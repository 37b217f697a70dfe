"""Attention, rotary positions, linear attention and causal convolution of ai.onnx."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.onnx.native import Native, lowers
from flopwise.graph import Tensor


@lowers("Attention")
def attention(n: Native) -> None:
    """Operands: Q, K, V, mask, kept keys, kept values, lengths without padding."""
    operands = [n.given(0), n.given(1), n.given(2), *(n.input(i) for i in (3, 4, 5))]
    attrs: dict[str, Any] = {
        "heads": n.integer("q_num_heads", None), "kv_heads": n.integer("kv_num_heads", None),
        "softcap": n.real("softcap") or None, "causal": bool(n.integer("is_causal")),
    }  # fmt: skip
    n.emit("cached_attention", *operands, **attrs)


@lowers("FlexAttention", domain="ai.onnx.preview")
def flex_attention(n: Native) -> None:
    """Attention whose scores and probabilities sub-graphs may change."""
    if not any(name in n.attrs for name in ("score_mod", "prob_mod")):
        n.emit("attention", *(n.given(i) for i in range(3)))
        return
    q, k, v = (n.given(i) for i in range(3))
    pattern = "*b h q d, *b g k d -> *b h q k"
    scores: Tensor = n.emit("attention_scores", q, k, part="scores", pattern=pattern)
    scores = modified(n, "score_mod", scores)
    probabilities = n.emit("softmax", scores, part="softmax")
    probabilities = modified(n, "prob_mod", probabilities)
    n.emit("attention_values", probabilities, v)


def modified(n: Native, name: str, tensor: Tensor) -> Tensor:
    """A tensor through the graph of an attribute, inlined; itself where there is none."""
    message = n.attrs.get(name, {}).get("g")
    return tensor if message is None else n.block.inline(message, (tensor,))[0]


@lowers("RotaryEmbedding")
def rotary(n: Native) -> None:
    """Tables are given; with partial rotation, only that part of each head is turned."""
    part, heads = n.integer("rotary_embedding_dim"), n.integer("num_heads")
    rotated = (part * heads if heads else part) or None
    n.emit("rotary_embedding", n.given(0), rotated=rotated)


@lowers("LinearAttention")
def linear_attention(n: Native) -> None:
    """Operands: query, key, value, state, decay, update rate."""
    n.emit(
        "linear_attention", *n.inputs, heads=n.integer("q_num_heads"),
        kv_heads=n.integer("kv_num_heads"), rule=n.text("update_rule", "gated_delta"),
    )  # fmt: skip


@lowers("CausalConvWithState")
def causal_conv(n: Native) -> None:
    """Operands: data, weight, bias, state."""
    activation = n.text("activation", "none")
    if activation not in ("silu", "swish"):
        n.emit("causal_conv", *n.inputs)
        return
    name = n.outputs[0]
    y = n.emit("causal_conv", *n.inputs, outputs=["", *n.outputs[1:]])
    n.emit("silu", y, outputs=[name])
