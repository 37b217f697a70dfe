"""What is asked of a served model, and what holds in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flopwise.analyses.budget import quantity
from flopwise.analyses.serving.decoder import Decoder
from flopwise.errors import FlopwiseError

CHUNK = 8192  # tokens that one pass of a prefill takes
MEMORY_SHARE = 0.90  # of a device's memory, as vLLM's gpu_memory_utilization has it
MOST = 10**9


@dataclass(frozen=True)
class Plan:
    """`batch` sequences at a time, each of `prompt` tokens, `prefix` of which are the same for
    all and cached, and of `tokens` made one after another."""

    prompt: int
    tokens: int
    batch: int = 1
    prefix: int = 0
    ranks: int = 1
    weights: str = ""
    cache: str = ""
    chunk: int = CHUNK
    memory_share: float = MEMORY_SHARE
    link: float | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "tokens", "batch", "chunk"):
            value = getattr(self, name)
            if not 0 < value <= MOST:
                raise FlopwiseError(f"--{name} {value}: must be from 1 to {MOST:,}")
        if not 0 <= self.prefix < self.prompt:
            raise FlopwiseError(
                f"--prefix {self.prefix}: must be less than the prompt of {self.prompt}, of "
                "which at least one token is computed"
            )
        if not 0 < self.memory_share <= 1:
            raise FlopwiseError(f"--memory-share {self.memory_share}: must be above 0, at most 1")
        if self.link is not None and not 0 < self.link < float("inf"):
            raise FlopwiseError(f"--link {self.link}: must be above 0")

    @property
    def longest(self) -> int:
        """Tokens of a sequence that has come to its end."""
        return self.prompt + self.tokens

    @property
    def passes(self) -> int:
        """How often the weights are read for all prompts."""
        return -(-self.batch * (self.prompt - self.prefix) // self.chunk)

    @property
    def context(self) -> int:
        """Tokens that a step of the output looks at, its own included, in the mean."""
        return self.prompt + max(1, self.tokens // 2)


@dataclass(frozen=True)
class Guessing:
    """Speculative decoding: a draft guesses `tokens`, each of which is right with probability
    `acceptance`, and the model checks them in one pass (Leviathan, Kalman and Matias 2023,
    arXiv:2211.17192)."""

    draft: Decoder
    tokens: int
    acceptance: float

    def __post_init__(self) -> None:
        if not 0 < self.tokens <= 64:
            raise FlopwiseError(f"--guess {self.tokens}: must be from 1 to 64")
        if not 0 <= self.acceptance <= 1:
            raise FlopwiseError(f"--acceptance {self.acceptance}: must be from 0 to 1")

    @property
    def expected(self) -> float:
        """Tokens that one pass of the model yields, its own included: eq. 1."""
        a, k = self.acceptance, self.tokens
        return k + 1.0 if a == 1 else (1 - a ** (k + 1)) / (1 - a)


def planned(
    read: Callable[[Any], Decoder], prompt: int = 1024, tokens: int = 256, batch: int = 1,
    tp: int = 1, link: float | str | None = None, weights: str = "", kv: str = "", prefix: int = 0,
    draft: Any = None, guess: int = 4, acceptance: float | None = None, chunk: int = CHUNK,
    memory_share: float = MEMORY_SHARE,
) -> tuple[Plan, Guessing | None]:  # fmt: skip
    """A plan by the words of the command line, and the draft, where there is one.

    `prompt`, `tokens` (made), `prefix` and `chunk` are tokens, `batch` sequences, `tp` devices
    for each layer with `link` bytes/s from one to another; `weights` and `kv` are dtypes (empty:
    those of the config); `draft` is a config that guesses `guess` tokens, each right with
    probability `acceptance`. Raises FlopwiseError.
    """
    rate = float(quantity(link)) if isinstance(link, str) else link
    plan = Plan(prompt, tokens, batch, prefix, tp, weights, kv, chunk, memory_share, rate)
    if draft is None:
        return plan, None
    if acceptance is None:
        raise FlopwiseError("--draft needs --acceptance, how often one of its guesses is right")
    return plan, Guessing(read(draft), guess, acceptance)
