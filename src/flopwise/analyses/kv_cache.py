"""Keys and values that a decoder keeps of each token, by the kind of each of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flopwise.dims import Dim, minimum
from flopwise.errors import UnknownSize
from flopwise.graph import BITS

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
FULL = ("full_attention", "attention", "global", "global_attention", "hybrid")
SLIDING = ("sliding_attention", "chunked_attention", "local_attention", "local", "hybrid_sliding")
# Layers that keep a state of one size however many tokens there were.
STATE = ("linear_attention", "mamba", "mamba2", "conv", "recurrent", "rnn", "ssm", "moe", "mlp")


@dataclass(frozen=True, slots=True)
class CacheLayer:
    """What one layer keeps: elements per token, of the last `window` tokens or of all.

    `kind` is full, sliding, latent (MLA), state (nothing per token) or shared (the keys and
    values of an earlier layer).
    """

    kind: str
    per_token: int
    window: int | None = None


@dataclass(frozen=True, slots=True)
class KVCache:
    """The layers of a decoder. Recurrent states, which do not grow, are not among them."""

    layers: tuple[CacheLayer, ...]

    @property
    def per_token(self) -> int:
        """Elements that one more token adds, as long as no window is full."""
        return sum(layer.per_token for layer in self.layers)

    def elements(self, tokens: Dim, batch: Dim = 1) -> Dim:
        """Elements kept of `batch` sequences of so many tokens each."""
        kept: Dim = 0
        for layer in self.layers:
            seen = tokens if layer.window is None else minimum(tokens, layer.window)
            kept = kept + seen * layer.per_token
        return kept * batch

    def bytes(self, tokens: Dim, batch: Dim = 1, dtype: str = "bfloat16") -> Dim:
        return self.elements(tokens, batch) * BITS[dtype] // 8


def kv_cache(config: Mapping[str, Any]) -> KVCache:
    """The cache of a decoder from its hyperparameters, by the names of Hugging Face.

    Keys and values of all key heads (multi-head, grouped-query and multi-query attention), or
    a latent and one rotated key (multi-head latent attention: DeepSeek-V2, arXiv:2405.04434,
    section 2.1). Raises UnknownSize where the config does not tell.
    """
    text = config.get("text_config") or config
    if config.get("is_encoder_decoder"):
        raise UnknownSize("a decoder that reads an encoder keeps keys and values of both")
    number = _first(text, LAYERS)
    kinds = list(_kinds(text, number))
    if len(kinds) != number:
        raise UnknownSize(f"the config states kinds of {len(kinds)} layers, and {number} layers")
    shared = number - (text.get("num_kv_shared_layers") or 0)
    layers = (_layer(text, kind, i) for i, kind in enumerate(kinds))
    return KVCache(
        tuple(layer if i < shared else CacheLayer("shared", 0) for i, layer in enumerate(layers))
    )


def _layer(config: Mapping[str, Any], kind: str, i: int) -> CacheLayer:
    if kind in STATE:
        return CacheLayer("state", 0)
    if kind not in (*FULL, *SLIDING):
        raise UnknownSize(f"what a layer of kind '{kind}' keeps of a token is not known")
    window = config.get("sliding_window") or config.get("attention_chunk_size")
    window = window if kind in SLIDING else None
    if config.get("kv_lora_rank") and config.get("qk_rope_head_dim") is not None:
        return CacheLayer("latent", config["kv_lora_rank"] + config["qk_rope_head_dim"], window)
    keys, values = _head_sizes(config)
    heads = _key_heads(config, i)
    return CacheLayer("sliding" if window else "full", heads * (keys + values), window)


def _head_sizes(config: Mapping[str, Any]) -> tuple[int, int]:
    """Elements of a key and of a value."""
    size = config.get("head_dim") or config.get("kv_channels")
    size = size or _first(config, HIDDEN) // _first(config, HEADS)
    return size, config.get("v_head_dim") or size


def _key_heads(config: Mapping[str, Any], i: int) -> int:
    found = config.get("num_key_value_heads", config.get("num_kv_heads"))
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        return 1
    if isinstance(found, Sequence):
        return int(found[i])
    return int(found or _first(config, HEADS))


def _kinds(config: Mapping[str, Any], number: int) -> Iterator[str]:
    """The kind of each layer, as the config lists it or has it in a pattern."""
    listed = config.get("layer_types") or config.get("layers_block_type")
    if listed:
        yield from listed
        return
    period, offset = config.get("attn_layer_period"), config.get("attn_layer_offset")
    indices = config.get("attn_layer_indices")
    interval = config.get("full_attention_interval")
    for i in range(number):
        if period:
            yield "full_attention" if i % period == offset else "mamba"
        elif indices is not None:
            yield "full_attention" if i in indices else "mamba"
        elif interval:
            yield "full_attention" if (i + 1) % interval == 0 else "linear_attention"
        else:
            yield _windowed(config, i)


def _windowed(config: Mapping[str, Any], i: int) -> str:
    """Whether a layer looks only so many tokens back: all do that have a window, those after
    `max_window_layers` where it can be switched off, and one of `sliding_window_pattern` not."""
    if config.get("state_size") is not None and _absent(config, HEADS):
        return "mamba"
    if not config.get("sliding_window") or config.get("use_sliding_window") is False:
        return "full_attention"
    if "use_sliding_window" in config:
        below = config.get("max_window_layers")
        return "full_attention" if below is not None and i < below else "sliding_attention"
    pattern = config.get("sliding_window_pattern") or (2 if _is_gemma2(config) else 0)
    return "full_attention" if pattern and (i + 1) % pattern == 0 else "sliding_attention"


def _is_gemma2(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in ("gemma2", "gemma2_text")


def _absent(config: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(config.get(name) is None for name in names)


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise UnknownSize(f"the config of this model states none of {', '.join(names)}")
