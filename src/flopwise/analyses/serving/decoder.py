"""What a decoder is made of: records of its layers, and what each keeps of the tokens it saw.

Sizes are those of one device; `shard` gives those of one of several.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from flopwise.errors import FlopwiseError


@dataclass(frozen=True)
class Attention:
    """Queries of `heads`, keys and values of `kv_heads`, of `size` and `value` elements.

    As many key heads as query heads is multi-head attention (MHA), one is multi-query (MQA),
    between them grouped-query (GQA). `window` is how many tokens back a query looks; `norm` is
    over each head, or over `all` of them; `rotated` elements of a head are turned.
    """

    heads: int
    kv_heads: int
    size: int
    value: int
    window: int | None = None
    bias: bool = False
    out_bias: bool = False
    norm: str = ""
    rotated: int = 0
    softcap: float = 0.0
    sinks: bool = False

    @property
    def kind(self) -> str:
        name = "MHA" if self.kv_heads == self.heads else "MQA" if self.kv_heads == 1 else "GQA"
        return f"{name}, window {self.window}" if self.window else name

    @property
    def per_token(self) -> int:
        """Elements kept of each token."""
        return self.kv_heads * (self.size + self.value)

    @property
    def per_sequence(self) -> int:
        return 0


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention: of a token, a latent of `rank` and one rotated key are kept,
    from which keys and values of all heads come (DeepSeek-V2, arXiv:2405.04434, section 2.1)."""

    heads: int
    plain: int
    rotated: int
    value: int
    rank: int
    query_rank: int | None = None
    bias: bool = False
    window: None = None

    kind = "MLA"

    @property
    def per_token(self) -> int:
        return self.rank + self.rotated

    @property
    def per_sequence(self) -> int:
        return 0


@dataclass(frozen=True)
class StateSpace:
    """A selective state space (Mamba: Gu and Dao 2023): a state of `inner` x `state` and the
    last `conv` inputs of the convolution, whatever the number of tokens."""

    inner: int
    state: int
    conv: int
    rank: int
    bias: bool = False
    conv_bias: bool = True
    norms: bool = False
    window: None = None

    kind = "state space"
    per_token = 0

    @property
    def per_sequence(self) -> int:
        return self.inner * (self.state + self.conv)


@dataclass(frozen=True)
class Dense:
    """Two matrices, or three where one gates another."""

    width: int
    gated: bool = True
    bias: bool = False
    activation: str = "silu"


@dataclass(frozen=True)
class Experts:
    """`count` networks of which each token goes through `chosen`; `shared` is the width of the
    one that all go through, `shared_gate` whether it has a gate of its own; `correction` is a
    learned offset of each expert's score; `held` is how many of them one device has (0: all).
    """

    count: int
    chosen: int
    width: int
    shared: int = 0
    shared_gate: bool = False
    bias: bool = False
    router_bias: bool = False
    correction: bool = False
    activation: str = "silu"
    held: int = 0

    @property
    def here(self) -> int:
        return self.held or self.count

    def hit(self, tokens: float) -> float:
        """How many experts are expected to get a token, were all equally likely: each of them
        is missed by one token with probability 1 - chosen/count."""
        return self.count * (1 - (1 - self.chosen / self.count) ** tokens)


Mixer: TypeAlias = Attention | Latent | StateSpace
Network: TypeAlias = Dense | Experts | None


@dataclass(frozen=True)
class Layer:
    """A mixer of tokens, then a network for each token, with so many norms around them."""

    mixer: Mixer
    network: Network
    norms: int = 2


@dataclass(frozen=True)
class Decoder:
    """A language model. `norm` is rms_norm or layer_norm; `positions` are those of a learned
    table; `quantised` is what a quantised file has in few bits: layers, or experts; `dropout`
    the share that training drops."""

    name: str
    family: str
    hidden: int
    vocabulary: int
    layers: tuple[Layer, ...]
    tied: bool = False
    norm: str = "rms_norm"
    norm_bias: bool = False
    positions: int = 0
    dtype: str = "bfloat16"
    weights: str = ""
    quantised: str = "layers"
    longest: int | None = None
    notes: tuple[str, ...] = ()
    dropout: float = 0.0

    def kept_at(self, context: float) -> float:
        """Elements that one sequence of so many tokens keeps."""
        return sum(
            layer.mixer.per_sequence
            + layer.mixer.per_token * min(context, layer.mixer.window or context)
            for layer in self.layers
        )

    @property
    def per_token(self) -> int:
        """Elements that one more token adds, before any window is full."""
        return sum(layer.mixer.per_token for layer in self.layers)


def shard(decoder: Decoder, ranks: int, flag: str = "--tp") -> Decoder:
    """What one of `ranks` devices has when heads and widths are split between them.

    Norms, routers and latents are on each of them; so are key heads where there are fewer than
    devices. Raises FlopwiseError, which names the `flag`, where a size does not divide.
    """
    if ranks == 1:
        return decoder
    layers = {layer: _layer(layer, ranks, flag) for layer in dict.fromkeys(decoder.layers)}
    return replace(
        decoder,
        layers=tuple(layers[layer] for layer in decoder.layers),
        vocabulary=-(-decoder.vocabulary // ranks),  # tables are padded
    )


def _layer(layer: Layer, ranks: int, flag: str) -> Layer:
    mixer, network = layer.mixer, layer.network
    if isinstance(mixer, Attention):
        heads = _part(mixer.heads, ranks, "query heads", flag)
        few = mixer.kv_heads < ranks
        kv_heads = 1 if few else _part(mixer.kv_heads, ranks, "key heads", flag)
        if few and ranks % mixer.kv_heads:
            raise FlopwiseError(f"{flag} {ranks} is no multiple of the {mixer.kv_heads} key heads")
        mixer = replace(mixer, heads=heads, kv_heads=kv_heads)
    elif isinstance(mixer, Latent):
        mixer = replace(mixer, heads=_part(mixer.heads, ranks, "query heads", flag))
    else:
        mixer = replace(mixer, inner=_part(mixer.inner, ranks, "channels of the state space", flag))
    if isinstance(network, Dense):
        network = replace(network, width=_part(network.width, ranks, "units of the network", flag))
    elif network is not None:
        network = replace(
            network,
            width=_part(network.width, ranks, "units of an expert", flag),
            shared=_part(network.shared, ranks, "units of the shared expert", flag),
        )
    return Layer(mixer, network, layer.norms)


def _part(size: int, ranks: int, what: str, flag: str) -> int:
    if size % ranks:
        raise FlopwiseError(f"{flag} {ranks} does not divide the {size:,} {what}")
    return size // ranks
