"""Operators of our vocabulary as they are strung together, at the sizes of one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer

GATHERED = ".gathered"  # ends the names of tensors that are of other devices too


@dataclass(frozen=True)
class Step:
    """What one pass is over: `batch` sequences of `tokens` new tokens, each of which looks at
    `keys` tokens in the mean where nothing bounds it, of `span` that are cached.

    `windowed` gives mean keys and cached tokens for a window. `logits` is how many tokens of
    a sequence the vocabulary is scored for. In `training` nothing is cached, and what flows from
    one operator to the next is one tensor, so that gradients find their way back; `shared` is
    then over how many devices the tokens between mixers and networks are spread, and `context`
    over how many those of a whole sequence are.
    """

    batch: int
    tokens: int
    keys: int
    span: int
    logits: int = 1
    windowed: Mapping[int, tuple[int, int]] = field(default_factory=dict, hash=False)
    absorbed: bool = False
    training: bool = False
    shared: int = 1
    context: int = 1

    def seen(self, window: int | None) -> tuple[int, int]:
        """Mean keys of a query, and cached tokens."""
        if window is None:
            return self.keys, self.span
        return self.windowed.get(window, (self.keys, self.span))


@dataclass
class Block:
    """Nodes as they are added; `few` are the weights that a quantised file has in few bits,
    `beside` are results besides the last one."""

    step: Step
    dtype: str
    cache: str
    nodes: list[Node] = field(default_factory=list)
    few: set[str] = field(default_factory=set)
    beside: list[Tensor] = field(default_factory=list)

    def add(
        self, op: str, *inputs: Tensor | None, name: str, dtype: str = "", **attrs: Any
    ) -> Tensor:
        out = Tensor(f"{name}.out", None, dtype or self.dtype)
        attrs |= {"dtype": dtype} if dtype else {}
        self.nodes.append(Node(op, inputs, (out,), attrs, name, tuple(name.split(".")), op))
        return out

    def weight(self, name: str, *shape: int, few: bool = False) -> Tensor:
        if few:
            self.few.add(name)
        return Tensor(name, shape, self.dtype, "weight")

    def linear(
        self, x: Tensor, name: str, given: int, made: int, bias: bool = False, few: bool = True
    ) -> Tensor:  # fmt: skip
        weight = self.weight(f"{name}.weight", made, given, few=few)
        offset = self.weight(f"{name}.bias", made) if bias else None
        return self.add("linear", x, weight, offset, name=name)

    def normed(self, x: Tensor, name: str, size: int, kind: str = "rms_norm", bias: bool = False,
               **attrs: Any) -> Tensor:  # fmt: skip
        weights = [self.weight(f"{name}.weight", size)]
        weights += [self.weight(f"{name}.bias", size)] if bias else []
        return self.add(kind, x, *weights, name=name, **attrs)

    def cached(self, name: str, keys: int, size: int) -> Tensor:
        """What earlier steps kept, and this one."""
        return Tensor(name, (self.step.batch, keys, size), self.cache, "input")

    def kept(self, x: Tensor, name: str) -> None:
        """A result goes into the cache."""
        if not self.step.training:
            self.add("cast", x, name=name, dtype=self.cache)

    def part(self, x: Tensor, name: str, start: int, size: int) -> Tensor:
        """Some of the last axis."""
        return self.add("slice", x, name=name, starts=[start], ends=[start + size], axes=[-1])

    def dropped(self, x: Tensor, name: str, ratio: float) -> Tensor:
        """Dropout, in training."""
        if not (ratio and self.step.training):
            return x
        return self.add("dropout_train", x, name=name, ratio=ratio)

    def gathered(self, x: Tensor, name: str, ranks: int) -> Tensor:
        """The tokens of all devices that share them."""
        if ranks == 1:
            return x
        return self.add("tile", x, name=f"{name}{GATHERED}", repeats=[1, ranks, 1])

    def scattered(self, x: Tensor, name: str) -> Tensor:
        """Of the sum over devices, the tokens of this one."""
        if self.step.shared == 1:
            return x
        own = self.step.tokens // self.step.shared
        return self.add("slice", x, name=name, starts=[0], ends=[own], axes=[1])

    def graph(self, *inputs: Tensor) -> Graph:
        outputs = (*self.nodes[-1].outputs, *self.beside)
        return infer(Graph(inputs, outputs, tuple(self.nodes)))
