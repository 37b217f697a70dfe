"""Records of the parts of a decoder, from what a config states as most families state it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Any

from flopwise.analyses.serving.decoder import (
    Attention,
    Decoder,
    Dense,
    Experts,
    Layer,
    Network,
)
from flopwise.analyses.serving.layers import ACTIVATIONS
from flopwise.analyses.serving.stated import Stated


def model(c: Stated, layers: list[Layer], **more: Any) -> Decoder:
    tied = c.flag("tie_word_embeddings", more.pop("tied", False))
    hidden, words = c.whole("hidden_size", "n_embd"), c.whole("vocab_size")
    return Decoder("", "", hidden, words, tuple(layers), tied=tied, **more)


def attention_of(c: Stated, default_kv: int = 0, head: int = 0, **more: Any) -> Attention:
    """Heads, key heads and their size, however they are stated."""
    heads, hidden = c.whole("num_attention_heads", "n_head"), c.whole("hidden_size", "n_embd")
    if not c.has("head_dim") and not head and hidden % heads:
        raise c.fail(f"{heads} heads do not divide a hidden size of {hidden}")
    size = c.whole("head_dim", default=head or hidden // heads)
    kv_heads = c.whole("num_key_value_heads", default=default_kv or heads)
    if heads % kv_heads:
        raise c.fail(f"{kv_heads} key heads do not divide {heads} query heads")
    turned = more.pop("rotated", size)
    return Attention(heads, kv_heads, size, size, rotated=turned, **more)


def activation_of(c: Stated, name: str = "hidden_act", default: str = "silu") -> str:
    found = c.text(name, "hidden_act", "activation_function", default=default)
    if found not in ACTIVATIONS:
        raise c.fail(f"the activation '{found}' is not known")
    return found


def dense_of(c: Stated, name: str = "intermediate_size", **more: Any) -> Dense:
    return Dense(c.whole(name), activation=activation_of(c), **more)


def windows_of(c: Stated, default: Callable[[int], bool]) -> list[int | None]:
    """The window of each layer: where `layer_types` or else the rule of the class has one."""
    window, stated = c.maybe("sliding_window"), c.texts("layer_types")
    slides = [
        (stated[i] == "sliding_attention") if i < len(stated) else default(i)
        for i in range(c.layers())
    ]
    return [window if s else None for s in slides]


def stacked(
    windows: list[int | None], mixer: Attention, network: Callable[[int], Network], norms: int = 2
) -> list[Layer]:  # fmt: skip
    return [
        Layer(replace(mixer, window=w), network(i), norms) for i, w in enumerate(windows)
    ]  # fmt: skip


def experts_of(c: Stated, count: int, chosen: int, width: int, **more: Any) -> Experts:
    if chosen > count:
        raise c.fail(f"a token cannot go to {chosen} of {count} experts")
    return Experts(count, chosen, width, activation=activation_of(c), **more)


def late_windows(c: Stated) -> list[int | None]:
    """Windows from `max_window_layers` on, where they are switched on at all."""
    if not c.flag("use_sliding_window", False):
        return [None] * c.layers()
    first = c.whole("max_window_layers", default=28)
    return windows_of(c, lambda i: i >= first)


def is_sparse(c: Stated) -> Callable[[int], bool]:
    """Which layers have experts."""
    step = c.whole("decoder_sparse_step", default=1)
    plain = c.data.get("mlp_only_layers") or []
    return lambda i: i not in plain and (i + 1) % step == 0


def rank_of(c: Stated, name: str, hidden: int) -> int:
    auto = c.data.get(name, "auto") in ("auto", None)
    return ceil(hidden / 16) if auto else c.whole(name)


def is_due(c: Stated, i: int, name: str, period: int, offset: int) -> bool:
    every, first = c.whole(f"{name}_period", default=period), c.data.get(f"{name}_offset", offset)
    return bool(i % every == first)
